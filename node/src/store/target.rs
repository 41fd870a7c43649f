//! The folder into which a version is fetched, with its working folder for what is not whole yet.

use std::{
    fs::{File, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use opendag_protocol::{DatasetPath, Hash};

use super::{
    batch::Batch,
    hash::{Digests, HashError},
    outboards::Outboards,
    partial::PartialShard,
};
use crate::disk::{Access, Confined, DiskError, Fingerprint, Found, Replace};

/// Name of the working folder below a target. No [`DatasetPath`] leads into it.
pub const WORK_FOLDER: &str = opendag_protocol::path::WORKING_FOLDER;
/// The lock in the working folder.
const LOCK: &str = "lock";

/// Why a target cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Another fetch, of this process or of another one, writes there.
    #[error("another fetch writes into {path}; wait for it or choose another folder", path = path.display())]
    Busy {
        /// The target.
        path: PathBuf,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What lies at the place where a shard is to be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Nothing.
    Absent,
    /// The shard itself: hashed and found equal.
    Same(Fingerprint),
    /// Something else: another file, a folder, a symlink.
    Other,
}

/// A target folder, locked for one fetch. Clones share it. All functions block.
#[derive(Clone, Debug)]
pub struct Target {
    root: Arc<Confined>,
    work: Arc<Confined>,
    _lock: Arc<File>,
}

impl Target {
    /// Opens a target folder, makes it if need be, locks it, and removes what a killed fetch left half
    /// written there. Partial shards stay.
    ///
    /// # Errors
    /// [`TargetError::Busy`] if another fetch holds it.
    pub fn open(root: &Path) -> Result<Self, TargetError> {
        let root = Confined::create(root)?;
        let work = root.subfolder(WORK_FOLDER)?;
        let lock = match work.open_own(LOCK) {
            Err(error) if error.is_not_found() => work.create_file(LOCK, Access::Umask)?,
            opened => opened?,
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(TargetError::Busy {
                    path: root.path().to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => {
                return Err(DiskError::io("lock", root.path())(error).into());
            }
        }
        work.remove_temporary_files()?;
        Ok(Self {
            root: Arc::new(root),
            work: Arc::new(work),
            _lock: Arc::new(lock),
        })
    }

    /// The path of the target folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Is it the same target, opened by the same fetch?
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.root, &other.root)
    }

    pub(crate) fn root(&self) -> &Confined {
        &self.root
    }

    pub(crate) fn work(&self) -> &Arc<Confined> {
        &self.work
    }

    /// Opens or begins a partial shard.
    ///
    /// What an earlier run left is hashed again: that takes about a second per GiB.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn partial(&self, hash: Hash, size: u64) -> Result<PartialShard, DiskError> {
        PartialShard::open(&self.work, hash, size)
    }

    /// Was a partial shard begun here?
    #[must_use]
    pub fn has_partial(&self, hash: Hash) -> bool {
        self.work.open_own(&format!("{hash}.part")).is_ok()
    }

    /// Is there nothing but our working folder? Then no path needs to be looked at.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn is_fresh(&self) -> Result<bool, DiskError> {
        Ok(self.root.names()?.iter().all(|name| name == WORK_FOLDER))
    }

    /// What lies at a path, without reading it.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn find(&self, path: &DatasetPath) -> Result<Found, DiskError> {
        self.root.find(path)
    }

    /// Is the shard at its place already? Hashes a file of the right size.
    ///
    /// # Errors
    /// [`HashError`]; a file that changes meanwhile is [`Existing::Other`].
    pub fn existing(
        &self,
        path: &DatasetPath,
        (hash, size): (Hash, u64),
        outboards: &Outboards,
    ) -> Result<Existing, HashError> {
        match self.find(path)? {
            Found::Nothing => return Ok(Existing::Absent),
            Found::File { size: found } if found == size => {}
            Found::File { .. } | Found::Other => return Ok(Existing::Other),
        }
        let file = self.root.open_read(path)?;
        let shown = self.root.path().join(path.as_str());
        match outboards.hash_file(&file, &shown, Digests::Blake3, &mut |_| {}) {
            Ok(hashed) if hashed.hash == hash => Ok(Existing::Same(hashed.fingerprint)),
            Ok(_) | Err(HashError::Changed { .. }) => Ok(Existing::Other),
            Err(error) => Err(error),
        }
    }

    /// Opens a file that was put in place, for reading.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn open_read(&self, path: &DatasetPath) -> Result<File, DiskError> {
        self.root.open_read(path)
    }

    /// Begins a batch of files that get their final names together.
    #[must_use]
    pub fn batch(&self, outboards: &Outboards, replace: Replace) -> Batch {
        Batch::new(self.clone(), outboards.clone(), replace)
    }

    /// Bytes that may still be written here.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn free_bytes(&self) -> Result<u64, DiskError> {
        self.root.free_bytes()
    }

    /// Bytes on disk of what an earlier run left unfinished.
    #[must_use]
    pub fn unfinished_bytes(&self) -> u64 {
        let entries = std::fs::read_dir(self.work.path()).into_iter().flatten();
        let blocks = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.blocks()));
        // `st_blocks` counts 512 bytes on every system.
        blocks.fold(0, |sum: u64, blocks| {
            sum.saturating_add(blocks.saturating_mul(512))
        })
    }

    /// Ends a complete fetch: what is staged and in no version's place is not wanted any more.
    pub fn finish(&self) {
        self.drop_staged();
        self.tidy();
    }

    /// Removes the working folder if nothing unfinished is in it.
    pub fn tidy(&self) {
        // Whatever stays does no harm: the next fetch opens it again.
        let Ok(names) = self.work.names() else {
            return;
        };
        let is_left = |name: &str| match name.rsplit_once('.') {
            // Pairs and bitmap of a file that got its name just before a crash.
            Some((hash, "obao" | "bits")) => !names.contains(&format!("{hash}.part")),
            Some(_) | None => false,
        };
        for name in names.iter().filter(|name| is_left(name)) {
            let _ = self.work.remove_own(name);
        }
        if names.iter().all(|name| name == LOCK || is_left(name)) {
            let _ = self.work.remove_own(LOCK);
            let _ = std::fs::remove_dir(self.work.path());
        }
    }
}
