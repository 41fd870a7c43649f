//! Hashing all files of a publish on all cores, in place.

use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use tokio_util::sync::CancellationToken;

use super::{
    PublishError,
    walk::{Found, Walk},
};
use crate::{
    disk::Confined,
    node::Shared,
    report::{Meter, Reporter},
    store::{Digests, HashError, HashedFile},
};

/// Hashes every file of a walk. Blocks. The answer has the order of the walk.
///
/// A file that is another one than was found, or that changes while it is read, stops all.
pub(super) fn all(
    shared: &Shared,
    walk: &Walk,
    report: Reporter,
    cancel: &CancellationToken,
) -> Result<Vec<HashedFile>, PublishError> {
    let bytes = walk.files.iter().map(|found| found.size).sum();
    let files = u64::try_from(walk.files.len()).unwrap_or(u64::MAX);
    let work = Work {
        shared,
        root: Confined::open(&walk.root)?,
        walk,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        meter: Mutex::new(Meter::new(report, "hash", files, bytes)),
        cancel,
    };
    let threads = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(walk.files.len());
    let parts = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work.run())).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or(Err(PublishError::Stopped))
        };
        workers.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    let mut hashed: Vec<(usize, HashedFile)> = parts.into_iter().flatten().collect();
    hashed.sort_unstable_by_key(|(index, _)| *index);
    shared.store.outboards().sync()?;
    work.meter
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .tell();
    Ok(hashed.into_iter().map(|(_, hashed)| hashed).collect())
}

struct Work<'a> {
    shared: &'a Shared,
    root: Confined,
    walk: &'a Walk,
    next: AtomicUsize,
    stop: AtomicBool,
    meter: Mutex<Meter>,
    cancel: &'a CancellationToken,
}

impl Work<'_> {
    /// One thread: takes files until none is left, or one failed.
    fn run(&self) -> Result<Vec<(usize, HashedFile)>, PublishError> {
        let mut done = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(found) = self.walk.files.get(index) else {
                break;
            };
            match self.hash(found) {
                Ok(hashed) => done.push((index, hashed)),
                Err(error) => {
                    self.stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
            if self.cancel.is_cancelled() {
                self.stop.store(true, Ordering::Relaxed);
                return Err(PublishError::Cancelled);
            }
        }
        Ok(done)
    }

    fn hash(&self, found: &Found) -> Result<HashedFile, PublishError> {
        let file = self.root.open_read(&found.path)?;
        let outboards = self.shared.store.outboards();
        let hashed = outboards.hash_file(&file, &found.file, Digests::Both, &mut |block| {
            self.tick(block.len());
        })?;
        if hashed.size != found.size {
            return Err(HashError::Changed {
                path: found.file.clone(),
            }
            .into());
        }
        self.meter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .now
            .files += 1;
        Ok(hashed)
    }

    fn tick(&self, bytes: usize) {
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.now.bytes += u64::try_from(bytes).unwrap_or(0);
        meter.tick();
    }
}
