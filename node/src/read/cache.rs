//! The cache: what was read of files that are kept nowhere on this node, within a budget.
//!
//! Each file is a partial shard in one folder, by its hash, so that all versions share it. What was read
//! longest ago goes first; of a file that is being read, what no reader waits for.

mod file;

use std::{
    collections::HashMap,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use opendag_protocol::Hash;

pub(crate) use self::file::{CachedFile, Interest};
use super::fresh::Room;
use crate::{
    disk::{Confined, DiskError},
    store::{PartialShard, Store},
};

/// Files that are open at once: each takes three descriptors.
const OPEN_MAX: usize = 256;
/// When the budget is spent, so much of it is freed at once.
const FREED_SHARE: u64 = 10;
/// Bytes of all files that go on to readers out of memory, those that leave now included: of a hundred
/// slow readers the others read from the disk.
const FRESH_BYTES_MAX: u64 = 64 << 20;
/// What a file takes besides its bytes and their proofs.
const FILE_COST_BYTES: u64 = 4096;
/// Endings of the working files of a partial shard, the bitmap first: without it the others claim nothing.
const ENDINGS: [&str; 3] = ["bits", "part", "obao"];

/// The cache of a node. Clones share it. Its functions block.
#[derive(Clone, Debug)]
pub(crate) struct Cache(Arc<Inner>);

/// Tells a cache that one of its files grew, as long as there is a cache.
#[derive(Clone, Debug)]
struct Budget(Weak<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    folder: PathBuf,
    bytes_max: u64,
    /// What it may have now: less where the disk budget leaves less.
    allowed: AtomicU64,
    room: Room,
    state: Mutex<State>,
}

/// Invariant: `bytes` is the sum over `files`.
#[derive(Debug, Default)]
struct State {
    /// Made with the first file.
    work: Option<Arc<Confined>>,
    files: HashMap<Hash, Entry>,
    /// Held by who opens a file.
    opening: HashMap<Hash, Arc<Mutex<()>>>,
    bytes: u64,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug, Default)]
struct Entry {
    open: Option<Arc<CachedFile>>,
    bytes: u64,
    used: u64,
}

/// How full a cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheUse {
    /// Bytes that it has.
    pub(crate) bytes: u64,
    /// Bytes that it may have.
    pub(crate) bytes_max: u64,
    /// Files of which it has a part.
    pub(crate) files: usize,
}

impl Cache {
    /// A cache in `folder` of at most `bytes_max`. Nothing is touched before it is used.
    pub(crate) fn new(store: Store, folder: PathBuf, bytes_max: u64) -> Self {
        Self(Arc::new(Inner {
            store,
            folder,
            bytes_max,
            allowed: AtomicU64::new(bytes_max),
            room: Room::new(FRESH_BYTES_MAX),
            state: Mutex::default(),
        }))
    }

    /// Opens or begins a file.
    ///
    /// # Errors
    /// [`DiskError`].
    pub(crate) fn open(&self, hash: Hash, size: u64) -> Result<Arc<CachedFile>, DiskError> {
        let inner = &*self.0;
        let turn = {
            let mut state = inner.state();
            state.begin(&inner.folder)?;
            if let Some(file) = state.touch(hash) {
                return Ok(file);
            }
            state.opening.retain(|_, turn| Arc::strong_count(turn) > 1);
            state.opening.entry(hash).or_default().clone()
        };
        // Two at once would make the same files, or hash all of them twice.
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let work = {
            let mut state = inner.state();
            if let Some(file) = state.touch(hash) {
                return Ok(file);
            }
            state.work.clone()
        };
        let Some(work) = work else {
            return Err(DiskError::io("open", &inner.folder)(
                std::io::ErrorKind::NotFound.into(),
            ));
        };
        let partial = PartialShard::open(&work, hash, size)?;
        let budget = Budget(Arc::downgrade(&self.0));
        let file = Arc::new(CachedFile::new(partial, budget, inner.room.clone()));
        inner.store.add_partial(file.partial());
        let bytes = file.bytes();
        let mut state = inner.state();
        state.set_bytes(hash, bytes);
        state.files.entry(hash).or_default().open = Some(file.clone());
        let closed = state.close_some();
        drop(state);
        for file in closed {
            inner.close(&file);
        }
        Ok(file)
    }

    /// A file, if any of it is here.
    ///
    /// # Errors
    /// [`DiskError`].
    pub(crate) fn find(&self, hash: Hash, size: u64) -> Result<Option<Arc<CachedFile>>, DiskError> {
        let is_here = {
            let mut state = self.0.state();
            if state.work.is_none() && !self.0.folder.is_dir() {
                return Ok(None);
            }
            state.begin(&self.0.folder)?;
            state.files.contains_key(&hash)
        };
        is_here.then(|| self.open(hash, size)).transpose()
    }

    /// How full it is.
    pub(crate) fn in_use(&self) -> CacheUse {
        let inner = &*self.0;
        let mut state = inner.state();
        // What lies there from before is counted with the first use, which may be this one.
        if inner.folder.exists()
            && let Err(error) = state.begin(&inner.folder)
        {
            tracing::warn!(%error, "the cache cannot be measured");
        }
        CacheUse {
            bytes: state.bytes,
            bytes_max: inner.allowed(),
            files: state.files.len(),
        }
    }

    /// Lets it have so much from now on, and never more than its own limit; what is too much goes.
    pub(crate) fn allow(&self, bytes: u64) {
        let inner = &*self.0;
        let allowed = bytes.min(inner.bytes_max);
        inner.allowed.store(allowed, Ordering::Relaxed);
        if self.in_use().bytes > allowed {
            inner.free(inner.state(), allowed);
        }
    }

    /// Makes durable what was read, so that it is not fetched again after a restart.
    pub(crate) fn save(&self) {
        let open: Vec<_> = {
            let state = self.0.state();
            state
                .files
                .values()
                .filter_map(|entry| entry.open.clone())
                .collect()
        };
        for file in open {
            if let Err(error) = file.partial().checkpoint() {
                tracing::warn!(%error, "the cache could not keep a file");
            }
        }
    }
}

impl Budget {
    fn grown(&self, file: &CachedFile) {
        if let Some(cache) = self.0.upgrade() {
            cache.grown(file);
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file grew; frees some of the cache if that is too much.
    fn grown(&self, file: &CachedFile) {
        let mut state = self.state();
        state.set_bytes(file.hash(), file.bytes());
        let allowed = self.allowed();
        if state.bytes > allowed {
            self.free(state, allowed - allowed / FREED_SHARE);
        }
    }

    fn allowed(&self) -> u64 {
        self.allowed.load(Ordering::Relaxed)
    }

    /// Frees some of the cache, until there is `enough` left.
    fn free(&self, mut state: MutexGuard<'_, State>, enough: u64) {
        let freed = state.forget_unused(enough);
        let busy: Vec<_> = match state.bytes > enough {
            true => state
                .files
                .values()
                .filter_map(|entry| entry.open.clone())
                .collect(),
            false => Vec::new(),
        };
        let work = state.work.clone();
        drop(state);
        for (hash, open) in freed {
            match (open, &work) {
                (Some(file), _) => {
                    self.store.drop_partial(file.partial());
                    file.partial().abandon();
                }
                (None, Some(work)) => remove(work, hash),
                (None, None) => {}
            }
        }
        for file in busy {
            file.forget_unwanted();
            self.state().set_bytes(file.hash(), file.bytes());
        }
    }

    fn close(&self, file: &CachedFile) {
        self.store.drop_partial(file.partial());
        if let Err(error) = file.partial().checkpoint() {
            tracing::warn!(%error, "the cache could not keep a file");
        }
    }
}

impl State {
    /// Opens the folder, and counts what lies there from before.
    fn begin(&mut self, folder: &std::path::Path) -> Result<(), DiskError> {
        if self.work.is_some() {
            return Ok(());
        }
        let work = Confined::create(folder)?;
        for name in work.names()? {
            let hash = name
                .split_once('.')
                .and_then(|(hash, _)| hash.parse::<Hash>().ok());
            let Some(hash) = hash else { continue };
            if let Ok(metadata) = work
                .open_own(&name)
                .and_then(|file| file.metadata().map_err(DiskError::io("read", work.path())))
            {
                let entry = self.files.entry(hash).or_default();
                entry.bytes += metadata.blocks() * 512;
                self.bytes += metadata.blocks() * 512;
            }
        }
        self.work = Some(Arc::new(work));
        Ok(())
    }

    fn touch(&mut self, hash: Hash) -> Option<Arc<CachedFile>> {
        self.clock += 1;
        let entry = self.files.get_mut(&hash)?;
        entry.used = self.clock;
        entry.open.clone()
    }

    fn set_bytes(&mut self, hash: Hash, bytes: u64) {
        self.clock += 1;
        let entry = self.files.entry(hash).or_default();
        entry.used = self.clock;
        self.bytes = self.bytes - std::mem::replace(&mut entry.bytes, bytes) + bytes;
    }

    /// Takes out files that nobody reads, those used longest ago first, until `enough` is left.
    fn forget_unused(&mut self, enough: u64) -> Vec<(Hash, Option<Arc<CachedFile>>)> {
        let mut unused: Vec<_> = self
            .files
            .iter()
            .filter(|(_, entry)| entry.is_unused())
            .map(|(hash, entry)| (entry.used, *hash))
            .collect();
        unused.sort_unstable();
        let mut freed = Vec::new();
        for (_, hash) in unused {
            if self.bytes <= enough {
                break;
            }
            if let Some(entry) = self.files.remove(&hash) {
                self.bytes -= entry.bytes;
                freed.push((hash, entry.open));
            }
        }
        freed
    }

    /// Takes the descriptors of files that nobody reads if too many are open.
    fn close_some(&mut self) -> Vec<Arc<CachedFile>> {
        let mut open: Vec<_> = self
            .files
            .iter()
            .filter(|(_, entry)| entry.open.is_some())
            .map(|(hash, entry)| (entry.used, *hash))
            .collect();
        let surplus = open.len().saturating_sub(OPEN_MAX);
        open.sort_unstable();
        let mut closed = Vec::new();
        for (_, hash) in open.into_iter().take(surplus) {
            if let Some(entry) = self.files.get_mut(&hash).filter(|entry| entry.is_unused()) {
                closed.extend(entry.open.take());
            }
        }
        closed
    }
}

impl Entry {
    fn is_unused(&self) -> bool {
        self.open
            .as_ref()
            .is_none_or(|file| Arc::strong_count(file) == 1)
    }
}

fn remove(work: &Confined, hash: Hash) {
    for ending in ENDINGS {
        let _ = work.remove_own(&format!("{hash}.{ending}"));
    }
}

#[cfg(test)]
mod tests;
