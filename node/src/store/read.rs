//! Verified reads: what a peer or a reader is given was hashed on its way out.

use std::{fs::File, os::unix::fs::FileExt};

use opendag_protocol::{
    Hash,
    wire::{GroupRange, groups_in},
};

use super::{
    bao::{self, BaoError, Source},
    outboards::{OUTBOARD_BYTES_MIN, Outboards},
};
use crate::disk::{DiskError, Fingerprint};

/// The most bytes of a blob that are read in one call: they are held in memory.
pub const READ_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The blob, or that part of it, is not here (any more).
    #[error("blob {hash} is not here")]
    NotFound {
        /// The blob.
        hash: Hash,
    },
    /// The range lies behind the blob's end, or is longer than [`READ_BYTES_MAX`].
    #[error("the range of blob {hash} lies behind its end or is too long")]
    OutOfRange {
        /// The blob.
        hash: Hash,
    },
    /// The index cannot be read.
    #[error("cannot look up blob {hash}")]
    Index {
        /// The blob.
        hash: Hash,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Why a file is not what the index says.
#[derive(Debug)]
pub(crate) enum FileFault {
    /// Size, time of change or inode differ.
    Changed,
    /// Fingerprint as expected, bytes wrong.
    WrongBytes,
    /// The outboard is missing or damaged; the file may be right.
    Outboard,
    /// The range lies behind the end.
    OutOfRange,
    /// It cannot be read.
    Io(std::io::Error),
}

/// What is wanted of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A response for a peer: size prefix and hash pairs included.
    Bao,
    /// The plain bytes.
    Plain,
}

/// Reads a range of a complete shard that lies in `file`, verified against `hash`.
pub(crate) fn read_file(
    file: &File,
    expected: &Fingerprint,
    (hash, outboards): (Hash, &Outboards),
    (range, form): (GroupRange, Form),
) -> Result<Vec<u8>, FileFault> {
    let found = Fingerprint::of(file).map_err(FileFault::Io)?;
    if found != *expected {
        return Err(FileFault::Changed);
    }
    let size = expected.size;
    let wanted = range.bytes(size);
    if wanted.end - wanted.start > READ_BYTES_MAX {
        return Err(FileFault::OutOfRange);
    }
    if size <= OUTBOARD_BYTES_MIN {
        let data = read_whole(file, size)?;
        return from_memory(data, hash, range, form).map_err(fault);
    }
    let outboard = outboards
        .get(hash)
        .ok()
        .flatten()
        .ok_or(FileFault::Outboard)?;
    let source = Source {
        hash,
        size,
        data: file,
        outboard: &outboard,
    };
    let read = match form {
        Form::Bao => source.encode(range),
        Form::Plain => source.read(range),
    };
    read.map_err(fault)
}

fn read_whole(file: &File, size: u64) -> Result<Vec<u8>, FileFault> {
    let mut data = vec![0; usize::try_from(size).map_err(|_| FileFault::OutOfRange)?];
    file.read_exact_at(&mut data, 0)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => FileFault::Changed,
            _ => FileFault::Io(error),
        })?;
    Ok(data)
}

fn fault(error: BaoError) -> FileFault {
    match error {
        BaoError::OutOfRange => FileFault::OutOfRange,
        BaoError::Corrupt => FileFault::WrongBytes,
        BaoError::Io(error) => FileFault::Io(error),
    }
}

/// Gives a range of a blob that lies in memory, after checking that it is the blob `hash`.
pub(crate) fn from_memory(
    mut data: Vec<u8>,
    hash: Hash,
    range: GroupRange,
    form: Form,
) -> Result<Vec<u8>, BaoError> {
    if form == Form::Bao {
        return bao::encode_memory(&data, hash, range);
    }
    if Hash::of(&data) != hash {
        return Err(BaoError::Corrupt);
    }
    let size = bao::len64(data.len());
    if range.within(groups_in(size)).is_none() && size > 0 {
        return Err(BaoError::OutOfRange);
    }
    let wanted = range.bytes(size);
    let end = usize::try_from(wanted.end).unwrap_or(usize::MAX);
    let start = usize::try_from(wanted.start).unwrap_or(usize::MAX);
    data.truncate(end);
    data.drain(..start.min(end));
    Ok(data)
}
