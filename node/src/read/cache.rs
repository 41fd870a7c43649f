//! The cache: what was read of files that are kept nowhere on this node, within a budget.
//!
//! Each file is a partial shard in one folder, by its hash, so that all versions share it. What was read
//! longest ago goes first; of a file that is being read, what no reader waits for.

use std::{
    collections::{BTreeMap, HashMap},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use opendag_protocol::{
    Hash,
    wire::{GroupRange, GroupRanges},
};
use tokio::sync::watch;

use crate::{
    disk::{Confined, DiskError},
    store::{PartialError, PartialShard, Piece, ReadError, Store},
};

/// Files that are open at once: each takes three descriptors.
const OPEN_MAX: usize = 256;
/// When the budget is spent, so much of it is freed at once.
const FREED_SHARE: u64 = 10;
/// What a file takes besides its bytes and their proofs.
const FILE_COST_BYTES: u64 = 4096;
/// Endings of the working files of a partial shard, the bitmap first: without it the others claim nothing.
const ENDINGS: [&str; 3] = ["bits", "part", "obao"];

/// The cache of a node. Clones share it. Its functions block.
#[derive(Clone, Debug)]
pub(crate) struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    folder: PathBuf,
    bytes_max: u64,
    state: Mutex<State>,
}

/// Invariant: `bytes` is the sum over `files`.
#[derive(Debug, Default)]
struct State {
    /// Made with the first file.
    work: Option<Arc<Confined>>,
    files: HashMap<Hash, Entry>,
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

/// A file of the cache that is open.
///
/// Invariant: what is in an interest is not freed.
#[derive(Debug)]
pub(crate) struct CachedFile {
    partial: PartialShard,
    cache: Weak<Inner>,
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

impl Cache {
    /// A cache in `folder` of at most `bytes_max`. Nothing is touched before it is used.
    pub(crate) fn new(store: Store, folder: PathBuf, bytes_max: u64) -> Self {
        Self(Arc::new(Inner {
            store,
            folder,
            bytes_max,
            state: Mutex::default(),
        }))
    }

    /// Opens or begins a file.
    ///
    /// # Errors
    /// [`DiskError`].
    pub(crate) fn open(&self, hash: Hash, size: u64) -> Result<Arc<CachedFile>, DiskError> {
        let inner = &*self.0;
        let work = {
            let mut state = inner.state();
            state.begin(&inner.folder)?;
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
        let partial = PartialShard::open_cached(&work, hash, size)?;
        let mut state = inner.state();
        // Another reader may have been faster.
        if let Some(file) = state.touch(hash) {
            return Ok(file);
        }
        let file = Arc::new(CachedFile {
            cache: Arc::downgrade(&self.0),
            changed: watch::Sender::new(()),
            interests: Mutex::default(),
            interests_made: AtomicU64::new(0),
            partial,
        });
        inner.store.add_partial(&file.partial);
        let bytes = file.bytes();
        state.set_bytes(hash, bytes);
        state.files.entry(hash).or_default().open = Some(file.clone());
        let closed = state.close_some();
        drop(state);
        for file in closed {
            inner.close(&file);
        }
        Ok(file)
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
            if let Err(error) = file.partial.checkpoint() {
                tracing::warn!(%error, "the cache could not keep a file");
            }
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
        if state.bytes <= self.bytes_max {
            return;
        }
        let enough = self.bytes_max - self.bytes_max / FREED_SHARE;
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
                    self.store.drop_partial(&file.partial);
                    file.partial.abandon();
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
        self.store.drop_partial(&file.partial);
        if let Err(error) = file.partial.checkpoint() {
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

impl CachedFile {
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

    /// Is all of this here?
    pub(crate) fn has(&self, groups: GroupRange) -> bool {
        self.partial.have().contains_all(groups)
    }

    /// Writes a verified piece. Blocks.
    ///
    /// # Errors
    /// [`PartialError`].
    pub(crate) fn write(&self, piece: &Piece) -> Result<(), PartialError> {
        self.partial.write(piece)?;
        self.changed.send_replace(());
        if let Some(cache) = self.cache.upgrade() {
            cache.grown(self);
        }
        Ok(())
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

    fn bytes(&self) -> u64 {
        let have = self.partial.have().len_bytes(self.size());
        have + have / 256 + FILE_COST_BYTES
    }

    /// Frees what no reader waits for.
    fn forget_unwanted(&self) {
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
        self.file.interests().insert(self.id, groups);
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.file.interests().remove(&self.id);
    }
}
