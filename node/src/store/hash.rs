//! Hashing a file: BLAKE3, SHA-256, the outboard and the chunk map in one reading.
//!
//! A large file is read and hashed block by block on all cores ([`crew`]); what has to see its bytes in
//! order (SHA-256, chunks) runs on threads of its own beside that.

use std::{
    cell::RefCell, fs::File, io, io::Write, os::unix::fs::FileExt, path::Path, path::PathBuf,
};

use opendag_protocol::{
    Hash,
    chunkmap::{ChunkMap, ChunkMapBuilder, Cut},
};
use sha2::{Digest, Sha256};

use super::outboards::OUTBOARD_BYTES_MIN;
use crate::disk::{DiskError, Fingerprint};

mod crew;
mod tree;

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

/// Is the file cut into chunks?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// No.
    Skipped,
    /// Yes, by the cut of its size.
    Cut,
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

/// What comes out of one reading.
#[derive(Debug)]
struct Content {
    hash: Hash,
    sha256: Option<[u8; 32]>,
    chunks: Option<ChunkMap>,
}

/// Hashes an open file from its start. `outboard` takes the hash pairs in post-order if the file is large
/// enough to have one; `sink` hears how many bytes were done, block by block. The answer has a chunk
/// map if one was asked for and the file is not too long for it.
///
/// Blocks. Holds about 10 MiB of a file however large it is.
pub(crate) fn hash_file(
    file: &File,
    path: &Path,
    (digests, chunks): (Digests, Chunks),
    outboard: &mut dyn Write,
    sink: &mut dyn FnMut(u64),
) -> Result<(HashedFile, Option<ChunkMap>), HashError> {
    let read_error = || DiskError::io("read", path);
    let before = Fingerprint::of(file).map_err(read_error())?;
    let size = before.size;
    let sides = Sides {
        sha256: (digests == Digests::Both).then(Sha256::new),
        chunks: (chunks == Chunks::Cut).then(|| ChunkMapBuilder::new(Cut::for_size(size))),
    };
    let content = if size <= OUTBOARD_BYTES_MIN {
        hash_small(file, size, sides, sink)
    } else {
        crew::hash_large(file, size, sides, outboard, sink)
    };
    let changed = || HashError::Changed {
        path: path.to_owned(),
    };
    let content = content.map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => changed(),
        _ => read_error()(error).into(),
    })?;
    // Says also whether it has grown.
    if Fingerprint::of(file).map_err(read_error())? != before {
        return Err(changed());
    }
    let hashed = HashedFile {
        size,
        hash: content.hash,
        sha256: content.sha256,
        fingerprint: before,
    };
    Ok((hashed, content.chunks))
}

/// What is made of the bytes in their order, besides BLAKE3.
struct Sides {
    sha256: Option<Sha256>,
    chunks: Option<ChunkMapBuilder>,
}

fn hash_small(
    file: &File,
    size: u64,
    sides: Sides,
    sink: &mut dyn FnMut(u64),
) -> io::Result<Content> {
    thread_local! {
        /// Many small files are read by one thread.
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    // At most OUTBOARD_BYTES_MIN.
    let len = usize::try_from(size).unwrap_or(usize::MAX);
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        let bytes = buffer.get_mut(..len).unwrap_or_default();
        file.read_exact_at(bytes, 0)?;
        if !bytes.is_empty() {
            sink(size);
        }
        Ok(Content {
            hash: Hash::of(bytes),
            sha256: sides.sha256.map(|hasher| in_order(hasher, bytes)),
            chunks: sides.chunks.and_then(|builder| in_order(builder, bytes)),
        })
    })
}

/// Takes the bytes of a file in their order.
trait InOrder: Send {
    /// What it makes of them.
    type Made: Send;
    /// The next bytes.
    fn take(&mut self, bytes: &[u8]);
    /// That was all.
    fn end(self) -> Self::Made;
}

impl InOrder for Sha256 {
    type Made = [u8; 32];

    fn take(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }

    fn end(self) -> [u8; 32] {
        self.finalize().into()
    }
}

impl InOrder for ChunkMapBuilder {
    type Made = Option<ChunkMap>;

    fn take(&mut self, bytes: &[u8]) {
        self.push(bytes);
    }

    fn end(self) -> Option<ChunkMap> {
        self.finish()
    }
}

fn in_order<T: InOrder>(mut side: T, bytes: &[u8]) -> T::Made {
    side.take(bytes);
    side.end()
}

#[cfg(test)]
mod tests;
