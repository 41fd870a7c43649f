//! A file that is put together from chunks: those that are here, and those that arrive.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Mutex, PoisonError},
};

use opendag_protocol::{
    Hash,
    chunkmap::{Chunk, ChunkHash, ChunkMap},
};
use tokio_util::sync::CancellationToken;

use super::{
    bases::Bases,
    chunks::{Chunks, Source},
};
use crate::{
    disk::{Access, DiskError},
    fetch::{table::Wanted, writer::SMALL_BYTES_MAX},
    store::Target,
};

/// Neighbouring chunks of a base are copied together up to so many bytes.
const COPY_BYTES: u64 = 8 * 1024 * 1024;
/// Where file systems can share bytes between files: at whole blocks of so many bytes.
const BLOCK_BYTES: u64 = 4096;

/// A file that is being put together.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) wanted: Wanted,
    pub(super) map: ChunkMap,
    content: Content,
}

/// Where its bytes are until it is whole.
#[derive(Debug)]
enum Content {
    /// A small file.
    Memory(Mutex<Vec<u8>>),
    /// A large one: a file in the working folder, which a later run finds again.
    Disk { name: String, file: File },
}

/// A finished draft, to be checked against the hash of the file.
#[derive(Debug)]
pub(super) enum Finished {
    Memory(Vec<u8>),
    Disk { name: String, file: File },
}

impl Draft {
    /// Begins a file, or finds again what an earlier run left of it.
    pub(super) fn open(target: &Target, wanted: Wanted, map: ChunkMap) -> Result<Self, DiskError> {
        let size = wanted.entry.size();
        let content = if size <= SMALL_BYTES_MAX {
            let bytes = usize::try_from(size).unwrap_or(0);
            Content::Memory(Mutex::new(vec![0; bytes]))
        } else {
            let name = name(wanted.entry.hash());
            let work = target.work();
            let file = match work.open_own(&name) {
                Err(error) if error.is_not_found() => work.create_file(&name, Access::Umask),
                opened => opened,
            }?;
            file.set_len(size)
                .map_err(DiskError::io("write", &work.path().join(&name)))?;
            Content::Disk { name, file }
        };
        Ok(Self {
            wanted,
            map,
            content,
        })
    }

    /// Copies what is here, and answers which chunks are. Blocks.
    pub(super) fn fill(
        &self,
        chunks: &Chunks,
        bases: &mut Bases,
        cancel: &CancellationToken,
    ) -> io::Result<Vec<bool>> {
        let mut here = self.kept(cancel)?;
        let list: Vec<(u64, Chunk)> = self.map.with_offsets().collect();
        let mut at = 0;
        while let Some((_, chunk)) = list.get(at) {
            if cancel.is_cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let source = chunks.source(chunk.hash);
            let (Some(source), Some(false)) = (source, here.get(at)) else {
                at += 1;
                continue;
            };
            let run = run_from(list.get(at..).unwrap_or_default(), chunks, source);
            let run = list.get(at..at + run).unwrap_or_default();
            self.copy(run, source, bases)?;
            for (place, chunk) in here.iter_mut().skip(at).zip(run) {
                *place = self.holds(*chunk)?;
            }
            at += run.len();
        }
        Ok(here)
    }

    /// Which chunks an earlier run left: what is written is hashed, nothing else is kept of it.
    fn kept(&self, cancel: &CancellationToken) -> io::Result<Vec<bool>> {
        let Content::Disk { file, .. } = &self.content else {
            return Ok(vec![false; self.map.chunks().len()]);
        };
        // A file without a byte on disk is new.
        if std::os::unix::fs::MetadataExt::blocks(&file.metadata()?) == 0 {
            return Ok(vec![false; self.map.chunks().len()]);
        }
        let holds = |chunk| {
            if cancel.is_cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            self.holds(chunk)
        };
        self.map.with_offsets().map(holds).collect()
    }

    /// Copies neighbouring chunks; what is right of it is found out afterwards.
    fn copy(&self, run: &[(u64, Chunk)], source: Source, bases: &mut Bases) -> io::Result<()> {
        let Some((start, _)) = run.first() else {
            return Ok(());
        };
        let length: u64 = run.iter().map(|(_, chunk)| u64::from(chunk.length)).sum();
        match &self.content {
            Content::Memory(bytes) => {
                let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(to) = slice_mut(&mut bytes, *start, length) {
                    bases.read(source.base, source.offset, to);
                }
            }
            Content::Disk { file, .. } => {
                if let Some(base) = bases.file(source.base) {
                    copy_range(base, source.offset, file, *start, length)?;
                }
            }
        }
        Ok(())
    }

    /// Writes bytes that were checked.
    pub(super) fn write(&self, start: u64, bytes: &[u8]) -> io::Result<()> {
        match &self.content {
            Content::Memory(content) => {
                let mut content = content.lock().unwrap_or_else(PoisonError::into_inner);
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                if let Some(to) = slice_mut(&mut content, start, length) {
                    to.copy_from_slice(bytes);
                }
                Ok(())
            }
            Content::Disk { file, .. } => file.write_all_at(bytes, start),
        }
    }

    /// Is a chunk there?
    fn holds(&self, (start, chunk): (u64, Chunk)) -> io::Result<bool> {
        let length = usize::try_from(chunk.length).unwrap_or(0);
        match &self.content {
            Content::Memory(bytes) => {
                let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                let content = slice_mut(&mut bytes, start, u64::from(chunk.length));
                Ok(content.is_some_and(|content| ChunkHash::of(content) == chunk.hash))
            }
            Content::Disk { file, .. } => {
                let mut content = vec![0; length];
                file.read_exact_at(&mut content, start)?;
                Ok(ChunkHash::of(&content) == chunk.hash)
            }
        }
    }

    /// Makes durable what was written; a large file only, a small one is written when it is whole.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.content {
            Content::Memory(_) => Ok(()),
            Content::Disk { file, .. } => file.sync_data(),
        }
    }

    /// All chunks are there: the content, to be checked and put in place.
    pub(super) fn finish(&self) -> io::Result<Finished> {
        Ok(match &self.content {
            Content::Memory(bytes) => {
                let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                Finished::Memory(std::mem::take(&mut bytes))
            }
            Content::Disk { name, file } => Finished::Disk {
                name: name.clone(),
                file: file.try_clone()?,
            },
        })
    }

    /// Gives it up: nothing of it stays.
    pub(super) fn abandon(&self, target: &Target) {
        match &self.content {
            Content::Memory(bytes) => {
                *bytes.lock().unwrap_or_else(PoisonError::into_inner) = Vec::new();
            }
            Content::Disk { name, .. } => {
                // What stays is overwritten by the next run.
                let _ = target.work().remove_own(name);
            }
        }
    }
}

/// The name of a large file that is being put together.
fn name(hash: Hash) -> String {
    format!("{hash}.delta")
}

/// How many of the first chunks lie next to each other in one base, as they do here.
fn run_from(list: &[(u64, Chunk)], chunks: &Chunks, first: Source) -> usize {
    let mut next = first;
    let follows = |(_, chunk): &&(u64, Chunk)| {
        let goes_on = chunks.source(chunk.hash) == Some(next)
            && next.offset - first.offset <= COPY_BYTES - u64::from(chunk.length);
        next.offset += u64::from(chunk.length);
        goes_on
    };
    list.iter().take_while(follows).count().max(1)
}

fn slice_mut(bytes: &mut [u8], start: u64, length: u64) -> Option<&mut [u8]> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    bytes.get_mut(start..end)
}

/// Copies bytes between files; where both lie at whole blocks in the same way, the file system may share
/// them. A base that is shorter by now gives less: that is found out by hashing.
fn copy_range(from: &File, at: u64, to: &File, start: u64, length: u64) -> io::Result<()> {
    let head = match (at % BLOCK_BYTES, start % BLOCK_BYTES) {
        (a, b) if a == b => (BLOCK_BYTES - a) % BLOCK_BYTES,
        _ => 0,
    };
    let head = head.min(length);
    let body = (length - head) / BLOCK_BYTES * BLOCK_BYTES;
    let mut done = 0;
    for part in [head, body, length - head - body] {
        copy_part(from, at + done, to, start + done, part)?;
        done += part;
    }
    Ok(())
}

fn copy_part(from: &File, at: u64, to: &File, start: u64, length: u64) -> io::Result<()> {
    let (mut at, mut start, mut left) = (at, start, length);
    #[cfg(target_os = "linux")]
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut start), wanted) {
            Ok(0) => return Ok(()),
            Ok(copied) => left -= u64::try_from(copied).unwrap_or(left).min(left),
            // Not between these file systems, or not at all: by hand.
            Err(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT) => {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Err(_) => break,
        }
    }
    let mut block = vec![0; usize::try_from(left.min(256 * 1024)).unwrap_or(0)];
    while left > 0 {
        let wanted = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        let Some(content) = block.get_mut(..wanted) else {
            return Ok(());
        };
        let read = match from.read_at(content, at) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A base that cannot be read gives nothing.
            Err(_) => return Ok(()),
        };
        to.write_all_at(content.get(..read).unwrap_or_default(), start)?;
        let read = u64::try_from(read).unwrap_or(left);
        (at, start, left) = (at + read, start + read, left - read);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
