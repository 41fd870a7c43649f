//! The `head` record: the owners' word on which version is newest.

use serde::{Deserialize, Serialize};

use super::{
    FieldProblem, RecordError,
    payload::{Fields, Payload, field, getters},
};
use crate::{
    DatasetId, ManifestId, RecordId, Timestamp,
    limits::{SEQUENCE_MAX, TIMESTAMP_MAX},
};

/// What a `head` record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadFields {
    /// The dataset.
    pub dataset: DatasetId,
    /// The `dataset` record whose owners sign.
    pub owner_record: RecordId,
    /// The sequence of the newest version.
    pub sequence: u64,
    /// The newest version.
    pub manifest: ManifestId,
    /// When the owners said so.
    pub issued_at: Timestamp,
    /// Until when they stand by it; later than `issued_at`.
    pub expires_at: Timestamp,
}

impl Fields for HeadFields {
    const KIND: &'static str = "head";

    fn check(&self) -> Result<(), RecordError> {
        if self.sequence > SEQUENCE_MAX {
            return Err(field::<Self>("sequence")(FieldProblem::Range));
        }
        if self.issued_at >= self.expires_at || self.expires_at.as_secs() > TIMESTAMP_MAX {
            return Err(field::<Self>("expires_at")(FieldProblem::Range));
        }
        Ok(())
    }
}

/// A `head` record whose fields hold all rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head(pub(super) Payload<HeadFields>);

impl Head {
    /// A record that says `fields`.
    ///
    /// # Errors
    /// [`RecordError::Field`] with the field that breaks a rule.
    pub fn new(fields: HeadFields) -> Result<Self, RecordError> {
        Payload::encode(fields).map(Self)
    }

    /// What it says.
    #[must_use]
    pub fn fields(&self) -> &HeadFields {
        self.0.fields()
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RecordId {
        self.0.id()
    }
}

getters!(Head {
    /// The dataset.
    dataset: copy DatasetId,
    /// The `dataset` record whose owners sign.
    owner_record: copy RecordId,
    /// The sequence of the newest version.
    sequence: copy u64,
    /// The newest version.
    manifest: copy ManifestId,
    /// When the owners said so.
    issued_at: copy Timestamp,
    /// Until when they stand by it.
    expires_at: copy Timestamp,
});
