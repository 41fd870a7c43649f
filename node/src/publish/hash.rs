//! Hashing files of a publish on all cores, in place.

use std::{
    num::NonZero,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::SystemTime,
};

use opendag_protocol::{BlobId, chunkmap::ChunkMap};
use tokio_util::sync::CancellationToken;

use super::{PublishError, earlier::Earlier, walk::Found};
use crate::{
    disk::{Confined, DiskError},
    node::Shared,
    ops::PublishRequest,
    report::{Meter, Reporter},
    store::{Chunks, Digests, HashError, HashedFile, Known, RootId, Stamp},
};

/// A file of so many bytes is hashed on all cores by itself, and others of that kind wait.
const ALL_CORES_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// A file that was hashed.
#[derive(Debug)]
pub(super) struct Hashed {
    pub(super) file: HashedFile,
    pub(super) map: Map,
    /// What is remembered of it; `None` if a change might not be seen.
    pub(super) known: Option<Known>,
}

/// The chunk map of a file.
#[derive(Debug)]
pub(super) enum Map {
    /// It is not wanted, or cannot be listed.
    None,
    /// In memory, to be written.
    Made(ChunkMap),
    /// A blob that is here already.
    Kept(BlobId),
}

/// Hashes the files of one publish.
pub(super) struct Hasher {
    shared: Arc<Shared>,
    root: Confined,
    root_id: RootId,
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
            root_id: RootId::of(root),
            wanted: wanted(request),
            all_cores: Mutex::new(()),
            meter: Mutex::new(Meter::new(report.clone(), "hash", files, bytes)),
            bytes_read: AtomicU64::new(0),
            cancel: cancel.clone(),
        })
    }

    /// Hashes some files, of which those that are what they were `earlier` are not read. Blocks. The answer
    /// has their order.
    ///
    /// A file that is another one than was found, or that changes while it is read, stops all.
    pub(super) fn hash_all(
        &self,
        files: &[Found],
        earlier: Vec<Option<Earlier>>,
    ) -> Result<Vec<Hashed>, PublishError> {
        let earlier: Vec<_> = earlier.into_iter().map(Mutex::new).collect();
        let files: Vec<_> = files.iter().zip(&earlier).collect();
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let threads = thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(files.len());
        let parts = thread::scope(|scope| {
            let run = || self.run(&files, &next, &stop);
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
        lock(&self.meter).tell();
        Ok(())
    }

    /// Bytes of files that were read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// One thread: takes files until none is left, or one failed.
    fn run(
        &self,
        files: &[(&Found, &Mutex<Option<Earlier>>)],
        next: &AtomicUsize,
        stop: &AtomicBool,
    ) -> Result<Vec<(usize, Hashed)>, PublishError> {
        let mut done = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((found, earlier)) = files.get(index) else {
                break;
            };
            let earlier = lock(earlier).take();
            let hashed = if self.cancel.is_cancelled() {
                Err(PublishError::Cancelled)
            } else {
                self.hash(found, earlier)
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

    fn hash(&self, found: &Found, earlier: Option<Earlier>) -> Result<Hashed, PublishError> {
        let file = self.root.open_read(&found.path)?;
        let shown = self.root.path().join(found.path.as_str());
        let stamp = Stamp::of(&file).map_err(DiskError::io("read", &shown))?;
        if let Some(earlier) = earlier.filter(|earlier| self.is_unchanged(found, stamp, earlier)) {
            return Ok(self.keep(earlier));
        }
        let read_at = SystemTime::now();
        let _alone = (found.size >= ALL_CORES_BYTES_MIN).then(|| lock(&self.all_cores));
        let outboards = self.shared.store.outboards();
        let (file, map) = outboards.describe_file(&file, &shown, self.wanted, &mut |bytes| {
            self.tick(bytes);
        })?;
        if file.size != found.size {
            return Err(HashError::Changed { path: shown }.into());
        }
        lock(&self.meter).now.files += 1;
        let is_remembered = stamp.fingerprint == file.fingerprint && stamp.is_settled(read_at);
        let known = Known {
            stamp,
            hash: file.hash,
            sha256: file.sha256,
        };
        Ok(Hashed {
            file,
            map: map.map_or(Map::None, Map::Made),
            known: is_remembered.then_some(known),
        })
    }

    fn is_unchanged(&self, found: &Found, stamp: Stamp, earlier: &Earlier) -> bool {
        let known = &earlier.known;
        known.stamp == stamp
            && (known.sha256.is_some() || self.wanted.0 == Digests::Blake3)
            && self
                .shared
                .store
                .is_served(self.root_id, &found.path, known)
    }

    /// What a file is that did not change.
    fn keep(&self, Earlier { known, map }: Earlier) -> Hashed {
        let fingerprint = known.stamp.fingerprint;
        let mut meter = lock(&self.meter);
        meter.now.files += 1;
        meter.now.bytes += fingerprint.size;
        meter.tick();
        let sha256 = known.sha256.filter(|_| self.wanted.0 == Digests::Both);
        Hashed {
            file: HashedFile {
                size: fingerprint.size,
                hash: known.hash,
                sha256,
                fingerprint,
            },
            map,
            known: Some(known),
        }
    }

    fn tick(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
        let mut meter = lock(&self.meter);
        meter.now.bytes += bytes;
        meter.tick();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
