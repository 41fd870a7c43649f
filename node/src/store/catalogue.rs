//! What is known of datasets, in the index: states, names, and heads by time.
//!
//! All rows of a dataset are written together. Each row can be told from its state, so a crash between
//! two of them is mended when the segments are read again.

use std::sync::atomic::Ordering;

use opendag_protocol::{
    DatasetId, Hash, RecordId, Timestamp,
    catalogue::{DatasetState, EquivocationKind},
    cbor,
    key::PublicKey,
    record::SignedRecord,
    sync::Item,
};

use super::{
    index::Table,
    open::{Store, StoreError},
    segment::{ENTRY_HEADER_BYTES, Position},
};

/// Ends the name in a row of [`Table::Names`]: no name has one.
pub(super) const NAME_END: &[u8] = b"/";

/// Something that became known, or is known no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CatalogueChange {
    /// What is known of a dataset changed.
    Dataset(DatasetId),
    /// A statement was taken in.
    Statement(RecordId),
    /// A dataset made room for others and is known no more.
    Forgotten(DatasetId),
}

/// What a row of [`Table::Heads`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadKind {
    /// The newest head of its dataset.
    Newest,
    /// A head that proves equivocation.
    Proof,
    /// The dataset has no head; the row is about its first record.
    None,
}

impl HeadKind {
    const fn to_byte(self) -> u8 {
        match self {
            Self::Newest => 0,
            Self::Proof => 1,
            Self::None => 2,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Newest),
            1 => Some(Self::Proof),
            2 => Some(Self::None),
            _ => None,
        }
    }
}

/// A row of [`Table::Heads`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeadRow {
    pub(crate) issued_at: Timestamp,
    pub(crate) id: RecordId,
    pub(crate) kind: HeadKind,
    pub(crate) dataset: DatasetId,
}

impl HeadRow {
    fn key(&self) -> Vec<u8> {
        let mut key = self.issued_at.as_secs().to_be_bytes().to_vec();
        key.extend_from_slice(self.id.hash().as_bytes());
        key
    }

    fn value(&self) -> Vec<u8> {
        let mut value = vec![self.kind.to_byte()];
        value.extend_from_slice(self.dataset.hash().as_bytes());
        value
    }

    fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let (time, id) = key.split_first_chunk::<8>()?;
        let (kind, dataset) = value.split_first()?;
        Some(Self {
            issued_at: Timestamp::from_secs(u64::from_be_bytes(*time)),
            id: RecordId::from_hash(hash(id)?),
            kind: HeadKind::from_byte(*kind)?,
            dataset: DatasetId::from_hash(hash(dataset)?),
        })
    }
}

/// Where a record lies, and how long its entry's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lies {
    pub(crate) at: Position,
    pub(crate) len: u32,
}

impl Lies {
    /// Bytes of its entry.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.len).saturating_add(u64::try_from(ENTRY_HEADER_BYTES).unwrap_or(0))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.at.segment.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.at.offset.to_le_bytes());
        bytes.extend_from_slice(&self.len.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (segment, rest) = bytes.split_first_chunk::<4>()?;
        let (offset, len) = rest.split_first_chunk::<8>()?;
        Some(Self {
            at: Position {
                segment: u32::from_le_bytes(*segment),
                offset: u64::from_le_bytes(*offset),
            },
            len: u32::from_le_bytes(len.try_into().ok()?),
        })
    }
}

pub(crate) fn hash(bytes: &[u8]) -> Option<Hash> {
    Some(Hash::from_bytes(bytes.try_into().ok()?))
}

impl Store {
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
            .map(|value| {
                let recent = &self.inner.recent_states;
                let state = recent.read(&id.hash(), &value, decode_state);
                state.ok_or_else(|| self.inner.index.damaged().into())
            })
            .transpose()
    }

    /// How many datasets are known. Blocks.
    #[must_use]
    pub fn dataset_count(&self) -> usize {
        self.inner.index.count(Table::Datasets)
    }

    /// All known datasets, in the order of their ids. Blocks.
    pub(crate) fn dataset_ids(&self) -> impl Iterator<Item = Result<DatasetId, StoreError>> + '_ {
        let rows = self.inner.index.rows(Table::Datasets, &[]);
        rows.filter_map(|row| match row {
            Ok((key, _)) => Some(Ok(DatasetId::from_hash(hash(&key)?))),
            Err(error) => Some(Err(error.into())),
        })
    }

    /// The datasets of that name; several publishers may use one. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn by_name(&self, name: &str) -> Result<Vec<DatasetId>, StoreError> {
        let prefix = [name.as_bytes(), NAME_END].concat();
        let rows = self.inner.index.rows(Table::Names, &prefix);
        rows.filter_map(|row| match row {
            Ok((key, _)) => {
                let id = key.strip_prefix(prefix.as_slice()).and_then(hash)?;
                Some(Ok(DatasetId::from_hash(id)))
            }
            Err(error) => Some(Err(error.into())),
        })
        .collect()
    }

    /// Heads with what they are, the oldest first. Blocks.
    pub(crate) fn head_rows(&self) -> impl Iterator<Item = Result<HeadRow, StoreError>> + '_ {
        let rows = self.inner.index.rows(Table::Heads, &[]);
        rows.map(|row| {
            let (key, value) = row?;
            HeadRow::decode(&key, &value).ok_or_else(|| self.inner.index.damaged().into())
        })
    }

    /// Grows with each change of what is known.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.inner.generation.load(Ordering::Relaxed)
    }

    /// What is compared with other nodes: newest heads and heads that prove equivocation of datasets that `of_dataset`
    /// takes, and statements of authors that `of_author` takes. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn sync_items(
        &self,
        of_dataset: impl Fn(&DatasetId) -> bool,
        of_author: impl Fn(&PublicKey) -> bool,
    ) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        for row in self.head_rows() {
            let HeadRow {
                issued_at,
                id,
                kind,
                dataset,
            } = row?;
            if kind != HeadKind::None && of_dataset(&dataset) {
                let time = issued_at;
                items.push(Item { time, id });
            }
        }
        let statements = self.statement_times(of_author).into_iter();
        items.extend(statements.map(|(time, id)| Item { time, id }));
        Ok(items)
    }

    /// Writes what is known of a dataset, and forgets the records that it rests on no more.
    pub(crate) fn put_state(&self, state: &DatasetState) -> Result<(), StoreError> {
        let index = &self.inner.index;
        let key = state.dataset_id();
        if let Some(before) = self.dataset(&key)? {
            self.forget_rows(&before, Some(state))?;
        }
        for row in self.rows_of(state)? {
            index.put(Table::Heads, &row.key(), &row.value())?;
        }
        index.put(Table::Names, &name_key(state), &[])?;
        index.put(
            Table::Datasets,
            key.hash().as_bytes(),
            &encode_state(state)?,
        )?;
        Ok(())
    }

    /// Removes the rows of a state that `after` does not have as well.
    fn forget_rows(
        &self,
        before: &DatasetState,
        after: Option<&DatasetState>,
    ) -> Result<(), StoreError> {
        let index = &self.inner.index;
        let needed = after.map(DatasetState::needed).unwrap_or_default();
        let stay = match after {
            Some(after) => self.rows_of(after)?,
            None => Vec::new(),
        };
        for row in self.rows_of(before)? {
            if !stay.iter().any(|other| other.key() == row.key()) {
                index.remove(Table::Heads, &row.key())?;
            }
        }
        if after.is_none_or(|after| after.name() != before.name()) {
            index.remove(Table::Names, &name_key(before))?;
        }
        for id in before.needed().difference(&needed) {
            if self.places_of(&(*id).into())?.is_empty() {
                if before.sequence_of(&(*id).into()).is_some() {
                    self.forget_lineage(id)?;
                }
                self.forget_record(id)?;
            }
        }
        Ok(())
    }

    /// Forgets a dataset and all its records. Not durable yet.
    pub(crate) fn forget_dataset(&self, state: &DatasetState) -> Result<(), StoreError> {
        self.forget_rows(state, None)?;
        let key = state.dataset_id();
        let index = &self.inner.index;
        Ok(index.remove(Table::Datasets, key.hash().as_bytes())?)
    }

    /// The rows of a dataset among the heads.
    fn rows_of(&self, state: &DatasetState) -> Result<Vec<HeadRow>, StoreError> {
        let dataset = state.dataset_id();
        let row = |issued_at, id, kind| HeadRow {
            issued_at,
            id,
            kind,
            dataset,
        };
        let mut rows = vec![match (state.newest(), state.newest_record()) {
            (Some(head), Some(signed)) => row(head.issued_at(), signed.id(), HeadKind::Newest),
            _ => row(Timestamp::from_secs(0), dataset.into(), HeadKind::None),
        }];
        let of_heads = |kind| kind == EquivocationKind::Head;
        for proof in state.equivocations() {
            if !of_heads(proof.kind) {
                continue;
            }
            for id in [proof.first, proof.second] {
                if rows.iter().any(|known| known.id == id) {
                    continue;
                }
                if let Some(head) = self.record(&id)?.as_ref().and_then(SignedRecord::as_head) {
                    rows.push(row(head.issued_at(), id, HeadKind::Proof));
                }
            }
        }
        Ok(rows)
    }

    pub(crate) fn put_record(&self, id: &RecordId, lies: Lies) -> Result<(), StoreError> {
        let key = id.hash();
        let before = self.inner.index.get(Table::Records, key.as_bytes())?;
        let before = before.as_deref().and_then(Lies::decode);
        let encoded = lies.encode();
        self.inner
            .index
            .put(Table::Records, key.as_bytes(), &encoded)?;
        self.inner
            .count_live(lies.bytes(), before.map_or(0, |lies| lies.bytes()));
        Ok(())
    }

    /// Forgets where a record lies: its bytes are needed no more.
    pub(crate) fn forget_record(&self, id: &RecordId) -> Result<(), StoreError> {
        let key = id.hash();
        let before = self.inner.index.get(Table::Records, key.as_bytes())?;
        if let Some(lies) = before.as_deref().and_then(Lies::decode) {
            self.inner.index.remove(Table::Records, key.as_bytes())?;
            self.inner.count_live(0, lies.bytes());
        }
        Ok(())
    }
}

fn name_key(state: &DatasetState) -> Vec<u8> {
    let id = state.dataset_id().hash();
    [state.name().as_bytes(), NAME_END, id.as_bytes().as_slice()].concat()
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
