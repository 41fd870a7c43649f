//! A file of the cache: what of it is here, who waits for what, and who is told.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::body::Bytes;
use opendag_protocol::{
    Hash,
    wire::{GroupRange, GroupRanges},
};
use tokio::sync::watch;

use super::{
    super::fresh::{FreshPieces, Room},
    Budget, FILE_COST_BYTES,
};
use crate::store::{PartialError, PartialShard, Piece, ReadError};

/// A file of the cache that is open.
///
/// Invariant: what is in an interest is not freed.
#[derive(Debug)]
pub(crate) struct CachedFile {
    partial: PartialShard,
    /// What readers have not read yet of what came.
    fresh: FreshPieces,
    budget: Budget,
    /// Rings when more of it is here.
    changed: watch::Sender<()>,
    interests: Mutex<BTreeMap<u64, GroupRange>>,
    interests_made: AtomicU64,
}

/// What a reader waits for or is about to read; ends when dropped.
#[derive(Debug)]
pub(crate) struct Interest {
    file: Arc<CachedFile>,
    id: u64,
}

impl CachedFile {
    pub(super) fn new(partial: PartialShard, budget: Budget, room: Room) -> Self {
        Self {
            partial,
            fresh: FreshPieces::new(room),
            budget,
            changed: watch::Sender::new(()),
            interests: Mutex::default(),
            interests_made: AtomicU64::new(0),
        }
    }

    /// Its files.
    pub(super) fn partial(&self) -> &PartialShard {
        &self.partial
    }

    /// Its hash.
    pub(crate) fn hash(&self) -> Hash {
        self.partial.hash()
    }

    /// Its size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.partial.size()
    }

    /// What of it is here.
    pub(crate) fn have(&self) -> GroupRanges {
        self.partial.have()
    }

    /// What of it is not here.
    pub(crate) fn missing(&self) -> GroupRanges {
        self.partial.missing()
    }

    /// Can all of this be read from the disk?
    pub(crate) fn has(&self, groups: GroupRange) -> bool {
        self.partial.has(groups)
    }

    /// Gives a verified piece to who waits for it, and writes it. Blocks.
    ///
    /// # Errors
    /// [`PartialError`].
    pub(crate) fn write(&self, piece: Piece) -> Result<(), PartialError> {
        let wants = |groups: GroupRange| is_wanted(&self.interests(), groups);
        let fresh = self.fresh.add(piece, wants);
        self.changed.send_replace(());
        self.partial.write(fresh.piece())?;
        self.changed.send_replace(());
        self.budget.grown(self);
        Ok(())
    }

    /// Bytes of `range` from its start on that came just now, as far as they are at hand.
    pub(crate) fn fresh(&self, range: &Range<u64>) -> Option<Bytes> {
        self.fresh.bytes(range)
    }

    /// As a peer wants it. Blocks.
    ///
    /// # Errors
    /// As [`CachedFile::read`].
    pub(crate) fn read_bao(&self, groups: GroupRange) -> Result<Vec<u8>, ReadError> {
        self.partial.read_bao(groups)
    }

    /// Reads what is here, verified again. Blocks.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] if it is not here, or not any more.
    pub(crate) fn read(&self, groups: GroupRange) -> Result<Vec<u8>, ReadError> {
        self.partial.read_bytes(groups)
    }

    /// Rings when more is here.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Somebody is about to read these groups.
    pub(crate) fn interest(self: &Arc<Self>, groups: GroupRange) -> Interest {
        let id = self.interests_made.fetch_add(1, Ordering::Relaxed);
        self.interests().insert(id, groups);
        Interest {
            file: self.clone(),
            id,
        }
    }

    fn interests(&self) -> MutexGuard<'_, BTreeMap<u64, GroupRange>> {
        self.interests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What it takes of the disk.
    pub(super) fn bytes(&self) -> u64 {
        let have = self.partial.have().len_bytes(self.size());
        have + have / 256 + FILE_COST_BYTES
    }

    /// Frees what no reader waits for.
    pub(super) fn forget_unwanted(&self) {
        let mut unwanted = self.partial.have();
        for groups in self.interests().values() {
            unwanted.remove(*groups);
        }
        if let Err(error) = self.partial.forget(&unwanted) {
            tracing::warn!(%error, "the cache could not free a part of a file");
        }
    }
}

impl Interest {
    /// The reader went on.
    pub(crate) fn moved(&self, groups: GroupRange) {
        let mut interests = self.file.interests();
        if interests.insert(self.id, groups) != Some(groups) {
            self.file.fresh.retain(|piece| is_wanted(&interests, piece));
        }
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut interests = self.file.interests();
        interests.remove(&self.id);
        self.file.fresh.retain(|piece| is_wanted(&interests, piece));
    }
}

/// Is any of these groups in an interest?
fn is_wanted(interests: &BTreeMap<u64, GroupRange>, groups: GroupRange) -> bool {
    let mut interests = interests.values();
    interests.any(|wanted| wanted.first < groups.end() && groups.first < wanted.end())
}
