//! Pins: datasets and versions that are never let go unasked. They stand in the journal, beside the places.

use std::collections::BTreeSet;

use opendag_protocol::{DatasetId, Hash, ManifestId, RecordId};

use super::{
    index::Table,
    open::{Store, StoreError},
    segment::EntryKind,
};

/// What is pinned: ids of versions, and of datasets, which stand for all of their versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(BTreeSet<RecordId>);

impl Pins {
    /// Is this version pinned, by itself or with its dataset?
    #[must_use]
    pub fn hold(&self, dataset: Option<DatasetId>, version: ManifestId) -> bool {
        self.has(version.into()) || dataset.is_some_and(|dataset| self.has(dataset.into()))
    }

    /// Is this very id pinned?
    #[must_use]
    pub fn has(&self, id: RecordId) -> bool {
        self.0.contains(&id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = RecordId> + '_ {
        self.0.iter().copied()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is nothing pinned?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Store {
    /// All that is pinned. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn pins(&self) -> Result<Pins, StoreError> {
        let mut pins = BTreeSet::new();
        for row in self.inner.index.rows(Table::Pins, &[]) {
            let (key, _) = row?;
            pins.extend(id(&key));
        }
        Ok(Pins(pins))
    }

    /// Pins a dataset or a version; durable when it returns. False if it was pinned before. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Disk`], `Index`.
    pub fn pin(&self, id: RecordId) -> Result<bool, StoreError> {
        self.set_pin(id, EntryKind::Pin)
    }

    /// Pins it no longer; durable when it returns. False if it was not pinned. Blocks.
    ///
    /// # Errors
    /// As [`Store::pin`].
    pub fn unpin(&self, id: RecordId) -> Result<bool, StoreError> {
        self.set_pin(id, EntryKind::Unpin)
    }

    fn set_pin(&self, id: RecordId, kind: EntryKind) -> Result<bool, StoreError> {
        let (key, pinned) = (id.hash(), kind == EntryKind::Pin);
        let known = self.inner.index.get(Table::Pins, key.as_bytes())?;
        if known.is_some() == pinned {
            return Ok(false);
        }
        self.journal(kind, key.as_bytes())?;
        self.write_pins([(key.as_bytes().to_vec(), pinned)])?;
        self.cover()?;
        Ok(true)
    }

    /// Writes what the journal says: whether each of these ids is pinned.
    pub(crate) fn write_pins(
        &self,
        pins: impl IntoIterator<Item = (Vec<u8>, bool)>,
    ) -> Result<(), StoreError> {
        let rows = pins
            .into_iter()
            .filter(|(key, _)| id(key).is_some())
            .map(|(key, pinned)| (key, pinned.then(Vec::new)));
        Ok(self.inner.index.write_all(Table::Pins, rows)?)
    }
}

fn id(key: &[u8]) -> Option<RecordId> {
    let bytes = <[u8; 32]>::try_from(key).ok()?;
    Some(RecordId::from_hash(Hash::from_bytes(bytes)))
}

#[cfg(test)]
mod tests;
