//! Hashing a file: BLAKE3, SHA-256 and the outboard in one reading.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
};

use bao_tree::io::sync::outboard_post_order;
use opendag_protocol::Hash;
use sha2::{Digest, Sha256};

use super::bao;
use crate::disk::{DiskError, Fingerprint};

/// Bytes read at once.
const BLOCK_BYTES: usize = 1024 * 1024;
/// Files from this size on get a second thread, for SHA-256.
const THREAD_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// Blocks that wait for the second thread: bounds the memory of one file to a few MiB.
const BLOCKS_WAITING_MAX: usize = 4;

/// What a file is, as read from start to end without a change in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedFile {
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3.
    pub hash: Hash,
    /// SHA-256, if it was asked for.
    pub sha256: Option<[u8; 32]>,
    /// What tells whether it was changed since.
    pub fingerprint: Fingerprint,
}

/// Which hashes are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digests {
    /// BLAKE3 alone: to check a file.
    Blake3,
    /// BLAKE3 and SHA-256: to publish a file.
    Both,
}

/// Why a file was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// It changed while it was read.
    #[error("{path} was changed while it was read", path = path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read, or its outboard not be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Hashes an open file from its start. `outboard` takes the hash pairs in post-order; `sink` sees all
/// bytes in order, block by block, for progress and chunk maps.
///
/// Blocks. Holds about 6 MiB of a file however large it is.
pub(crate) fn hash_file(
    file: &File,
    path: &Path,
    digests: Digests,
    outboard: &mut dyn Write,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<HashedFile, HashError> {
    let read_error = || DiskError::io("read", path);
    let before = Fingerprint::of(file).map_err(read_error())?;
    let hashed = thread::scope(|scope| {
        let sha = match digests {
            Digests::Blake3 => Sha::Skipped,
            Digests::Both if before.size < THREAD_BYTES_MIN => Sha::Here(Sha256::new()),
            Digests::Both => {
                let (blocks, taken) = mpsc::sync_channel(BLOCKS_WAITING_MAX);
                Sha::Thread(blocks, scope.spawn(move || sha256_of(&taken)))
            }
        };
        let mut reader = Reader {
            file,
            block: Arc::new(Vec::new()),
            position: 0,
            sha,
            sink,
            left: before.size,
        };
        let mut outboard = BufWriter::with_capacity(64 * 1024, outboard);
        let root = outboard_post_order(&mut reader, bao::tree(before.size), &mut outboard)?;
        outboard.flush()?;
        let grown = reader.has_more()?;
        Ok((Hash::from(root), reader.sha.finish()?, grown))
    });
    let changed = || HashError::Changed {
        path: path.to_owned(),
    };
    let (hash, sha256, grown) = hashed.map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => changed(),
        _ => read_error()(error).into(),
    })?;
    let after = Fingerprint::of(file).map_err(read_error())?;
    if grown || after != before {
        return Err(changed());
    }
    Ok(HashedFile {
        size: before.size,
        hash,
        sha256,
        fingerprint: before,
    })
}

/// Where SHA-256 is computed.
enum Sha<'scope> {
    Skipped,
    Here(Sha256),
    Thread(
        mpsc::SyncSender<Arc<Vec<u8>>>,
        thread::ScopedJoinHandle<'scope, [u8; 32]>,
    ),
}

impl Sha<'_> {
    fn update(&mut self, block: &Arc<Vec<u8>>) {
        match self {
            Self::Skipped => {}
            Self::Here(hasher) => hasher.update(block.as_slice()),
            // The other end is gone only if its thread died: `finish` reports that.
            Self::Thread(blocks, _) => drop(blocks.send(Arc::clone(block))),
        }
    }

    fn finish(self) -> io::Result<Option<[u8; 32]>> {
        match self {
            Self::Skipped => Ok(None),
            Self::Here(hasher) => Ok(Some(hasher.finalize().into())),
            Self::Thread(blocks, thread) => {
                drop(blocks);
                thread
                    .join()
                    .map(Some)
                    .map_err(|_| io::Error::other("the SHA-256 thread ended early"))
            }
        }
    }
}

fn sha256_of(blocks: &mpsc::Receiver<Arc<Vec<u8>>>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for block in blocks {
        hasher.update(block.as_slice());
    }
    hasher.finalize().into()
}

/// Reads a file in large blocks, shows each to SHA-256 and the sink, and gives them out in any portion.
struct Reader<'a, 'scope> {
    file: &'a File,
    block: Arc<Vec<u8>>,
    position: usize,
    sha: Sha<'scope>,
    sink: &'a mut dyn FnMut(&[u8]),
    left: u64,
}

impl Reader<'_, '_> {
    fn refill(&mut self) -> io::Result<()> {
        let wanted = usize::try_from(self.left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        let mut block = match Arc::get_mut(&mut self.block) {
            Some(block) => std::mem::take(block),
            None => Vec::new(),
        };
        block.resize(wanted, 0);
        self.file.read_exact(&mut block)?;
        self.left -= bao::len64(wanted);
        self.block = Arc::new(block);
        self.position = 0;
        self.sha.update(&self.block);
        (self.sink)(&self.block);
        Ok(())
    }

    /// Does the file go on behind its end as it was at the beginning?
    fn has_more(&mut self) -> io::Result<bool> {
        loop {
            match self.file.read(&mut [0]) {
                Ok(bytes) => return Ok(bytes > 0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Read for Reader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.block.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.refill()?;
        }
        let rest = self.block.get(self.position..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..len), rest.get(..len)) {
            to.copy_from_slice(from);
        }
        self.position += len;
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
