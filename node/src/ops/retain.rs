//! What stays on disk: what is asked, and how it is shown.

use std::path::PathBuf;

use opendag_protocol::{DatasetId, ManifestId, RecordId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Watched;

/// Something that is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PinInfo {
    /// A dataset, which stands for all of its versions, or one version.
    pub id: RecordId,
    /// The dataset's name, if it is known here.
    pub name: Option<String>,
    /// Number of the version; `None`: it is a dataset, or not known here.
    pub sequence: Option<u64>,
    /// The versions that lie here by it.
    pub here: Vec<ManifestId>,
}

/// Why a version is never let go unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PinnedBy {
    /// It is pinned itself.
    Version,
    /// Its dataset is pinned.
    Dataset,
}

/// Free what is not kept. Ends in [`super::Event::Freed`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GcRequest {
    /// Only say what would be freed.
    pub plan: bool,
}

/// What was freed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FreedInfo {
    /// True if nothing was touched.
    pub planned: bool,
    /// Versions that are here no longer.
    pub versions: Vec<FreedVersion>,
    /// Bytes of hash trees of files that lie nowhere else.
    pub outboard_bytes: u64,
    /// Bytes of descriptions that no other version needs.
    pub description_bytes: u64,
    /// Bytes of the cache.
    #[serde(default)]
    pub cache_bytes: u64,
    /// Bytes of all of it.
    pub bytes: u64,
}

/// A version that is let go in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FreedVersion {
    /// The version.
    pub manifest: ManifestId,
    /// Its dataset, if its records are here.
    pub dataset: Option<DatasetId>,
    /// The dataset's name.
    pub name: Option<String>,
    /// Number of the version.
    pub sequence: Option<u64>,
    /// The folder.
    pub path: PathBuf,
    /// `published`, `copied`, `fetched` or `mirrored`.
    pub kind: String,
    /// True if the files are the user's: they stay, and are served no longer.
    pub files_stay: bool,
    /// Bytes of its files that are freed; those that another version shares stay.
    pub bytes: u64,
    /// Why it goes.
    pub why: FreedWhy,
}

/// Why a version is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FreedWhy {
    /// Nothing holds it: it was unpinned, or nothing mirrors it any more.
    LetGo,
    /// The disk budget has no room for it.
    NoRoom,
}

/// Show the disk budget and what lies here, after setting it if that is asked for. Ends in [`super::Event::Quota`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaRequest {
    /// The budget from now on, also after a restart.
    pub set: Option<SetQuota>,
}

/// A disk budget to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SetQuota {
    /// So many bytes.
    Bytes(u64),
    /// No budget.
    None,
}

/// The disk budget, and what lies here, in bytes. A file that several versions share counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaInfo {
    /// The budget; `None`: there is none.
    pub limit: Option<u64>,
    /// What counts for it: all of the following but `published`.
    pub used: u64,
    /// By how much more than the budget would be here although all is gone that may go.
    pub over: u64,
    /// Versions that were copied or mirrored, and are pinned or were not let go.
    pub kept: u64,
    /// Versions that were fetched to folders of the user's.
    pub fetched: u64,
    /// Versions that mirrors hold: they make room.
    pub mirrored: u64,
    /// Versions that nothing holds.
    pub let_go: u64,
    /// The cache: it makes room first.
    pub cache: u64,
    /// Records, descriptions, hash trees and the index.
    pub records: u64,
    /// What running fetches still need.
    pub arriving: u64,
    /// The user's files that were published in place.
    pub published: u64,
    /// What is free on the disk of the data directory, if that is known.
    pub free: Option<u64>,
    /// What was freed for a new budget.
    pub freed: Option<FreedInfo>,
}

/// Have the versions of a dataset, or of all datasets of a publisher, here for others to fetch, and those that come; of
/// one version only that one. Ends in [`super::Event::Mirrors`] with that one, for a version in
/// [`super::Event::Fetched`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MirrorRequest {
    /// A link, id or name of a dataset or version, a publisher's public key, or an alias.
    pub what: String,
    /// Where the command runs, absolute.
    pub cwd: PathBuf,
    /// Bytes that its versions may take; `None`: what the disk budget leaves.
    pub budget: Option<u64>,
    /// How many versions of each dataset, the newest ones; `None`: all.
    pub keep: Option<u32>,
    /// As [`super::FetchRequest::include`].
    pub include: Vec<String>,
    /// As [`super::FetchRequest::exclude`].
    pub exclude: Vec<String>,
    /// As [`super::FetchRequest::peers`].
    pub peers: Vec<String>,
    /// As [`super::FetchRequest::timeout_ms`].
    pub timeout_ms: Option<u64>,
    /// As [`super::FetchRequest::accept_fork`], for a version.
    pub accept_fork: bool,
}

/// Mirror no longer. What came stays until something else needs its room. Ends in [`super::Event::Changed`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UnmirrorRequest {
    /// As [`MirrorRequest::what`].
    pub what: String,
}

/// What is mirrored, and how far that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MirrorInfo {
    /// Who or what.
    pub what: Watched,
    /// Name of the dataset, if it is one and known here.
    pub name: Option<String>,
    /// Bytes that it may take.
    pub budget: Option<u64>,
    /// How many versions of each dataset.
    pub keep: Option<u32>,
    /// Globs of paths that are mirrored; none: all.
    pub include: Vec<String>,
    /// Globs of paths that are left out.
    pub exclude: Vec<String>,
    /// Versions that it means, as far as they are known here.
    pub versions: u64,
    /// How many of them lie here.
    pub held: u64,
    /// Bytes that are missing in the budget for the others.
    pub needs: u64,
    /// The others.
    pub left_out: Vec<LeftOut>,
    /// Why the last pass did not come to its end.
    pub problem: Option<String>,
}

/// A version that a mirror means and that does not lie here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// The version.
    pub manifest: ManifestId,
    /// Its dataset.
    pub dataset: DatasetId,
    /// The dataset's name.
    pub name: String,
    /// Number of the version.
    pub sequence: u64,
    /// Bytes that it needs and for which there is no room; 0: there is, and it is still to come.
    pub needs: u64,
}
