//! What a node tells of a version.

use std::path::PathBuf;

use opendag_protocol::{DatasetId, ManifestId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ForkInfo, LicenseHint, PinnedBy, RenewalInfo, ReviewsInfo};

/// A version as `show`, `ls` and `log` print it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionInfo {
    /// Its dataset.
    pub dataset: DatasetId,
    /// Its manifest.
    pub manifest: ManifestId,
    /// The dataset's name.
    pub name: String,
    /// Number of the version.
    pub sequence: u64,
    /// The version before.
    pub parent: Option<ManifestId>,
    /// Label.
    pub label: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// SPDX expression.
    pub license: Option<String>,
    /// Languages.
    pub languages: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Homepage.
    pub homepage: Option<String>,
    /// When the publisher says that it was made.
    pub created_at: Timestamp,
    /// Files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Owner keys, as text.
    pub owners: Vec<String>,
    /// Keys that must sign.
    pub threshold: u8,
    /// What it was made from.
    pub derived_from: Vec<ManifestId>,
    /// Is it the newest that this node knows of?
    pub newest: bool,
    /// Since when the publisher's word that it is newest has expired.
    pub head_expired_since: Option<Timestamp>,
    /// How fresh what is known of its dataset is; `None`: nobody said which version is the newest.
    #[serde(default)]
    pub head: Option<HeadInfo>,
    /// Other manifests signed with the same sequence: proof that the publisher equivocated.
    pub equivocations: Vec<ManifestId>,
    /// Proofs that the owners of its dataset signed two things of which one may be true.
    #[serde(default)]
    pub forks: Vec<ForkInfo>,
    /// Where its licence does not go with those of what it was made from, as far as those are known here.
    #[serde(default)]
    pub license_hints: Vec<LicenseHint>,
    /// Why it is never let go unasked; `None`: it is not pinned.
    #[serde(default)]
    pub pinned: Option<PinnedBy>,
    /// What is said of it and of its dataset; only `show` looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviews: Option<ReviewsInfo>,
    /// Why this node does not use it: what is denied, by whose list, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<String>,
    /// Its head is to be signed again, and the keys of too few owners are here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<RenewalInfo>,
    /// Where it lies on this node.
    pub places: Vec<PlaceInfo>,
    /// A link to it.
    pub link: String,
}

/// What the owners of a dataset said last about which version is the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeadInfo {
    /// The newest version.
    pub manifest: ManifestId,
    /// Its number.
    pub sequence: u64,
    /// When they said it.
    pub issued_at: Timestamp,
    /// Until when it holds.
    pub expires_at: Timestamp,
    /// Is that over? Then nobody can tell whether there is a newer version.
    pub expired: bool,
}

/// Where a version lies on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceInfo {
    /// The folder.
    pub path: PathBuf,
    /// `published`, `fetched` or `mirrored`.
    pub kind: String,
    /// Is it kept: not let go, or pinned?
    pub pinned: bool,
    /// Shards that are here and unchanged.
    pub shards: u64,
    /// Shards that changed on disk since.
    pub stale: u64,
}
