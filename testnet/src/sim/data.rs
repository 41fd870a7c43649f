//! What is fetched: shards of equal size.

use opendag_protocol::{
    fetch::{FetchConfig, Item},
    limits::CHUNK_GROUP_BYTES,
    wire::groups_in,
};

/// The shards of a simulated version.
#[derive(Clone, Debug)]
pub(super) struct Data {
    shards: u32,
    /// Pieces of each but the last.
    shard_pieces: u64,
    pieces: u64,
    piece_bytes: u64,
    small_bytes: u64,
}

impl Data {
    /// So many pieces, spread over about so many shards.
    pub(super) fn new(config: &FetchConfig, pieces: u64, shards: u32) -> Self {
        let pieces = pieces.max(1);
        let shard_pieces = pieces.div_ceil(u64::from(shards.max(1)));
        Self {
            shards: u32::try_from(pieces.div_ceil(shard_pieces)).unwrap_or(u32::MAX),
            shard_pieces,
            pieces,
            piece_bytes: config.piece_bytes,
            small_bytes: config.small_shard_bytes,
        }
    }

    pub(super) const fn shards(&self) -> u32 {
        self.shards
    }

    pub(super) const fn pieces(&self) -> u64 {
        self.pieces
    }

    pub(super) const fn piece_groups(&self) -> u64 {
        self.piece_bytes / CHUNK_GROUP_BYTES
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.pieces * self.piece_bytes
    }

    pub(super) fn pieces_of(&self, shard: u32) -> u64 {
        let before = u64::from(shard) * self.shard_pieces;
        self.pieces.saturating_sub(before).min(self.shard_pieces)
    }

    pub(super) fn size(&self, shard: u32) -> u64 {
        self.pieces_of(shard) * self.piece_bytes
    }

    pub(super) fn groups(&self, shard: u32) -> u64 {
        groups_in(self.size(shard))
    }

    /// Is it asked for as a whole only?
    pub(super) fn is_small(&self, shard: u32) -> bool {
        self.size(shard) <= self.small_bytes
    }

    /// The shard of a piece, and its number in that.
    pub(super) fn place(&self, piece: u64) -> (u32, u64) {
        let shard = u32::try_from(piece / self.shard_pieces).unwrap_or(u32::MAX);
        (shard, piece % self.shard_pieces)
    }

    /// The bytes of an item.
    pub(super) fn bytes_of(&self, item: Item) -> u64 {
        let bytes = item.groups.bytes(self.size(item.shard.0));
        bytes.end - bytes.start
    }
}
