//! What a replay of records leads to, before it is written to the index.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use opendag_protocol::{
    DatasetId, RecordId, Timestamp,
    catalogue::DatasetState,
    record::{Record, SignedRecord},
};

use super::{
    catalogue::Lies,
    index::Table,
    lineage,
    open::{Store, StoreError},
    segment::Position,
    statements::row_of,
};

/// Records that are replayed before what they lead to is written: tens of MiB of states.
const RECORDS_MAX: usize = 16_384;

/// Records in their order, and what is known after them.
#[derive(Default)]
pub(crate) struct Replay {
    states: BTreeMap<DatasetId, DatasetState>,
    lies: Vec<(RecordId, Lies, Option<DatasetId>)>,
    statements: BTreeMap<RecordId, Option<Vec<u8>>>,
    /// Rows on which versions were made from which.
    derived: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Replay {
    /// Takes a record in that was accepted once.
    pub(crate) fn take(
        &mut self,
        store: &Store,
        at: Position,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let Ok(signed) = SignedRecord::decode(bytes) else {
            tracing::warn!(?at, "an entry of the segments is not a valid record");
            return Ok(());
        };
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let dataset = signed.record().dataset_id();
        let of_head = dataset.filter(|_| signed.as_head().is_some());
        self.lies.push((signed.id(), Lies { at, len }, of_head));
        self.derived.extend(lineage::rows(&signed));
        if let Record::Statement(statement) = signed.record() {
            self.statements
                .insert(signed.id(), Some(row_of(&signed, statement)?));
            for gone in store.insert_statement(&signed, statement) {
                self.statements.insert(gone, None);
            }
        }
        let Some(dataset) = dataset else {
            return Ok(());
        };
        if let Entry::Vacant(entry) = self.states.entry(dataset) {
            let known = store.dataset(&dataset)?;
            if let Some(state) = known.or_else(|| DatasetState::new(&signed).ok()) {
                entry.insert(state);
            }
        }
        if let Some(state) = self.states.get_mut(&dataset) {
            // It was judged when it came, by the clock of that time; what is refused now was kept
            // for its id alone.
            let _ = state.apply(&signed, Timestamp::from_secs(u64::MAX));
        }
        Ok(())
    }

    /// Is it time to write?
    pub(crate) fn is_full(&self) -> bool {
        self.lies.len() >= RECORDS_MAX
    }

    /// Writes what the records lead to. Heads that a newer one replaced, and statements that are not kept, are
    /// left out: their bytes are needed no more.
    pub(crate) fn write(self, store: &Store) -> Result<(), StoreError> {
        let needed: BTreeMap<DatasetId, BTreeSet<RecordId>> = self
            .states
            .iter()
            .map(|(dataset, state)| (*dataset, state.needed()))
            .collect();
        for (id, lies, of_head) in &self.lies {
            let needed = of_head.and_then(|dataset| needed.get(&dataset));
            let is_needed = needed.is_none_or(|needed| needed.contains(id));
            let is_dropped = self.statements.get(id).is_some_and(Option::is_none);
            if is_needed && !is_dropped {
                store.put_record(id, *lies)?;
            }
        }
        for state in self.states.values() {
            store.put_state(state)?;
        }
        for (id, row) in &self.statements {
            store.put_statement_row(id, row.as_deref())?;
        }
        store.inner.index.write_all(Table::Derived, self.derived)?;
        Ok(store.inner.index.flush()?)
    }
}
