//! Shards with pieces to ask for, by how urgent they are.

use std::ops::Range;

use super::{
    bits::{Bits, Mask},
    shards::Slot,
};

/// How urgent a shard is; lower goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Level(u8);

/// What the level of a shard depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Does a reader wait for it?
    pub(super) urgent: bool,
    /// Was it begun here before anybody else claimed any of it?
    pub(super) mine: bool,
    /// Is some of a large shard here or asked for?
    pub(super) started: bool,
    /// Does any peer claim a part of it?
    pub(super) partly: bool,
    /// Peers that claim the rarest of what is wanted of it, without those that hold the whole
    /// version: they count for all shards alike and so for none.
    pub(super) claims: u16,
}

/// Levels in all.
const LEVELS: u8 = 17;

/// Levels of large shards that are begun.
const STARTED: [u8; 8] = [1, 3, 5, 7, 9, 11, 13, 15];

impl Level {
    const URGENT: Self = Self(0);
    const MINE: Self = Self(1);
    /// Nobody claims any of it: where this node makes its own way.
    const UNCLAIMED: Self = Self(2);

    pub(super) fn of(standing: Standing) -> Self {
        let claims = match standing.claims {
            _ if standing.urgent => return Self::URGENT,
            0 if standing.mine => return Self::MINE,
            0 if !standing.partly && !standing.started => return Self::UNCLAIMED,
            0 if !standing.partly => return Self::MINE,
            0 => 0,
            1 => 1,
            2 => 2,
            3 => 3,
            4..8 => 4,
            8..16 => 5,
            16.. => 6,
        };
        Self(3 + 2 * claims + u8::from(!standing.started))
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
    /// Where this node goes on among equals.
    here: usize,
    /// The same among shards that readers wait for: each has its turn.
    here_urgent: usize,
    /// The last run of shards that nobody claimed.
    run: Range<usize>,
    /// Somebody else is on the same way: go on elsewhere.
    leave: bool,
    draws: u64,
    /// Has any peer claimed a shard by itself?
    contested: bool,
}

/// A place in a walk through the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// Begun shards first, whoever claims them?
    crowded: bool,
    /// Levels that the walk is through with.
    levels: usize,
    start: usize,
    /// How far the walk is in its level, counted from the start and around the end.
    walked: usize,
}

impl Queue {
    pub(super) fn new(shards: usize, seed: u64) -> Self {
        let count = u64::try_from(shards).unwrap_or(u64::MAX).max(1);
        let here = usize::try_from(spread(seed) % count).unwrap_or(0);
        Self {
            levels: (0..LEVELS).map(|_| Bits::new(shards)).collect(),
            shards,
            here,
            here_urgent: 0,
            run: here..here,
            leave: false,
            draws: spread(seed ^ 1),
            contested: false,
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

    /// A peer claims a shard by itself, or a part of it. If it was asked for when nobody claimed it,
    /// then somebody else asked for it as well, earlier.
    pub(super) fn contest(&mut self, slot: Slot, is_asked: bool) {
        self.contested = true;
        self.leave |= is_asked && self.run.contains(&slot.at());
    }

    /// Is no shard in it?
    pub(super) fn is_empty(&self) -> bool {
        self.levels.iter().all(|level| level.ones() == 0)
    }

    /// The beginning of a walk; begun shards go first if there are too many of them.
    pub(super) const fn walk(&self, crowded: bool) -> Cursor {
        Cursor {
            crowded,
            levels: 0,
            start: self.here_urgent,
            walked: 0,
        }
    }

    /// This node asks for a shard. Of those that readers wait for the next one has its turn then. Of one that nobody
    /// claims it goes on with the next small one, or, if
    /// others claim that, somewhere else: what follows behind others' shards is what they ask for at
    /// this moment. Large ones need no order.
    pub(super) fn took(
        &mut self,
        slot: Slot,
        level: Option<Level>,
        is_small: bool,
        steps: &mut u64,
    ) {
        let next = if slot.at() + 1 < self.shards {
            slot.at() + 1
        } else {
            0
        };
        if level == Some(Level::URGENT) {
            self.here_urgent = next;
        }
        if level != Some(Level::UNCLAIMED) {
            return;
        }
        self.here = next;
        let Some(unclaimed) = self.levels.get(Level::UNCLAIMED.at()) else {
            return;
        };
        self.run.end = slot.at() + 1;
        let goes_on = is_small && !self.leave && unclaimed.contains(self.here);
        if self.contested && !goes_on && unclaimed.ones() > 0 {
            self.draws = spread(self.draws);
            self.leave = false;
            self.here = unclaimed.draw(self.draws, steps).unwrap_or(self.here);
            self.run = self.here..self.here;
        }
    }

    /// Lets a walk through what nobody claims go on where this node does.
    pub(super) fn follow(&self, cursor: &mut Cursor) {
        if self.level_of(*cursor) == Some(Level::UNCLAIMED) {
            cursor.start = self.here;
            cursor.walked = 0;
        }
    }

    /// The next shard of a walk that is in `mask`.
    pub(super) fn next(
        &self,
        cursor: &mut Cursor,
        mask: &impl Mask,
        steps: &mut u64,
    ) -> Option<Slot> {
        while let Some(level) = self.level_of(*cursor) {
            if let Some(bits) = self.levels.get(level.at())
                && bits.ones() > 0
                && let Some(at) = self.next_in(bits, *cursor, mask, steps)
            {
                cursor.walked = (at + self.shards - cursor.start) % self.shards + 1;
                return Some(Slot::new(at));
            }
            *cursor = Cursor {
                levels: cursor.levels + 1,
                start: self.here,
                walked: 0,
                ..*cursor
            };
        }
        None
    }

    /// The level in which a walk is.
    fn level_of(&self, cursor: Cursor) -> Option<Level> {
        let number = u8::try_from(cursor.levels).ok()?;
        let level = match cursor.crowded {
            true if cursor.levels == 0 => Some(0),
            true => STARTED
                .get(cursor.levels - 1)
                .copied()
                // The levels between those.
                .or_else(|| Some(2 * (number - 8))),
            false => Some(number),
        };
        level.filter(|level| *level < LEVELS).map(Level)
    }

    fn next_in(
        &self,
        bits: &Bits,
        cursor: Cursor,
        mask: &impl Mask,
        steps: &mut u64,
    ) -> Option<usize> {
        let (start, end) = (cursor.start, self.shards);
        let from = start + cursor.walked;
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
