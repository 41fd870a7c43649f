//! What is searched for, and what is found.

use opendag_protocol::{DatasetId, ManifestId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Find datasets among all that this node knows of. Sends [`super::Event::Found`] for each hit, and ends in
/// [`super::Event::Searched`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SearchRequest {
    /// Words and facets, see `specs/search.md`; empty: all datasets, those that were updated last first.
    pub query: String,
    /// Hits at most; `None`: 20.
    pub limit: Option<u64>,
    /// Hits that are left out before.
    pub offset: u64,
}

/// A dataset that was found, as its newest version says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FoundInfo {
    /// Its number among all hits, from 1.
    pub rank: u64,
    /// How well it fits; of use only beside others of the same search.
    pub score: f64,
    /// The dataset.
    pub dataset: DatasetId,
    /// Its newest version that is known here.
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
    /// Languages.
    pub languages: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// When the publisher says that the version was made.
    pub updated: Timestamp,
    /// Files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Owner keys, as text.
    pub owners: Vec<String>,
    /// Does the version lie on this node, or a part of it?
    pub here: bool,
    /// Where words of the query stand: `name`, `title`, `tags`, `description`, `card`, `path`.
    pub matched: Vec<String>,
    /// The first of them in description, card or paths, with what stands around it.
    pub snippet: Option<String>,
}
