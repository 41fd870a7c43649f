//! What is said of forks.

use opendag_protocol::{ManifestId, RecordId, Timestamp, catalogue::EquivocationKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Proof that the owners of a dataset signed two records of which only one may be true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForkInfo {
    /// `manifest`: two versions with one number. `head`: two words on which is the newest. `owners`: two
    /// owner records that follow one.
    pub kind: EquivocationKind,
    /// Their number.
    pub sequence: u64,
    /// Is it undecided which version is meant? Then `fetch` refuses the newest version.
    pub open: bool,
    /// The one that was known here first.
    pub first: ForkSide,
    /// The other.
    pub second: ForkSide,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForkSide {
    /// The record.
    pub record: RecordId,
    /// The version that it is, or names; `None` of owner records, and if the record is not here.
    pub manifest: Option<ManifestId>,
    /// When the owners say that they made it.
    pub at: Option<Timestamp>,
    /// Who signed it.
    pub signers: Vec<String>,
}
