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

/// Take in what a file says. Records of a version, in any format, become known here: ends in
/// [`super::Event::Imported`]. Of a description in Croissant it is said which files it needs, in
/// [`super::Event::Sources`], and with the files it becomes a draft: ends in [`super::Event::Draft`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImportRequest {
    /// Absolute path of the file.
    pub file: PathBuf,
    /// Absolute path of the folder with the files that Croissant describes.
    pub files: Option<PathBuf>,
    /// Absolute path of a new file for the draft.
    pub draft: Option<PathBuf>,
    /// As [`super::PublishRequest::name`]; default: what Croissant says.
    pub name: Option<String>,
    /// As [`super::PublishRequest::label`]; default: what Croissant says.
    pub label: Option<String>,
    /// As [`super::PublishRequest::license`]; default: what Croissant says.
    pub license: Option<String>,
    /// As [`super::PublishRequest::key`].
    pub key: Option<String>,
}

/// Which files a description needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourcesInfo {
    /// What the dataset is called, if that can be the name of one.
    pub name: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// SPDX expression, or `LicenseRef-` and a name.
    pub license: Option<String>,
    /// Files that can be checked.
    pub files: Vec<SourceInfo>,
    /// What cannot be taken.
    pub left: Vec<LeftInfo>,
}

/// A file that a description needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceInfo {
    /// Where it must lie in the folder of files.
    pub path: String,
    /// Where it can be had, unless it lies beside the description.
    pub url: Option<String>,
    /// Its size in bytes, if that is said exactly.
    pub size: Option<u64>,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// Something in a description that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftInfo {
    /// What it is called there.
    pub name: String,
    /// Why.
    pub why: String,
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
