//! Blocks of verified bytes, and writing them past the page cache.
//!
//! A page of cache costs more than all hashing and encryption of what it holds: it is found, perhaps cleared, filled
//! and written out later by somebody else, who keeps the next sync waiting. What is fetched is rarely read again at
//! once. So large blocks go to the disk directly where the file system can, and the kernel keeps its cache for what
//! is read. Measurements: `specs/decisions/0009-the-path-of-a-byte.md`.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    slice::SliceIndex,
    sync::atomic::{AtomicBool, Ordering},
};

/// What direct writes are aligned to, in memory and on disk: a multiple of every common sector.
const ALIGN_BYTES: usize = 4096;
/// Blocks below this size are gathered by the page cache.
const DIRECT_BYTES_MIN: usize = 128 * 1024;
/// Room that is made at once, however many bytes are to come.
const ROOM_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes in memory that begin at a multiple of 4 KiB if they are many.
#[derive(Debug, Default)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    start: usize,
}

impl Block {
    /// Room for `bytes`.
    pub(crate) fn for_bytes(bytes: u64) -> Self {
        let room = usize::try_from(bytes.min(ROOM_BYTES_MAX)).unwrap_or(0);
        if room < DIRECT_BYTES_MIN {
            return Self {
                bytes: Vec::with_capacity(room),
                start: 0,
            };
        }
        let mut bytes: Vec<u8> = Vec::with_capacity(room + ALIGN_BYTES);
        let start = misaligned(bytes.as_ptr().addr());
        let start = if start == 0 { 0 } else { ALIGN_BYTES - start };
        bytes.resize(start, 0);
        Self { bytes, start }
    }

    pub(crate) fn extend(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(self.start.saturating_add(len));
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(crate) fn get<I: SliceIndex<[u8]>>(&self, at: I) -> Option<&I::Output> {
        self.as_slice().get(at)
    }

    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        self.bytes.drain(..self.start);
        self.bytes
    }
}

fn misaligned(number: usize) -> usize {
    number % ALIGN_BYTES
}

/// A file that is written in large blocks and read in any.
#[derive(Debug)]
pub(crate) struct DataFile {
    file: File,
    direct: Option<File>,
    refused: AtomicBool,
}

impl DataFile {
    /// `second` is the same file, opened once more, for direct writes; without it there are none.
    pub(crate) fn new(file: File, second: Option<File>) -> Self {
        let direct = second.filter(|second| make_direct(second).is_ok());
        Self {
            file,
            direct,
            refused: AtomicBool::new(false),
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Writes all bytes to their place. As with any write, they are durable only after a sync.
    pub(crate) fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let part = self.directly(bytes, position);
        let (direct, rest) = bytes.split_at_checked(part.end).unwrap_or((&[], bytes));
        if let Some(file) = self.direct.as_ref().filter(|_| !direct.is_empty()) {
            match file.write_all_at(direct, position) {
                Ok(()) => {}
                // The file system wants another alignment, or only pretended to be able to.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.refused.store(true, Ordering::Relaxed);
                    return self.file.write_all_at(bytes, position);
                }
                Err(error) => return Err(error),
            }
        }
        let after = position.saturating_add(u64::try_from(direct.len()).unwrap_or(u64::MAX));
        self.file.write_all_at(rest, after)
    }

    /// What of `bytes` can be written directly: whole pages at page boundaries.
    fn directly(&self, bytes: &[u8], position: u64) -> Range<usize> {
        let whole = bytes.len() - misaligned(bytes.len());
        let aligned = misaligned(bytes.as_ptr().addr()) == 0
            && usize::try_from(position).is_ok_and(|position| misaligned(position) == 0);
        let able = self.direct.is_some() && !self.refused.load(Ordering::Relaxed);
        if able && aligned && whole >= DIRECT_BYTES_MIN {
            0..whole
        } else {
            0..0
        }
    }
}

#[cfg(target_os = "linux")]
fn make_direct(file: &File) -> io::Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let flags = fcntl_getfl(file)?;
    Ok(fcntl_setfl(file, flags | OFlags::DIRECT)?)
}

#[cfg(not(target_os = "linux"))]
fn make_direct(_: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests;
