//! Which chunks are wanted, and where on this node they lie.

use std::collections::HashMap;

use opendag_protocol::chunkmap::{ChunkHash, ChunkMap};

use super::bases::BaseId;

/// Where a chunk was seen: in which base, from which byte on. What lies there by now is hashed again when
/// it is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) base: BaseId,
    pub(super) offset: u64,
}

/// The chunks of some files that are to be assembled. Holds wanted chunks only, however many the bases have.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    wanted: HashMap<ChunkHash, Option<Source>>,
    missing: usize,
}

impl Chunks {
    /// Wants all chunks of a file.
    pub(super) fn want(&mut self, map: &ChunkMap) {
        for chunk in map.chunks() {
            self.wanted.entry(chunk.hash).or_insert_with(|| {
                self.missing += 1;
                None
            });
        }
    }

    /// Notes where a chunk lies, if it is wanted. Where it was seen first counts.
    pub(super) fn offer(&mut self, hash: ChunkHash, source: Source) {
        if let Some(found @ None) = self.wanted.get_mut(&hash) {
            *found = Some(source);
            self.missing -= 1;
        }
    }

    /// Where a chunk lies.
    pub(super) fn source(&self, hash: ChunkHash) -> Option<Source> {
        self.wanted.get(&hash).copied().flatten()
    }

    /// Were all chunks found?
    pub(super) const fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Bytes of a file whose chunks were found.
    pub(super) fn found_bytes(&self, map: &ChunkMap) -> u64 {
        let found = |hash| self.source(hash).is_some();
        let chunks = map.chunks().iter().filter(|chunk| found(chunk.hash));
        chunks.map(|chunk| u64::from(chunk.length)).sum()
    }
}

#[cfg(test)]
mod tests {
    use opendag_protocol::chunkmap::{ChunkMapBuilder, Cut};

    use super::*;

    fn map(content: &[u8]) -> ChunkMap {
        let mut builder = ChunkMapBuilder::new(Cut::for_size(content.len() as u64));
        builder.push(content);
        builder.finish().unwrap()
    }

    #[test]
    fn only_wanted_chunks_are_kept_and_the_first_source_counts() {
        let wanted = map(&crate::store::testing::bytes(20_000, 1));
        let mut chunks = Chunks::default();
        chunks.want(&wanted);
        chunks.want(&wanted);
        let count = chunks.missing;
        assert!(count > 5 && !chunks.is_complete());
        let at = |base, offset| Source {
            base: BaseId(base),
            offset,
        };
        chunks.offer(ChunkHash::of(b"nobody wants it"), at(0, 0));
        assert_eq!((chunks.missing, chunks.wanted.len()), (count, count));
        for (base, (offset, chunk)) in (1..).zip(wanted.with_offsets()) {
            chunks.offer(chunk.hash, at(base, offset));
            chunks.offer(chunk.hash, at(0, 0));
            assert_eq!(chunks.source(chunk.hash), Some(at(base, offset)));
        }
        assert!(chunks.is_complete());
        assert_eq!(chunks.found_bytes(&wanted), 20_000);
    }
}
