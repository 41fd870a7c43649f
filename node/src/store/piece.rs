//! Verifying a response while it arrives: what is handed on is right, and a lie costs one chunk group.

use std::{fs::File, io, mem, os::unix::fs::FileExt};

use bao_tree::{
    BaoTree,
    iter::{BaoChunk, ResponseIter},
};
use opendag_protocol::{Hash, limits::CHUNK_GROUP_BYTES, wire::GroupRange};

use super::{
    bao::{Proof, chunk_ranges, item_bytes, len64, pair_offset, tree},
    block::{Block, DataFile},
};

/// Bytes that arrived are not those that were asked for. Whoever sent them lies or is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// The blob is said to have another size.
    #[error("a size of {got} bytes was sent, but {expected} was expected")]
    Size {
        /// What was sent.
        got: u64,
        /// What the file table says, or the most that is taken.
        expected: u64,
    },
    /// A hash does not fit.
    #[error("the bytes of chunk group {group} are not those of the hash")]
    Group {
        /// The chunk group in which it was noticed.
        group: u64,
    },
    /// More was sent than was asked for, or less.
    #[error("the answer has another length than what was asked for")]
    Length,
}

/// What is known of the size of a blob before it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Exactly so many bytes, from a file table.
    Size(u64),
    /// At most so many bytes: for blobs that only a hash names. Of a range that is not [`GroupRange::ALL`] the bytes are
    /// proven, and the size is not.
    AtMost(u64),
}

/// Verifies a response while it arrives: push bytes as they come, take the [`Piece`] at any time.
///
/// Invariant: the first `verified_len` bytes of `data` are verified; they begin with the first group of the range
/// and have no gaps. Behind them is at most one chunk group that is still arriving.
#[derive(Debug)]
pub struct PieceDecoder {
    hash: Hash,
    range: GroupRange,
    expect: Expect,
    tree: BaoTree,
    items: Option<ResponseIter>,
    next: Option<BaoChunk>,
    proof: Proof,
    /// A size or hash pair that is still arriving.
    pending: Vec<u8>,
    data: Block,
    verified_len: usize,
    /// Bytes of the range that are not verified yet.
    left_bytes: u64,
    pairs: Vec<(u64, [u8; 64])>,
}

impl PieceDecoder {
    /// A decoder for the response to `range` of the blob `hash`. The caller has bounded the range: all of its bytes
    /// are held in memory.
    #[must_use]
    pub fn new(hash: Hash, expect: Expect, range: GroupRange) -> Self {
        // Until the size arrives, nothing may look like the whole of an empty blob.
        let (Expect::Size(size) | Expect::AtMost(size)) = expect;
        Self {
            hash,
            range,
            expect,
            tree: tree(size),
            items: None,
            next: None,
            proof: Proof::new(hash),
            pending: Vec::new(),
            data: Block::default(),
            verified_len: 0,
            left_bytes: 0,
            pairs: Vec::new(),
        }
    }

    /// How many more bytes are missing until something can be verified; 0: the response is complete.
    #[must_use]
    pub fn wants(&self) -> usize {
        let (item, here) = match (&self.items, &self.next) {
            (None, _) => (8, self.pending.len()),
            (Some(_), Some(item @ BaoChunk::Parent { .. })) => {
                (item_bytes(item), self.pending.len())
            }
            (Some(_), Some(item @ BaoChunk::Leaf { .. })) => {
                (item_bytes(item), self.data.len() - self.verified_len)
            }
            (Some(_), None) => return 0,
        };
        item.saturating_sub(here)
    }

    /// Has all of the response arrived and been verified?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.items.is_some() && self.next.is_none()
    }

    /// The size of the blob as sent; proven only once the response of the whole blob is complete.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.items.as_ref().map(|_| self.tree.size())
    }

    /// Takes bytes as they arrive. Answers how many belong to this response; the rest is of the next one.
    ///
    /// # Errors
    /// [`Corrupt`]: what was verified before stays, nothing more is to be pushed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        let mut rest = bytes;
        while !self.is_complete() {
            let (part, after) = rest.split_at_checked(self.wants()).unwrap_or((rest, &[]));
            rest = after;
            if matches!(self.next, Some(BaoChunk::Leaf { .. })) {
                if self.data.is_empty() {
                    self.data = Block::for_bytes(self.left_bytes);
                }
                self.data.extend(part);
            } else {
                self.pending.extend_from_slice(part);
            }
            if self.wants() > 0 {
                break;
            }
            self.take()?;
        }
        Ok(bytes.len() - rest.len())
    }

    /// The next item is here whole: the size, a hash pair or a chunk group.
    fn take(&mut self) -> Result<(), Corrupt> {
        let Some(next) = self.next.take() else {
            return self.take_size();
        };
        match next {
            BaoChunk::Parent { node, .. } => {
                let pair: [u8; 64] = (&*self.pending).try_into().map_err(|_| Corrupt::Length)?;
                self.pending.clear();
                if !self.proof.accepts(&next, &pair) {
                    return Err(self.mismatch());
                }
                if let Some(offset) = pair_offset(&self.tree, node) {
                    self.pairs.push((offset, pair));
                }
            }
            BaoChunk::Leaf { size, .. } => {
                let group = self.data.get(self.verified_len..).unwrap_or_default();
                if !self.proof.accepts(&next, group) {
                    self.data.truncate(self.verified_len);
                    return Err(self.mismatch());
                }
                self.verified_len = self.data.len();
                self.left_bytes = self.left_bytes.saturating_sub(len64(size));
            }
        }
        self.next = self.items.as_mut().and_then(Iterator::next);
        Ok(())
    }

    fn take_size(&mut self) -> Result<(), Corrupt> {
        let size = (&*self.pending).try_into().map_err(|_| Corrupt::Length)?;
        let got = u64::from_le_bytes(size);
        self.pending.clear();
        let (fits, expected) = match self.expect {
            Expect::Size(size) => (got == size, size),
            Expect::AtMost(most) => (got <= most, most),
        };
        if !fits {
            return Err(Corrupt::Size { got, expected });
        }
        let ranges = chunk_ranges(self.range, got).ok_or(Corrupt::Length)?;
        let bytes = self.range.bytes(got);
        self.left_bytes = bytes.end - bytes.start;
        self.tree = tree(got);
        let mut items = ResponseIter::new(self.tree, ranges);
        self.next = items.next();
        self.items = Some(items);
        Ok(())
    }

    fn mismatch(&self) -> Corrupt {
        let group = len64(self.verified_len) / CHUNK_GROUP_BYTES;
        Corrupt::Group {
            group: self.range.first.saturating_add(group),
        }
    }

    /// The groups that are verified and were not taken yet.
    #[must_use]
    pub fn verified(&self) -> Option<GroupRange> {
        let count = len64(self.verified_len).div_ceil(CHUNK_GROUP_BYTES);
        GroupRange::between(self.range.first, self.range.first.saturating_add(count))
    }

    /// Takes what is verified and was not taken yet; the rest of the response may follow.
    #[must_use]
    pub fn take_piece(&mut self) -> Piece {
        // Hash pairs stay until there is a group that they prove: a piece without groups is not kept,
        // and the groups that follow could not be proven to others without them.
        let (data, pairs) = if self.verified_len == 0 {
            Default::default()
        } else {
            (self.split_verified(), mem::take(&mut self.pairs))
        };
        let piece = Piece {
            hash: self.hash,
            size: self.tree.size(),
            first: self.range.first,
            data,
            pairs,
        };
        if let Some(groups) = piece.groups() {
            self.range.first = groups.end();
        }
        piece
    }

    /// Takes the verified bytes; what still arrives stays.
    fn split_verified(&mut self) -> Block {
        let mut verified = mem::take(&mut self.data);
        let arriving = verified.get(self.verified_len..).unwrap_or_default();
        if !arriving.is_empty() {
            self.data = Block::for_bytes(self.left_bytes);
            self.data.extend(arriving);
        }
        verified.truncate(mem::take(&mut self.verified_len));
        verified
    }

    /// What is verified so far.
    #[must_use]
    pub fn into_piece(mut self) -> Piece {
        self.take_piece()
    }
}

/// Verified bytes of a blob: whole chunk groups without gaps, and the hash pairs that prove them.
///
/// Only a [`PieceDecoder`] makes one.
#[derive(Debug)]
pub struct Piece {
    hash: Hash,
    size: u64,
    first: u64,
    data: Block,
    pairs: Vec<(u64, [u8; 64])>,
}

impl Piece {
    /// The blob of which it is a piece.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// The verified chunk groups; `None` if there are none.
    #[must_use]
    pub fn groups(&self) -> Option<GroupRange> {
        let count = len64(self.data.len()).div_ceil(CHUNK_GROUP_BYTES);
        GroupRange::between(self.first, self.first.saturating_add(count))
    }

    /// The verified bytes, from the first group on.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.data.as_slice()
    }

    /// Are they the whole blob?
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.first == 0 && len64(self.data.len()) == self.size
    }

    /// The verified bytes, if they are the whole blob.
    #[must_use]
    pub fn into_whole(self) -> Option<Vec<u8>> {
        self.is_whole().then(|| self.data.into_vec())
    }

    /// Writes the bytes and hash pairs to their places, in as few calls as possible.
    pub(crate) fn write_to(&self, data: &DataFile, outboard: &File) -> io::Result<()> {
        data.write_all_at(self.bytes(), self.first.saturating_mul(CHUNK_GROUP_BYTES))?;
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_unstable_by_key(|(offset, _)| *offset);
        let mut run: Vec<u8> = Vec::new();
        let mut run_start = 0;
        for (offset, pair) in pairs {
            if run_start + len64(run.len()) != *offset {
                outboard.write_all_at(&run, run_start)?;
                run.clear();
                run_start = *offset;
            }
            run.extend_from_slice(pair);
        }
        outboard.write_all_at(&run, run_start)
    }
}
