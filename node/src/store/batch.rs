//! Files that get their final names together: one sync of the bytes, all renames, one sync of the names.

use std::{
    fs::File,
    io::{self, Write},
};

use opendag_protocol::{DatasetPath, Hash};

use super::{
    bao,
    hash::{Digests, HashError},
    outboards::{OUTBOARD_BYTES_MIN, Outboards},
    partial::PartialShard,
    target::Target,
};
use crate::disk::{DiskError, Fingerprint, Replace};

/// Up to so many files are synced one by one; more are synced with all of their file system.
const SYNC_EACH_MAX: usize = 4;

/// Why a file was not put in place.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The bytes are not those of the hash.
    #[error("the bytes for {path} are not those of {hash}")]
    WrongBytes {
        /// The file.
        path: DatasetPath,
        /// What was expected.
        hash: Hash,
    },
    /// Chunk groups are missing.
    #[error("{path} is not complete")]
    Incomplete {
        /// The file.
        path: DatasetPath,
    },
    /// A sync failed: nothing of this batch is in place, and what was written of it is discarded.
    #[error("what was written of {files} files was lost by the disk")]
    Lost {
        /// How many files.
        files: usize,
        /// The first failure.
        #[source]
        source: DiskError,
    },
    /// The disk refused. [`DiskError::is_full`] tells whether to wait.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// A file that has its final name, durably, and whose bytes were verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where, below the target.
    pub path: DatasetPath,
    /// Its hash.
    pub hash: Hash,
    /// What tells whether it was changed since.
    pub fingerprint: Fingerprint,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Committed {
    /// These are in place, durably.
    pub placed: Vec<Placed>,
    /// These are not: something is in the way.
    pub failed: Vec<(DatasetPath, DiskError)>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    file: Option<File>,
    partial: Option<PartialShard>,
    placed: Placed,
}

/// Verified files with temporary names. Dropped without [`Batch::commit`], nothing of it stays but
/// its partial shards. All functions block.
#[derive(Debug)]
pub struct Batch {
    target: Target,
    outboards: Outboards,
    replace: Replace,
    entries: Vec<Entry>,
    bytes: u64,
}

impl Batch {
    pub(crate) fn new(target: Target, outboards: Outboards, replace: Replace) -> Self {
        Self {
            target,
            outboards,
            replace,
            entries: Vec::new(),
            bytes: 0,
        }
    }

    /// Files in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Is there no file in it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a file that lies in memory; its bytes are hashed before anything is written.
    ///
    /// # Errors
    /// [`BatchError::WrongBytes`]; [`BatchError::Disk`]: the batch is as before.
    pub fn put_small(
        &mut self,
        path: &DatasetPath,
        bytes: &[u8],
        hash: Hash,
    ) -> Result<(), BatchError> {
        if Hash::of(bytes) != hash {
            return Err(self.wrong(path, hash));
        }
        let (name, mut file) = self.target.work().create_temp()?;
        if let Err(error) = file.write_all(bytes) {
            self.target.work().remove_own(&name)?;
            return Err(DiskError::io("write", &self.shown(path))(error).into());
        }
        if bao::len64(bytes.len()) > OUTBOARD_BYTES_MIN {
            return self.take_hashed(path, hash, (name, file));
        }
        self.take(path, hash, (name, file))
    }

    /// Adds a copy of a file that should be the shard already, after hashing the copy.
    ///
    /// # Errors
    /// [`BatchError::WrongBytes`] if it is another one; the batch is as before.
    pub fn put_copy(
        &mut self,
        path: &DatasetPath,
        source: &File,
        hash: Hash,
    ) -> Result<(), BatchError> {
        let (name, mut file) = self.target.work().create_temp()?;
        let mut from = source;
        let copied = io::Seek::rewind(&mut from).and_then(|()| io::copy(&mut from, &mut file));
        if let Err(error) = copied {
            self.target.work().remove_own(&name)?;
            return Err(DiskError::io("copy to", &self.shown(path))(error).into());
        }
        self.take_hashed(path, hash, (name, file))
    }

    /// Adds a partial shard that is complete.
    ///
    /// # Errors
    /// [`BatchError::Incomplete`].
    pub fn put_partial(
        &mut self,
        path: &DatasetPath,
        partial: &PartialShard,
    ) -> Result<(), BatchError> {
        if !partial.is_complete() {
            return Err(BatchError::Incomplete { path: path.clone() });
        }
        if partial.size() > OUTBOARD_BYTES_MIN {
            let mut outboard = partial
                .outboard()
                .try_clone()
                .map_err(DiskError::io("read", &self.shown(path)))?;
            self.outboards.install(partial.hash(), &mut outboard)?;
        }
        let fingerprint =
            Fingerprint::of(partial.data()).map_err(DiskError::io("read", &self.shown(path)))?;
        self.bytes = self.bytes.saturating_add(fingerprint.size);
        self.entries.push(Entry {
            name: partial.data_name(),
            file: None,
            partial: Some(partial.clone()),
            placed: Placed {
                path: path.clone(),
                hash: partial.hash(),
                fingerprint,
            },
        });
        Ok(())
    }

    /// Hashes a temporary file (keeping its outboard if it is large) and adds it.
    fn take_hashed(
        &mut self,
        path: &DatasetPath,
        hash: Hash,
        (name, mut file): (String, File),
    ) -> Result<(), BatchError> {
        let shown = self.shown(path);
        let hashed = io::Seek::rewind(&mut file)
            .map_err(|error| HashError::from(DiskError::io("read", &shown)(error)))
            .and_then(|()| {
                self.outboards
                    .hash_file(&file, &shown, Digests::Blake3, &mut |_| {})
            });
        match hashed {
            Ok(hashed) if hashed.hash == hash => self.take(path, hash, (name, file)),
            Ok(_) | Err(HashError::Changed { .. }) => {
                self.target.work().remove_own(&name)?;
                Err(self.wrong(path, hash))
            }
            Err(HashError::Disk(error)) => {
                self.target.work().remove_own(&name)?;
                Err(error.into())
            }
        }
    }

    /// Adds a temporary file that was hashed.
    pub(crate) fn take(
        &mut self,
        path: &DatasetPath,
        hash: Hash,
        (name, file): (String, File),
    ) -> Result<(), BatchError> {
        let fingerprint =
            Fingerprint::of(&file).map_err(DiskError::io("read", &self.shown(path)))?;
        self.bytes = self.bytes.saturating_add(fingerprint.size);
        // Descriptors are scarce: a large batch is synced as a whole and keeps none open.
        let file = (self.entries.len() < SYNC_EACH_MAX).then_some(file);
        self.entries.push(Entry {
            name,
            file,
            partial: None,
            placed: Placed {
                path: path.clone(),
                hash,
                fingerprint,
            },
        });
        Ok(())
    }

    /// Gives all files their final names. When it returns, they are durable.
    ///
    /// # Errors
    /// [`BatchError::Lost`] if the bytes cannot be made durable. A file that cannot get its name (something is in the
    /// way) is no error of the batch: see [`Committed::failed`].
    pub fn commit(mut self) -> Result<Committed, BatchError> {
        if self.entries.is_empty() {
            return Ok(Committed::default());
        }
        if let Err(source) = self.sync_bytes() {
            let files = self.entries.len();
            for entry in &self.entries {
                if let Some(partial) = &entry.partial {
                    partial.abandon();
                }
            }
            return Err(BatchError::Lost { files, source });
        }
        let few = self.entries.len() <= SYNC_EACH_MAX;
        let mut committed = Committed::default();
        let mut done = Vec::new();
        for entry in std::mem::take(&mut self.entries) {
            let path = &entry.placed.path;
            let renamed =
                self.target
                    .root()
                    .rename_into(self.target.work(), &entry.name, path, self.replace);
            match renamed {
                Ok(()) => {
                    if few {
                        self.target.root().sync_parent(path)?;
                    }
                    done.extend(entry.partial);
                    committed.placed.push(entry.placed);
                }
                Err(error) => {
                    if entry.partial.is_none() {
                        self.target.work().remove_own(&entry.name)?;
                    }
                    committed.failed.push((entry.placed.path, error));
                }
            }
        }
        if !few {
            self.target.root().sync_all()?;
        }
        for partial in done {
            partial.clear()?;
        }
        Ok(committed)
    }

    fn sync_bytes(&self) -> Result<(), DiskError> {
        let large = |entry: &Entry| entry.placed.fingerprint.size > OUTBOARD_BYTES_MIN;
        if self.entries.iter().any(large) {
            self.outboards.sync()?;
        }
        if self.entries.len() > SYNC_EACH_MAX {
            return self.target.root().sync_all();
        }
        for entry in &self.entries {
            let file = entry.partial.as_ref().map(PartialShard::data);
            if let Some(file) = file.or(entry.file.as_ref()) {
                file.sync_data()
                    .map_err(DiskError::io("sync", &self.shown(&entry.placed.path)))?;
            }
        }
        Ok(())
    }

    fn wrong(&self, path: &DatasetPath, hash: Hash) -> BatchError {
        BatchError::WrongBytes {
            path: path.clone(),
            hash,
        }
    }

    fn shown(&self, path: &DatasetPath) -> std::path::PathBuf {
        self.target.path().join(path.as_str())
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for entry in self.entries.iter().filter(|entry| entry.partial.is_none()) {
            // What stays is removed when the target is opened again.
            let _ = self.target.work().remove_own(&entry.name);
        }
    }
}

#[cfg(test)]
mod tests;
