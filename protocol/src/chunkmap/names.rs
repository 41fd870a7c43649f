//! Naming many chunks at once: the BLAKE3 of each, with the lanes of the processor filled by different chunks.
//!
//! Chunks are so short that hashing one after another leaves most lanes empty: at 2 KiB it takes three times as long.
//! Source: the BLAKE3 paper, sections 2.1 (tree) and 5.3 (many inputs at once).

use blake3::platform::Platform;

use super::{CHUNK_HASH_BYTES, ChunkHash};
use crate::lanes::{
    self, BLOCK, CHUNK_END, CHUNK_START, Count, Flags, KEY, LEAF, NODE, PARENT, ROOT,
};

/// Chunks of more leaves fill the lanes by themselves.
const LEAVES_MAX: usize = 12;

/// The names of chunks, in their order.
pub(super) fn name_all(chunks: &[&[u8]]) -> Vec<ChunkHash> {
    let mut trees = Trees::plant(chunks);
    trees.hash_full_leaves(chunks);
    trees.hash_last_leaves(chunks);
    trees.join();
    trees.names(chunks)
}

/// The trees of some chunks: the values of each one's nodes, side by side, on the level that was reached.
struct Trees {
    platform: Platform,
    /// By chunk: where its nodes begin, and how many it has on this level; 0: it is hashed by itself.
    trees: Vec<(usize, usize)>,
    nodes: Vec<u8>,
}

/// The last leaf of a chunk.
struct LastLeaf<'a> {
    counter: usize,
    /// Blocks before its last one, which may be shorter.
    blocks: usize,
    bytes: &'a [u8],
    node: usize,
}

impl Trees {
    fn plant(chunks: &[&[u8]]) -> Self {
        let mut planted = 0;
        let trees = chunks.iter().map(|chunk| {
            let leaves = Some(chunk.len().div_ceil(LEAF)).filter(|leaves| *leaves <= LEAVES_MAX);
            let leaves = leaves.unwrap_or(0);
            let start = planted;
            planted += leaves * NODE;
            (start, leaves)
        });
        let trees = trees.collect();
        Self {
            platform: Platform::detect(),
            trees,
            nodes: vec![0; planted],
        }
    }

    /// All leaves but the last: the first ones of all chunks together, then the second ones, and so on.
    fn hash_full_leaves(&mut self, chunks: &[&[u8]]) {
        let (mut at, mut inputs) = (Vec::new(), Vec::new());
        let most = self.trees.iter().map(|(_, leaves)| *leaves).max();
        for (number, counter) in (1..most.unwrap_or(0)).zip(0_u64..) {
            at.clear();
            inputs.clear();
            for (chunk, (start, leaves)) in chunks.iter().zip(&self.trees) {
                let rest = chunk.get((number - 1) * LEAF..).unwrap_or_default();
                if let Some(leaf) = rest.first_chunk::<LEAF>().filter(|_| *leaves > number) {
                    at.push(start + (number - 1) * NODE);
                    inputs.push(leaf);
                }
            }
            let flags = (0, CHUNK_START, CHUNK_END);
            let made = many(self.platform, &inputs, counter, flags);
            for (node, value) in at.iter().zip(made.chunks_exact(NODE)) {
                put(&mut self.nodes, *node, value);
            }
        }
    }

    /// The last leaves: those that are as long as each other in blocks together, and then the last block of each.
    fn hash_last_leaves(&mut self, chunks: &[&[u8]]) {
        let mut last: Vec<LastLeaf<'_>> = Vec::with_capacity(chunks.len());
        for (chunk, (start, leaves)) in chunks.iter().zip(&self.trees) {
            let Some(counter) = leaves.checked_sub(1) else {
                continue;
            };
            let bytes = chunk.get(counter * LEAF..).unwrap_or_default();
            last.push(LastLeaf {
                counter,
                blocks: bytes.len().saturating_sub(1) / BLOCK,
                bytes,
                node: *start + counter * NODE,
            });
        }
        last.sort_unstable_by_key(|leaf| (leaf.counter, leaf.blocks));
        for alike in last.chunk_by(|a, b| (a.counter, a.blocks) == (b.counter, b.blocks)) {
            let values = begin_leaves(self.platform, alike);
            for (at, leaf) in alike.iter().enumerate() {
                let words = values.get(at * NODE..).and_then(<[u8]>::first_chunk);
                let value = end_leaf(self.platform, leaf, words);
                put(&mut self.nodes, leaf.node, &value);
            }
        }
    }

    /// Joins neighbours level by level; who has none goes up alone. So a complete subtree is on the left.
    fn join(&mut self) {
        while self.trees.iter().any(|(_, count)| *count > 1) {
            let (mut pairs, mut roots) = (Pairs::default(), Pairs::default());
            for (start, count) in &mut self.trees {
                let joined = if *count == 2 { &mut roots } else { &mut pairs };
                for pair in 0..*count / 2 {
                    let from = *start + pair * 2 * NODE;
                    if let Some(both) = self.nodes.get(from..).and_then(<[u8]>::first_chunk) {
                        joined.to.push(*start + pair * NODE);
                        joined.inputs.push(*both);
                    }
                }
                if *count > 1 && *count % 2 == 1 {
                    let last = *start + (*count - 1) * NODE;
                    let end = (last + NODE).min(self.nodes.len());
                    joined.moved.push((last..end, *start + *count / 2 * NODE));
                }
                *count = count.div_ceil(2);
            }
            for (joined, flags) in [(pairs, PARENT), (roots, PARENT | ROOT)] {
                let inputs: Vec<&[u8; BLOCK]> = joined.inputs.iter().collect();
                let made = many(self.platform, &inputs, 0, (flags, 0, 0));
                for (node, value) in joined.to.iter().zip(made.chunks_exact(NODE)) {
                    put(&mut self.nodes, *node, value);
                }
                for (last, to) in joined.moved {
                    self.nodes.copy_within(last, to);
                }
            }
        }
    }

    fn names(&self, chunks: &[&[u8]]) -> Vec<ChunkHash> {
        let name = |((start, count), chunk): (&(usize, usize), &&[u8])| {
            let root = self.nodes.get(*start..).filter(|_| *count > 0);
            match root.and_then(<[u8]>::first_chunk::<CHUNK_HASH_BYTES>) {
                Some(name) => ChunkHash(*name),
                None => ChunkHash::of(chunk),
            }
        };
        self.trees.iter().zip(chunks).map(name).collect()
    }
}

/// Pairs of nodes of one level.
#[derive(Default)]
struct Pairs {
    inputs: Vec<[u8; BLOCK]>,
    /// Where their parents go.
    to: Vec<usize>,
    /// Nodes without a neighbour, and where they go.
    moved: Vec<(std::ops::Range<usize>, usize)>,
}

/// Hashes inputs of one length at once: their values one after another.
fn many<const N: usize>(
    platform: Platform,
    inputs: &[&[u8; N]],
    counter: u64,
    flags: Flags,
) -> Vec<u8> {
    let mut made = vec![0; inputs.len() * NODE];
    lanes::many(platform, inputs, Count::Same(counter), flags, &mut made);
    made
}

/// The values of leaves of the same number of blocks before their last ones; nothing if there are none.
fn begin_leaves(platform: Platform, leaves: &[LastLeaf<'_>]) -> Vec<u8> {
    macro_rules! blocks {
        ($($blocks:literal)*) => {
            match leaves.first().map_or(0, |leaf| leaf.blocks) {
                $($blocks => begin::<{ $blocks * BLOCK }>(platform, leaves),)*
                _ => Vec::new(),
            }
        };
    }
    blocks!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
}

fn begin<const N: usize>(platform: Platform, leaves: &[LastLeaf<'_>]) -> Vec<u8> {
    let counter = leaves.first().map_or(0, |leaf| leaf.counter);
    let inputs = leaves
        .iter()
        .filter_map(|leaf| leaf.bytes.first_chunk::<N>());
    let inputs: Vec<_> = inputs.collect();
    let counter = u64::try_from(counter).unwrap_or(u64::MAX);
    many(platform, &inputs, counter, (0, CHUNK_START, 0))
}

/// The value of a leaf, from that of all its blocks but the last.
fn end_leaf(platform: Platform, leaf: &LastLeaf<'_>, before: Option<&[u8; NODE]>) -> [u8; NODE] {
    let mut words = KEY;
    for (word, bytes) in words
        .iter_mut()
        .zip(before.map_or(&[][..], |before| before.as_chunks().0))
    {
        *word = u32::from_le_bytes(*bytes);
    }
    let rest = leaf.bytes.get(leaf.blocks * BLOCK..).unwrap_or_default();
    let mut block = [0; BLOCK];
    put(&mut block, 0, rest);
    // At most BLOCK.
    let len = u8::try_from(rest.len()).unwrap_or(u8::MAX);
    let start = if leaf.blocks == 0 { CHUNK_START } else { 0 };
    // A last leaf that is the first is all of its chunk.
    let root = if leaf.counter == 0 { ROOT } else { 0 };
    let counter = u64::try_from(leaf.counter).unwrap_or(u64::MAX);
    platform.compress_in_place(&mut words, &block, len, counter, CHUNK_END | start | root);
    let mut value = [0; NODE];
    for (bytes, word) in value.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    value
}

fn put(to: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(to) = to.get_mut(at..at + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    #[test]
    fn names_are_the_hashes_of_blake3_at_all_lengths_together() {
        // Around leaves and blocks, full trees and odd ones, and what is hashed by itself.
        let mut lengths: Vec<usize> = (0..=34)
            .flat_map(|leaves: usize| {
                let at = leaves * LEAF;
                [
                    at.saturating_sub(1),
                    at,
                    at + 1,
                    at + 63,
                    at + 64,
                    at + 65,
                    at + 700,
                ]
            })
            .collect();
        lengths.extend([LEAVES_MAX * LEAF, LEAVES_MAX * LEAF + 1, 100 * LEAF + 3]);
        let content = noise(9, lengths.iter().sum());
        let mut rest = content.as_slice();
        let mut chunks = Vec::new();
        for length in lengths {
            let (chunk, more) = rest.split_at(length);
            chunks.push(chunk);
            rest = more;
        }
        let names = name_all(&chunks);
        assert_eq!(names.len(), chunks.len());
        for (chunk, name) in chunks.iter().zip(names) {
            assert_eq!(name, ChunkHash::of(chunk), "{} bytes", chunk.len());
        }
        assert!(name_all(&[]).is_empty());
    }
}
