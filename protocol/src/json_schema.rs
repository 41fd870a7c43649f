//! Ids, hashes and times as JSON Schema: what documents of the local API say of them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{BlobId, DatasetId, Hash, ManifestId, RecordId, Timestamp, key::PublicKey};

macro_rules! text {
    ($($name:ident, $words:literal, $pattern:literal;)+) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $words, "pattern": $pattern })
            }
        }
    )+};
}

text!(
    RecordId, "Names a record: the CID of its payload.", "^bafyr4i[a-z2-7]{52}$";
    DatasetId, "Names a dataset for life: the id of its first `dataset` record.", "^bafyr4i[a-z2-7]{52}$";
    ManifestId, "Names one version of a dataset: the id of its `manifest` record.", "^bafyr4i[a-z2-7]{52}$";
    BlobId, "Names a blob: the CID of its bytes.", "^bafkr4i[a-z2-7]{52}$";
    PublicKey, "A publisher's public key.", "^ed25519:[a-z2-7]{52}$";
    Hash, "A BLAKE3 hash, in hexadecimal digits.", "^[0-9a-f]{64}$";
);

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer",
            "format": "uint64",
            "minimum": 0,
            "description": "Seconds since 1970-01-01 UTC.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does a text fit `^prefix[class]{n}$`?
    fn fits(schema: &Schema, text: &str) -> bool {
        let pattern = schema
            .get("pattern")
            .and_then(|value| value.as_str())
            .unwrap();
        let (prefix, rest) = pattern.trim_start_matches('^').split_once('[').unwrap();
        let (class, count) = rest.split_once("]{").unwrap();
        let count: usize = count.trim_end_matches("}$").parse().unwrap();
        let allowed = |c: char| match class {
            "a-z2-7" => matches!(c, 'a'..='z' | '2'..='7'),
            "0-9a-f" => matches!(c, '0'..='9' | 'a'..='f'),
            other => panic!("{other}"),
        };
        text.strip_prefix(prefix)
            .is_some_and(|rest| rest.chars().count() == count && rest.chars().all(allowed))
    }

    #[test]
    fn what_is_written_fits_its_schema() {
        let generator = &mut SchemaGenerator::default();
        for byte in [0, 0x5a, 0xff] {
            let hash = Hash::from_bytes([byte; 32]);
            assert!(fits(&Hash::json_schema(generator), &hash.to_string()));
            let id = ManifestId::from_hash(hash).to_string();
            assert!(fits(&ManifestId::json_schema(generator), &id), "{id}");
            assert!(!fits(&ManifestId::json_schema(generator), &id[1..]));
        }
    }
}
