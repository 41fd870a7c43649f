//! What stays on disk: what is asked, and how it is shown.

use opendag_protocol::{ManifestId, RecordId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
