//! The outboards of complete shards: a file per hash, hash pairs in post-order.
//!
//! Shards of at most [`OUTBOARD_BYTES_MIN`] bytes have none: they are read whole. An outboard is never
//! trusted, every read verifies it against the root; so a damaged one costs a hashing, not an error.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use opendag_protocol::{Hash, chunkmap::ChunkMap};

use super::hash::{Chunks, Digests, HashError, HashedFile, hash_file};
use crate::disk::{self, Confined, DiskError};

/// Shards of up to so many bytes have no outboard on disk.
pub const OUTBOARD_BYTES_MIN: u64 = 1024 * 1024;

/// The folder of outboards. Clones share it. All functions block.
#[derive(Clone, Debug)]
pub struct Outboards {
    folder: Arc<Confined>,
}

impl Outboards {
    pub(crate) fn open(path: &Path) -> Result<Self, DiskError> {
        disk::create_private_folder(path)?;
        disk::remove_temporary_files(path)?;
        Ok(Self {
            folder: Arc::new(Confined::open(path)?),
        })
    }

    fn path(&self, hash: Hash) -> PathBuf {
        self.folder.path().join(hash.to_string())
    }

    /// Hashes an open file from its start and keeps its outboard if it is large.
    ///
    /// `sink` hears how many bytes were done, block by block. The outboard is durable only after
    /// [`Outboards::sync`]. Blocks; a large file is hashed on all cores.
    ///
    /// # Errors
    /// [`HashError::Changed`] if the file changed meanwhile; nothing is kept then.
    pub fn hash_file(
        &self,
        file: &File,
        path: &Path,
        digests: Digests,
        sink: &mut dyn FnMut(u64),
    ) -> Result<HashedFile, HashError> {
        let (hashed, _) = self.describe_file(file, path, (digests, Chunks::Skipped), sink)?;
        Ok(hashed)
    }

    /// As [`Outboards::hash_file`], with the chunk map of the file if it is wanted and not too long.
    ///
    /// # Errors
    /// As [`Outboards::hash_file`].
    pub(crate) fn describe_file(
        &self,
        file: &File,
        path: &Path,
        wanted: (Digests, Chunks),
        sink: &mut dyn FnMut(u64),
    ) -> Result<(HashedFile, Option<ChunkMap>), HashError> {
        let size = file.metadata().map_err(DiskError::io("read", path))?.len();
        if size <= OUTBOARD_BYTES_MIN {
            return hash_file(file, path, wanted, &mut io::sink(), sink);
        }
        let (name, outboard) = self.folder.create_temp()?;
        let shown = self.folder.path().join(&name);
        let made = describe_into((&outboard, &shown), (file, path), wanted, sink);
        let kept = made.and_then(|made| {
            self.folder.rename_own(&name, &made.0.hash.to_string())?;
            Ok(made)
        });
        if kept.is_err() {
            self.folder.remove_own(&name)?;
        }
        kept
    }

    /// Keeps a copy of the outboard of a shard that was fetched. Durable after [`Outboards::sync`].
    pub(crate) fn install(&self, hash: Hash, outboard: &mut File) -> Result<(), DiskError> {
        let (name, mut copy) = self.folder.create_temp()?;
        let copied = outboard
            .seek(SeekFrom::Start(0))
            .and_then(|_| io::copy(outboard, &mut copy))
            .map_err(DiskError::io("write", &self.path(hash)))
            .and_then(|_| self.folder.rename_own(&name, &hash.to_string()));
        if copied.is_err() {
            self.folder.remove_own(&name)?;
        }
        copied
    }

    /// Opens an outboard; `None` if there is none.
    pub(crate) fn get(&self, hash: Hash) -> Result<Option<File>, DiskError> {
        match self.folder.open_own(&hash.to_string()) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes an outboard. Answers the bytes freed.
    pub(crate) fn remove(&self, hash: Hash) -> Result<u64, DiskError> {
        let bytes = self.bytes_of(hash);
        let removed = disk::remove_file(&self.path(hash))?;
        Ok(if removed { bytes } else { 0 })
    }

    /// Bytes of an outboard; 0 if there is none.
    pub(crate) fn bytes_of(&self, hash: Hash) -> u64 {
        std::fs::metadata(self.path(hash)).map_or(0, |metadata| metadata.len())
    }

    /// The hashes that have an outboard.
    pub(crate) fn hashes(&self) -> Result<Vec<Hash>, DiskError> {
        let path = self.folder.path();
        let mut hashes = Vec::new();
        for entry in std::fs::read_dir(path).map_err(DiskError::io("read", path))? {
            let entry = entry.map_err(DiskError::io("read", path))?;
            if let Some(Ok(hash)) = entry.file_name().to_str().map(str::parse) {
                hashes.push(hash);
            }
        }
        Ok(hashes)
    }

    /// Makes all outboards durable.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn sync(&self) -> Result<(), DiskError> {
        self.folder.sync_all()
    }
}

/// Bytes of which the writing out begins together.
const FLOW_BYTES: u64 = 4 * 1024 * 1024;

/// A file that is written out while more comes, so that little is left for the sync at the end.
struct Flowing<'a> {
    file: &'a File,
    written: u64,
    /// Up to where the writing out has begun.
    begun: u64,
    /// Why the last write failed: who hashes would take it for a failure of the file that it reads.
    failed: Option<io::Error>,
}

impl<'a> Flowing<'a> {
    const fn new(file: &'a File) -> Self {
        Self {
            file,
            written: 0,
            begun: 0,
            failed: None,
        }
    }
}

/// Hashes a file, and writes its outboard into another.
fn describe_into(
    (outboard, shown): (&File, &Path),
    (file, path): (&File, &Path),
    wanted: (Digests, Chunks),
    sink: &mut dyn FnMut(u64),
) -> Result<(HashedFile, Option<ChunkMap>), HashError> {
    let mut flowing = Flowing::new(outboard);
    let made = hash_file(file, path, wanted, &mut flowing, sink);
    match flowing.failed {
        Some(error) if made.is_err() => Err(DiskError::io("write", shown)(error).into()),
        Some(_) | None => made,
    }
}

impl Write for Flowing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.file.write(bytes).map_err(|error| {
            let kind = error.kind();
            // Who writes tries again by itself after an interruption.
            self.failed = Some(error).filter(|_| kind != io::ErrorKind::Interrupted);
            io::Error::from(kind)
        })?;
        self.written += u64::try_from(taken).unwrap_or(0);
        if self.written - self.begun >= FLOW_BYTES {
            disk::begin_writing_out(self.file, self.begun..self.written);
            self.begun = self.written;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
