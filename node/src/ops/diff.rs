//! What differs between two versions.

use opendag_protocol::{ManifestId, schema::compare::FieldChange};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FileInfo;

/// A file that has another path in the newer version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MovedFile {
    /// Its path in the older version.
    pub from: String,
    /// As it is in the newer.
    #[serde(flatten)]
    pub file: FileInfo,
}

/// What differs between two versions. All lists are sorted by path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffInfo {
    /// The older version.
    pub from: ManifestId,
    /// The newer.
    pub to: ManifestId,
    /// Paths only in the newer.
    pub added: Vec<FileInfo>,
    /// Paths only in the older.
    pub removed: Vec<FileInfo>,
    /// Paths in both with other content; as they are in the newer.
    pub changed: Vec<FileInfo>,
    /// The same content under another path.
    pub moved: Vec<MovedFile>,
    /// Bytes of the files of both versions, and of the files of each list.
    pub bytes: DiffBytes,
    /// Pages of the two file tables that were read; those that both have were not.
    pub pages_read: u64,
    /// Pages that both have.
    pub pages_shared: u64,
    /// Bytes of indexes and pages that came from peers.
    pub received_bytes: u64,
    /// How the records fit, where that was asked for: each group of files in which something changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schemas: Option<Vec<SchemaDiff>>,
}

/// How the records of a group of files fit whoever read the older version. A group is what lies in one
/// folder and has one format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SchemaDiff {
    /// The folder, with a slash at its end; empty for the top.
    pub folder: String,
    /// `Parquet`, `JSON Lines`, `CSV` or `TSV`.
    pub format: String,
    /// The file of the older version that was read.
    pub from: Option<String>,
    /// That of the newer.
    pub to: Option<String>,
    /// How it fits in all.
    pub fit: SchemaFit,
    /// Fields that differ, by name.
    pub fields: Vec<FieldChange>,
}

/// How a group fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemaFit {
    /// No value comes that could not come before; further fields may.
    Compatible,
    /// A greater range of numbers, missing values, or a kind where none was seen.
    Widened,
    /// A field is gone, or its values are of another kind.
    Broken,
    /// Only the newer version has such files.
    New,
    /// Only the older has.
    Gone,
    /// The schema of one of the two files could not be read.
    Unknown,
}

/// How much two versions differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffBytes {
    /// All files of the older.
    pub from: u64,
    /// All files of the newer.
    pub to: u64,
    /// Files that were added.
    pub added: u64,
    /// Files that were removed.
    pub removed: u64,
    /// Files that changed, as they are in the newer.
    pub changed: u64,
    /// Files that moved.
    pub moved: u64,
}
