//! Opening the store, and the parts that it is made of.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock as StdRwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use opendag_protocol::{
    BlobId, DatasetId, Hash, ManifestId, RecordId,
    catalogue::{DatasetState, Refused},
    record::SignedRecord,
    statements::{StatementLimits, Statements},
};
use tokio::{
    runtime::Handle,
    sync::{RwLock, broadcast},
};

use super::{
    blobs::{BlobError, Blobs},
    budget::Protected,
    catalogue::{CatalogueChange, Lies},
    datadir::DataDir,
    early::Staging,
    hash::HashError,
    index::{Index, IndexError, State, Table},
    locations::Locations,
    outboards::Outboards,
    partial::PartialShard,
    place::RootId,
    recent::Recent,
    segment::{Damage, Segments},
};
use crate::disk::{Confined, DiskError};

/// Shards that turned stale and that a slow listener has not heard of yet.
const STALE_WAITING_MAX: usize = 1024;
/// Datasets, and records, that are remembered after they were read: a few kilobytes each.
const RECENT_MAX: usize = 1024;

/// Changes of the catalogue that a slow listener has not heard of yet; one that misses some looks at all.
const CHANGES_WAITING_MAX: usize = 4096;

/// Bytes of records that are kept unless said otherwise: some hundred thousand datasets.
pub const CATALOGUE_LIMIT: u64 = 1024 * 1024 * 1024;

/// Statements get at most this part of what all records may take.
const STATEMENTS_PART: u64 = 4;

/// Where the rows of shards lie, in the folder of the index.
pub(crate) const RUNS_FOLDER: &str = "runs";

/// Why the store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The index failed; the truth is not in it.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A description blob cannot be kept or read.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The disk refused. [`DiskError::is_full`] tells whether to wait.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file cannot be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The record is about a dataset whose first owner record is not here.
    #[error("nothing is known of dataset {dataset}")]
    UnknownDataset {
        /// The dataset.
        dataset: DatasetId,
    },
    /// The record is signed under an owner record that is not here.
    #[error("owner record {record} of dataset {dataset} is needed first")]
    NeedsOwners {
        /// The dataset.
        dataset: DatasetId,
        /// The owner record.
        record: RecordId,
    },
    /// The record is not taken; [`Refused::fault`] says who is to blame.
    #[error("record {record} is refused")]
    Refused {
        /// The record.
        record: RecordId,
        /// Why.
        #[source]
        source: Refused,
    },
    /// A description that is needed is not here.
    #[error("blob {blob}, a part of the description of version {manifest}, is not here")]
    MissingBlob {
        /// The version.
        manifest: ManifestId,
        /// The blob.
        blob: BlobId,
    },
    /// A description is not what its manifest says.
    #[error("the file table of version {manifest} is not valid")]
    BadTable {
        /// The version.
        manifest: ManifestId,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something of ours is too large to be written down.
    #[error("{what} cannot be written down")]
    Encode {
        /// What.
        what: &'static str,
    },
    /// A thread of the store died.
    #[error("a thread of the store ended early")]
    Thread,
}

/// What a node keeps. Clones share it.
///
/// Functions that are not `async` block: call them from `spawn_blocking` or from a thread of your own.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) data_dir: DataDir,
    pub(crate) outboards: Outboards,
    pub(crate) blobs: Blobs,
    pub(crate) index: Index,
    pub(crate) locations: Locations,
    /// The one writer of segments and index.
    pub(crate) segments: Mutex<Segments>,
    /// Held alone while entries of the segments get other positions. Taken after `segments`.
    pub(crate) moving: StdRwLock<()>,
    /// Bytes of the entries of records that are needed.
    pub(crate) live: AtomicU64,
    /// Bytes that the entries of all records may have.
    pub(crate) limit: u64,
    /// Grows with each change of the catalogue.
    pub(crate) generation: AtomicU64,
    pub(super) recent_states: Recent<DatasetState>,
    pub(super) recent_records: Recent<SignedRecord>,
    pub(crate) statements: Mutex<Statements>,
    pub(crate) protected: Mutex<Protected>,
    pub(crate) changes: broadcast::Sender<CatalogueChange>,
    pub(crate) damages: Mutex<Vec<Damage>>,
    pub(crate) partials: Mutex<HashMap<Hash, Vec<PartialShard>>>,
    pub(crate) staging: Mutex<Staging>,
    /// Open folders of shards.
    pub(crate) roots: Mutex<HashMap<RootId, Arc<Confined>>>,
    /// Shared by whoever adds what no place refers to yet, alone for whoever frees what none refers to.
    pub(crate) work: Arc<RwLock<()>>,
    pub(crate) stale: broadcast::Sender<Hash>,
    pub(crate) runtime: Handle,
}

impl Inner {
    /// Notes that entries became needed and others are not any more.
    pub(crate) fn count_live(&self, more: u64, less: u64) {
        let changed = |live: u64| Some(live.saturating_add(more).saturating_sub(less));
        // The closure always answers.
        let _ = self
            .live
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
    }

    /// Notes that the catalogue changed.
    pub(crate) fn generation_moves(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens the store of a data directory. An index that is missing, does not open, or does not fit the segments
    /// is rebuilt, which reads all descriptions and looks at every file.
    ///
    /// Needs a tokio runtime. Dropping the future is safe: the next start goes on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(data_dir: &DataDir) -> Result<Self, StoreError> {
        Self::open_within(data_dir, CATALOGUE_LIMIT).await
    }

    /// [`Store::open`], with at most so many bytes of records.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_within(data_dir: &DataDir, limit: u64) -> Result<Self, StoreError> {
        let quarantine = data_dir.quarantine_path();
        let blobs = Blobs::open(&data_dir.blobs_path(), &quarantine).await?;
        let runtime = Handle::current();
        let data_dir = data_dir.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let (segments, damages) = Segments::open(&data_dir.records_path(), &quarantine)?;
            let path = data_dir.index_path();
            let (index, locations, state) = Index::open(&path, |index| {
                Locations::open(index, path.join(RUNS_FOLDER))
            })?;
            let store = Self {
                inner: Arc::new(Inner {
                    outboards: data_dir.outboards()?,
                    data_dir,
                    blobs,
                    index,
                    locations,
                    segments: Mutex::new(segments),
                    moving: StdRwLock::default(),
                    live: AtomicU64::new(0),
                    limit,
                    generation: AtomicU64::new(0),
                    recent_states: Recent::new(RECENT_MAX),
                    recent_records: Recent::new(RECENT_MAX),
                    protected: Mutex::default(),
                    statements: Mutex::new(Statements::new(StatementLimits::with_bytes(0))),
                    changes: broadcast::channel(CHANGES_WAITING_MAX).0,
                    damages: Mutex::new(damages),
                    partials: Mutex::default(),
                    staging: Mutex::default(),
                    roots: Mutex::default(),
                    work: Arc::default(),
                    stale: broadcast::channel(STALE_WAITING_MAX).0,
                    runtime,
                }),
            };
            store.load_statements()?;
            store.count_all()?;
            store.catch_up(state)?;
            Ok(store)
        });
        opened.await.map_err(|_| StoreError::Thread)?
    }

    /// Brings the index up to the end of the segments.
    fn catch_up(&self, state: State) -> Result<(), StoreError> {
        let end = lock(&self.inner.segments).position();
        match state {
            State::CoversUntil(position) if position == end => Ok(()),
            State::CoversUntil(position) if position < end => self.replay(position),
            State::CoversUntil(_) | State::Empty => self.reindex(),
        }
    }

    /// Counts the bytes of all records that are needed.
    fn count_all(&self) -> Result<(), StoreError> {
        let mut live = 0_u64;
        for row in self.inner.index.rows(Table::Records, &[]) {
            let (_, value) = row?;
            live = live.saturating_add(Lies::decode(&value).map_or(0, |lies| lies.bytes()));
        }
        self.inner.live.store(live, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes that statements may have.
    pub(crate) fn statement_bytes(&self) -> u64 {
        self.inner.limit / STATEMENTS_PART
    }

    /// Tells which datasets and statements become known or change, from now on. Whoever lags looks at all.
    #[must_use]
    pub fn catalogue_changes(&self) -> broadcast::Receiver<CatalogueChange> {
        self.inner.changes.subscribe()
    }

    /// Where the segments end, as text: it changes with all that is written to them. Blocks.
    pub(crate) fn records_end(&self) -> String {
        let end = lock(&self.inner.segments).position();
        format!("{}:{}", end.segment, end.offset)
    }

    /// What was found damaged since the start, with copies in the quarantine folder.
    #[must_use]
    pub fn damages(&self) -> Vec<Damage> {
        lock(&self.inner.damages).clone()
    }

    /// The outboards of complete shards, for hashing and for targets.
    #[must_use]
    pub fn outboards(&self) -> &Outboards {
        &self.inner.outboards
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &DataDir {
        &self.inner.data_dir
    }

    /// Writes everything out and closes the database of blobs. To be called last; a store that is killed instead
    /// loses nothing that was acknowledged.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn shutdown(&self) -> Result<(), StoreError> {
        let store = self.clone();
        let flushed = tokio::task::spawn_blocking(move || store.inner.locations.flush());
        flushed.await.map_err(|_| StoreError::Thread)??;
        Ok(self.inner.blobs.shutdown().await?)
    }
}
