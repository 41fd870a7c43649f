//! Description blobs (tables, cards, Croissant files, chunk maps) in iroh-blobs' store.
//!
//! Its own collection never runs by itself: it is used only to carry out a removal that our reference
//! counts decided, while no blob is being added.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use iroh_blobs::api::blobs::BlobStatus;
use iroh_blobs::store::{GcConfig, ProtectOutcome, fs::FsStore, fs::options::Options};
use opendag_protocol::{BlobId, Hash, limits::DESCRIPTION_BLOB_BYTES_MAX};
use tokio::sync::{Mutex, RwLock, mpsc, oneshot};

use crate::disk::{self, Access, DiskError};

/// Pause between a finished collection and the wait for the next request.
const COLLECT_PAUSE: Duration = Duration::from_millis(1);

/// Why a description blob cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// iroh-blobs' store failed.
    #[error("cannot {operation} in the blob store")]
    Store {
        /// What was tried.
        operation: &'static str,
        /// What the store says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The blob is larger than a description may be.
    #[error("a description of {bytes} bytes is too large: at most {DESCRIPTION_BLOB_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// The bytes on disk were not those of the hash; they were moved to the quarantine folder.
    #[error("blob {blob} was damaged on disk; what was there is now in {copy}", copy = copy.display())]
    Damaged {
        /// The blob.
        blob: BlobId,
        /// Where the damaged bytes are.
        copy: PathBuf,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl BlobError {
    fn store<E: std::error::Error + Send + Sync + 'static>(
        operation: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Store {
            operation,
            source: Box::new(source),
        }
    }
}

/// A removal that waits to be carried out.
struct Collect {
    live: HashSet<Hash>,
    started: oneshot::Sender<()>,
}

/// The description blobs. Clones share it.
#[derive(Clone)]
pub(crate) struct Blobs {
    store: FsStore,
    folder: Arc<Path>,
    quarantine: Arc<Path>,
    collect: mpsc::Sender<Collect>,
    /// Read: a blob is being added. Write: blobs are being removed.
    gate: Arc<RwLock<()>>,
}

impl std::fmt::Debug for Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blobs")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Blobs {
    pub(crate) async fn open(folder: &Path, quarantine: &Path) -> Result<Self, BlobError> {
        disk::create_private_folder(folder)?;
        // An import that was killed leaves its file there for ever.
        disk::remove_folder(&folder.join("temp"))?;
        let (collect, requests) = mpsc::channel::<Collect>(1);
        let requests = Arc::new(Mutex::new(requests));
        let mut options = Options::new(folder);
        options.gc = Some(GcConfig {
            interval: COLLECT_PAUSE,
            add_protected: Some(Arc::new(move |live| {
                let requests = Arc::clone(&requests);
                Box::pin(async move {
                    // Waits until our own reference counts ask for a removal.
                    let request = requests.lock().await.recv().await;
                    let Some(request) = request else {
                        return std::future::pending().await;
                    };
                    let kept = request.live.into_iter();
                    live.extend(kept.map(|hash| iroh_blobs::Hash::from(*hash.as_bytes())));
                    // Whoever asked has gone away: so has the lock that makes a removal safe.
                    match request.started.send(()) {
                        Ok(()) => ProtectOutcome::Continue,
                        Err(()) => ProtectOutcome::Abort,
                    }
                })
            })),
        });
        let store = FsStore::load_with_opts(folder.join("blobs.db"), options)
            .await
            .map_err(|error| BlobError::Store {
                operation: "open the database",
                source: error.to_string().into(),
            })?;
        Ok(Self {
            store,
            folder: folder.into(),
            quarantine: quarantine.into(),
            collect,
            gate: Arc::new(RwLock::new(())),
        })
    }

    /// Keeps blobs; all are durable when it returns.
    pub(crate) async fn put_all(&self, blobs: Vec<Vec<u8>>) -> Result<Vec<BlobId>, BlobError> {
        let ids = self.add_all(blobs).await?;
        self.sync().await?;
        Ok(ids)
    }

    /// Keeps blobs, durable only after [`Blobs::sync`].
    pub(crate) async fn add_all(&self, blobs: Vec<Vec<u8>>) -> Result<Vec<BlobId>, BlobError> {
        let _gate = self.gate.read().await;
        let mut ids = Vec::with_capacity(blobs.len());
        for bytes in blobs {
            let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            if len > DESCRIPTION_BLOB_BYTES_MAX {
                return Err(BlobError::TooLarge { bytes: len });
            }
            let tag = self
                .store
                .blobs()
                .add_bytes(bytes)
                .temp_tag()
                .await
                .map_err(BlobError::store("add a blob"))?;
            ids.push(BlobId::from_hash(Hash::from_bytes(*tag.hash().as_bytes())));
        }
        Ok(ids)
    }

    /// Makes durable what was added.
    pub(crate) async fn sync(&self) -> Result<(), BlobError> {
        self.store
            .sync_db()
            .await
            .map_err(BlobError::store("commit"))?;
        let folder = Arc::clone(&self.folder);
        let synced = tokio::task::spawn_blocking(move || {
            let handle = std::fs::File::open(&folder).map_err(DiskError::io("open", &folder))?;
            disk::sync_file_system(handle).map_err(DiskError::io("sync", &folder))
        });
        synced.await.map_err(BlobError::store("sync"))??;
        Ok(())
    }

    /// The bytes of a blob, verified; `None` if it is not here.
    pub(crate) async fn get(&self, blob: BlobId) -> Result<Option<Vec<u8>>, BlobError> {
        let hash = iroh_blobs::Hash::from(*blob.hash().as_bytes());
        if !self
            .store
            .blobs()
            .has(hash)
            .await
            .map_err(BlobError::store("look up a blob"))?
        {
            return Ok(None);
        }
        match self.store.blobs().get_bytes(hash).await {
            Ok(bytes) if Hash::of(&bytes) == blob.hash() => Ok(Some(bytes.to_vec())),
            Ok(bytes) => Err(self.quarantine(blob, &bytes)),
            Err(_) => Err(self.quarantine(blob, b"")),
        }
    }

    /// Lays a copy of a damaged blob into the quarantine folder. The blob is replaced when it is put again.
    fn quarantine(&self, blob: BlobId, bytes: &[u8]) -> BlobError {
        let copy = self.quarantine.join(format!("{}.blob", blob.hash()));
        let on_disk = self
            .folder
            .join("data")
            .join(format!("{}.data", blob.hash()));
        let kept = std::fs::read(on_disk).unwrap_or_else(|_| bytes.to_vec());
        match disk::write_durable(&copy, &kept, Access::Owner) {
            Ok(()) => BlobError::Damaged { blob, copy },
            Err(error) => error.into(),
        }
    }

    /// Removes all blobs that `live` does not name. `live` is asked for when no blob can be added any more.
    pub(crate) async fn retain<E>(
        &self,
        live: impl AsyncFnOnce() -> Result<HashSet<Hash>, E>,
    ) -> Result<(), E>
    where
        E: From<BlobError>,
    {
        let _gate = self.gate.write().await;
        let live = live().await?;
        self.run(live.clone()).await?;
        // The second request is taken only when the first collection has ended.
        self.run(live).await?;
        Ok(())
    }

    async fn run(&self, live: HashSet<Hash>) -> Result<(), BlobError> {
        let (started, waits) = oneshot::channel();
        let request = Collect { live, started };
        let gone = |_| BlobError::Store {
            operation: "remove blobs",
            source: "the collection has ended".into(),
        };
        self.collect.send(request).await.map_err(|_| gone(()))?;
        waits.await.map_err(|_| gone(()))
    }

    /// How many there are.
    pub(crate) async fn count(&self) -> Result<u64, BlobError> {
        let listed = self.store.blobs().list().stream().await;
        let mut blobs = std::pin::pin!(listed.map_err(BlobError::store("list the blobs"))?);
        let mut count = 0;
        while let Some(blob) = blobs.next().await {
            blob.map_err(BlobError::store("list the blobs"))?;
            count += 1;
        }
        Ok(count)
    }

    /// Bytes of all blobs but these.
    pub(crate) async fn bytes_without(&self, live: &HashSet<Hash>) -> Result<u64, BlobError> {
        let blobs = self.store.blobs();
        let listed = blobs.list().stream().await;
        let mut listed = std::pin::pin!(listed.map_err(BlobError::store("list the blobs"))?);
        let mut sum = 0_u64;
        while let Some(hash) = listed.next().await {
            let hash = hash.map_err(BlobError::store("list the blobs"))?;
            if live.contains(&Hash::from_bytes(*hash.as_bytes())) {
                continue;
            }
            let status = blobs.status(hash).await;
            let status = status.map_err(BlobError::store("look up a blob"))?;
            if let BlobStatus::Complete { size } = status {
                sum = sum.saturating_add(size);
            }
        }
        Ok(sum)
    }

    /// Bytes of all blobs on disk. Blocks.
    pub(crate) fn bytes_on_disk(&self) -> u64 {
        let files = walkdir::WalkDir::new(&*self.folder);
        files
            .into_iter()
            .filter_map(Result::ok)
            .filter_map(|entry| entry.metadata().ok())
            .filter(std::fs::Metadata::is_file)
            .map(|metadata| metadata.len())
            .sum()
    }

    /// Writes everything out and closes the store.
    pub(crate) async fn shutdown(&self) -> Result<(), BlobError> {
        self.store
            .shutdown()
            .await
            .map_err(BlobError::store("close the database"))
    }
}

#[cfg(test)]
mod tests;
