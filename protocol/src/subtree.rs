//! A complete subtree of BLAKE3's tree, and the hash pairs in it that stand above chunk groups.
//!
//! Chunk groups are hashed together, level by level: one alone fills the lanes of the processor with its leaves, but not
//! with the nodes above them, which costs a fifth more. Source: the BLAKE3 paper, section 2.1; `specs/storage.md`,
//! section *Outboards*.

use blake3::platform::Platform;

use crate::lanes::{self, BLOCK, CHUNK_END, CHUNK_START, Count, Flags, LEAF, NODE, PARENT};

/// Levels below the value of a chunk group: its leaves, and what joins them.
const GROUP_LEVELS: usize = 4;
/// Bytes of a leaf, as files count them.
const LEAF_BYTES: u64 = 1024;
/// Bytes of a chunk group.
const GROUP_BYTES: usize = LEAF << GROUP_LEVELS;

/// Hashes subtrees. It keeps its memory: one for many.
#[derive(Debug)]
pub struct SubtreeHasher {
    platform: Platform,
    /// The nodes of each level side by side, from the leaves up.
    levels: Vec<Vec<u8>>,
}

impl Default for SubtreeHasher {
    fn default() -> Self {
        Self {
            platform: Platform::detect(),
            levels: Vec::new(),
        }
    }
}

impl SubtreeHasher {
    /// Is a block of so many bytes a complete subtree of chunk groups?
    #[must_use]
    pub const fn fits(bytes: usize) -> bool {
        bytes.is_power_of_two() && bytes >= GROUP_BYTES
    }

    /// The value of the top of `block`, which [`fits`](Self::fits) and begins at `offset`, a multiple of its length, of
    /// a longer file; `None` if it does not fit. Hash pairs above chunk groups are added to `pairs` in post-order.
    #[must_use]
    pub fn hash(&mut self, block: &[u8], offset: u64, pairs: &mut Vec<u8>) -> Option<[u8; NODE]> {
        if !Self::fits(block.len()) {
            return None;
        }
        let (leaves, _) = block.as_chunks::<LEAF>();
        let count = Count::Up(offset / LEAF_BYTES);
        self.level(0, leaves, count, (0, CHUNK_START, CHUNK_END));
        let mut top = 0;
        while self.levels.get(top)?.len() > NODE {
            let below = std::mem::take(self.levels.get_mut(top)?);
            let (both, _) = below.as_chunks::<BLOCK>();
            self.level(top + 1, both, Count::Same(0), (PARENT, 0, 0));
            *self.levels.get_mut(top)? = below;
            top += 1;
        }
        self.give(pairs);
        self.levels.get(top)?.first_chunk().copied()
    }

    /// Makes a level of nodes.
    fn level<const N: usize>(
        &mut self,
        level: usize,
        inputs: &[[u8; N]],
        count: Count,
        flags: Flags,
    ) {
        if self.levels.len() <= level {
            self.levels.resize(level + 1, Vec::new());
        }
        if let Some(nodes) = self.levels.get_mut(level) {
            let inputs: Vec<_> = inputs.iter().collect();
            nodes.resize(inputs.len() * NODE, 0);
            lanes::many(self.platform, &inputs, count, flags, nodes);
        }
    }

    /// Adds the pairs above chunk groups: behind each group those that it completes.
    fn give(&self, pairs: &mut Vec<u8>) {
        let upper = self.levels.get(GROUP_LEVELS..).unwrap_or_default();
        let groups = upper.first().map_or(0, |groups| groups.len() / NODE);
        for complete in 1..=groups {
            for (height, nodes) in upper.iter().enumerate() {
                if complete % (2 << height) != 0 {
                    break;
                }
                let end = (complete >> height) * NODE;
                let pair = nodes.get(end.saturating_sub(BLOCK)..end);
                pairs.extend_from_slice(pair.unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests;
