//! Whose versions are followed or mirrored as they come.

use opendag_protocol::{DatasetId, key::PublicKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A dataset, or all datasets of a publisher.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Watched {
    /// A dataset.
    Dataset(DatasetId),
    /// All datasets of an owner, also those that are not known yet.
    Publisher(PublicKey),
}
