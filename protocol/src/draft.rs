//! Drafts: records of a dataset on their way from owner to owner, until enough of them have signed.
//!
//! A [`Draft`] is a version (its manifest and head), a change of owners (the next owner record, and the
//! head under it), or a head alone. It brings the owner chain with it, so that whoever gets it can see
//! who has a say without any other source. As a file it is text: see [`text`].
//! Source: `specs/records.md`, section *Drafts*.

mod error;
mod stale;
pub mod text;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

pub use self::{error::DraftError, stale::Stale};
use crate::{
    DatasetId, cbor,
    key::{PublicKey, SecretKey},
    record::{Dataset, Head, Manifest, OwnerChain, Record, SignedRecord, UnfinishedRecord},
};

/// The version of the format.
const VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoded {
    chain: Vec<ByteBuf>,
    records: Vec<ByteBuf>,
    version: u64,
}

/// What of a draft still lacks signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The type of the record.
    pub kind: &'static str,
    /// How many more of `of` must sign.
    pub count: usize,
    /// Who may, and has not.
    pub of: Vec<PublicKey>,
}

/// Records that wait for signatures.
///
/// Invariants: there is an owner record or a head; all are about the dataset of `chain` and follow its
/// last record; a head names the manifest beside it, and the owner record beside it as its own; only
/// keys with a say have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    chain: OwnerChain,
    owners: Option<UnfinishedRecord>,
    manifest: Option<UnfinishedRecord>,
    head: Option<UnfinishedRecord>,
}

impl Draft {
    /// A draft of these records, which follow `chain`.
    ///
    /// # Errors
    /// [`DraftError`] if they do not belong together.
    pub fn new(
        chain: &OwnerChain,
        records: impl IntoIterator<Item = UnfinishedRecord>,
    ) -> Result<Self, DraftError> {
        let mut draft = Self {
            chain: chain.clone(),
            owners: None,
            manifest: None,
            head: None,
        };
        for record in records {
            let place = match record.record() {
                Record::Dataset(_) => &mut draft.owners,
                Record::Manifest(_) => &mut draft.manifest,
                Record::Head(_) => &mut draft.head,
                Record::Statement(_) | Record::Other(_) => {
                    return Err(DraftError::Unrelated);
                }
            };
            if place.replace(record).is_some() {
                return Err(DraftError::Unrelated);
            }
        }
        draft.check_records()?;
        draft.check_signers()?;
        Ok(draft)
    }

    fn check_records(&self) -> Result<(), DraftError> {
        let dataset = self.chain.dataset_id();
        let current = self.chain.current();
        if let Some(next) = self.next_owners() {
            let follows = next.dataset() == Some(dataset)
                && next.previous() == Some(current.id())
                && Some(next.sequence()) == current.sequence().checked_add(1);
            if !follows || self.manifest.is_some() {
                return Err(DraftError::Unrelated);
            }
        }
        if let Some(manifest) = self.manifest()
            && (manifest.dataset() != dataset
                || manifest.owner_record() != current.id()
                || self.head.is_none())
        {
            return Err(DraftError::Unrelated);
        }
        let Some(head) = self.head() else {
            return match self.owners {
                Some(_) => Ok(()),
                None => Err(DraftError::Unrelated),
            };
        };
        let names_it = self.manifest().is_none_or(|manifest| {
            head.manifest() == manifest.id() && head.sequence() == manifest.sequence()
        });
        if head.dataset() == dataset && head.owner_record() == self.owners().id() && names_it {
            Ok(())
        } else {
            Err(DraftError::Unrelated)
        }
    }

    fn check_signers(&self) -> Result<(), DraftError> {
        for record in self.records() {
            let say = self.say(record);
            if let Some(key) = record.signers().find(|key| !say.contains(key)) {
                return Err(DraftError::NoSay { key });
            }
        }
        Ok(())
    }

    /// Decodes a draft and checks all of it, every signature included.
    ///
    /// # Errors
    /// [`DraftError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DraftError> {
        let encoded: Encoded = cbor::from_slice_canonical(bytes).map_err(DraftError::Form)?;
        if encoded.version != VERSION {
            return Err(DraftError::Version {
                version: encoded.version,
            });
        }
        let mut signed = encoded
            .chain
            .iter()
            .map(|bytes| SignedRecord::decode(bytes));
        let first = signed.next().ok_or(DraftError::Unrelated)??;
        let mut chain = OwnerChain::start(&first)?;
        for next in signed {
            chain.extend(&next?)?;
        }
        let records = encoded
            .records
            .iter()
            .map(|bytes| UnfinishedRecord::decode(bytes));
        Self::new(&chain, records.collect::<Result<Vec<_>, _>>()?)
    }

    /// The bytes that [`Draft::decode`] takes.
    ///
    /// # Errors
    /// [`DraftError::Form`].
    pub fn encode(&self) -> Result<Vec<u8>, DraftError> {
        let records = self
            .records()
            .map(|record| record.encode().map(ByteBuf::from));
        let encoded = Encoded {
            chain: self
                .chain
                .records()
                .map(|record| ByteBuf::from(record.bytes()))
                .collect(),
            records: records.collect::<Result<_, _>>()?,
            version: VERSION,
        };
        cbor::to_vec(&encoded).map_err(DraftError::Form)
    }

    /// The dataset.
    #[must_use]
    pub fn dataset_id(&self) -> DatasetId {
        self.chain.dataset_id()
    }

    /// Who owns the dataset before, and who did.
    #[must_use]
    pub fn chain(&self) -> &OwnerChain {
        &self.chain
    }

    /// The owner record to come, if the draft changes owners.
    #[must_use]
    pub fn next_owners(&self) -> Option<&Dataset> {
        match self.owners.as_ref()?.record() {
            Record::Dataset(next) => Some(next),
            Record::Manifest(_) | Record::Head(_) | Record::Statement(_) | Record::Other(_) => None,
        }
    }

    /// Who owns the dataset afterwards.
    #[must_use]
    pub fn owners(&self) -> &Dataset {
        self.next_owners().unwrap_or_else(|| self.chain.current())
    }

    /// The version, if the draft is one.
    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        match self.manifest.as_ref()?.record() {
            Record::Manifest(manifest) => Some(manifest),
            Record::Dataset(_) | Record::Head(_) | Record::Statement(_) | Record::Other(_) => None,
        }
    }

    /// The head, if there is one.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        match self.head.as_ref()?.record() {
            Record::Head(head) => Some(head),
            Record::Dataset(_) | Record::Manifest(_) | Record::Statement(_) | Record::Other(_) => {
                None
            }
        }
    }

    /// Its records, in the order in which they can be judged.
    pub fn records(&self) -> impl Iterator<Item = &UnfinishedRecord> {
        [&self.owners, &self.manifest, &self.head]
            .into_iter()
            .flatten()
    }

    /// Who may sign one of its records: a change of owners the former and the new ones, all else those
    /// who own the dataset afterwards.
    fn say(&self, record: &UnfinishedRecord) -> Vec<PublicKey> {
        let mut keys = self.owners().owners().to_vec();
        if matches!(record.record(), Record::Dataset(_)) {
            keys.extend(self.chain.current().owners());
        }
        keys
    }

    /// May this key sign any of it?
    #[must_use]
    pub fn has_a_say(&self, key: &PublicKey) -> bool {
        self.records().any(|record| self.say(record).contains(key))
    }

    /// Adds the signature of a key to all records in which it has a say.
    ///
    /// # Errors
    /// [`DraftError::NoSay`]; [`DraftError::Record`] if sixteen others signed already.
    pub fn sign(&mut self, key: &SecretKey) -> Result<(), DraftError> {
        let public = key.public();
        if !self.has_a_say(&public) {
            return Err(DraftError::NoSay { key: public });
        }
        let mut signed = self.clone();
        for record in [&mut signed.owners, &mut signed.manifest, &mut signed.head]
            .into_iter()
            .flatten()
        {
            if self.say(record).contains(&public) {
                record.sign(key)?;
            }
        }
        *self = signed;
        Ok(())
    }

    /// Takes over the signatures of another copy of the same draft.
    ///
    /// # Errors
    /// [`DraftError::Another`] if it is another draft; [`DraftError::Record`].
    pub fn merge(&mut self, other: &Self) -> Result<(), DraftError> {
        let is_same = self.chain.current_id() == other.chain.current_id()
            && self
                .records()
                .map(UnfinishedRecord::id)
                .eq(other.records().map(UnfinishedRecord::id));
        if !is_same {
            return Err(DraftError::Another);
        }
        for (mine, theirs) in [
            (&mut self.owners, &other.owners),
            (&mut self.manifest, &other.manifest),
            (&mut self.head, &other.head),
        ] {
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                mine.merge(theirs)?;
            }
        }
        Ok(())
    }

    /// Whose signatures are missing: nothing if it is complete.
    #[must_use]
    pub fn missing(&self) -> Vec<Missing> {
        let lacks = |record: &UnfinishedRecord, owners: &Dataset| {
            let of = owners
                .owners()
                .iter()
                .filter(|key| !record.signers().any(|by| by == **key));
            let of: Vec<PublicKey> = of.copied().collect();
            let signed = owners.owners().len() - of.len();
            let count = usize::from(owners.threshold()).saturating_sub(signed);
            let kind = match record.record() {
                Record::Dataset(_) => "dataset",
                Record::Manifest(_) => "manifest",
                Record::Head(_) | Record::Statement(_) | Record::Other(_) => "head",
            };
            (count > 0).then_some(Missing { kind, count, of })
        };
        let former = self
            .owners
            .iter()
            .filter_map(|record| lacks(record, self.chain.current()));
        let rest = self
            .records()
            .filter_map(|record| lacks(record, self.owners()));
        former.chain(rest).collect()
    }

    /// The signed records: the owner chain, and what the draft adds, in the order in which they can be
    /// judged. They bear no more signatures than they need.
    ///
    /// # Errors
    /// [`DraftError::Incomplete`].
    pub fn finish(&self) -> Result<Vec<SignedRecord>, DraftError> {
        let missing = self.missing();
        if !missing.is_empty() {
            return Err(DraftError::Incomplete { missing });
        }
        let mut records: Vec<SignedRecord> = self.chain.records().cloned().collect();
        for record in self.records() {
            records.push(record.finish(&self.needed(record))?);
        }
        Ok(records)
    }

    /// Enough of those who signed a record, those first who count twice.
    fn needed(&self, record: &UnfinishedRecord) -> Vec<PublicKey> {
        let mut groups = vec![self.owners()];
        if matches!(record.record(), Record::Dataset(_)) {
            groups.push(self.chain.current());
        }
        let mut signers: Vec<PublicKey> = record.signers().collect();
        let counts = |key: &PublicKey| {
            groups
                .iter()
                .filter(|group| group.owners().contains(key))
                .count()
        };
        signers.sort_by_key(|key| std::cmp::Reverse(counts(key)));
        let mut needed: Vec<PublicKey> = Vec::new();
        for group in &groups {
            let is_in = |key: &&PublicKey| group.owners().contains(key);
            let have = needed.iter().filter(is_in).count();
            let more = usize::from(group.threshold()).saturating_sub(have);
            let others = signers
                .iter()
                .filter(is_in)
                .filter(|key| !needed.contains(key));
            let others: Vec<PublicKey> = others.take(more).copied().collect();
            needed.extend(others);
        }
        needed
    }
}

#[cfg(test)]
mod tests;
