//! Files that get their final names together: one sync of the bytes, then all renames. The names are synced with the
//! bytes of the next batch, or by [`Names::sync`].

use std::{fs::File, io};

use opendag_protocol::{DatasetPath, Hash};

use super::{
    hash::{Digests, HashError},
    outboards::{OUTBOARD_BYTES_MIN, Outboards},
    partial::PartialShard,
    stage::Staged,
    target::Target,
};
use crate::disk::{Confined, DiskError, Fingerprint, Replace};

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

/// A file that has its final name, and whose bytes were verified and are durable.
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
    /// These are in place.
    pub placed: Vec<Placed>,
    /// These are not: something is in the way.
    pub failed: Vec<(DatasetPath, DiskError)>,
}

/// Names that were given and are not durable yet: a power cut may take them back, never the bytes.
#[derive(Debug, Default)]
pub struct Names {
    some: Vec<DatasetPath>,
    /// More than are worth a sync of their own each.
    many: bool,
}

impl Names {
    fn add(&mut self, path: &DatasetPath) {
        self.many |= self.some.len() >= SYNC_EACH_MAX;
        if self.many {
            self.some.clear();
        } else {
            self.some.push(path.clone());
        }
    }

    /// Makes them durable.
    ///
    /// # Errors
    /// [`DiskError`]; they are still to be synced then.
    pub fn sync(&mut self, target: &Target) -> Result<(), DiskError> {
        if self.many {
            target.root().sync_all()?;
        }
        for path in &self.some {
            target.root().sync_parent(path)?;
        }
        *self = Self::default();
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) file: Option<File>,
    pub(super) partial: Option<PartialShard>,
    pub(super) placed: Placed,
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
        let staged = self.target.write_staged(path, bytes, hash)?;
        if staged.is_small() {
            self.add(staged);
            return Ok(());
        }
        let (name, file) = staged.into_file();
        let file = match file {
            Some(file) => file,
            None => self.target.work().open_own(&name)?,
        };
        self.take_hashed(path, hash, (name, file))
    }

    /// Adds a small file that was written already.
    pub fn add(&mut self, staged: Staged) {
        let mut entry = staged.into_entry();
        self.bytes = self.bytes.saturating_add(entry.placed.fingerprint.size);
        self.keep_open(&mut entry);
        self.entries.push(entry);
    }

    /// Descriptors are scarce: a large batch is synced as a whole and keeps none open.
    fn keep_open(&self, entry: &mut Entry) {
        if self.entries.len() >= SYNC_EACH_MAX {
            entry.file = None;
        }
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

    /// Adds a second name for a file of ours that should be the shard already, after hashing it: it takes no room.
    ///
    /// # Errors
    /// [`BatchError::WrongBytes`] if it is another one, [`BatchError::Disk`] if it cannot have another name; the batch
    /// is as before.
    pub fn put_link(
        &mut self,
        path: &DatasetPath,
        (folder, source): (&Confined, &DatasetPath),
        hash: Hash,
    ) -> Result<(), BatchError> {
        let name = self.target.work().link_temp(folder, source)?;
        let file = self.target.work().open_own(&name)?;
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
        self.add(Staged::new(
            (name, file),
            Placed {
                path: path.clone(),
                hash,
                fingerprint,
            },
        ));
        Ok(())
    }

    /// Gives all files their final names. When it returns, they are durable.
    ///
    /// # Errors
    /// As [`Batch::name`]; [`BatchError::Disk`] if the names cannot be made durable.
    pub fn commit(self) -> Result<Committed, BatchError> {
        let target = self.target.clone();
        let mut names = Names::default();
        let committed = self.name(&mut names)?;
        names.sync(&target)?;
        Ok(committed)
    }

    /// Makes the bytes of all files durable, and gives them their final names. What `names` holds of earlier batches is
    /// made durable on the way if that costs nothing; those of this batch are added to it.
    ///
    /// # Errors
    /// [`BatchError::Lost`] if the bytes cannot be made durable. A file that cannot get its name (something is in the
    /// way) is no error of the batch: see [`Committed::failed`].
    pub fn name(mut self, names: &mut Names) -> Result<Committed, BatchError> {
        if self.entries.is_empty() {
            return Ok(Committed::default());
        }
        match self.sync_bytes() {
            Ok(Synced::FileSystem) => *names = Names::default(),
            Ok(Synced::Files) => {}
            Err(source) => {
                let files = self.entries.len();
                let partials = self
                    .entries
                    .iter()
                    .filter_map(|entry| entry.partial.as_ref());
                partials.for_each(PartialShard::abandon);
                return Err(BatchError::Lost { files, source });
            }
        }
        let mut committed = Committed::default();
        let mut done = Vec::new();
        let target = self.target.clone();
        let mut walker = target.root().walker();
        // Transfers bring files of several folders in turn; the walker stays in one as long as it can.
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by(|one, two| one.placed.path.cmp(&two.placed.path));
        for entry in entries {
            let path = &entry.placed.path;
            let from = (&**target.work(), entry.name.as_str());
            match walker.rename_into(from, path, self.replace) {
                Ok(()) => {
                    names.add(path);
                    done.extend(entry.partial);
                    committed.placed.push(entry.placed);
                }
                Err(error) => {
                    if entry.partial.is_none() {
                        target.work().remove_own(&entry.name)?;
                    }
                    committed.failed.push((entry.placed.path, error));
                }
            }
        }
        if !done.is_empty() {
            // A partial shard without its bitmap is lost, so its new name has to last first.
            names.sync(&target)?;
        }
        for partial in done {
            partial.clear()?;
        }
        Ok(committed)
    }

    fn sync_bytes(&self) -> Result<Synced, DiskError> {
        let large = |entry: &Entry| entry.placed.fingerprint.size > OUTBOARD_BYTES_MIN;
        if self.entries.iter().any(large) {
            self.outboards.sync()?;
        }
        if self.entries.len() > SYNC_EACH_MAX {
            self.target.root().sync_all()?;
            return Ok(Synced::FileSystem);
        }
        for entry in &self.entries {
            let file = entry.partial.as_ref().map(PartialShard::data);
            if let Some(file) = file.or(entry.file.as_ref()) {
                file.sync_data()
                    .map_err(DiskError::io("sync", &self.shown(&entry.placed.path)))?;
            }
        }
        Ok(Synced::Files)
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

/// What was made durable.
enum Synced {
    /// The files of the batch.
    Files,
    /// All that was written before, names included.
    FileSystem,
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
