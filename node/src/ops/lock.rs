//! Lockfiles: what is asked and said of them.

use std::path::PathBuf;

use opendag_protocol::{DatasetId, ManifestId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Write versions into the `opendag.lock` of a folder. Ends in [`super::Event::Locked`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LockRequest {
    /// Absolute path of the folder.
    pub dir: PathBuf,
    /// As [`super::FetchRequest::link`]; with `update` what the file has, by name, target or link, none: all.
    pub links: Vec<String>,
    /// Take the newest versions of what the file has.
    pub update: bool,
    /// Where a dataset goes: an absolute path below `dir`; `None`: its name, or where it is in the file.
    pub output: Option<PathBuf>,
    /// Globs of paths to fetch; none: all, or as in the file.
    pub include: Vec<String>,
    /// Globs of paths to leave out.
    pub exclude: Vec<String>,
    /// As [`super::FetchRequest::peers`].
    pub peers: Vec<String>,
    /// As [`super::FetchRequest::timeout_ms`].
    pub timeout_ms: Option<u64>,
}

/// Fetch exactly what the `opendag.lock` of a folder says. Sends [`super::Event::Fetched`] for each dataset
/// and ends in [`super::Event::Restored`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestoreRequest {
    /// Absolute path of the folder.
    pub dir: PathBuf,
    /// Only these, by name, target or link; none: all. One that the file does not have is refused.
    pub links: Vec<String>,
    /// Absolute path of the folder below which the targets lie; `None`: `dir`.
    pub output: Option<PathBuf>,
    /// As [`super::FetchRequest::peers`].
    pub peers: Vec<String>,
    /// As [`super::FetchRequest::no_seed`].
    pub no_seed: bool,
    /// As [`super::FetchRequest::no_delta`].
    pub no_delta: bool,
    /// As [`super::FetchRequest::overwrite`].
    pub overwrite: bool,
    /// As [`super::FetchRequest::timeout_ms`].
    pub timeout_ms: Option<u64>,
}

/// An entry of a lockfile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LockedInfo {
    /// The dataset's name.
    pub name: String,
    /// The dataset.
    pub dataset: DatasetId,
    /// The version.
    pub manifest: ManifestId,
    /// Its number.
    pub sequence: u64,
    /// Its label.
    pub label: Option<String>,
    /// Where it goes, from the folder of the file.
    pub target: String,
    /// Globs of the paths that are wanted; none: all.
    pub include: Vec<String>,
    /// Globs of paths that are not.
    pub exclude: Vec<String>,
    /// What became of the entry.
    pub change: LockChange,
    /// The number that the file had before.
    pub before: Option<u64>,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockChange {
    /// The file did not have it.
    Added,
    /// It is another now.
    Updated,
    /// It is as it was.
    Same,
}
