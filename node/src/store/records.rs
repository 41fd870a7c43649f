//! Records: appended to the segments, applied to the state of their dataset, found through the index.

use std::{collections::BTreeMap, sync::MutexGuard};

use opendag_protocol::{
    DatasetId, ManifestId, RecordId, Timestamp,
    catalogue::{Applied, DatasetState},
    record::{Record, SignedRecord},
};

use super::{
    catalogue::{CatalogueChange, Lies},
    index::Table,
    lineage,
    open::{Store, StoreError, lock},
    segment::{EntryKind, Segments, read_entry},
    statements::row_of,
};

impl Store {
    /// Takes a record in: durable when it returns `New`, `Newer` or `Equivocation`. Blocks.
    ///
    /// # Errors
    /// [`StoreError::UnknownDataset`], `NeedsOwners`, `Refused`: nothing is changed.
    pub fn apply(&self, signed: &SignedRecord, now: Timestamp) -> Result<Applied, StoreError> {
        let mut applied = self.apply_all(std::slice::from_ref(signed), now)?;
        applied.pop().unwrap_or(Err(StoreError::Thread))
    }

    /// Takes records in, in this order, with one sync for all of them; each as by [`Store::apply`]. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Disk`], `Index`: what was said to be taken may be lost, and none of it is acknowledged.
    pub fn apply_all(
        &self,
        records: &[SignedRecord],
        now: Timestamp,
    ) -> Result<Vec<Result<Applied, StoreError>>, StoreError> {
        let mut intake = Intake::new(self);
        let applied = records
            .iter()
            .map(|signed| intake.take(signed, now))
            .collect();
        match intake.commit() {
            Ok(()) => Ok(applied),
            Err(error) => {
                self.load_statements()?;
                Err(error)
            }
        }
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
        let mut intake = Intake::new(self);
        intake.keep(signed)?;
        intake.commit()
    }

    /// A record by its id; `None` if it is not here, or damaged on disk. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`], `Disk`.
    pub fn record(&self, id: &RecordId) -> Result<Option<SignedRecord>, StoreError> {
        let recent = &self.inner.recent_records;
        let verify = |bytes: &[u8]| SignedRecord::decode(bytes).ok();
        self.read_record(id, |bytes| {
            let record = recent.read(&id.hash(), bytes, verify)?;
            (record.id() == *id).then_some(record)
        })
    }

    /// The envelope of a record, by its id, and what it says: for others, who verify the signatures themselves. That it
    /// is what was kept a checksum tells. Blocks.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub(crate) fn envelope(&self, id: &RecordId) -> Result<Option<(Vec<u8>, Record)>, StoreError> {
        self.read_record(id, |bytes| {
            let record = SignedRecord::peek(bytes).ok()?;
            (record.id() == *id).then(|| (bytes.to_vec(), record))
        })
    }

    fn read_record<T>(
        &self,
        id: &RecordId,
        decode: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let _still = self.inner.moving.read();
        let found = self.inner.index.get(Table::Records, id.hash().as_bytes())?;
        let Some(lies) = found.as_deref().and_then(Lies::decode) else {
            return Ok(None);
        };
        let entry = read_entry(&self.inner.data_dir.records_path(), lies.at)?;
        let record = entry
            .filter(|(kind, _)| *kind == EntryKind::Record)
            .and_then(|(_, bytes)| decode(&bytes));
        if record.is_none() {
            tracing::warn!(record = %id, "a record is damaged on disk and has to be fetched again");
        }
        Ok(record)
    }

    /// Is a record here? It may turn out to be damaged when it is read. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn has_record(&self, id: &RecordId) -> Result<bool, StoreError> {
        let found = self.inner.index.get(Table::Records, id.hash().as_bytes())?;
        Ok(found.is_some())
    }

    /// The manifest of a version. Blocks.
    ///
    /// # Errors
    /// As [`Store::record`].
    pub fn manifest_of(&self, id: &ManifestId) -> Result<Option<SignedRecord>, StoreError> {
        let record = self.record(&(*id).into())?;
        Ok(record.filter(|record| record.as_manifest().is_some()))
    }
}

/// Records that are taken in together: appended as they come, synced and told of at the end.
struct Intake<'a> {
    store: &'a Store,
    segments: MutexGuard<'a, Segments>,
    /// What the datasets are known by after these records.
    states: BTreeMap<DatasetId, DatasetState>,
    kept: Vec<(RecordId, Lies)>,
    /// Rows on which versions were made from which.
    derived: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Statements that are kept, and such as are not any more.
    statements: Vec<(RecordId, Option<Vec<u8>>)>,
    changes: Vec<CatalogueChange>,
}

impl<'a> Intake<'a> {
    fn new(store: &'a Store) -> Self {
        Self {
            store,
            segments: lock(&store.inner.segments),
            states: BTreeMap::new(),
            kept: Vec::new(),
            derived: Vec::new(),
            statements: Vec::new(),
            changes: Vec::new(),
        }
    }

    fn take(&mut self, signed: &SignedRecord, now: Timestamp) -> Result<Applied, StoreError> {
        let Some(dataset) = signed.record().dataset_id() else {
            return self.take_statement(signed, now);
        };
        let Some(mut state) = self.state_for(signed, dataset)? else {
            let state = DatasetState::new(signed).map_err(|source| StoreError::Refused {
                record: signed.id(),
                source,
            })?;
            self.keep(signed)?;
            self.changed(state);
            return Ok(Applied::New);
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
                self.keep(signed)?;
                self.changed(state);
            }
            // Known to the state, but its bytes may have been lost to a bad disk, or made room for others.
            Applied::Known if !self.has(&signed.id())? => self.keep(signed)?,
            Applied::Known | Applied::Stale | Applied::Unneeded | Applied::Retired => {}
        }
        Ok(applied)
    }

    fn take_statement(
        &mut self,
        signed: &SignedRecord,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        let Record::Statement(statement) = signed.record() else {
            return Err(StoreError::Encode {
                what: "a record of an unknown type",
            });
        };
        let applied = self.store.assess_statement(signed, statement, now)?;
        if let (Applied::New | Applied::Newer, dropped) = applied {
            self.keep(signed)?;
            self.store.insert_statement(signed, statement);
            let row = row_of(signed, statement)?;
            self.statements.push((signed.id(), Some(row)));
            self.statements
                .extend(dropped.into_iter().map(|id| (id, None)));
            self.changes.push(CatalogueChange::Statement(signed.id()));
            return Ok(applied.0);
        }
        Ok(applied.0)
    }

    /// The state that a record is to be judged by; `None` if it begins a dataset.
    fn state_for(
        &self,
        signed: &SignedRecord,
        dataset: DatasetId,
    ) -> Result<Option<DatasetState>, StoreError> {
        if let Some(state) = self.states.get(&dataset) {
            return Ok(Some(state.clone()));
        }
        match self.store.dataset(&dataset)? {
            Some(state) => Ok(Some(state)),
            None if signed.as_dataset().is_some_and(|d| d.sequence() == 0) => Ok(None),
            None => Err(StoreError::UnknownDataset { dataset }),
        }
    }

    fn has(&self, id: &RecordId) -> Result<bool, StoreError> {
        let in_batch = self.kept.iter().any(|(kept, _)| kept == id);
        Ok(in_batch || self.store.record(id)?.is_some())
    }

    fn keep(&mut self, signed: &SignedRecord) -> Result<(), StoreError> {
        let at = self.segments.append(EntryKind::Record, signed.bytes())?;
        let len = u32::try_from(signed.bytes().len()).unwrap_or(u32::MAX);
        self.kept.push((signed.id(), Lies { at, len }));
        self.derived.extend(lineage::rows(signed));
        Ok(())
    }

    fn changed(&mut self, state: DatasetState) {
        let dataset = state.dataset_id();
        self.changes.push(CatalogueChange::Dataset(dataset));
        self.states.insert(dataset, state);
    }

    /// Makes all of it durable, and then tells of it.
    fn commit(mut self) -> Result<(), StoreError> {
        if self.kept.is_empty() {
            return Ok(());
        }
        self.segments.sync()?;
        let (store, index) = (self.store, &self.store.inner.index);
        for (id, lies) in &self.kept {
            store.put_record(id, *lies)?;
        }
        for state in self.states.values() {
            store.put_state(state)?;
        }
        for (id, row) in &self.statements {
            store.put_statement_row(id, row.as_deref())?;
        }
        index.write_all(Table::Derived, self.derived)?;
        index.set_covers(self.segments.position())?;
        index.flush()?;
        store.inner.generation_moves();
        self.changes.dedup();
        for change in self.changes {
            // Nobody may be listening.
            let _ = store.inner.changes.send(change);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
