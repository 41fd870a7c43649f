//! Chunk maps: where the content of a file is cut, so that an older version's bytes are used again.
//!
//! A chunk map lists content-defined chunks with their hashes. How long chunks are follows from the
//! size of the file alone ([`Cut::for_size`]), so that whoever holds an older version cuts it alike
//! ([`ChunkMapBuilder`]). A large file's map is a blob of its own; those of small files lie together in
//! one blob for each page of the file table ([`MapPack`]).
//!
//! A map is a hint that no one trusts: whoever assembles a file from chunks verifies it against the
//! file's own hash. Source: `specs/file-table.md`, section *Chunk maps*.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{
    cbor::{self, CborError},
    id::Hash,
    limits::{CHUNK_BYTES_MAX, DESCRIPTION_BLOB_BYTES_MAX},
    table::EncodedBlob,
};

mod cut;
mod names;
mod pack;

pub use cut::{ChunkMapBuilder, Cut};
pub(crate) use pack::PackBuilder;
pub use pack::{MapPack, PackIndex};

/// Version of the format of a map that is a blob.
const CHUNK_MAP_VERSION: u64 = 2;

const TYPE: &str = "chunk-map";

/// What precedes the chunks in a map that is a blob: a map of three, its type, and the next key.
const BEFORE_CHUNKS: &[u8] = b"\xa3\x64type\x69chunk-map\x66chunks";

/// Bytes of a chunk in an encoded map: its length in 3 bytes, and its hash.
const ENCODED_CHUNK_BYTES: usize = 3 + CHUNK_HASH_BYTES;

/// Bytes of a chunk's hash. Among a million chunks that are looked for in a hundred million, one in 200,000
/// fetches takes a wrong one; the file's own hash finds it, so that it costs time only. Longer ones would
/// make the maps of small files half as long again.
const CHUNK_HASH_BYTES: usize = 8;

/// What an encoded map has besides its chunks, and more.
const FRAME_BYTES_MAX: u64 = 64;

/// Most chunks: a map of more would be larger than a description may be.
const CHUNKS_MAX: usize = {
    let bytes = DESCRIPTION_BLOB_BYTES_MAX - FRAME_BYTES_MAX;
    #[expect(clippy::cast_possible_truncation, reason = "at most 16 MiB")]
    let bytes = bytes as usize;
    bytes / ENCODED_CHUNK_BYTES
};

/// The name of a chunk: the first bytes of the BLAKE3 hash of its content. A hint: it finds chunks, and proves
/// nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkHash([u8; CHUNK_HASH_BYTES]);

impl ChunkHash {
    /// The name of a chunk of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from(Hash::of(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; CHUNK_HASH_BYTES] {
        &self.0
    }
}

impl From<Hash> for ChunkHash {
    fn from(hash: Hash) -> Self {
        let (half, _) = hash
            .as_bytes()
            .split_first_chunk()
            .unwrap_or((&[0; CHUNK_HASH_BYTES], &[]));
        Self(*half)
    }
}

impl fmt::Display for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A chunk of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// Its bytes.
    pub length: u32,
    /// Their hash.
    pub hash: ChunkHash,
}

/// The chunks of a file, in order.
///
/// Invariants: all have [`Cut::min`] to [`Cut::max`] bytes of the cut of the file's size, the last 1 to
/// [`Cut::max`]; they add up to that size, and are no more than a description can list. Their hashes may
/// be lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkMap {
    chunks: Vec<Chunk>,
}

/// The form of a map that is a blob. `chunks` is one chunk after another: 3 bytes of length,
/// little-endian, and the hash.
#[derive(Serialize, Deserialize)]
struct ChunkMapForm {
    r#type: String,
    version: u64,
    chunks: ByteBuf,
}

/// Why bytes are not the chunk map of a file, or a file has none.
#[derive(Debug, thiserror::Error)]
pub enum ChunkMapError {
    /// Larger than a description may be.
    #[error("a chunk map of {bytes} bytes is larger than a description may be")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not of the form of a chunk map.
    #[error("the chunk map is malformed")]
    Form(#[source] CborError),
    /// Another kind of blob, or a version that this program does not know.
    #[error("the blob is no chunk map of a version that this program knows")]
    OtherType,
    /// A chunk is too short or too long, or together they are not as long as the file.
    #[error("the chunks do not make up a file of {size} bytes")]
    Lengths {
        /// Bytes of the file.
        size: u64,
    },
    /// A pack has more or fewer maps than its page has entries.
    #[error("{maps} chunk maps do not go with a page of {entries} entries")]
    Entries {
        /// Maps in the pack.
        maps: usize,
        /// Entries on the page.
        entries: usize,
    },
    /// A pack is shorter or longer than its counts say.
    #[error("the chunk maps of a pack are not as long as it says")]
    PackLength,
    /// It cannot be encoded.
    #[error("cannot encode a chunk map")]
    Encode(#[source] CborError),
}

impl ChunkMap {
    /// Reads the chunk map of a file of `size` bytes. The caller has verified the hash of `bytes`.
    ///
    /// # Errors
    /// If it is malformed or its lengths do not make up such a file.
    pub fn decode(bytes: &[u8], size: u64) -> Result<Self, ChunkMapError> {
        check_size(bytes)?;
        let form: ChunkMapForm = cbor::from_slice_canonical(bytes).map_err(ChunkMapError::Form)?;
        if form.r#type != TYPE || form.version != CHUNK_MAP_VERSION {
            return Err(ChunkMapError::OtherType);
        }
        Self::from_list(&form.chunks, size)
    }

    /// The first chunks of a map, from the first bytes of its blob; nothing if these are something else. Whether they
    /// are within the limits is not checked: it is a sample.
    #[must_use]
    pub fn front(bytes: &[u8]) -> Vec<Chunk> {
        let head = |rest: &[u8]| match rest.first()? {
            0x40..=0x57 => Some(1),
            0x58 => Some(2),
            0x59 => Some(3),
            0x5a => Some(5),
            _ => None,
        };
        let rest = bytes.strip_prefix(BEFORE_CHUNKS);
        let list = rest.and_then(|rest| rest.get(head(rest)?..));
        let (chunks, _) = list.unwrap_or_default().as_chunks::<ENCODED_CHUNK_BYTES>();
        let read = |[a, b, c, hash @ ..]: &[u8; ENCODED_CHUNK_BYTES]| Chunk {
            length: u32::from_le_bytes([*a, *b, *c, 0]),
            hash: ChunkHash(*hash),
        };
        chunks.iter().map(read).collect()
    }

    /// The blob that holds it.
    ///
    /// # Errors
    /// If it is larger than a description may be.
    pub fn encode(&self) -> Result<EncodedBlob, ChunkMapError> {
        encode(&ChunkMapForm {
            r#type: TYPE.to_owned(),
            version: CHUNK_MAP_VERSION,
            chunks: self.to_list(),
        })
    }

    /// Its chunks.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Its chunks with the position in the file where each begins.
    pub fn with_offsets(&self) -> impl Iterator<Item = (u64, Chunk)> + '_ {
        self.chunks.iter().scan(0_u64, |offset, chunk| {
            let start = *offset;
            *offset = offset.saturating_add(u64::from(chunk.length));
            Some((start, *chunk))
        })
    }

    /// Does it save anything? A file of one chunk is known by its own hash.
    #[must_use]
    pub const fn is_useful(&self) -> bool {
        self.chunks.len() > 1
    }

    /// Reads chunks one after another, as they stand in maps and packs.
    fn from_list(list: &[u8], size: u64) -> Result<Self, ChunkMapError> {
        let wrong = || ChunkMapError::Lengths { size };
        let (chunks, rest) = list.as_chunks::<ENCODED_CHUNK_BYTES>();
        let Cut { min, max, .. } = Cut::for_size(size);
        let last = chunks.len().saturating_sub(1);
        let read = |(at, chunk): (usize, &[u8; ENCODED_CHUNK_BYTES])| {
            let [a, b, c, hash @ ..] = *chunk;
            let length = u32::from_le_bytes([a, b, c, 0]);
            let min = if at == last { 1 } else { min };
            let hash = ChunkHash(hash);
            (min..=max)
                .contains(&length)
                .then_some(Chunk { length, hash })
        };
        let chunks: Option<Vec<Chunk>> = chunks.iter().enumerate().map(read).collect();
        let chunks = chunks.ok_or_else(wrong)?;
        let sum: u64 = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
        if !rest.is_empty() || chunks.len() > CHUNKS_MAX || sum != size {
            return Err(wrong());
        }
        Ok(Self { chunks })
    }

    fn to_list(&self) -> ByteBuf {
        let mut list = Vec::with_capacity(self.list_bytes());
        for chunk in &self.chunks {
            let [a, b, c, _] = chunk.length.to_le_bytes();
            list.extend_from_slice(&[a, b, c]);
            list.extend_from_slice(&chunk.hash.0);
        }
        ByteBuf::from(list)
    }

    /// Bytes of its chunks in maps and packs.
    pub(crate) const fn list_bytes(&self) -> usize {
        self.chunks.len().saturating_mul(ENCODED_CHUNK_BYTES)
    }
}

fn check_size(bytes: &[u8]) -> Result<(), ChunkMapError> {
    match u64::try_from(bytes.len()) {
        Ok(..=DESCRIPTION_BLOB_BYTES_MAX) => Ok(()),
        _ => Err(ChunkMapError::TooLarge { bytes: bytes.len() }),
    }
}

fn encode(form: &impl Serialize) -> Result<EncodedBlob, ChunkMapError> {
    let bytes = cbor::to_vec(form).map_err(ChunkMapError::Encode)?;
    check_size(&bytes)?;
    Ok(EncodedBlob::of(bytes))
}

// A length of 3 bytes holds the longest chunk.
const _: () = assert!(CHUNK_BYTES_MAX < 1 << 24);

#[cfg(test)]
mod tests;
