//! What is asked and said of versions that are carried as files.

use std::path::PathBuf;

use opendag_protocol::{DatasetId, ManifestId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The signed records of a version, to be carried as a file. Ends in [`super::Event::Exported`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExportRequest {
    /// As [`super::FetchRequest::link`].
    pub link: String,
    /// As [`super::FetchRequest::peers`].
    pub peers: Vec<String>,
    /// As [`super::FetchRequest::timeout_ms`].
    pub timeout_ms: Option<u64>,
    /// As [`super::LinkRequest::newest`].
    pub newest: bool,
    /// With the blobs that describe the version: its file table and its card.
    pub files: bool,
}

/// Take in what an exported manifest carries, of any format. Ends in [`super::Event::Imported`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImportRequest {
    /// Absolute path of the file.
    pub file: PathBuf,
}

/// A version that a file carries, whose signatures hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedInfo {
    /// The dataset.
    pub dataset: DatasetId,
    /// The version.
    pub manifest: ManifestId,
    /// The dataset's name.
    pub name: String,
    /// Number of the version.
    pub sequence: u64,
    /// Label.
    pub label: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// SPDX expression.
    pub license: Option<String>,
    /// Files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Was it not known here before?
    pub new: bool,
    /// Did the file carry the file table, too?
    pub table: bool,
    /// A link to it.
    pub link: String,
}
