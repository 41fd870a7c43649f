//! Reviews: what is asked, and how they are shown.

use opendag_protocol::{RecordId, Timestamp, record::Opinion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LinkRequest;

/// Say what you think of a dataset (by its id or name) or of one version (by its id), in place of what you said of it
/// before. Ends in [`super::Event::Reviewed`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReviewRequest {
    /// What it is about.
    pub about: LinkRequest,
    /// What you think; `None`: take back what you said.
    pub opinion: Option<Opinion>,
    /// Name of the key that signs; default `default`, made at the first use.
    pub key: Option<String>,
}

/// A review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReviewInfo {
    /// Its record.
    pub id: RecordId,
    /// The dataset or version that it is about.
    pub subject: RecordId,
    /// Is that one version, and not the dataset?
    pub of_version: bool,
    /// Who says it: a public key, as text.
    pub author: String,
    /// When.
    pub issued_at: Timestamp,
    /// What they think; `None`: nothing any more.
    pub opinion: Option<Opinion>,
}

/// What is said of a version and its dataset, as `show` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReviewsInfo {
    /// How many authors say something.
    pub count: u64,
    /// The mean of their ratings, from 1 to 5.
    pub mean: Option<f64>,
    /// The newest of them first.
    pub newest: Vec<ReviewInfo>,
}
