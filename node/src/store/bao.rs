//! BLAKE3 verified streaming over our own files: ranges of a shard encoded for peers, verified on the way.
//!
//! The format is iroh's: chunk groups of 16 KiB, responses in pre-order behind the size of the blob as
//! `u64` little-endian. Outboards on disk hold the hash pairs in post-order, so that they are written in one go while
//! a file is read. Source: `specs/storage.md`, section *Outboards*; crate `bao-tree`.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    os::unix::fs::FileExt,
};

use bao_tree::{
    BaoTree, BlockSize, ChunkNum, ChunkRanges, TreeNode,
    io::{EncodeError, outboard::PreOrderMemOutboard, sync::encode_ranges},
    iter::{BaoChunk, ResponseIter},
};
use opendag_protocol::{
    Hash,
    limits::CHUNK_GROUP_BYTES,
    wire::{GroupRange, groups_in},
};

/// 16 chunks of 1 KiB, as iroh-blobs has it.
pub(crate) const BLOCK_SIZE: BlockSize = BlockSize::from_chunk_log(4);
/// Chunks of 1 KiB in a chunk group.
const CHUNKS_PER_GROUP: u64 = CHUNK_GROUP_BYTES / 1024;
/// A hash pair of an outboard.
const PAIR_BYTES: u64 = 64;
/// What is read of an outboard at once: the pairs below a piece of 1 MiB.
const OUTBOARD_WINDOW_BYTES: u64 = 64 * PAIR_BYTES;
/// Places that one system call fills: what Linux allows.
const SLOTS_MAX: usize = 1024;

/// The tree over a blob of `size` bytes.
pub(crate) fn tree(size: u64) -> BaoTree {
    BaoTree::new(size, BLOCK_SIZE)
}

/// The chunks of `range` in a blob of `size` bytes; `None` if the range lies behind its end.
pub(crate) fn chunk_ranges(range: GroupRange, size: u64) -> Option<ChunkRanges> {
    if size == 0 {
        return (range.first == 0).then(ChunkRanges::all);
    }
    let groups = groups_in(size);
    let range = range.within(groups)?;
    let start = ChunkNum(range.first.checked_mul(CHUNKS_PER_GROUP)?);
    if range.end() == groups {
        return Some(ChunkRanges::from(start..));
    }
    let end = ChunkNum(range.end().checked_mul(CHUNKS_PER_GROUP)?);
    Some(ChunkRanges::from(start..end))
}

/// Bytes of the response for `range` of a blob of `size` bytes, its size prefix included; `None` if the
/// range lies behind the blob's end.
#[must_use]
pub fn response_bytes(size: u64, range: GroupRange) -> Option<u64> {
    let ranges = chunk_ranges(range, size)?;
    let items = ResponseIter::new(tree(size), ranges).map(|item| len64(item_bytes(&item)));
    Some(items.fold(8, u64::saturating_add))
}

pub(crate) fn item_bytes(item: &BaoChunk) -> usize {
    match item {
        BaoChunk::Parent { .. } => 64,
        BaoChunk::Leaf { size, .. } => *size,
    }
}

pub(crate) fn len64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn hash_group(start_chunk: u64, data: &[u8], is_root: bool) -> blake3::Hash {
    use blake3::hazmat::HasherExt;
    if is_root {
        return blake3::hash(data);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(start_chunk.saturating_mul(1024));
    hasher.update(data);
    blake3::Hash::from_bytes(hasher.finalize_non_root())
}

fn hash_pair(left: [u8; 32], right: [u8; 32], is_root: bool) -> blake3::Hash {
    use blake3::hazmat::{Mode, merge_subtrees_non_root, merge_subtrees_root};
    if is_root {
        merge_subtrees_root(&left, &right, Mode::Hash)
    } else {
        blake3::Hash::from_bytes(merge_subtrees_non_root(&left, &right, Mode::Hash))
    }
}

/// Why a range cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaoError {
    /// The range lies behind the end of the blob.
    #[error("the range lies behind the end of the blob")]
    OutOfRange,
    /// The bytes, or the outboard, are not those of the hash.
    #[error("the bytes on disk are not those that were hashed")]
    Corrupt,
    /// The file cannot be read.
    #[error("cannot read")]
    Io(#[source] io::Error),
}

impl From<EncodeError> for BaoError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Io(error) => error.into(),
            EncodeError::ParentHashMismatch(_)
            | EncodeError::LeafHashMismatch(_)
            | EncodeError::ParentWrite(_)
            | EncodeError::LeafWrite(_)
            | EncodeError::SizeMismatch => Self::Corrupt,
        }
    }
}

impl From<io::Error> for BaoError {
    fn from(error: io::Error) -> Self {
        // A file that ends early is not the one that was hashed.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Corrupt
        } else {
            Self::Io(error)
        }
    }
}

/// Encodes a range of a blob that lies in memory whole, after checking that it is the blob `hash`.
pub(crate) fn encode_memory(
    data: &[u8],
    hash: Hash,
    range: GroupRange,
) -> Result<Vec<u8>, BaoError> {
    let size = len64(data.len());
    let ranges = chunk_ranges(range, size).ok_or(BaoError::OutOfRange)?;
    if size <= CHUNK_GROUP_BYTES {
        // One group, and no pairs.
        if Hash::of(data) != hash {
            return Err(BaoError::Corrupt);
        }
        return Ok([&size.to_le_bytes(), data].concat());
    }
    let outboard = PreOrderMemOutboard::create(data, BLOCK_SIZE);
    if Hash::from(outboard.root) != hash {
        return Err(BaoError::Corrupt);
    }
    let mut encoded = Vec::with_capacity(data.len().saturating_add(outboard.data.len() + 8));
    encoded.extend_from_slice(&size.to_le_bytes());
    encode_ranges(data, &outboard, &ranges, &mut encoded)?;
    Ok(encoded)
}

/// A file that is the blob `hash` of `size` bytes, or parts of it, with its outboard.
pub(crate) struct Source<'a> {
    pub(crate) hash: Hash,
    pub(crate) size: u64,
    pub(crate) data: &'a File,
    pub(crate) outboard: &'a File,
}

impl Source<'_> {
    /// Encodes a range, verifying each byte against the root.
    ///
    /// Where what stands in a response is known beforehand, so the file is read right to its places.
    pub(crate) fn encode(&self, range: GroupRange) -> Result<Vec<u8>, BaoError> {
        let (items, start) = self.items(range)?;
        let body_bytes: usize = items.iter().map(item_bytes).sum();
        let mut encoded = vec![0; 8 + body_bytes];
        let (prefix, body) = encoded.split_at_mut(8);
        prefix.copy_from_slice(&self.size.to_le_bytes());
        self.fill(&items, start, body)?;
        let mut rest = &*body;
        let mut proof = Proof::new(self.hash);
        for item in &items {
            let (bytes, after) = split(rest, item_bytes(item))?;
            if !proof.accepts(item, bytes) {
                return Err(BaoError::Corrupt);
            }
            rest = after;
        }
        Ok(encoded)
    }

    /// The bytes of a range, verified.
    pub(crate) fn read(&self, range: GroupRange) -> Result<Vec<u8>, BaoError> {
        let (items, start) = self.items(range)?;
        let leaves = items.iter().filter(|item| is_leaf(item));
        let mut data = vec![0; leaves.map(item_bytes).sum()];
        self.data.read_exact_at(&mut data, start)?;
        let mut pairs = Pairs::new(self);
        let mut rest = data.as_slice();
        let mut proof = Proof::new(self.hash);
        for item in &items {
            let accepted = match item {
                BaoChunk::Parent { node, .. } => proof.accepts(item, &pairs.read(*node)?),
                BaoChunk::Leaf { size, .. } => {
                    let (bytes, after) = split(rest, *size)?;
                    rest = after;
                    proof.accepts(item, bytes)
                }
            };
            if !accepted {
                return Err(BaoError::Corrupt);
            }
        }
        Ok(data)
    }

    /// What the response to a range consists of, and where its bytes begin in the file.
    fn items(&self, range: GroupRange) -> Result<(Vec<BaoChunk>, u64), BaoError> {
        let ranges = chunk_ranges(range, self.size).ok_or(BaoError::OutOfRange)?;
        let items = ResponseIter::new(tree(self.size), ranges).collect();
        Ok((items, range.bytes(self.size).start))
    }

    /// Reads hash pairs and chunk groups to their places.
    fn fill(&self, items: &[BaoChunk], start: u64, body: &mut [u8]) -> Result<(), BaoError> {
        let mut pairs = Pairs::new(self);
        let mut slots = Vec::new();
        let mut rest = body;
        for item in items {
            let (slot, after) = rest
                .split_at_mut_checked(item_bytes(item))
                .ok_or(BaoError::OutOfRange)?;
            rest = after;
            match item {
                BaoChunk::Parent { node, .. } => slot.copy_from_slice(&pairs.read(*node)?),
                BaoChunk::Leaf { size: 0, .. } => {}
                BaoChunk::Leaf { .. } => slots.push(IoSliceMut::new(slot)),
            }
        }
        read_scattered(self.data, &mut slots, start)?;
        Ok(())
    }
}

/// Reads from `position` on until all slots are full.
fn read_scattered(
    file: &File,
    mut slots: &mut [IoSliceMut<'_>],
    mut position: u64,
) -> io::Result<()> {
    while !slots.is_empty() {
        let some = slots.len().min(SLOTS_MAX);
        let (now, _) = slots.split_at_mut(some);
        let read = rustix::io::retry_on_intr(|| rustix::io::preadv(file, now, position))?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        position += len64(read);
        IoSliceMut::advance_slices(&mut slots, read);
    }
    Ok(())
}

fn split(bytes: &[u8], len: usize) -> Result<(&[u8], &[u8]), BaoError> {
    bytes.split_at_checked(len).ok_or(BaoError::OutOfRange)
}

fn is_leaf(item: &BaoChunk) -> bool {
    matches!(item, BaoChunk::Leaf { .. })
}

/// Checks the items of a response in their order, from the root down.
#[derive(Debug)]
pub(crate) struct Proof(Vec<blake3::Hash>);

impl Proof {
    pub(crate) fn new(root: Hash) -> Self {
        Self(vec![root.into()])
    }

    /// Are these the bytes of the next item? Nothing more may be asked after a no.
    pub(crate) fn accepts(&mut self, item: &BaoChunk, bytes: &[u8]) -> bool {
        let expected = self.0.pop();
        match item {
            BaoChunk::Parent {
                is_root,
                left,
                right,
                ..
            } => {
                let Some((l, r)) = pair_of(bytes) else {
                    return false;
                };
                if Some(hash_pair(l, r, *is_root)) != expected {
                    return false;
                }
                if *right {
                    self.0.push(blake3::Hash::from_bytes(r));
                }
                if *left {
                    self.0.push(blake3::Hash::from_bytes(l));
                }
                true
            }
            BaoChunk::Leaf {
                is_root,
                start_chunk,
                ..
            } => Some(hash_group(start_chunk.0, bytes, *is_root)) == expected,
        }
    }
}

fn pair_of(bytes: &[u8]) -> Option<([u8; 32], [u8; 32])> {
    let (left, right) = bytes.split_first_chunk()?;
    Some((*left, right.try_into().ok()?))
}

/// The hash pairs of an outboard on disk, in post-order, read in windows.
struct Pairs<'a> {
    tree: BaoTree,
    file: &'a File,
    start: u64,
    window: Vec<u8>,
}

impl<'a> Pairs<'a> {
    fn new(source: &Source<'a>) -> Self {
        Self {
            tree: tree(source.size),
            file: source.outboard,
            start: 0,
            window: Vec::new(),
        }
    }

    fn read(&mut self, node: TreeNode) -> Result<[u8; 64], BaoError> {
        let offset = pair_offset(&self.tree, node).ok_or(BaoError::Corrupt)?;
        if self.find(offset).is_none() {
            // Children come before their parent, so the window ends with the parent.
            let end = offset + PAIR_BYTES;
            self.start = end.saturating_sub(OUTBOARD_WINDOW_BYTES);
            let len = usize::try_from(end - self.start).unwrap_or(0);
            self.window.clear();
            self.window.resize(len, 0);
            // An outboard that ends early proves nothing.
            self.file.read_exact_at(&mut self.window, self.start)?;
        }
        self.find(offset).ok_or(BaoError::Corrupt)
    }

    fn find(&self, offset: u64) -> Option<[u8; 64]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.window.get(from..)?.first_chunk().copied()
    }
}

/// Where the pair of a node stands in an outboard; `None` for nodes inside a chunk group.
pub(crate) fn pair_offset(tree: &BaoTree, node: TreeNode) -> Option<u64> {
    tree.post_order_offset(node)?
        .value()
        .checked_mul(PAIR_BYTES)
}

#[cfg(test)]
mod tests;
