//! Shards with pieces to ask for, by how urgent they are.

use super::{
    bits::{Bits, Mask},
    shards::Slot,
};

/// How urgent a shard is; lower goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Level(u8);

/// Levels in all.
const LEVELS: u8 = 9;

impl Level {
    /// A reader waits for it.
    pub(super) const URGENT: Self = Self(0);
    /// A large shard of which some is here or asked for: few shards are open at a time.
    pub(super) const STARTED: Self = Self(1);

    /// By the number of peers that claimed the shard by itself. Peers that hold the whole version
    /// count for all shards alike and so for none.
    pub(super) const fn of_holders(holders: u16) -> Self {
        Self(match holders {
            0 => 2,
            1 => 3,
            2 => 4,
            3 => 5,
            4..8 => 6,
            8..16 => 7,
            16.. => LEVELS - 1,
        })
    }

    fn at(self) -> usize {
        usize::from(self.0)
    }
}

/// Shards with pieces to ask for, one set for each level.
#[derive(Debug)]
pub(super) struct Queue {
    levels: Vec<Bits>,
    shards: usize,
    /// Where this node starts among equals.
    start: usize,
}

/// A place in a walk through the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    level: usize,
    /// How far the walk is in this level, counted from the start and around the end.
    walked: usize,
}

impl Queue {
    pub(super) fn new(shards: usize, seed: u64) -> Self {
        let count = u64::try_from(shards).unwrap_or(u64::MAX).max(1);
        Self {
            levels: (0..LEVELS).map(|_| Bits::new(shards)).collect(),
            shards,
            start: usize::try_from(spread(seed) % count).unwrap_or(0),
        }
    }

    pub(super) fn insert(&mut self, slot: Slot, level: Level) {
        if let Some(bits) = self.levels.get_mut(level.at()) {
            bits.insert(slot.at());
        }
    }

    pub(super) fn remove(&mut self, slot: Slot, level: Level) {
        if let Some(bits) = self.levels.get_mut(level.at()) {
            bits.remove(slot.at());
        }
    }

    /// The beginning of a walk.
    pub(super) const fn walk() -> Cursor {
        Cursor {
            level: 0,
            walked: 0,
        }
    }

    /// The next shard of a walk that is in `mask`.
    pub(super) fn next(
        &self,
        cursor: &mut Cursor,
        mask: &impl Mask,
        steps: &mut u64,
    ) -> Option<Slot> {
        while let Some(bits) = self.levels.get(cursor.level) {
            if bits.ones() > 0
                && let Some(at) = self.next_in(bits, cursor.walked, mask, steps)
            {
                cursor.walked = (at + self.shards - self.start) % self.shards + 1;
                return Some(Slot::new(at));
            }
            *cursor = Cursor {
                level: cursor.level + 1,
                walked: 0,
            };
        }
        None
    }

    fn next_in(
        &self,
        bits: &Bits,
        walked: usize,
        mask: &impl Mask,
        steps: &mut u64,
    ) -> Option<usize> {
        let (start, end) = (self.start, self.shards);
        let from = start + walked;
        let ahead = if from < end {
            bits.first_common(mask, from..end, steps)
        } else {
            None
        };
        ahead.or_else(|| bits.first_common(mask, from.saturating_sub(end)..start, steps))
    }
}

/// Spreads the bits of a number over all of it (the finaliser of SplitMix64).
pub(super) const fn spread(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
