//! The file that carries a version's signed records: what `manifest export` writes and what
//! `fetch PATH` reads.
//!
//! One JSON object, `{"format":"opendag-export/1","records":["<base64>",…]}`: the owner chain in
//! order, the manifest, and the newest head if there is one. Nothing in it is trusted: each record
//! is decoded and verified like one from a stranger.

use data_encoding::BASE64;
use opendag_protocol::{
    exchange::{Carried, Encoding, ExchangeError},
    record::{RecordError, SignedRecord},
};
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
    /// A record that is none, or a signature that does not hold.
    #[error("record {index} of the exported manifest is refused")]
    Record {
        /// Which one, from 0.
        index: usize,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// The records do not belong together, or cannot be written in another format.
    #[error("the records cannot be written in this format")]
    Exchange(#[source] ExchangeError),
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

/// Signed records and blobs, both as base64 text, in an exchange format.
///
/// # Errors
/// [`ExportError`] if they are not those of one version, or cannot be written in it.
pub fn exchanged(
    records: &[String],
    blobs: &[String],
    encoding: Encoding,
) -> Result<Vec<u8>, ExportError> {
    let records = decode_records(records)?;
    let decode = |(index, text): (usize, &String)| {
        let bytes = BASE64.decode(text.as_bytes());
        bytes.map_err(|_| ExportError::NotBase64 { index })
    };
    let blobs = blobs
        .iter()
        .enumerate()
        .map(decode)
        .collect::<Result<_, _>>()?;
    let written = Carried::new(records, blobs)
        .and_then(|carried| carried.document())
        .and_then(|document| document.write(encoding));
    written.map_err(ExportError::Exchange)
}

/// Does `bytes`, the beginning of a file, look like an exported manifest?
#[must_use]
pub fn looks_like(bytes: &[u8]) -> bool {
    bytes.starts_with(b"{\"format\":\"opendag-export/")
}

/// The signed records in a file. Whether they belong together, and whether the owners signed them, is not
/// known yet.
///
/// # Errors
/// See [`ExportError`].
pub fn parse(bytes: &[u8]) -> Result<Vec<SignedRecord>, ExportError> {
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
    decode_records(&file.records)
}

fn decode_records(records: &[String]) -> Result<Vec<SignedRecord>, ExportError> {
    let decode = |(index, text): (usize, &String)| {
        let bytes = BASE64
            .decode(text.as_bytes())
            .map_err(|_| ExportError::NotBase64 { index })?;
        SignedRecord::decode(&bytes).map_err(|source| ExportError::Record { index, source })
    };
    records.iter().enumerate().map(decode).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use opendag_protocol::{
        exchange::Document,
        key::SecretKey,
        record::{Dataset, Record},
    };
    use schemars::generate::SchemaSettings;

    use super::*;

    #[test]
    fn a_file_round_trips_and_is_recognised() {
        let key = SecretKey::from_bytes(&[1; 32]);
        let first = Dataset::first("corpus", key.public()).unwrap();
        let first = SignedRecord::sign(&Record::Dataset(first), &[&key]).unwrap();
        let text = to_text(&[encode_record(first.bytes())]);
        assert!(looks_like(text.as_bytes()));
        assert_eq!(parse(text.as_bytes()).unwrap(), vec![first]);
    }

    #[test]
    fn the_kept_schema_is_that_of_the_code() {
        const REWRITE: &str = "OPENDAG_WRITE_SPECS";
        let schema = SchemaSettings::draft2020_12()
            .for_deserialize()
            .into_generator()
            .into_root_schema_for::<Document>();
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/manifest.schema.json");
        if std::env::var_os(REWRITE).is_some() {
            std::fs::write(&kept, &text).unwrap();
        }
        let same = std::fs::read_to_string(kept).unwrap_or_default() == text;
        assert!(
            same,
            "specs/manifest.schema.json is not what the code says; write it anew with:\n\
             {REWRITE}=1 cargo test -p opendag-node the_kept_schema"
        );
    }

    #[test]
    fn other_files_are_refused() {
        assert!(matches!(parse(b""), Err(ExportError::NotAnExport(_))));
        assert!(matches!(parse(b"{}"), Err(ExportError::NotAnExport(_))));
        let other = br#"{"format":"opendag-export/2","records":[]}"#;
        assert!(matches!(parse(other), Err(ExportError::OtherFormat(_))));
        let bad = br#"{"format":"opendag-export/1","records":["?"]}"#;
        assert!(matches!(
            parse(bad),
            Err(ExportError::NotBase64 { index: 0 })
        ));
        let none = to_text(&[encode_record(b"one")]);
        assert!(matches!(
            parse(none.as_bytes()),
            Err(ExportError::Record { index: 0, .. })
        ));
        let many = to_text(&vec![String::new(); RECORDS_MAX + 1]);
        assert!(matches!(parse(many.as_bytes()), Err(ExportError::TooLarge)));
    }
}
