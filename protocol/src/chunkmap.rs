//! Chunk maps: where the content of a file can be cut, so that an older version's bytes are used again.
//!
//! A chunk map lists content-defined chunks (FastCDC, 64 KiB on average) with their hashes. It is a
//! hint that no one trusts: whoever assembles a file from chunks verifies it against the file's own
//! hash. Source: `specs/file-table.md`, section *Chunk maps*; Xia et al., "The Design of Fast
//! Content-Defined Chunking for Data Deduplication Based Storage Systems", 2020.

use fastcdc::v2020::{FastCDC, Normalization};
use serde::{Deserialize, Serialize};

use crate::{
    cbor::{self, CborError},
    id::Hash,
    limits::DESCRIPTION_BLOB_BYTES_MAX,
    table::EncodedBlob,
};

/// No chunk but the last of a file is shorter.
pub const CHUNK_BYTES_MIN: u32 = 16 * 1024;

/// What chunks are cut to on average.
pub const CHUNK_BYTES_AVERAGE: u32 = 64 * 1024;

/// No chunk is longer.
pub const CHUNK_BYTES_MAX: u32 = 256 * 1024;

/// Version of the format.
const CHUNK_MAP_VERSION: u64 = 1;

const TYPE: &str = "chunk-map";

/// Most bytes that a chunk takes in the encoded map: a list of a number and a hash.
const ENCODED_CHUNK_BYTES_MAX: u64 = 1 + 5 + 34;

/// Most chunks: a map of more, from files of about 25 GiB on, is larger than a description may be.
const CHUNKS_MAX: u64 = (DESCRIPTION_BLOB_BYTES_MAX - 64) / ENCODED_CHUNK_BYTES_MAX;

/// A chunk of a file. On the wire `[length, hash]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "(u32, Hash)", into = "(u32, Hash)")]
pub struct Chunk {
    /// Its bytes.
    pub length: u32,
    /// Their hash.
    pub hash: Hash,
}

impl From<(u32, Hash)> for Chunk {
    fn from((length, hash): (u32, Hash)) -> Self {
        Self { length, hash }
    }
}

impl From<Chunk> for (u32, Hash) {
    fn from(chunk: Chunk) -> Self {
        (chunk.length, chunk.hash)
    }
}

/// The chunks of a file, in order.
///
/// Invariants: all have [`CHUNK_BYTES_MIN`] to [`CHUNK_BYTES_MAX`] bytes, the last 1 to
/// [`CHUNK_BYTES_MAX`], and they add up to the size of the file. Their hashes may be lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkMap {
    chunks: Vec<Chunk>,
}

#[derive(Serialize, Deserialize)]
struct ChunkMapForm {
    r#type: String,
    version: u64,
    chunks: Vec<Chunk>,
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
    /// Not of the form of a chunk map, or of a later version.
    #[error("the chunk map is malformed")]
    Form(#[source] CborError),
    /// Another kind of blob, or a version that this program does not know.
    #[error("the blob is no chunk map of version {CHUNK_MAP_VERSION}")]
    OtherType,
    /// A chunk is too short or too long, or together they are not as long as the file.
    #[error("the chunks do not make up a file of {size} bytes")]
    Lengths {
        /// Bytes of the file.
        size: u64,
    },
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
        if u64::try_from(bytes.len()).is_ok_and(|len| len > DESCRIPTION_BLOB_BYTES_MAX) {
            return Err(ChunkMapError::TooLarge { bytes: bytes.len() });
        }
        let form: ChunkMapForm = cbor::from_slice_canonical(bytes).map_err(ChunkMapError::Form)?;
        if form.r#type != TYPE || form.version != CHUNK_MAP_VERSION {
            return Err(ChunkMapError::OtherType);
        }
        let chunks = form.chunks;
        let sum: u64 = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
        let before_last = chunks.split_last().map_or(&[][..], |(_, before)| before);
        let is_bounded = before_last
            .iter()
            .all(|chunk| chunk.length >= CHUNK_BYTES_MIN)
            && chunks
                .iter()
                .all(|chunk| (1..=CHUNK_BYTES_MAX).contains(&chunk.length));
        if sum != size || !is_bounded {
            return Err(ChunkMapError::Lengths { size });
        }
        Ok(Self { chunks })
    }

    /// The blob that holds it.
    ///
    /// # Errors
    /// If it is larger than a description may be.
    pub fn encode(&self) -> Result<EncodedBlob, ChunkMapError> {
        let form = ChunkMapForm {
            r#type: TYPE.to_owned(),
            version: CHUNK_MAP_VERSION,
            chunks: self.chunks.clone(),
        };
        let bytes = cbor::to_vec(&form).map_err(ChunkMapError::Encode)?;
        if u64::try_from(bytes.len()).is_ok_and(|len| len > DESCRIPTION_BLOB_BYTES_MAX) {
            return Err(ChunkMapError::TooLarge { bytes: bytes.len() });
        }
        Ok(EncodedBlob::new(bytes))
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
}

/// Cuts the content of a file into chunks as it comes by.
///
/// How the content is split over calls makes no difference. It holds at most [`CHUNK_BYTES_MAX`] bytes
/// besides those of the call, and the chunks found.
#[derive(Debug, Default)]
pub struct ChunkMapBuilder {
    /// Content of which the next chunk is cut.
    pending: Vec<u8>,
    chunks: Vec<Chunk>,
    /// More chunks than a map may have: counted no further.
    is_too_long: bool,
}

impl ChunkMapBuilder {
    /// A builder at the start of a file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.is_too_long {
            return;
        }
        self.pending.extend_from_slice(bytes);
        // With so many bytes ahead the cut is where it would be in the whole file.
        let cut = self.cut(usize::try_from(CHUNK_BYTES_MAX).unwrap_or(usize::MAX));
        self.pending.drain(..cut);
    }

    /// The chunk map of what was pushed; `None` if the file is too long to have one.
    #[must_use]
    pub fn finish(mut self) -> Option<ChunkMap> {
        self.cut(1);
        (!self.is_too_long).then_some(ChunkMap {
            chunks: self.chunks,
        })
    }

    /// Cuts chunks while at least `ahead` bytes are pending, and returns how many bytes they have.
    fn cut(&mut self, ahead: usize) -> usize {
        let cutter = FastCDC::with_level(
            &self.pending,
            usize::try_from(CHUNK_BYTES_MIN).unwrap_or(usize::MAX),
            usize::try_from(CHUNK_BYTES_AVERAGE).unwrap_or(usize::MAX),
            usize::try_from(CHUNK_BYTES_MAX).unwrap_or(usize::MAX),
            Normalization::Level1,
        );
        let mut start = 0;
        loop {
            let left = self.pending.len().saturating_sub(start);
            if left < ahead || left == 0 {
                return start;
            }
            let (_, end) = cutter.cut(start, left);
            let content = self.pending.get(start..end).unwrap_or_default();
            // A chunk has at most CHUNK_BYTES_MAX bytes.
            let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
            self.chunks.push(Chunk {
                length,
                hash: Hash::of(content),
            });
            start = end;
            if u64::try_from(self.chunks.len()).is_ok_and(|count| count > CHUNKS_MAX) {
                self.is_too_long = true;
                self.chunks = Vec::new();
                return self.pending.len();
            }
        }
    }
}

#[cfg(test)]
mod tests;
