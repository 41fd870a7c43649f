//! `specs/vectors/*.json`: written anew when `OPENDAG_WRITE_VECTORS` is set, else compared with what the code makes.

use data_encoding::HEXLOWER;
use serde::{Serialize, de::DeserializeOwned};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/vectors/");

/// Writes the vectors if that is asked for; then what is kept must be what is made.
pub(super) fn check<T: Serialize + DeserializeOwned>(name: &str, made: &T) -> T {
    let file = format!("{FOLDER}{name}.json");
    let text = serde_json::to_string_pretty(made).unwrap() + "\n";
    if std::env::var_os("OPENDAG_WRITE_VECTORS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept == text, "{file} is not what the code makes");
    serde_json::from_str(&kept).unwrap()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}
