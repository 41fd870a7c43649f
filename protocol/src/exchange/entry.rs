//! The document: what the three encodings have in common. The numbers of its fields are those of
//! `specs/manifest.proto`: that of the manifest is the last, so that no document that was cut is another one.
//! What is empty or absent in a record is left out.

use serde::{Deserialize, Serialize};

use super::text;
#[cfg(feature = "json-schema")]
use crate::{BlobId, DatasetId, ManifestId, RecordId};

/// The signed records of one version of a dataset.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// `opendag-manifest/1`.
    #[prost(string, tag = "1")]
    pub format: String,
    /// Who owns the dataset: its `dataset` records, from the first to the current one.
    #[prost(message, repeated, tag = "2")]
    pub owner_records: Vec<OwnerRecordEntry>,
    /// The version.
    #[prost(message, optional, tag = "5")]
    #[cfg_attr(feature = "json-schema", schemars(with = "ManifestEntry"))]
    pub manifest: Option<ManifestEntry>,
    /// The owners' last word on which version is the newest.
    #[prost(message, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "json-schema", schemars(with = "HeadEntry"))]
    pub head: Option<HeadEntry>,
    /// Blobs that describe the version: the index and all pages of its file table, its card, its
    /// description in Croissant.
    #[prost(message, repeated, tag = "4")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<BlobEntry>,
}

/// A `dataset` record.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OwnerRecordEntry {
    /// The record's id.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "RecordId"))]
    pub id: Vec<u8>,
    /// What the dataset is called.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The keys that own it from this record on.
    #[prost(bytes = "vec", repeated, tag = "3")]
    #[serde(with = "text::keys")]
    #[cfg_attr(feature = "json-schema", schemars(with = "Vec<String>"))]
    pub owners: Vec<Vec<u8>>,
    /// How many owners must sign.
    #[prost(uint64, tag = "4")]
    pub threshold: u64,
    /// Number of the record, from 0.
    #[prost(uint64, tag = "5")]
    pub sequence: u64,
    /// The dataset; absent in its first record, whose id it is.
    #[prost(bytes = "vec", tag = "6")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "DatasetId"))]
    pub dataset: Vec<u8>,
    /// The record before; absent in the first.
    #[prost(bytes = "vec", tag = "7")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "RecordId"))]
    pub previous: Vec<u8>,
    /// Fields of the record that this format does not know: a map in canonical DAG-CBOR.
    #[prost(bytes = "vec", tag = "14")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::base64")]
    #[cfg_attr(feature = "json-schema", schemars(with = "String"))]
    pub unknown: Vec<u8>,
    /// Who signed it, sorted by key.
    #[prost(message, repeated, tag = "15")]
    pub signatures: Vec<SignatureEntry>,
}

/// A `manifest` record: what a version is.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ManifestEntry {
    /// The version's id.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "ManifestId"))]
    pub id: Vec<u8>,
    /// The dataset.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "DatasetId"))]
    pub dataset: Vec<u8>,
    /// The `dataset` record whose owners sign.
    #[prost(bytes = "vec", tag = "3")]
    #[serde(with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "RecordId"))]
    pub owner_record: Vec<u8>,
    /// Number of the version, from 0.
    #[prost(uint64, tag = "4")]
    pub sequence: u64,
    /// The version before; absent in the first.
    #[prost(bytes = "vec", tag = "5")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "ManifestId"))]
    pub parent: Vec<u8>,
    /// When the owners say that it was made, in seconds since 1970-01-01 UTC.
    #[prost(uint64, tag = "6")]
    pub created_at: u64,
    /// A label such as `v1.1`.
    #[prost(string, tag = "7")]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// One line.
    #[prost(string, tag = "8")]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Some paragraphs.
    #[prost(string, tag = "9")]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// An SPDX licence expression.
    #[prost(string, tag = "10")]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub license: String,
    /// Languages as BCP 47 tags.
    #[prost(string, repeated, tag = "11")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Words to search by.
    #[prost(string, repeated, tag = "12")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// A URL.
    #[prost(string, tag = "13")]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub homepage: String,
    /// The index of the file table.
    #[prost(bytes = "vec", tag = "16")]
    #[serde(with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "BlobId"))]
    pub table: Vec<u8>,
    /// Files in the table.
    #[prost(uint64, tag = "17")]
    pub files: u64,
    /// Bytes of all files, up to 2^64-1.
    #[prost(uint64, tag = "18")]
    pub bytes: u64,
    /// The card: a README in Markdown.
    #[prost(bytes = "vec", tag = "19")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "BlobId"))]
    pub card: Vec<u8>,
    /// A description in Croissant.
    #[prost(bytes = "vec", tag = "20")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "BlobId"))]
    pub croissant: Vec<u8>,
    /// What it was made from.
    #[prost(message, repeated, tag = "21")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<DerivationEntry>,
    /// URLs below which the same files lie.
    #[prost(string, repeated, tag = "22")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// Fields of the record that this format does not know: a map in canonical DAG-CBOR.
    #[prost(bytes = "vec", tag = "14")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::base64")]
    #[cfg_attr(feature = "json-schema", schemars(with = "String"))]
    pub unknown: Vec<u8>,
    /// Who signed it, sorted by key.
    #[prost(message, repeated, tag = "15")]
    pub signatures: Vec<SignatureEntry>,
}

/// A version that another was made from.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DerivationEntry {
    /// The version.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "ManifestId"))]
    pub manifest: Vec<u8>,
    /// What was done with it.
    #[prost(string, tag = "2")]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub how: String,
    /// Further fields: a map in canonical DAG-CBOR.
    #[prost(bytes = "vec", tag = "14")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::base64")]
    #[cfg_attr(feature = "json-schema", schemars(with = "String"))]
    pub unknown: Vec<u8>,
}

/// A `head` record: which version is the newest.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HeadEntry {
    /// The record's id.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "RecordId"))]
    pub id: Vec<u8>,
    /// The dataset.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "DatasetId"))]
    pub dataset: Vec<u8>,
    /// The `dataset` record whose owners sign.
    #[prost(bytes = "vec", tag = "3")]
    #[serde(with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "RecordId"))]
    pub owner_record: Vec<u8>,
    /// The sequence of the newest version.
    #[prost(uint64, tag = "4")]
    pub sequence: u64,
    /// The newest version.
    #[prost(bytes = "vec", tag = "5")]
    #[serde(with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "ManifestId"))]
    pub manifest: Vec<u8>,
    /// When the owners said so, in seconds since 1970-01-01 UTC.
    #[prost(uint64, tag = "6")]
    pub issued_at: u64,
    /// Until when they stand by it.
    #[prost(uint64, tag = "7")]
    pub expires_at: u64,
    /// Fields of the record that this format does not know: a map in canonical DAG-CBOR.
    #[prost(bytes = "vec", tag = "14")]
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::base64")]
    #[cfg_attr(feature = "json-schema", schemars(with = "String"))]
    pub unknown: Vec<u8>,
    /// Who signed it, sorted by key.
    #[prost(message, repeated, tag = "15")]
    pub signatures: Vec<SignatureEntry>,
}

/// A signature of a record.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignatureEntry {
    /// Whose: a public key.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "text::key")]
    #[cfg_attr(
        feature = "json-schema",
        schemars(with = "String", regex(pattern = "^ed25519:[a-z2-7]{52}$"))
    )]
    pub key: Vec<u8>,
    /// 64 bytes of ed25519, in hexadecimal digits where they are text.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(with = "text::hex")]
    #[cfg_attr(
        feature = "json-schema",
        schemars(with = "String", regex(pattern = "^[0-9a-f]{128}$"))
    )]
    pub signature: Vec<u8>,
}

/// A blob.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BlobEntry {
    /// Its id.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "text::cid")]
    #[cfg_attr(feature = "json-schema", schemars(with = "BlobId"))]
    pub id: Vec<u8>,
    /// Its bytes, in base64 where they are text.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(with = "text::base64")]
    #[cfg_attr(feature = "json-schema", schemars(with = "String"))]
    pub bytes: Vec<u8>,
}
