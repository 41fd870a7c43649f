//! The `dataset` record: what a dataset is called and who owns it.

use serde::{Deserialize, Serialize};

use super::{
    FieldProblem, RecordError,
    payload::{Fields, Payload, field, getters, present},
    text,
};
use crate::{
    DatasetId, RecordId,
    key::PublicKey,
    limits::{SEQUENCE_MAX, SIGNATURES_MAX, THRESHOLD_MAX},
};

/// What a `dataset` record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetFields {
    /// What the dataset is called: also a folder's name.
    pub name: String,
    /// The keys that own it from this record on; sorted, unique, 1 to 16.
    pub owners: Vec<PublicKey>,
    /// How many owners must sign, 1 to 6.
    pub threshold: u8,
    /// 0 in the first record, one more in each that follows.
    pub sequence: u64,
    /// The dataset; `None` exactly in its first record, whose id it is.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub dataset: Option<DatasetId>,
    /// The record before; `None` exactly in the first.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub previous: Option<RecordId>,
}

impl Fields for DatasetFields {
    const KIND: &'static str = "dataset";

    fn check(&self) -> Result<(), RecordError> {
        text::check_name(&self.name).map_err(field::<Self>("name"))?;
        let owners = field::<Self>("owners");
        if self.owners.is_empty() {
            return Err(owners(FieldProblem::Empty));
        }
        if self.owners.len() > SIGNATURES_MAX {
            return Err(owners(FieldProblem::TooMany {
                items_max: SIGNATURES_MAX,
            }));
        }
        if !self.owners.is_sorted_by(|a, b| a < b) {
            return Err(owners(FieldProblem::Order));
        }
        let threshold = usize::from(self.threshold);
        if !(1..=THRESHOLD_MAX).contains(&self.threshold) || threshold > self.owners.len() {
            return Err(field::<Self>("threshold")(FieldProblem::Range));
        }
        if self.sequence > SEQUENCE_MAX {
            return Err(field::<Self>("sequence")(FieldProblem::Range));
        }
        let is_first = self.sequence == 0;
        if self.dataset.is_none() != is_first {
            return Err(field::<Self>("dataset")(FieldProblem::Presence));
        }
        if self.previous.is_none() != is_first {
            return Err(field::<Self>("previous")(FieldProblem::Presence));
        }
        Ok(())
    }
}

/// A `dataset` record whose fields hold all rules. Whether its signatures suffice, an
/// [`OwnerChain`](super::OwnerChain) says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset(pub(super) Payload<DatasetFields>);

impl Dataset {
    /// A record that says `fields`; the owners are brought in order.
    ///
    /// # Errors
    /// [`RecordError::Field`] with the field that breaks a rule.
    pub fn new(mut fields: DatasetFields) -> Result<Self, RecordError> {
        fields.owners.sort_unstable();
        Payload::encode(fields).map(Self)
    }

    /// The record with which one publisher begins a dataset of that name. Name and key alone say its id:
    /// whoever knows both can look for the dataset.
    ///
    /// # Errors
    /// [`RecordError::Field`] if it is no name.
    pub fn first(name: &str, owner: PublicKey) -> Result<Self, RecordError> {
        Self::new(DatasetFields {
            name: name.to_owned(),
            owners: vec![owner],
            threshold: 1,
            sequence: 0,
            dataset: None,
            previous: None,
        })
    }

    /// What it says.
    #[must_use]
    pub fn fields(&self) -> &DatasetFields {
        self.0.fields()
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RecordId {
        self.0.id()
    }

    /// The dataset that it is about: its own id if it is the first record.
    #[must_use]
    pub fn dataset_id(&self) -> DatasetId {
        self.dataset().unwrap_or_else(|| self.id().into())
    }
}

getters!(Dataset {
    /// What the dataset is called.
    name: by &str,
    /// The keys that own it, sorted.
    owners: by &[PublicKey],
    /// How many owners must sign.
    threshold: copy u8,
    /// Number of the record, from 0.
    sequence: copy u64,
    /// The dataset; `None` in its first record.
    dataset: copy Option<DatasetId>,
    /// The record before; `None` in the first.
    previous: copy Option<RecordId>,
});
