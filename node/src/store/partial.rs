//! A shard that is being fetched: verified chunk groups in a working file, and a bitmap that never
//! claims what is not durable.
//!
//! Three files in the working folder of a target: `<hash>.part` (the bytes), `<hash>.obao` (the hash
//! pairs, in post-order), `<hash>.bits` (which chunk groups are there). A checkpoint syncs the first two
//! and then replaces the third. Source: `specs/storage.md`, section *Partial shards*.

mod forget;

use std::{
    fs::File,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opendag_protocol::{
    Hash,
    limits::CHUNK_GROUP_BYTES,
    wire::{GroupRange, GroupRanges, groups_in},
};

use super::{
    bao::{self, BaoError, Source},
    block::DataFile,
    piece::{Corrupt, Expect, Piece, PieceDecoder},
    read::ReadError,
};
use crate::disk::{Access, Confined, DiskError, temp_name};

/// First bytes of a bitmap file.
const BITS_MAGIC: &[u8; 8] = b"ODBITS1\n";
/// A bitmap file is never larger: one range for every second chunk group of a very large shard.
const BITS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Chunk groups that are checked at once when a partial shard is opened again.
const CHECK_GROUPS: u64 = 1024 * 1024 / CHUNK_GROUP_BYTES;

/// Why verified bytes were not written.
#[derive(Debug, thiserror::Error)]
pub enum PartialError {
    /// The bytes are not those of the shard: blame who sent them.
    #[error("wrong bytes for shard {hash}")]
    Corrupt {
        /// The shard.
        hash: Hash,
        /// What is wrong.
        #[source]
        source: Corrupt,
    },
    /// The disk refused. [`DiskError::is_full`] tells whether to wait.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A sync failed, so nothing of this shard can be believed any more; it was discarded.
    /// Open it again and fetch it from the start.
    #[error("what was fetched of shard {hash} was lost by the disk")]
    Lost {
        /// The shard.
        hash: Hash,
    },
    /// Not all chunk groups are there yet.
    #[error("shard {hash} is not complete")]
    Incomplete {
        /// The shard.
        hash: Hash,
    },
}

#[derive(Debug, Default)]
struct State {
    /// Verified and written.
    have: GroupRanges,
    /// Bytes written since the last checkpoint.
    dirty_bytes: u64,
    /// A sync failed.
    lost: bool,
}

#[derive(Debug)]
struct Inner {
    work: Arc<Confined>,
    hash: Hash,
    size: u64,
    data: DataFile,
    outboard: File,
    state: Mutex<State>,
    /// Held during a checkpoint: two at once could put the older bitmap over the newer.
    checkpoint: Mutex<()>,
}

/// A shard that is being fetched. Clones share it; writes may come from several threads.
///
/// All functions that touch the disk block. Invariant: each group in `have` was verified against the hash of the
/// shard and written; the bitmap on disk claims only groups that were durable before it was written.
#[derive(Clone, Debug)]
pub struct PartialShard {
    inner: Arc<Inner>,
}

impl PartialShard {
    /// Opens or begins a partial shard in a working folder. What the bitmap claims is hashed again, and only
    /// what is right is kept: [`PartialShard::missing`] tells the rest.
    pub(crate) fn open(work: &Arc<Confined>, hash: Hash, size: u64) -> Result<Self, DiskError> {
        let claimed = read_bits(work, hash, size)?;
        let data = open_or_create(work, &name(hash, "part"))?;
        let outboard = open_or_create(work, &name(hash, "obao"))?;
        let path = work.path().join(name(hash, "part"));
        let resize =
            |file: &File, bytes| file.set_len(bytes).map_err(DiskError::io("write", &path));
        resize(&data, size)?;
        resize(&outboard, bao::tree(size).outboard_size())?;
        let have = verified(hash, size, (&data, &outboard), &claimed);
        let second = work.open_own(&name(hash, "part"))?;
        let inner = Inner {
            work: Arc::clone(work),
            hash,
            size,
            data: DataFile::new(data, Some(second)),
            outboard,
            state: Mutex::new(State {
                have,
                ..State::default()
            }),
            checkpoint: Mutex::new(()),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Is it a clone of this one?
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The shard's hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.inner.hash
    }

    /// The shard's size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.inner.size
    }

    /// The chunk groups that are here.
    #[must_use]
    pub fn have(&self) -> GroupRanges {
        self.state().have.clone()
    }

    /// Are all of these chunk groups here?
    #[must_use]
    pub fn has(&self, groups: GroupRange) -> bool {
        self.state().have.contains_all(groups)
    }

    /// The chunk groups that are not here.
    #[must_use]
    pub fn missing(&self) -> GroupRanges {
        self.state().have.missing_within(groups_in(self.inner.size))
    }

    /// Are all chunk groups here?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let state = self.state();
        !state.lost && state.have.is_complete(groups_in(self.inner.size))
    }

    /// Bytes written since the last checkpoint.
    #[must_use]
    pub fn dirty_bytes(&self) -> u64 {
        self.state().dirty_bytes
    }

    /// A decoder for a range of this shard.
    #[must_use]
    pub fn decoder(&self, groups: GroupRange) -> PieceDecoder {
        PieceDecoder::new(self.inner.hash, Expect::Size(self.inner.size), groups)
    }

    /// Writes verified bytes. Blocks. Durable only after [`PartialShard::checkpoint`].
    ///
    /// # Errors
    /// [`PartialError::Corrupt`] if it is a piece of another shard; `Disk`; `Lost`.
    pub fn write(&self, piece: &Piece) -> Result<(), PartialError> {
        let inner = &*self.inner;
        if piece.hash() != inner.hash {
            return Err(self.corrupt(Corrupt::Length));
        }
        if self.state().lost {
            return Err(PartialError::Lost { hash: inner.hash });
        }
        let Some(groups) = piece.groups() else {
            return Ok(());
        };
        piece
            .write_to(&inner.data, &inner.outboard)
            .map_err(self.disk("write"))?;
        let mut state = self.state();
        state.have.insert(groups);
        state.dirty_bytes = state
            .dirty_bytes
            .saturating_add(bao::len64(piece.bytes().len()));
        Ok(())
    }

    /// Verifies the whole response for a range (size prefix included) and writes it. Blocks.
    ///
    /// # Errors
    /// As [`PartialShard::write`]; with `Corrupt`, the groups before the wrong one are kept.
    pub fn write_bao(&self, groups: GroupRange, encoded: &[u8]) -> Result<(), PartialError> {
        let mut decoder = self.decoder(groups);
        let pushed = decoder.push(encoded);
        let complete = decoder.is_complete();
        self.write(&decoder.into_piece())?;
        match pushed {
            Ok(taken) if complete && taken == encoded.len() => Ok(()),
            Ok(_) => Err(self.corrupt(Corrupt::Length)),
            Err(source) => Err(self.corrupt(source)),
        }
    }

    /// Makes durable what was written until now, and then says so in the bitmap. Blocks.
    ///
    /// # Errors
    /// [`PartialError::Lost`] if a sync failed: the shard is discarded. `Disk` if the bitmap cannot be
    /// written: the older one stays valid.
    pub fn checkpoint(&self) -> Result<(), PartialError> {
        let inner = &*self.inner;
        let _one = inner
            .checkpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (have, dirty_bytes) = {
            let state = self.state();
            if state.lost {
                return Err(PartialError::Lost { hash: inner.hash });
            }
            (state.have.clone(), state.dirty_bytes)
        };
        if dirty_bytes == 0 {
            return Ok(());
        }
        if inner.data.file().sync_data().is_err() || inner.outboard.sync_data().is_err() {
            return Err(self.discard());
        }
        write_bits(&inner.work, inner.hash, inner.size, &have)?;
        let mut state = self.state();
        state.dirty_bytes = state.dirty_bytes.saturating_sub(dirty_bytes);
        Ok(())
    }

    /// A sync failed: nothing that was written can be believed.
    fn discard(&self) -> PartialError {
        let inner = &*self.inner;
        let mut state = self.state();
        state.lost = true;
        state.have = GroupRanges::new();
        self.remove_files();
        PartialError::Lost { hash: inner.hash }
    }

    /// Forgets the shard: removes its working files. Blocks.
    pub fn abandon(&self) {
        let mut state = self.state();
        state.lost = true;
        state.have = GroupRanges::new();
        self.remove_files();
    }

    fn remove_files(&self) {
        // The bitmap first: without it the other two claim nothing, should they stay.
        for ending in ["bits", "part", "obao"] {
            let _ = self.inner.work.remove_own(&name(self.inner.hash, ending));
        }
    }

    /// Encodes a range for a peer, each byte verified. Blocks.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] if not all of the range is here.
    pub fn read_bao(&self, groups: GroupRange) -> Result<Vec<u8>, ReadError> {
        self.read(groups, |source| source.encode(groups))
    }

    /// The verified bytes of a range. Blocks.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] if not all of the range is here.
    pub fn read_bytes(&self, groups: GroupRange) -> Result<Vec<u8>, ReadError> {
        self.read(groups, |source| source.read(groups))
    }

    fn read(
        &self,
        groups: GroupRange,
        encode: impl FnOnce(&Source<'_>) -> Result<Vec<u8>, BaoError>,
    ) -> Result<Vec<u8>, ReadError> {
        let inner = &*self.inner;
        let hash = inner.hash;
        let wanted = groups.within(groups_in(inner.size));
        let here = wanted.is_some_and(|range| self.state().have.contains_all(range));
        if !here && inner.size > 0 {
            return Err(ReadError::NotFound { hash });
        }
        let source = Source {
            hash,
            size: inner.size,
            data: inner.data.file(),
            outboard: &inner.outboard,
        };
        encode(&source).map_err(|error| match error {
            BaoError::OutOfRange => ReadError::OutOfRange { hash },
            BaoError::Io(source) => {
                ReadError::Disk(DiskError::io("read", inner.work.path())(source))
            }
            BaoError::Corrupt => {
                // Somebody changed the working file; fetch that part again.
                if let Some(range) = wanted {
                    self.state().have.remove(range);
                }
                ReadError::NotFound { hash }
            }
        })
    }

    pub(crate) fn data(&self) -> &File {
        self.inner.data.file()
    }

    pub(crate) fn outboard(&self) -> &File {
        &self.inner.outboard
    }

    pub(crate) fn data_name(&self) -> String {
        name(self.inner.hash, "part")
    }

    /// Removes what is left when the data file has its final name.
    pub(crate) fn clear(&self) -> Result<(), DiskError> {
        self.inner.work.remove_own(&name(self.inner.hash, "bits"))?;
        self.inner.work.remove_own(&name(self.inner.hash, "obao"))
    }

    fn corrupt(&self, source: Corrupt) -> PartialError {
        PartialError::Corrupt {
            hash: self.inner.hash,
            source,
        }
    }

    fn disk(&self, operation: &'static str) -> impl FnOnce(io::Error) -> DiskError + use<> {
        let path = self.inner.work.path().join(self.data_name());
        DiskError::io(operation, &path)
    }
}

fn name(hash: Hash, ending: &str) -> String {
    format!("{hash}.{ending}")
}

fn open_or_create(work: &Confined, name: &str) -> Result<File, DiskError> {
    match work.open_own(name) {
        Err(error) if error.is_not_found() => work.create_file(name, Access::Umask),
        opened => opened,
    }
}

/// What of `claimed` is really there.
fn verified(
    hash: Hash,
    size: u64,
    (data, outboard): (&File, &File),
    claimed: &GroupRanges,
) -> GroupRanges {
    let source = Source {
        hash,
        size,
        data,
        outboard,
    };
    let mut have = GroupRanges::new();
    for range in claimed.within(groups_in(size)).iter() {
        let mut first = range.first;
        while let Some(piece) =
            GroupRange::between(first, range.end().min(first.saturating_add(CHECK_GROUPS)))
        {
            if source.read(piece).is_ok() {
                have.insert(piece);
            }
            first = piece.end();
        }
    }
    have
}

/// Bitmap file: magic, size of the shard, ranges as pairs of `u64`, CRC-32 of all before; little-endian.
fn write_bits(work: &Confined, hash: Hash, size: u64, have: &GroupRanges) -> Result<(), DiskError> {
    let mut bytes = BITS_MAGIC.to_vec();
    bytes.extend_from_slice(&size.to_le_bytes());
    for range in have.iter() {
        bytes.extend_from_slice(&range.first.to_le_bytes());
        bytes.extend_from_slice(&range.count.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());

    let temporary = temp_name();
    let target = name(hash, "bits");
    let path = work.path().join(&target);
    let written = work
        .create_file(&temporary, Access::Umask)
        .and_then(|mut file| {
            file.write_all(&bytes)
                .and_then(|()| file.sync_data())
                .map_err(DiskError::io("write", &path))
        })
        .and_then(|()| work.rename_own(&temporary, &target));
    if let Err(error) = written {
        work.remove_own(&temporary)?;
        return Err(error);
    }
    work.sync_names()
}

/// The ranges that a bitmap claims; none if it is missing, damaged or of another size.
fn read_bits(work: &Confined, hash: Hash, size: u64) -> Result<GroupRanges, DiskError> {
    use std::io::Read;
    let target = name(hash, "bits");
    let file = match work.open_own(&target) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(GroupRanges::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(BITS_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(DiskError::io("read", &work.path().join(&target)))?;
    Ok(parse_bits(&bytes, size).unwrap_or_default())
}

fn parse_bits(bytes: &[u8], size: u64) -> Option<GroupRanges> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let rest = body.strip_prefix(BITS_MAGIC)?;
    let (claimed_size, rest) = rest.split_first_chunk::<8>()?;
    if u64::from_le_bytes(*claimed_size) != size {
        return None;
    }
    let mut ranges = GroupRanges::new();
    for pair in rest.chunks(16) {
        let (first, count) = pair.split_first_chunk::<8>()?;
        let first = u64::from_le_bytes(*first);
        let count = u64::from_le_bytes(count.try_into().ok()?);
        ranges.insert(GroupRange::between(first, first.checked_add(count)?)?);
    }
    Some(ranges)
}

#[cfg(test)]
mod tests;
