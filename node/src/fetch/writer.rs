//! Where verified bytes go: partial shards and small files below the target, made durable in batches.
//!
//! Everything here blocks and is called from threads that may. A crash loses at most what is *dirty*:
//! written but not yet durable. Writers wait when there is too much of it, so that promise P4 holds
//! whatever the disk does.

mod adopt;

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use opendag_protocol::{
    DatasetPath, Hash,
    fetch::{Item, ShardSpec},
    table::ShardIndex,
    wire::{GroupRange, GroupRanges, groups_in},
};
use tokio::sync::Notify;

use super::{request::Arrived, space, table::Wanted, transfer::Order};
use crate::{
    disk::{DiskError, Replace},
    store::{
        Batch, BatchError, LeftStaged, Names, Outboards, PartialError, PartialShard, Piece, Placed,
        RootId, Staged, Store, StoreError, Target,
    },
};

/// Bytes that may be dirty: with the 8 MiB in flight, a kill costs less than 16 MiB.
const DIRTY_BYTES_MAX: u64 = 7 * 1024 * 1024;
/// Dirty bytes that are worth making durable.
const DIRTY_BYTES_ENOUGH: u64 = 3 * 1024 * 1024;
/// Small files are as expensive to lose as their number says: an empty one counts so many bytes.
const FILE_COST_BYTES: u64 = 1024;
/// What is not flushed of the index stays in memory.
const UNFLUSHED_ROWS_MAX: usize = 8192;
/// Copies that get their names together.
const COPIES_AT_ONCE: usize = 512;
/// Shards up to this size are fetched whole and written at once.
pub(super) const SMALL_BYTES_MAX: u64 = 1024 * 1024;

/// Why bytes were not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// A working file failed.
    #[error(transparent)]
    Partial(#[from] PartialError),
    /// Files did not get their names.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Something appeared at the place of a file.
    #[error("{path} could not be put in place: {source}")]
    InTheWay {
        /// The file.
        path: DatasetPath,
        /// Why.
        source: DiskError,
    },
    /// The index failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that wrote is gone.
    #[error("the thread that writes stopped")]
    Stopped,
}

/// Writes one fetch.
///
/// Invariant: a shard is either staged, partial or placed. What is told to others is verified and written, durable or
/// not. The names of placed ones are durable after [`Writer::close`]; until then their bytes are, and a fetch that is cut
/// off finds them again.
#[derive(Debug)]
pub(super) struct Writer {
    destination: Destination,
    outboards: Outboards,
    /// Sorted by number.
    wanted: Vec<Wanted>,
    state: Mutex<State>,
    /// Names that are not durable yet. Held by the one who places.
    names: Mutex<Names>,
    room: Condvar,
    due: Notify,
}

/// Where a fetch puts its files.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) store: Store,
    pub(super) target: Target,
    pub(super) replace: Replace,
    /// What is put there is remembered, to be served; without a place nothing is.
    pub(super) place: Option<RootId>,
}

#[derive(Debug)]
struct State {
    partials: BTreeMap<ShardIndex, PartialShard>,
    batch: Batch,
    staged: Vec<ShardIndex>,
    /// Staged ones that others can read and were not told of.
    untold: Vec<ShardIndex>,
    /// By position in `wanted`: was this small shard staged, or any shard put together, and perhaps placed since?
    taken: Vec<bool>,
    whole: Vec<ShardIndex>,
    dirty_bytes: u64,
    /// Rows of the index that are not durable yet.
    unflushed_rows: usize,
    failed: bool,
}

impl Writer {
    /// A writer for `wanted`, sorted by number.
    pub(super) fn new(destination: Destination, wanted: Vec<Wanted>) -> Self {
        let outboards = destination.store.outboards().clone();
        let state = State {
            partials: BTreeMap::new(),
            batch: destination.target.batch(&outboards, destination.replace),
            staged: Vec::new(),
            untold: Vec::new(),
            taken: vec![false; wanted.len()],
            whole: Vec::new(),
            dirty_bytes: 0,
            unflushed_rows: 0,
            failed: false,
        };
        Self {
            destination,
            outboards,
            wanted,
            state: Mutex::new(state),
            names: Mutex::default(),
            room: Condvar::new(),
            due: Notify::new(),
        }
    }

    /// Opens the working files of large shards, and says what of each wanted shard is here already.
    pub(super) fn begin(&self) -> Result<Vec<ShardSpec>, WriteError> {
        let left = self.destination.target.left_staged()?;
        let mut specs = Vec::with_capacity(self.wanted.len());
        for wanted in &self.wanted {
            let (shard, size) = (wanted.shard, wanted.entry.size());
            if self.is_taken(shard) {
                continue;
            }
            let mut have = GroupRanges::new();
            if size > SMALL_BYTES_MAX {
                let partial = self.destination.target.partial(wanted.entry.hash(), size)?;
                have = partial.have();
                if self.destination.place.is_some() {
                    self.destination.store.add_partial(&partial);
                }
                self.state().partials.insert(shard, partial);
            } else if let Some(staged) = self.staged_before(wanted, &left)? {
                have.extend(GroupRange::between(0, groups_in(size)));
                self.add_staged(shard, staged);
            }
            specs.push(ShardSpec { shard, size, have });
        }
        Ok(specs)
    }

    /// What needs not be fetched: an empty file, or one that a fetch that was cut off left.
    fn staged_before(
        &self,
        wanted: &Wanted,
        left: &LeftStaged,
    ) -> Result<Option<Staged>, WriteError> {
        let (path, hash, size) = (
            wanted.entry.path(),
            wanted.entry.hash(),
            wanted.entry.size(),
        );
        let target = &self.destination.target;
        if size == 0 {
            return Ok(Some(target.stage_empty(path, hash)?));
        }
        let staged = target.take_staged(left, path, (hash, size))?;
        if staged.is_some() {
            self.take(wanted.shard);
        }
        Ok(staged)
    }

    /// Writes verified pieces, or waits until there is room for more that is not durable yet.
    pub(super) fn write(&self, pieces: Vec<(Arrived, Piece)>) -> Result<Vec<Arrived>, WriteError> {
        self.wait_for_room()?;
        let target = &self.destination.target;
        if target.free_bytes()? < space::SPARED_BYTES {
            return Err(space::full(target.path()));
        }
        let mut arrived = Vec::with_capacity(pieces.len());
        for (piece_arrived, piece) in pieces {
            let shard = piece_arrived.item.shard;
            let Some(wanted) = self.wanted(shard) else {
                continue;
            };
            self.put(wanted, piece)?;
            arrived.push(piece_arrived);
        }
        Ok(arrived)
    }

    fn put(&self, wanted: &Wanted, piece: Piece) -> Result<(), WriteError> {
        let bytes = u64::try_from(piece.bytes().len()).unwrap_or(u64::MAX);
        if wanted.entry.size() > SMALL_BYTES_MAX {
            let partial = self.state().partials.get(&wanted.shard).cloned();
            partial.map_or(Ok(()), |partial| partial.write(&piece))?;
        } else {
            self.stage(wanted, piece)?;
        }
        let mut state = self.state();
        state.dirty_bytes += bytes + FILE_COST_BYTES;
        if state.dirty_bytes >= DIRTY_BYTES_ENOUGH {
            self.due.notify_one();
        }
        Ok(())
    }

    /// Writes a small shard. Several threads do so at once: what they share is not locked meanwhile.
    fn stage(&self, wanted: &Wanted, piece: Piece) -> Result<(), WriteError> {
        // A part of a small shard waits in memory to be whole; only whole ones come here. Near the end
        // the same file may come from two peers.
        if !piece.is_whole() || !self.take(wanted.shard) {
            return Ok(());
        }
        let (path, hash) = (wanted.entry.path(), wanted.entry.hash());
        let staged = self.destination.target.stage(path, piece, hash)?;
        self.add_staged(wanted.shard, staged);
        Ok(())
    }

    fn add_staged(&self, shard: ShardIndex, staged: Staged) {
        let is_shared = self.destination.place.is_some();
        if is_shared {
            let Destination { store, target, .. } = &self.destination;
            store.add_staged(target, &staged);
        }
        let mut state = self.state();
        state.batch.add(staged);
        state.staged.push(shard);
        if is_shared {
            state.untold.push(shard);
        }
    }

    /// Small shards that others can read since this was called last, whether they have their names or not.
    pub(super) fn readable(&self) -> Vec<ShardIndex> {
        std::mem::take(&mut self.state().untold)
    }

    /// Answers whether nobody had this small shard before.
    fn take(&self, shard: ShardIndex) -> bool {
        let position = self.position(shard);
        let mut state = self.state();
        let taken = position.and_then(|at| state.taken.get_mut(at));
        taken.is_some_and(|taken| !std::mem::replace(taken, true))
    }

    /// Keeps a piece that was on this node already. Answers what was placed meanwhile.
    pub(super) fn keep(
        &self,
        shard: ShardIndex,
        piece: Piece,
    ) -> Result<Vec<ShardIndex>, WriteError> {
        let Some(wanted) = self.wanted(shard) else {
            return Ok(Vec::new());
        };
        self.put(wanted, piece)?;
        if self.is_due() {
            self.sync()
        } else {
            Ok(Vec::new())
        }
    }

    /// These shards are whole: place them with the next sync.
    pub(super) fn whole(&self, shards: &[ShardIndex]) {
        let mut state = self.state();
        let large = shards
            .iter()
            .copied()
            .filter(|shard| state.partials.contains_key(shard));
        let large: Vec<_> = large.collect();
        state.whole.extend(large);
    }

    /// Makes durable what was written, and places what is whole. Answers the shards that were placed.
    pub(super) fn sync(&self) -> Result<Vec<ShardIndex>, WriteError> {
        let fresh = self
            .destination
            .target
            .batch(&self.outboards, self.destination.replace);
        let (batch, mut placed, whole, partials, dirty_bytes) = {
            let mut state = self.state();
            let batch = std::mem::replace(&mut state.batch, fresh);
            let staged = std::mem::take(&mut state.staged);
            (
                batch,
                staged,
                std::mem::take(&mut state.whole),
                state.partials.clone(),
                state.dirty_bytes,
            )
        };
        let synced = self.place(batch, &whole, partials);
        self.end_staging(&placed);
        placed.extend_from_slice(&whole);
        let mut state = self.state();
        state.failed |= synced.is_err();
        state.dirty_bytes = state.dirty_bytes.saturating_sub(dirty_bytes);
        for shard in &whole {
            if let Some(partial) = state.partials.remove(shard) {
                self.destination.store.remove_partial(partial.hash());
            }
        }
        self.room.notify_all();
        synced.map(|()| placed)
    }

    /// These were placed, or are lost.
    fn end_staging(&self, staged: &[ShardIndex]) {
        let Destination { store, target, .. } = &self.destination;
        store.remove_staged(target, staged.iter().filter_map(|shard| self.hash(*shard)));
    }

    fn place(
        &self,
        mut batch: Batch,
        whole: &[ShardIndex],
        mut partials: BTreeMap<ShardIndex, PartialShard>,
    ) -> Result<(), WriteError> {
        for shard in whole {
            if let (Some(partial), Some(wanted)) = (partials.remove(shard), self.wanted(*shard)) {
                batch.put_partial(wanted.entry.path(), &partial)?;
            }
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let committed = batch.name(&mut names)?;
        drop(names);
        self.remember(&committed.placed)?;
        if let Some((path, source)) = committed.failed.into_iter().next() {
            return Err(WriteError::InTheWay { path, source });
        }
        for partial in partials.values() {
            partial.checkpoint()?;
        }
        Ok(())
    }

    fn remember(&self, placed: &[Placed]) -> Result<(), WriteError> {
        match self.destination.place {
            Some(root) if !placed.is_empty() => {
                let rows = placed
                    .iter()
                    .map(|placed| (placed.hash, placed.path.clone(), placed.fingerprint));
                self.destination.store.put_rows(root, rows)?;
                let unflushed = {
                    let mut state = self.state();
                    state.unflushed_rows += placed.len();
                    if state.unflushed_rows < UNFLUSHED_ROWS_MAX {
                        return Ok(());
                    }
                    std::mem::take(&mut state.unflushed_rows)
                };
                tracing::debug!(rows = unflushed, "rows of the index are flushed");
                Ok(self.destination.store.flush_rows()?)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Puts files in place that have the same bytes as one that is there.
    pub(super) fn copy(&self, copies: &[(DatasetPath, Wanted)]) -> Result<(), WriteError> {
        for batch_of in copies.chunks(COPIES_AT_ONCE) {
            let mut batch = self
                .destination
                .target
                .batch(&self.outboards, self.destination.replace);
            for (from, to) in batch_of {
                let source = self.destination.target.open_read(from)?;
                batch.put_copy(to.entry.path(), &source, to.entry.hash())?;
            }
            self.place(batch, &[], BTreeMap::new())?;
        }
        Ok(())
    }

    /// Makes names and rows durable: all that was placed counts as done only after this.
    pub(super) fn close(&self) -> Result<(), WriteError> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.sync(&self.destination.target)?;
        Ok(self.destination.store.flush_rows()?)
    }

    /// Ends a complete fetch: nothing unfinished stays at the target.
    pub(super) fn tidy(&self) {
        self.destination.target.finish();
    }

    /// Tells when there is enough to sync.
    pub(super) async fn due(&self) {
        self.due.notified().await;
    }

    /// Bytes that a crash would cost now.
    pub(super) fn dirty_bytes(&self) -> u64 {
        self.state().dirty_bytes
    }

    /// Is there enough to sync?
    pub(super) fn is_due(&self) -> bool {
        self.dirty_bytes() >= DIRTY_BYTES_ENOUGH
    }

    /// Does a shard come in parts, each of which is worth telling others of?
    pub(super) fn is_large(&self, shard: ShardIndex) -> bool {
        self.wanted(shard)
            .is_some_and(|wanted| wanted.entry.size() > SMALL_BYTES_MAX)
    }

    /// The order for an item of the scheduler.
    pub(super) fn order(&self, item: Item) -> Option<Order> {
        let entry = &self.wanted(item.shard)?.entry;
        Some(Order {
            item,
            hash: entry.hash(),
            size: entry.size(),
        })
    }

    /// Payload bytes of an item.
    pub(super) fn payload_bytes(&self, item: Item) -> u64 {
        let size = self
            .wanted(item.shard)
            .map_or(0, |wanted| wanted.entry.size());
        let bytes = item
            .groups
            .within(groups_in(size))
            .map(|groups| groups.bytes(size));
        bytes.map_or(0, |bytes| bytes.end - bytes.start)
    }

    /// The path of a shard.
    pub(super) fn path(&self, shard: ShardIndex) -> Option<&DatasetPath> {
        self.wanted(shard).map(|wanted| wanted.entry.path())
    }

    /// The hash of a shard.
    pub(super) fn hash(&self, shard: ShardIndex) -> Option<Hash> {
        self.wanted(shard).map(|wanted| wanted.entry.hash())
    }

    fn wanted(&self, shard: ShardIndex) -> Option<&Wanted> {
        self.wanted.get(self.position(shard)?)
    }

    /// Was this shard put together before?
    fn is_taken(&self, shard: ShardIndex) -> bool {
        let position = self.position(shard);
        let taken = position.and_then(|at| self.state().taken.get(at).copied());
        taken == Some(true)
    }

    fn position(&self, shard: ShardIndex) -> Option<usize> {
        self.wanted
            .binary_search_by_key(&shard, |wanted| wanted.shard)
            .ok()
    }

    pub(super) fn wait_for_room(&self) -> Result<(), WriteError> {
        let full = |state: &mut State| state.dirty_bytes >= DIRTY_BYTES_MAX && !state.failed;
        let state = self
            .room
            .wait_while(self.state(), full)
            .unwrap_or_else(PoisonError::into_inner);
        if state.failed {
            Err(WriteError::Stopped)
        } else {
            Ok(())
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let staged = std::mem::take(&mut self.state().staged);
        self.end_staging(&staged);
        for partial in self.state().partials.values() {
            self.destination.store.remove_partial(partial.hash());
        }
    }
}
