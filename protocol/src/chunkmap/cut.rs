//! Cutting: how long chunks are, and where they end.
//!
//! Source: Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage
//! Systems", 2020; `specs/decisions/0011-chunk-sizes.md` for the sizes.

use fastcdc::v2020::{FastCDC, Normalization};

use super::{CHUNKS_MAX, Chunk, ChunkMap, ENCODED_CHUNK_BYTES, names::name_all};
use crate::limits::CHUNK_BYTES_MAX;

/// How long the chunks of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cut {
    pub(super) min: u32,
    average: u32,
    pub(super) max: u32,
}

/// Files of up to so many bytes, and what their chunks are cut to on average.
///
/// Chunks are as small as pays in an edited file of that size, and as large as lets its map, or those of a
/// page of such files, fit a blob.
const CLASSES: [(u64, u32); 6] = [
    (32 << 10, 256),
    (256 << 10, 512),
    (256 << 20, 2 << 10),
    (4 << 30, 4 << 10),
    (16 << 30, 16 << 10),
    (64 << 30, 64 << 10),
];

/// What chunks of larger files are cut to: so a map goes up to files of about 180 GiB.
const AVERAGE_MAX: u32 = 128 << 10;

impl Cut {
    /// The cut of files of `size` bytes: of their chunk maps, and of the older versions that are compared
    /// with them.
    #[must_use]
    pub fn for_size(size: u64) -> Self {
        let class = CLASSES.iter().find(|(up_to, _)| size <= *up_to);
        let average = class.map_or(AVERAGE_MAX, |(_, average)| *average);
        Self {
            min: average / 4,
            average,
            max: average.saturating_mul(4).min(CHUNK_BYTES_MAX),
        }
    }

    /// Bytes that the chunk map of a file of `size` bytes takes, about; 0 if it has none. Who has not seen
    /// maps yet tells by it whether they are worth to be fetched.
    #[must_use]
    pub fn map_bytes_about(size: u64) -> u64 {
        let chunks = size / u64::from(Self::for_size(size).average);
        let has_map =
            chunks > 1 && usize::try_from(chunks).is_ok_and(|chunks| chunks <= CHUNKS_MAX);
        let bytes = u64::try_from(ENCODED_CHUNK_BYTES).unwrap_or(u64::MAX);
        if has_map {
            chunks.saturating_mul(bytes)
        } else {
            0
        }
    }

    /// No chunk but the last of a file is shorter.
    #[must_use]
    pub const fn min(self) -> u32 {
        self.min
    }

    /// What chunks are cut to on average.
    #[must_use]
    pub const fn average(self) -> u32 {
        self.average
    }

    /// No chunk is longer.
    #[must_use]
    pub const fn max(self) -> u32 {
        self.max
    }
}

/// Cuts the content of a file into chunks as it comes by.
///
/// How the content is split over calls makes no difference. It holds at most [`Cut::max`] bytes besides
/// those of the call, and the chunks found.
#[derive(Debug)]
pub struct ChunkMapBuilder {
    cut: Cut,
    /// Content of which the next chunk is cut.
    pub(super) pending: Vec<u8>,
    pub(super) chunks: Vec<Chunk>,
    /// More chunks than a map may have: counted no further.
    is_too_long: bool,
}

impl ChunkMapBuilder {
    /// A builder at the start of a file.
    #[must_use]
    pub const fn new(cut: Cut) -> Self {
        Self {
            cut,
            pending: Vec::new(),
            chunks: Vec::new(),
            is_too_long: false,
        }
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, mut bytes: &[u8]) {
        let max = to_usize(self.cut.max);
        // What is left over is cut with as much of what follows as a chunk can have: then all that goes on
        // is cut where it lies.
        while !self.pending.is_empty() && !self.is_too_long {
            let missing = max.saturating_sub(self.pending.len());
            let (more, rest) = bytes.split_at(missing.min(bytes.len()));
            if more.len() < missing {
                self.pending.extend_from_slice(more);
                return;
            }
            let before = self.pending.len();
            self.pending.extend_from_slice(more);
            let pending = std::mem::take(&mut self.pending);
            let end = boundary(self.cut, &pending);
            self.add(&[pending.get(..end).unwrap_or_default()]);
            if end >= before {
                bytes = bytes.get(end - before..).unwrap_or_default();
            } else {
                self.pending = pending;
                self.pending.drain(..end);
                bytes = rest;
            }
        }
        let mut chunks = Vec::with_capacity(bytes.len() / to_usize(self.cut.average));
        while bytes.len() >= max && !self.is_too_long {
            let (chunk, rest) = bytes.split_at(boundary(self.cut, bytes));
            chunks.push(chunk);
            bytes = rest;
        }
        self.add(&chunks);
        if !self.is_too_long {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// The chunk map of what was pushed; `None` if the file is too long to have one.
    #[must_use]
    pub fn finish(mut self) -> Option<ChunkMap> {
        let pending = std::mem::take(&mut self.pending);
        let mut bytes = pending.as_slice();
        let mut chunks = Vec::new();
        while !bytes.is_empty() {
            let (chunk, rest) = bytes.split_at(boundary(self.cut, bytes));
            chunks.push(chunk);
            bytes = rest;
        }
        self.add(&chunks);
        (!self.is_too_long).then_some(ChunkMap {
            chunks: self.chunks,
        })
    }

    /// Takes the next chunks: named together, in a fraction of the time.
    fn add(&mut self, chunks: &[&[u8]]) {
        if self.chunks.len() + chunks.len() > CHUNKS_MAX {
            self.is_too_long = true;
            self.chunks = Vec::new();
            self.pending = Vec::new();
        }
        if self.is_too_long {
            return;
        }
        let named = chunks.iter().zip(name_all(chunks));
        self.chunks.extend(named.map(|(chunk, hash)| Chunk {
            // At most `Cut::max`.
            length: u32::try_from(chunk.len()).unwrap_or(u32::MAX),
            hash,
        }));
    }
}

/// Where the first chunk of `bytes` ends.
fn boundary(cut: Cut, bytes: &[u8]) -> usize {
    let (_, end) = FastCDC::with_level(
        bytes,
        to_usize(cut.min),
        to_usize(cut.average),
        to_usize(cut.max),
        Normalization::Level1,
    )
    .cut(0, bytes.len());
    end.clamp(1.min(bytes.len()), bytes.len())
}

fn to_usize(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
