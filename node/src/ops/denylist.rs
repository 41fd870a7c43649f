//! Denylists: what is asked, and how they are shown.

use opendag_protocol::{RecordId, Timestamp, record::DenylistEntry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Put something on the user's own list. Ends in [`super::Event::Changed`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DenyRequest {
    /// A link, id or name of a dataset, the id of a version or blob, or a publisher's public key.
    pub what: String,
    /// What an id is that is not known here.
    pub kind: Option<DeniedKind>,
    /// Why: a line.
    pub reason: Option<String>,
    /// From when it does nothing any more.
    pub expires_at: Option<Timestamp>,
}

/// What the id of a record means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeniedKind {
    /// A dataset.
    Dataset,
    /// One version.
    Manifest,
}

/// Something on the user's own list. Taking it off ends in [`super::Event::Changed`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AllowRequest {
    /// As [`DenyRequest::what`].
    pub what: String,
}

/// Sign the user's own list as it is now and give it to others, in place of what was published with that key before.
/// Ends in [`super::Event::Changed`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DenylistPublishRequest {
    /// Name of the key that signs; default `default`, made at the first use.
    pub key: Option<String>,
    /// From when none of it does anything any more.
    pub expires_at: Option<Timestamp>,
}

/// Heed somebody's list, or heed it no longer. Ends in [`super::Event::Changed`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SubscribeRequest {
    /// Whose: a public key, an alias, or the id of a list that is known here.
    pub whose: String,
}

/// A list, and what is on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DenylistInfo {
    /// Whose it is: a public key, as text; `None`: the user's own.
    pub author: Option<String>,
    /// Its record; `None`: the user's own, or one that has not come yet.
    pub id: Option<RecordId>,
    /// When it was issued.
    pub issued_at: Option<Timestamp>,
    /// From when none of it does anything any more.
    pub expires_at: Option<Timestamp>,
    /// What is on it.
    pub entries: Vec<DenylistEntry>,
}
