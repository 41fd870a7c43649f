//! Records: appended to the segments, applied to the state of their dataset, found through the index.

use std::collections::{BTreeMap, btree_map::Entry};

use opendag_protocol::{
    DatasetId, ManifestId, RecordId, Timestamp,
    catalogue::{Applied, DatasetState},
    cbor,
    record::SignedRecord,
};

use super::{
    index::Table,
    open::{Store, StoreError, lock},
    segment::{EntryKind, Position, Segments, read_entry},
};

impl Store {
    /// Takes a record in: durable when it returns `New`, `Newer` or `Equivocation`. Blocks.
    ///
    /// # Errors
    /// [`StoreError::UnknownDataset`], `NeedsOwners`, `Refused`: nothing is changed.
    pub fn apply(&self, signed: &SignedRecord, now: Timestamp) -> Result<Applied, StoreError> {
        let mut segments = lock(&self.inner.segments);
        let mut state = match self.state_for(signed)? {
            Some(state) => state,
            None => return self.first(&mut segments, signed),
        };
        if let Some(record) = state.needs(signed) {
            return Err(StoreError::NeedsOwners {
                dataset: state.dataset_id(),
                record,
            });
        }
        let applied = state
            .apply(signed, now)
            .map_err(|source| StoreError::Refused {
                record: signed.id(),
                source,
            })?;
        match &applied {
            Applied::New | Applied::Newer | Applied::Equivocation { .. } => {
                self.keep_locked(&mut segments, signed, Some(&state))?;
            }
            // Known to the state, but its bytes may have been lost to a bad disk.
            Applied::Known if self.record(&signed.id())?.is_none() => {
                self.keep_locked(&mut segments, signed, None)?;
            }
            Applied::Known | Applied::Stale | Applied::Unneeded | Applied::Retired => {}
        }
        Ok(applied)
    }

    /// Keeps a record that somebody here asked for by its id, whatever it does to the state of its dataset; durable
    /// when it returns. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Disk`], `Index`.
    pub fn keep_record(&self, signed: &SignedRecord) -> Result<(), StoreError> {
        if self.record(&signed.id())?.is_some() {
            return Ok(());
        }
        self.keep_locked(&mut lock(&self.inner.segments), signed, None)
    }

    fn first(&self, segments: &mut Segments, signed: &SignedRecord) -> Result<Applied, StoreError> {
        let state = DatasetState::new(signed).map_err(|source| StoreError::Refused {
            record: signed.id(),
            source,
        })?;
        self.keep_locked(segments, signed, Some(&state))?;
        Ok(Applied::New)
    }

    /// The state that a record is to be judged by; `None` if it begins a dataset.
    fn state_for(&self, signed: &SignedRecord) -> Result<Option<DatasetState>, StoreError> {
        let Some(dataset) = signed.record().dataset_id() else {
            return Err(StoreError::Encode {
                what: "a record of an unknown type",
            });
        };
        match self.dataset(&dataset)? {
            Some(state) => Ok(Some(state)),
            None if signed.as_dataset().is_some_and(|d| d.sequence() == 0) => Ok(None),
            None => Err(StoreError::UnknownDataset { dataset }),
        }
    }

    fn keep_locked(
        &self,
        segments: &mut Segments,
        signed: &SignedRecord,
        state: Option<&DatasetState>,
    ) -> Result<(), StoreError> {
        let position = segments.append(EntryKind::Record, signed.bytes())?;
        segments.sync()?;
        let index = &self.inner.index;
        let key = signed.id();
        index.put(
            Table::Records,
            key.hash().as_bytes(),
            &encode_position(position),
        )?;
        if let Some(state) = state {
            index.put(
                Table::Datasets,
                state.dataset_id().hash().as_bytes(),
                &encode_state(state)?,
            )?;
        }
        index.set_covers(segments.position())?;
        Ok(index.flush()?)
    }

    /// A record by its id; `None` if it is not here, or damaged on disk. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`], `Disk`.
    pub fn record(&self, id: &RecordId) -> Result<Option<SignedRecord>, StoreError> {
        let found = self.inner.index.get(Table::Records, id.hash().as_bytes())?;
        let Some(position) = found.as_deref().and_then(decode_position) else {
            return Ok(None);
        };
        let entry = read_entry(&self.inner.data_dir.records_path(), position)?;
        let record = entry
            .filter(|(kind, _)| *kind == EntryKind::Record)
            .and_then(|(_, bytes)| SignedRecord::decode(&bytes).ok())
            .filter(|record| record.id() == *id);
        if record.is_none() {
            tracing::warn!(record = %id, "a record is damaged on disk and has to be fetched again");
        }
        Ok(record)
    }

    /// The manifest of a version. Blocks.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub fn manifest_of(&self, id: &ManifestId) -> Result<Option<SignedRecord>, StoreError> {
        let record = self.record(&(*id).into())?;
        Ok(record.filter(|record| record.as_manifest().is_some()))
    }

    /// What is known of a dataset. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn dataset(&self, id: &DatasetId) -> Result<Option<DatasetState>, StoreError> {
        let found = self
            .inner
            .index
            .get(Table::Datasets, id.hash().as_bytes())?;
        // A state that cannot be read must not pass for an unknown dataset: heads would go backwards.
        found
            .map(|value| decode_state(&value).ok_or_else(|| self.inner.index.damaged().into()))
            .transpose()
    }

    /// All datasets with their names, in the order of their ids. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn datasets(&self) -> Result<Vec<(DatasetId, String)>, StoreError> {
        let rows = self.inner.index.rows(Table::Datasets, &[]);
        rows.filter_map(|row| match row {
            Ok((key, value)) => {
                let id = <[u8; 32]>::try_from(key).ok()?;
                let id = DatasetId::from_hash(opendag_protocol::Hash::from_bytes(id));
                Some(Ok((id, split_name(&value)?.0.to_owned())))
            }
            Err(error) => Some(Err(error.into())),
        })
        .collect()
    }

    /// The datasets of that name; several publishers may use one. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn by_name(&self, name: &str) -> Result<Vec<DatasetId>, StoreError> {
        let datasets = self.datasets()?;
        Ok(datasets
            .into_iter()
            .filter_map(|(id, found)| (found == name).then_some(id))
            .collect())
    }
}

/// What a replay of records leads to, before it is written to the index.
#[derive(Default)]
pub(crate) struct Replay {
    pub(crate) states: BTreeMap<DatasetId, DatasetState>,
    pub(crate) positions: Vec<(RecordId, Position)>,
}

impl Replay {
    /// Takes a record in that was accepted once; `known` gives the state of a dataset before the replay.
    pub(crate) fn take(
        &mut self,
        position: Position,
        bytes: &[u8],
        known: impl FnOnce(&DatasetId) -> Option<DatasetState>,
    ) {
        let Ok(signed) = SignedRecord::decode(bytes) else {
            tracing::warn!(?position, "an entry of the segments is not a valid record");
            return;
        };
        self.positions.push((signed.id(), position));
        let Some(dataset) = signed.record().dataset_id() else {
            return;
        };
        if let Entry::Vacant(entry) = self.states.entry(dataset)
            && let Some(state) = known(&dataset).or_else(|| DatasetState::new(&signed).ok())
        {
            entry.insert(state);
        }
        if let Some(state) = self.states.get_mut(&dataset) {
            // It was judged when it came, by the clock of that time; what is refused now was kept
            // for its id alone.
            let _ = state.apply(&signed, Timestamp::from_secs(u64::MAX));
        }
    }

    pub(crate) fn write(self, store: &Store) -> Result<(), StoreError> {
        let index = &store.inner.index;
        let rows = self.positions.into_iter().map(|(id, position)| {
            let key = id.hash().as_bytes().to_vec();
            (key, Some(encode_position(position)))
        });
        index.write_all(Table::Records, rows)?;
        for (dataset, state) in &self.states {
            index.put(
                Table::Datasets,
                dataset.hash().as_bytes(),
                &encode_state(state)?,
            )?;
        }
        Ok(())
    }
}

fn encode_position(position: Position) -> Vec<u8> {
    let mut bytes = position.segment.to_le_bytes().to_vec();
    bytes.extend_from_slice(&position.offset.to_le_bytes());
    bytes
}

fn decode_position(bytes: &[u8]) -> Option<Position> {
    let (segment, offset) = bytes.split_first_chunk::<4>()?;
    Some(Position {
        segment: u32::from_le_bytes(*segment),
        offset: u64::from_le_bytes(offset.try_into().ok()?),
    })
}

/// The name stands before the state, so that listing datasets verifies no signature.
fn encode_state(state: &DatasetState) -> Result<Vec<u8>, StoreError> {
    let too_large = StoreError::Encode {
        what: "the state of a dataset",
    };
    let Ok(len) = u16::try_from(state.name().len()) else {
        return Err(too_large);
    };
    let mut value = len.to_le_bytes().to_vec();
    value.extend_from_slice(state.name().as_bytes());
    value.extend(cbor::to_vec(state).map_err(|_| too_large)?);
    Ok(value)
}

fn split_name(value: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = value.split_first_chunk::<2>()?;
    let (name, state) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    Some((std::str::from_utf8(name).ok()?, state))
}

fn decode_state(value: &[u8]) -> Option<DatasetState> {
    cbor::from_slice_canonical(split_name(value)?.1).ok()
}

#[cfg(test)]
mod tests;
