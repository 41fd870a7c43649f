//! The tree of BLAKE3 over chunk groups, from left to right, its hash pairs in post-order.
//!
//! Source: the BLAKE3 paper, section 2.1 (the left subtree is the largest complete one); `specs/storage.md`,
//! section *Outboards*.

use std::io;

use blake3::{
    Hasher,
    hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root},
};
use opendag_protocol::subtree::SubtreeHasher;

/// Bytes of a chunk group.
const GROUP_BYTES: usize = 16 * 1024;

/// Where a tree ends: the top of a file is hashed otherwise than a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Top {
    /// It is the tree of a whole file.
    Root,
    /// It is a part of one.
    Subtree,
}

/// Puts nodes together that come from left to right.
///
/// Invariant: `waiting` has a complete subtree for each bit of the number of nodes taken, the largest first.
#[derive(Debug)]
pub(super) struct Joiner {
    waiting: Vec<ChainingValue>,
    taken: u64,
    nodes: u64,
    top: Top,
}

impl Joiner {
    /// For a tree over `nodes` nodes of one size, the last of which may be smaller.
    pub(super) const fn new(nodes: u64, top: Top) -> Self {
        Self {
            waiting: Vec::new(),
            taken: 0,
            nodes,
            top,
        }
    }

    /// Takes the next node; gives each pair to `pairs` as soon as both are known. The answer is the top,
    /// behind the last node. A root needs two nodes at least.
    pub(super) fn push(
        &mut self,
        node: ChainingValue,
        pairs: &mut dyn io::Write,
    ) -> io::Result<Option<[u8; 32]>> {
        self.taken += 1;
        let is_last = self.taken == self.nodes;
        let mut joins = if is_last {
            u32::MAX
        } else {
            self.taken.trailing_zeros()
        };
        let mut node = node;
        while joins > 0
            && let Some(left) = self.waiting.pop()
        {
            joins -= 1;
            pairs.write_all(&left)?;
            pairs.write_all(&node)?;
            let is_root = is_last && self.top == Top::Root && self.waiting.is_empty();
            node = if is_root {
                *merge_subtrees_root(&left, &node, Mode::Hash).as_bytes()
            } else {
                merge_subtrees_non_root(&left, &node, Mode::Hash)
            };
        }
        if is_last {
            return Ok(Some(node));
        }
        self.waiting.push(node);
        Ok(None)
    }
}

/// The subtree over a block that begins at `offset` of a file, a multiple of its size rounded up to a power
/// of two of groups, and is not the whole file.
pub(super) fn subtree(
    hasher: &mut SubtreeHasher,
    block: &[u8],
    offset: u64,
    pairs: &mut Vec<u8>,
) -> io::Result<ChainingValue> {
    if let Some(top) = hasher.hash(block, offset, pairs) {
        return Ok(top);
    }
    // The last one of a file.
    let groups = block.chunks(GROUP_BYTES);
    let count = u64::try_from(groups.len()).unwrap_or(u64::MAX);
    let mut joiner = Joiner::new(count, Top::Subtree);
    let mut offset = offset;
    let mut top = None;
    for group in groups {
        let node = Hasher::new()
            .set_input_offset(offset)
            .update(group)
            .finalize_non_root();
        top = joiner.push(node, pairs)?;
        offset += u64::try_from(group.len()).unwrap_or(0);
    }
    top.ok_or_else(|| io::Error::other("a block is empty"))
}
