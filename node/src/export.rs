//! The file that carries a version's signed records: what `manifest export` writes and what
//! `fetch PATH` reads.
//!
//! One JSON object, `{"format":"opendag-export/1","records":["<base64>",…]}`: the owner chain in
//! order, the manifest, and the newest head if there is one. Nothing in it is trusted: each record
//! is decoded and verified like one from a stranger.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

/// What the file says about itself.
const FORMAT: &str = "opendag-export/1";
/// Bytes of a file: more than the longest owner chain that `RECORDS_MAX` allows never occurs.
pub const EXPORT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Records in a file.
const RECORDS_MAX: usize = 64;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    records: Vec<String>,
}

/// Why a file is not an exported manifest.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Larger than [`EXPORT_BYTES_MAX`], or more records than a version has.
    #[error("the file is too large for an exported manifest")]
    TooLarge,
    /// Not the JSON object that it should be.
    #[error("the file is not an exported manifest")]
    NotAnExport(#[source] serde_json::Error),
    /// Another format.
    #[error("the file has the format {0:?}, which this version of OpenDAG does not know")]
    OtherFormat(String),
    /// A record that is not base64.
    #[error("record {index} of the exported manifest is not base64")]
    NotBase64 {
        /// Which one, from 0.
        index: usize,
    },
}

/// The text of a file with these base64 records, with a newline at the end.
#[must_use]
pub fn to_text(records: &[String]) -> String {
    let file = serde_json::json!({ "format": FORMAT, "records": records });
    format!("{file}\n")
}

/// Signed records as base64 text, as [`crate::ops::Event::Exported`] carries them.
#[must_use]
pub fn encode_record(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Does `bytes`, the beginning of a file, look like an exported manifest?
#[must_use]
pub fn looks_like(bytes: &[u8]) -> bool {
    bytes.starts_with(b"{\"format\":\"opendag-export/")
}

/// The bytes of the signed records in a file. None of them is verified here.
///
/// # Errors
/// See [`ExportError`].
pub fn parse(bytes: &[u8]) -> Result<Vec<Vec<u8>>, ExportError> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > EXPORT_BYTES_MAX {
        return Err(ExportError::TooLarge);
    }
    let file: File = serde_json::from_slice(bytes).map_err(ExportError::NotAnExport)?;
    if file.format != FORMAT {
        return Err(ExportError::OtherFormat(
            file.format.chars().take(64).collect(),
        ));
    }
    if file.records.len() > RECORDS_MAX {
        return Err(ExportError::TooLarge);
    }
    let decode = |(index, text): (usize, &String)| {
        BASE64
            .decode(text.as_bytes())
            .map_err(|_| ExportError::NotBase64 { index })
    };
    file.records.iter().enumerate().map(decode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_round_trips_and_is_recognised() {
        let text = to_text(&[encode_record(b"one"), encode_record(b"")]);
        assert!(looks_like(text.as_bytes()));
        assert_eq!(
            parse(text.as_bytes()).unwrap(),
            vec![b"one".to_vec(), Vec::new()]
        );
    }

    #[test]
    fn other_files_are_refused() {
        assert!(matches!(parse(b""), Err(ExportError::NotAnExport(_))));
        assert!(matches!(parse(b"{}"), Err(ExportError::NotAnExport(_))));
        let other = br#"{"format":"opendag-export/2","records":[]}"#;
        assert!(matches!(parse(other), Err(ExportError::OtherFormat(_))));
        let bad = br#"{"format":"opendag-export/1","records":["AA==","?"]}"#;
        assert!(matches!(
            parse(bad),
            Err(ExportError::NotBase64 { index: 1 })
        ));
        let many = to_text(&vec![String::new(); RECORDS_MAX + 1]);
        assert!(matches!(parse(many.as_bytes()), Err(ExportError::TooLarge)));
    }
}
