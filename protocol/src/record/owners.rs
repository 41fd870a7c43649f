//! Who has a say in a dataset: its `dataset` records from the first on, each handed over by the owners
//! before it.

use super::{Dataset, Record, SignedRecord};
use crate::{
    DatasetId, RecordId, fault::Fault, key::PublicKey, limits::OWNER_RECORDS_MAX, score::Offence,
};

/// Why a record is not one that the owners of a dataset signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// A record of a type for which owners have no rule.
    #[error("a {kind} record is not one that the owners of a dataset sign")]
    OtherKind {
        /// Its type.
        kind: String,
    },
    /// About another dataset.
    #[error("the record is about the dataset {found}, not about {expected}")]
    OtherDataset {
        /// The dataset of the chain.
        expected: DatasetId,
        /// The dataset of the record.
        found: DatasetId,
    },
    /// Not the first `dataset` record of a dataset.
    #[error("the dataset record has sequence {sequence}, so it is not the first of its dataset")]
    NotFirst {
        /// Its sequence.
        sequence: u64,
    },
    /// A `dataset` record that does not follow the current one.
    #[error("the dataset record has sequence {found}, and {expected} is next")]
    NotNext {
        /// The sequence that would follow.
        expected: u64,
        /// The sequence of the record.
        found: u64,
    },
    /// A `dataset` record that names another one before it.
    #[error("the dataset record does not follow the current one, {expected}")]
    OtherPrevious {
        /// The current record.
        expected: RecordId,
        /// The one that it names.
        found: Option<RecordId>,
    },
    /// Signed under an owner record that is not known here.
    #[error("the owner record {owner_record} is not known here")]
    UnknownOwners {
        /// The owner record.
        owner_record: RecordId,
    },
    /// Too few owners signed.
    #[error("{signed} of the owners signed, and {threshold} must")]
    TooFewSignatures {
        /// How many did.
        signed: usize,
        /// How many must.
        threshold: u8,
    },
    /// Somebody signed who is no owner: nobody may put a name on another's record.
    #[error("{key} signed and is not an owner")]
    NotAnOwner {
        /// Whose signature.
        key: PublicKey,
    },
    /// More owner records than a dataset may have.
    #[error("the dataset has {OWNER_RECORDS_MAX} owner records already")]
    TooManyRecords,
}

impl OwnerError {
    /// Who is to blame, if a peer sent the record as an answer to what was asked.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            // What is missing may come; a fork or gap may be what the peer honestly knows.
            Self::UnknownOwners { .. } | Self::NotNext { .. } | Self::OtherPrevious { .. } => {
                Fault::Transient
            }
            Self::TooManyRecords => Fault::Local,
            Self::OtherKind { .. } | Self::OtherDataset { .. } | Self::NotFirst { .. } => {
                Fault::Peer(Offence::Protocol)
            }
            Self::TooFewSignatures { .. } | Self::NotAnOwner { .. } => {
                Fault::Peer(Offence::ForgedRecord)
            }
        }
    }
}

/// The `dataset` records of a dataset, from its first to the current one.
///
/// Invariants: at least one record, all of type `dataset`; each has its position as sequence, and
/// each after the first names the one before and is signed by a threshold of that one's owners and
/// of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerChain {
    dataset: DatasetId,
    first: Link,
    rest: Vec<Link>,
}

/// A `dataset` record with the envelope that it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    signed: SignedRecord,
    dataset: Dataset,
}

impl OwnerChain {
    /// The chain that begins with `first`.
    ///
    /// # Errors
    /// An [`OwnerError`] if it is not a first record that a threshold of its owners signed.
    pub fn start(first: &SignedRecord) -> Result<Self, OwnerError> {
        let dataset = dataset_of(first)?;
        if dataset.sequence() != 0 {
            return Err(OwnerError::NotFirst {
                sequence: dataset.sequence(),
            });
        }
        check_threshold(first, dataset)?;
        check_signers(first, |key| dataset.owners().contains(&key))?;
        Ok(Self {
            dataset: dataset.dataset_id(),
            first: Link {
                signed: first.clone(),
                dataset: dataset.clone(),
            },
            rest: Vec::new(),
        })
    }

    /// Adds the record that follows the current one.
    ///
    /// # Errors
    /// An [`OwnerError`] if it does not follow, or if not enough of the current or of the new owners
    /// signed; then nothing is changed.
    pub fn extend(&mut self, next: &SignedRecord) -> Result<(), OwnerError> {
        let dataset = dataset_of(next)?;
        self.check_dataset(dataset.dataset_id())?;
        let current = self.current();
        let expected = current.sequence().saturating_add(1);
        if dataset.sequence() != expected {
            return Err(OwnerError::NotNext {
                expected,
                found: dataset.sequence(),
            });
        }
        if dataset.previous() != Some(current.id()) {
            return Err(OwnerError::OtherPrevious {
                expected: current.id(),
                found: dataset.previous(),
            });
        }
        check_hand_over(next, current, dataset)?;
        if self.rest.len() + 1 >= OWNER_RECORDS_MAX {
            return Err(OwnerError::TooManyRecords);
        }
        self.rest.push(Link {
            signed: next.clone(),
            dataset: dataset.clone(),
        });
        Ok(())
    }

    /// The dataset.
    #[must_use]
    pub fn dataset_id(&self) -> DatasetId {
        self.dataset
    }

    /// The current record: who owns the dataset now.
    #[must_use]
    pub fn current(&self) -> &Dataset {
        &self.rest.last().unwrap_or(&self.first).dataset
    }

    /// The id of the current record.
    #[must_use]
    pub fn current_id(&self) -> RecordId {
        self.current().id()
    }

    /// Does this key own the dataset now, by its own word? Anybody can name another's key in a record of
    /// theirs; only who signed the current record says so too.
    #[must_use]
    pub fn is_vouched_by(&self, key: &PublicKey) -> bool {
        let current = self.rest.last().unwrap_or(&self.first);
        current.dataset.owners().contains(key)
            && current.signed.signers().any(|signer| signer == *key)
    }

    /// The record with this id, current or former.
    #[must_use]
    pub fn at(&self, id: &RecordId) -> Option<&Dataset> {
        self.links()
            .map(|link| &link.dataset)
            .find(|dataset| dataset.id() == *id)
    }

    /// All records in order, as they were signed: what a peer needs to build this chain.
    pub fn records(&self) -> impl Iterator<Item = &SignedRecord> {
        self.links().map(|link| &link.signed)
    }

    /// Checks that a `manifest` or `head` is about this dataset and signed by a threshold of the
    /// owners of the owner record that it names, current or former, and by nobody else. A `dataset`
    /// record passes if it is part of the chain, or follows or forks it by the rules.
    ///
    /// # Errors
    /// An [`OwnerError`].
    pub fn authorises(&self, signed: &SignedRecord) -> Result<(), OwnerError> {
        let (dataset, owner_record) = match signed.record() {
            Record::Manifest(manifest) => (manifest.dataset(), manifest.owner_record()),
            Record::Head(head) => (head.dataset(), head.owner_record()),
            Record::Dataset(dataset) => return self.authorises_dataset(signed, dataset),
            Record::Statement(_) | Record::Other(_) => {
                return Err(OwnerError::OtherKind {
                    kind: signed.record().kind().to_owned(),
                });
            }
        };
        self.check_dataset(dataset)?;
        let owners = self
            .at(&owner_record)
            .ok_or(OwnerError::UnknownOwners { owner_record })?;
        check_threshold(signed, owners)?;
        check_signers(signed, |key| owners.owners().contains(&key))
    }

    fn authorises_dataset(
        &self,
        signed: &SignedRecord,
        dataset: &Dataset,
    ) -> Result<(), OwnerError> {
        self.check_dataset(dataset.dataset_id())?;
        let Some(previous_id) = dataset.previous() else {
            // The dataset's id is the record's: it is the first record of this chain.
            check_threshold(signed, dataset)?;
            return check_signers(signed, |key| dataset.owners().contains(&key));
        };
        let previous = self.at(&previous_id).ok_or(OwnerError::UnknownOwners {
            owner_record: previous_id,
        })?;
        let expected = previous.sequence().saturating_add(1);
        if dataset.sequence() != expected {
            return Err(OwnerError::NotNext {
                expected,
                found: dataset.sequence(),
            });
        }
        check_hand_over(signed, previous, dataset)
    }

    fn check_dataset(&self, found: DatasetId) -> Result<(), OwnerError> {
        if found == self.dataset {
            Ok(())
        } else {
            Err(OwnerError::OtherDataset {
                expected: self.dataset,
                found,
            })
        }
    }

    fn links(&self) -> impl DoubleEndedIterator<Item = &Link> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

fn dataset_of(signed: &SignedRecord) -> Result<&Dataset, OwnerError> {
    signed.as_dataset().ok_or_else(|| OwnerError::OtherKind {
        kind: signed.record().kind().to_owned(),
    })
}

/// A rotation: a threshold of the previous and of the new owners signed, and nobody else.
fn check_hand_over(
    signed: &SignedRecord,
    previous: &Dataset,
    next: &Dataset,
) -> Result<(), OwnerError> {
    check_threshold(signed, previous)?;
    check_threshold(signed, next)?;
    check_signers(signed, |key| {
        previous.owners().contains(&key) || next.owners().contains(&key)
    })
}

fn check_threshold(signed: &SignedRecord, owners: &Dataset) -> Result<(), OwnerError> {
    let count = signed
        .signers()
        .filter(|key| owners.owners().contains(key))
        .count();
    if count < usize::from(owners.threshold()) {
        return Err(OwnerError::TooFewSignatures {
            signed: count,
            threshold: owners.threshold(),
        });
    }
    Ok(())
}

fn check_signers(
    signed: &SignedRecord,
    has_a_say: impl Fn(PublicKey) -> bool,
) -> Result<(), OwnerError> {
    match signed.signers().find(|key| !has_a_say(*key)) {
        Some(key) => Err(OwnerError::NotAnOwner { key }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
