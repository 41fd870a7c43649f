//! What differs between two versions.

use opendag_protocol::ManifestId;
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
