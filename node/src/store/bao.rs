//! BLAKE3 verified streaming over our own files: ranges of a shard encoded for peers, verified on the way.
//!
//! The format is iroh's: chunk groups of 16 KiB, responses in pre-order behind the size of the blob as
//! `u64` little-endian. Outboards on disk hold the hash pairs in post-order, so that they are written in one go while
//! a file is read. Source: `specs/storage.md`, section *Outboards*; crate `bao-tree`.

use std::{cell::RefCell, fs::File, io, os::unix::fs::FileExt};

use bao_tree::{
    BaoTree, BlockSize, ChunkNum, ChunkRanges, TreeNode,
    io::{
        EncodeError,
        outboard::PreOrderMemOutboard,
        sync::{Outboard, ReadAt, encode_ranges, encode_ranges_validated},
    },
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

pub(crate) fn hash_group(start_chunk: u64, data: &[u8], is_root: bool) -> blake3::Hash {
    use blake3::hazmat::HasherExt;
    if is_root {
        return blake3::hash(data);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(start_chunk.saturating_mul(1024));
    hasher.update(data);
    blake3::Hash::from_bytes(hasher.finalize_non_root())
}

pub(crate) fn hash_pair(left: [u8; 32], right: [u8; 32], is_root: bool) -> blake3::Hash {
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
    pub(crate) fn encode(&self, range: GroupRange) -> Result<Vec<u8>, BaoError> {
        let bytes = response_bytes(self.size, range).ok_or(BaoError::OutOfRange)?;
        let mut encoded = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
        encoded.extend_from_slice(&self.size.to_le_bytes());
        self.encode_to(range, &mut encoded)?;
        Ok(encoded)
    }

    /// The bytes of a range, verified.
    pub(crate) fn read(&self, range: GroupRange) -> Result<Vec<u8>, BaoError> {
        let window = self.encode_to(range, io::sink())?;
        Ok(window.bytes)
    }

    fn encode_to(&self, range: GroupRange, to: impl io::Write) -> Result<Window, BaoError> {
        let ranges = chunk_ranges(range, self.size).ok_or(BaoError::OutOfRange)?;
        let bytes = range.bytes(self.size);
        let len = usize::try_from(bytes.end - bytes.start).map_err(|_| BaoError::OutOfRange)?;
        let mut window = Window {
            start: bytes.start,
            bytes: vec![0; len],
        };
        FileExt::read_exact_at(self.data, &mut window.bytes, bytes.start)?;
        let outboard = FileOutboard {
            root: self.hash.into(),
            tree: tree(self.size),
            file: self.outboard,
            window: RefCell::new(Window::default()),
        };
        encode_ranges_validated(&window, outboard, &ranges, to)?;
        Ok(window)
    }
}

/// Bytes of a blob from `start` on, read at once.
#[derive(Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn slice(&self, position: u64, len: usize) -> Option<&[u8]> {
        let from = usize::try_from(position.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(len)?)
    }
}

impl ReadAt for Window {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self.slice(position, buffer.len()) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(bytes.len())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// An outboard on disk, in post-order, read in windows.
struct FileOutboard<'a> {
    root: blake3::Hash,
    tree: BaoTree,
    file: &'a File,
    window: RefCell<Window>,
}

impl Outboard for FileOutboard<'_> {
    fn root(&self) -> blake3::Hash {
        self.root
    }

    fn tree(&self) -> BaoTree {
        self.tree
    }

    fn load(&self, node: TreeNode) -> io::Result<Option<(blake3::Hash, blake3::Hash)>> {
        let Some(offset) = pair_offset(&self.tree, node) else {
            return Ok(None);
        };
        let mut window = self.window.borrow_mut();
        if window.slice(offset, 64).is_none() {
            // Children come before their parent, so the window ends with the parent.
            let end = offset + PAIR_BYTES;
            let start = end.saturating_sub(OUTBOARD_WINDOW_BYTES);
            let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0)];
            // What is not there reads as zeros, which never verify.
            match FileExt::read_exact_at(self.file, &mut bytes, start) {
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
                _ => *window = Window { start, bytes },
            }
        }
        let pair = window.slice(offset, 64).and_then(<[u8]>::split_first_chunk);
        Ok(pair.and_then(|(left, right)| {
            let right: [u8; 32] = right.try_into().ok()?;
            Some((
                blake3::Hash::from_bytes(*left),
                blake3::Hash::from_bytes(right),
            ))
        }))
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
