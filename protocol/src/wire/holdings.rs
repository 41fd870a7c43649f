//! `/opendag/<net>/holdings/1`: what a peer has of a version, now and as it grows.

use std::iter::Peekable;

use serde::{Deserialize, Serialize};

use super::{BoundedBytes, BoundedVec, GroupRange, GroupRanges};
use crate::{
    id::ManifestId,
    limits::{
        ADDRESS_BYTES_MAX, ADDRESSES_PER_PEER_MAX, PEER_ID_BYTES_MAX, PEERS_PER_UPDATE_MAX,
        RANGES_PER_UPDATE_MAX, SHARD_BITS_BYTES_MAX,
    },
    table::ShardIndex,
};

/// The one frame that a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldingsRequest {
    /// The version.
    pub manifest: ManifestId,
}

/// One bit for each shard from some shard on: bit `i` is bit `i % 8`, from the lowest, of byte `i / 8`.
pub type ShardBits = BoundedBytes<SHARD_BITS_BYTES_MAX>;

/// The frames that a server sends for as long as the stream lives.
///
/// Claims add up: a shard or range that was named once stays claimed, until `Nothing` takes all back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldingsUpdate {
    /// Nothing is held; what was claimed before is taken back.
    Nothing,
    /// All shards are held.
    Complete,
    /// Whole shards are held, besides those named before.
    Shards {
        /// The shard of the first bit.
        first: ShardIndex,
        /// Set for those that are held. [`shards_in`] lists them.
        bits: ShardBits,
    },
    /// Parts of a shard are held, besides those named before.
    Partial {
        /// The shard.
        shard: ShardIndex,
        /// Its chunk groups.
        ranges: BoundedVec<GroupRange, RANGES_PER_UPDATE_MAX>,
    },
    /// Other peers that have some of the version, by hearsay.
    Peers(BoundedVec<PeerAddr, PEERS_PER_UPDATE_MAX>),
    /// The first full picture is complete; what follows are changes.
    Snapshot,
    /// Ask again later; the stream ends.
    Busy,
}

/// A peer and where it may be reached, unverified.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PeerAddr {
    /// Its peer id, in binary form.
    pub peer: BoundedBytes<PEER_ID_BYTES_MAX>,
    /// Its multiaddrs, in binary form.
    pub addresses: BoundedVec<BoundedBytes<ADDRESS_BYTES_MAX>, ADDRESSES_PER_PEER_MAX>,
}

impl HoldingsUpdate {
    /// The updates that claim these shards, which come in growing order: as few as it takes.
    pub fn shards(shards: impl IntoIterator<Item = ShardIndex>) -> impl Iterator<Item = Self> {
        Windows {
            shards: shards.into_iter().peekable(),
        }
    }

    /// The updates that claim these parts of a shard.
    pub fn partial(shard: ShardIndex, groups: &GroupRanges) -> impl Iterator<Item = Self> + '_ {
        let mut ranges = groups.iter().peekable();
        std::iter::from_fn(move || {
            ranges.peek()?;
            Some(Self::Partial {
                shard,
                ranges: BoundedVec::take_from(&mut ranges),
            })
        })
    }
}

/// The shards whose bits are set. Numbers beyond 32 bits do not exist and are left out.
pub fn shards_in(first: ShardIndex, bits: &[u8]) -> impl Iterator<Item = ShardIndex> + '_ {
    let set = bits
        .iter()
        .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
    let numbered = (u64::from(first.0)..).zip(set);
    numbered
        .filter(|(_, is_set)| *is_set)
        .filter_map(|(shard, _)| u32::try_from(shard).ok().map(ShardIndex))
}

/// Cuts growing numbers of shards into runs that fit a bitmap.
struct Windows<I: Iterator<Item = ShardIndex>> {
    shards: Peekable<I>,
}

impl<I: Iterator<Item = ShardIndex>> Iterator for Windows<I> {
    type Item = HoldingsUpdate;

    fn next(&mut self) -> Option<HoldingsUpdate> {
        let first = *self.shards.peek()?;
        let mut bits: Vec<u8> = Vec::new();
        while let Some(shard) = self
            .shards
            .next_if(|shard| window_byte(first, *shard).is_some())
        {
            let (byte, bit) = window_byte(first, shard).unwrap_or_default();
            if bits.len() <= byte {
                bits.resize(byte.saturating_add(1), 0);
            }
            if let Some(byte) = bits.get_mut(byte) {
                *byte |= bit;
            }
        }
        // A window ends before the limit.
        let bits = ShardBits::try_from(bits).unwrap_or_default();
        Some(HoldingsUpdate::Shards { first, bits })
    }
}

/// Where the bit of `shard` lies in the bitmap that begins with `first`; `None` if that ends before.
fn window_byte(first: ShardIndex, shard: ShardIndex) -> Option<(usize, u8)> {
    let offset = shard.0.checked_sub(first.0)?;
    let byte = usize::try_from(offset / 8).ok()?;
    (byte < SHARD_BITS_BYTES_MAX).then_some((byte, 1 << (offset % 8)))
}
