//! Hashing files of a publish on all cores, in place.

use std::{
    num::NonZero,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use opendag_protocol::chunkmap::ChunkMap;
use tokio_util::sync::CancellationToken;

use super::{PublishError, walk::Found};
use crate::{
    disk::Confined,
    node::Shared,
    ops::PublishRequest,
    report::{Meter, Reporter},
    store::{Chunks, Digests, HashError, HashedFile},
};

/// A file of so many bytes is hashed on all cores by itself, and others of that kind wait.
const ALL_CORES_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// A file that was hashed.
#[derive(Debug)]
pub(super) struct Hashed {
    pub(super) file: HashedFile,
    /// Its chunks, if they are wanted and can be listed.
    pub(super) map: Option<ChunkMap>,
}

/// Hashes the files of one publish.
pub(super) struct Hasher {
    shared: Arc<Shared>,
    root: Confined,
    wanted: (Digests, Chunks),
    /// Held while a file is hashed on all cores.
    all_cores: Mutex<()>,
    meter: Mutex<Meter>,
    bytes_read: AtomicU64,
    cancel: CancellationToken,
}

/// What is computed besides BLAKE3.
fn wanted(request: &PublishRequest) -> (Digests, Chunks) {
    let digests = if request.no_sha256 {
        Digests::Blake3
    } else {
        Digests::Both
    };
    let chunks = if request.no_chunk_maps {
        Chunks::Skipped
    } else {
        Chunks::Cut
    };
    (digests, chunks)
}

impl Hasher {
    /// For files below `root`: so many, with so many bytes.
    pub(super) fn new(
        shared: &Arc<Shared>,
        request: &PublishRequest,
        root: &Path,
        (files, bytes): (u64, u64),
        (report, cancel): (&Reporter, &CancellationToken),
    ) -> Result<Self, PublishError> {
        Ok(Self {
            shared: Arc::clone(shared),
            root: Confined::open(root)?,
            wanted: wanted(request),
            all_cores: Mutex::new(()),
            meter: Mutex::new(Meter::new(report.clone(), "hash", files, bytes)),
            bytes_read: AtomicU64::new(0),
            cancel: cancel.clone(),
        })
    }

    /// Hashes some files. Blocks. The answer has their order.
    ///
    /// A file that is another one than was found, or that changes while it is read, stops all.
    pub(super) fn hash_all(&self, files: &[Found]) -> Result<Vec<Hashed>, PublishError> {
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let threads = thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(files.len());
        let parts = thread::scope(|scope| {
            let run = || self.run(files, &next, &stop);
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            let join = |worker: thread::ScopedJoinHandle<'_, _>| {
                worker.join().unwrap_or(Err(PublishError::Stopped))
            };
            workers.into_iter().map(join).collect::<Result<Vec<_>, _>>()
        })?;
        let mut hashed: Vec<(usize, Hashed)> = parts.into_iter().flatten().collect();
        hashed.sort_unstable_by_key(|(index, _)| *index);
        Ok(hashed.into_iter().map(|(_, hashed)| hashed).collect())
    }

    /// Says how far it came, and makes the outboards durable. Blocks.
    pub(super) fn end(&self) -> Result<(), PublishError> {
        self.shared.store.outboards().sync()?;
        self.meter().tell();
        Ok(())
    }

    /// Bytes of files that were read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// One thread: takes files until none is left, or one failed.
    fn run(
        &self,
        files: &[Found],
        next: &AtomicUsize,
        stop: &AtomicBool,
    ) -> Result<Vec<(usize, Hashed)>, PublishError> {
        let mut done = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(found) = files.get(index) else {
                break;
            };
            let hashed = if self.cancel.is_cancelled() {
                Err(PublishError::Cancelled)
            } else {
                self.hash(found)
            };
            match hashed {
                Ok(hashed) => done.push((index, hashed)),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(done)
    }

    fn hash(&self, found: &Found) -> Result<Hashed, PublishError> {
        let file = self.root.open_read(&found.path)?;
        let _alone = (found.size >= ALL_CORES_BYTES_MIN).then(|| {
            self.all_cores
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        });
        let outboards = self.shared.store.outboards();
        let (hashed, map) =
            outboards.describe_file(&file, &found.file, self.wanted, &mut |block| {
                self.tick(block.len());
            })?;
        if hashed.size != found.size {
            return Err(HashError::Changed {
                path: found.file.clone(),
            }
            .into());
        }
        self.meter().now.files += 1;
        Ok(Hashed { file: hashed, map })
    }

    fn tick(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(0);
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
        let mut meter = self.meter();
        meter.now.bytes += bytes;
        meter.tick();
    }

    fn meter(&self) -> std::sync::MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
