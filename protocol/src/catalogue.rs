//! What a node knows of one dataset, and which record replaces which.
//!
//! [`DatasetState`] is pure, and a clock that jumps loses nothing, because time only decides whether a
//! head from the future is taken *now*.
//!
//! Heads are ordered by the owner record that they are signed under, then by sequence, then by
//! `issued_at`, then by id. The newest head only ever moves up in this order. That the owner record
//! comes first lets the owners recover from a stolen key after a rotation: whatever sequence the
//! thief signed, a head under the new owner record is above it (section 5.3.11 of the TUF
//! specification recovers from fast-forward attacks in the same way).
//! Source: `specs/records.md`, section *Which record replaces which*.

mod needed;
mod outcome;
mod stored;
mod view;

use std::collections::BTreeMap;

pub use outcome::{Applied, Equivocation, EquivocationKind, Refused};
use serde::{Deserialize, Serialize};

use crate::{
    ManifestId, RecordId, Timestamp,
    limits::{
        CLOCK_SKEW_MAX, EQUIVOCATIONS_MAX, MANIFESTS_KNOWN_MAX, MANIFESTS_PER_SEQUENCE_MAX,
        SEQUENCE_JUMP_MAX,
    },
    record::{Dataset, Head, Manifest, OwnerChain, Record, SignedRecord},
};

/// A version that the state remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    id: ManifestId,
    parent: Option<ManifestId>,
}

/// What a node knows of one dataset.
///
/// Invariants: `newest` is signed by owners of a record of the chain and never goes down in the order
/// of heads; `manifests` has no empty list, no more than [`MANIFESTS_PER_SEQUENCE_MAX`] versions of a
/// sequence and no more than [`MANIFESTS_KNOWN_MAX`] sequences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "stored::Stored", into = "stored::Stored")]
pub struct DatasetState {
    owners: OwnerChain,
    newest: Option<SignedRecord>,
    manifests: BTreeMap<u64, Vec<Known>>,
    equivocations: Vec<Equivocation>,
}

impl DatasetState {
    /// What is known of a dataset by its first record alone.
    ///
    /// # Errors
    /// [`Refused::Owners`] if it is not a first record that a threshold of its owners signed.
    pub fn new(first: &SignedRecord) -> Result<Self, Refused> {
        Ok(Self {
            owners: OwnerChain::start(first).map_err(Refused::Owners)?,
            newest: None,
            manifests: BTreeMap::new(),
            equivocations: Vec::new(),
        })
    }

    /// Takes a record in, if it is one to take in, and says what to do with it.
    ///
    /// # Errors
    /// [`Refused`]; then nothing is changed.
    pub fn apply(&mut self, signed: &SignedRecord, now: Timestamp) -> Result<Applied, Refused> {
        let applied = self.assess(signed, now)?;
        let takes_over = match &applied {
            Applied::New | Applied::Newer => true,
            Applied::Equivocation { proof, newest } => {
                self.note(proof);
                *newest || proof.kind == EquivocationKind::Manifest
            }
            Applied::Known | Applied::Stale | Applied::Unneeded | Applied::Retired => false,
        };
        if takes_over {
            match signed.record() {
                Record::Dataset(_) => self.owners.extend(signed).map_err(Refused::Owners)?,
                Record::Manifest(manifest) => self.remember(manifest),
                Record::Head(_) => self.newest = Some(signed.clone()),
                Record::Statement(_) | Record::Other(_) => {}
            }
        }
        debug_assert!(self.holds_invariants());
        Ok(applied)
    }

    /// The invariants of the type that one state shows; that `newest` never goes down is tested.
    fn holds_invariants(&self) -> bool {
        let newest = self.newest.as_ref();
        let mut lists = self.manifests.values();
        newest.is_none_or(|newest| {
            newest.as_head().is_some() && self.owners.authorises(newest).is_ok()
        }) && lists.all(|same| (1..=MANIFESTS_PER_SEQUENCE_MAX).contains(&same.len()))
            && self.manifests.len() <= MANIFESTS_KNOWN_MAX
            && self.equivocations.len() <= EQUIVOCATIONS_MAX
    }

    /// What [`DatasetState::apply`] would answer, without changing anything.
    ///
    /// # Errors
    /// As [`DatasetState::apply`].
    pub fn assess(&self, signed: &SignedRecord, now: Timestamp) -> Result<Applied, Refused> {
        self.owners.authorises(signed).map_err(Refused::Owners)?;
        match signed.record() {
            Record::Dataset(dataset) => self.assess_owners(dataset),
            Record::Manifest(manifest) => self.assess_manifest(manifest),
            Record::Head(head) => self.assess_head(head, now),
            // `authorises` has no rule for these and refused it.
            Record::Statement(_) | Record::Other(_) => Ok(Applied::Unneeded),
        }
    }

    /// The owner record that must be known before `signed` can be judged, if it is not.
    #[must_use]
    pub fn needs(&self, signed: &SignedRecord) -> Option<RecordId> {
        let owner_record = match signed.record() {
            Record::Dataset(dataset) => dataset.previous(),
            Record::Manifest(manifest) => Some(manifest.owner_record()),
            Record::Head(head) => Some(head.owner_record()),
            Record::Statement(_) | Record::Other(_) => None,
        };
        owner_record.filter(|id| self.owners.at(id).is_none())
    }

    fn assess_owners(&self, dataset: &Dataset) -> Result<Applied, Refused> {
        if self.owners.at(&dataset.id()).is_some() {
            return Ok(Applied::Known);
        }
        if dataset.previous() == Some(self.owners.current_id()) {
            return Ok(Applied::Newer);
        }
        // Two records follow one. The first that was seen stays: to let another one take over would
        // let whoever steals a retired key rewrite who owns the dataset.
        let other = self.owners.records().find(|known| {
            known
                .as_dataset()
                .is_some_and(|known| known.previous() == dataset.previous())
        });
        let first = other.map_or(self.owners.current_id(), SignedRecord::id);
        let proof = Equivocation {
            kind: EquivocationKind::Owners,
            sequence: dataset.sequence(),
            first,
            second: dataset.id(),
        };
        Ok(self.equivocation(proof, false))
    }

    fn assess_manifest(&self, manifest: &Manifest) -> Result<Applied, Refused> {
        let (id, sequence) = (manifest.id(), manifest.sequence());
        let same = self
            .manifests
            .get(&sequence)
            .map(Vec::as_slice)
            .unwrap_or_default();
        if same.iter().any(|known| known.id == id) {
            return Ok(Applied::Known);
        }
        self.check_lineage(manifest)?;
        let is_named = self.is_named(manifest);
        if !is_named && manifest.owner_record() != self.owners.current_id() {
            return Ok(Applied::Retired);
        }
        let is_full = self.manifests.len() >= MANIFESTS_KNOWN_MAX;
        let oldest = self.manifests.keys().next();
        if is_full && same.is_empty() && oldest.is_some_and(|oldest| sequence < *oldest) {
            return Ok(Applied::Unneeded);
        }
        let Some(first) = same.first() else {
            return Ok(Applied::New);
        };
        if same.len() >= MANIFESTS_PER_SEQUENCE_MAX && !is_named {
            return Ok(Applied::Unneeded);
        }
        let proof = Equivocation {
            kind: EquivocationKind::Manifest,
            sequence,
            first: first.id.into(),
            second: id.into(),
        };
        Ok(Applied::Equivocation {
            proof,
            newest: false,
        })
    }

    /// Does the newest head name it, or a known version as its parent?
    fn is_named(&self, manifest: &Manifest) -> bool {
        let next = manifest
            .sequence()
            .checked_add(1)
            .and_then(|next| self.manifests.get(&next));
        let is_parent = |known: &Known| known.parent == Some(manifest.id());
        self.newest_manifest() == Some(manifest.id())
            || next.is_some_and(|next| next.iter().any(is_parent))
    }

    /// A version is one above its parent, and has the sequence that the newest head says.
    fn check_lineage(&self, manifest: &Manifest) -> Result<(), Refused> {
        let (id, found) = (manifest.id(), manifest.sequence());
        if let Some(head) = self.newest()
            && head.manifest() == id
            && head.sequence() != found
        {
            return Err(Refused::OtherSequence {
                manifest: id,
                sequence: head.sequence(),
                found,
            });
        }
        let known = manifest
            .parent()
            .and_then(|parent| Some((parent, self.sequence_of(&parent)?)));
        match known {
            Some((manifest, sequence)) if sequence.checked_add(1) != Some(found) => {
                Err(Refused::OtherSequence {
                    manifest,
                    sequence,
                    found,
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn assess_head(&self, head: &Head, now: Timestamp) -> Result<Applied, Refused> {
        let newest = self.newest();
        if newest.is_some_and(|newest| newest.id() == head.id()) {
            return Ok(Applied::Known);
        }
        if head.owner_record() != self.owners.current_id() {
            return Ok(Applied::Stale);
        }
        if head.issued_at() > now.saturating_add(CLOCK_SKEW_MAX) {
            return Err(Refused::FromTheFuture {
                issued_at: head.issued_at(),
            });
        }
        let (manifest, found) = (head.manifest(), head.sequence());
        if let Some(sequence) = self.sequence_of(&manifest)
            && sequence != found
        {
            return Err(Refused::OtherSequence {
                manifest,
                sequence,
                found,
            });
        }
        let Some(newest) = newest else {
            return Ok(Applied::Newer);
        };
        if found > newest.sequence().saturating_add(SEQUENCE_JUMP_MAX) {
            return Err(Refused::SequenceJump {
                newest: newest.sequence(),
                found,
            });
        }
        let is_newest = self.rank(head) > self.rank(newest);
        let is_same_place =
            newest.owner_record() == head.owner_record() && newest.sequence() == found;
        if is_same_place && newest.manifest() != manifest {
            let proof = Equivocation {
                kind: EquivocationKind::Head,
                sequence: found,
                first: newest.id(),
                second: head.id(),
            };
            return Ok(self.equivocation(proof, is_newest));
        }
        Ok(if is_newest {
            Applied::Newer
        } else {
            Applied::Stale
        })
    }

    /// The place of a head in the order of heads: the sequence of its owner record, then its own.
    fn rank(&self, head: &Head) -> (Option<u64>, u64, Timestamp, RecordId) {
        let owners = self.owners.at(&head.owner_record()).map(Dataset::sequence);
        (owners, head.sequence(), head.issued_at(), head.id())
    }

    /// A proof, if there is room for one more or the record is needed anyway.
    fn equivocation(&self, proof: Equivocation, newest: bool) -> Applied {
        let shows_it = |known: &Equivocation| [known.first, known.second].contains(&proof.second);
        let is_known = self.equivocations.iter().any(shows_it);
        if is_known && !newest {
            Applied::Known
        } else if self.equivocations.len() >= EQUIVOCATIONS_MAX && !newest {
            Applied::Unneeded
        } else {
            Applied::Equivocation { proof, newest }
        }
    }

    fn note(&mut self, proof: &Equivocation) {
        if self.equivocations.len() < EQUIVOCATIONS_MAX && !self.equivocations.contains(proof) {
            self.equivocations.push(proof.clone());
        }
    }

    fn remember(&mut self, manifest: &Manifest) {
        let same = self.manifests.entry(manifest.sequence()).or_default();
        if same.len() >= MANIFESTS_PER_SEQUENCE_MAX {
            same.pop();
        }
        same.push(Known {
            id: manifest.id(),
            parent: manifest.parent(),
        });
        if self.manifests.len() > MANIFESTS_KNOWN_MAX {
            self.manifests.pop_first();
        }
    }
}

#[cfg(test)]
mod tests;
