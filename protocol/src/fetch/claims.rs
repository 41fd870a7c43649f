//! What one peer claims to hold.

use std::{collections::BTreeMap, ops::Range};

use super::{
    bits::{Bits, Mask},
    shards::{Shards, Slot},
};
use crate::wire::GroupRanges;

/// Shards of which a peer may hold a part, beyond which partial claims are not kept.
const PARTIAL_SHARDS_MAX: usize = 4096;
/// Pieces of shards that a peer holds in part, beyond which partial claims are not kept: half a
/// mebibyte of bits, and 512 GiB in pieces of 128 KiB.
const PARTIAL_PIECES_MAX: usize = 1 << 22;
/// Ranges kept for one shard that make up no whole piece yet.
const CRUMBS_MAX: usize = 64;

/// What one peer claims to hold.
///
/// Invariant: a shard held in part is also in `any`, so that searches find it. What is in `any` is
/// counted in the rarity of its shard, what is in `partial` in that of its pieces.
#[derive(Debug, Default)]
pub(super) struct Claims {
    complete: bool,
    any: Option<Bits>,
    partial: BTreeMap<Slot, Part>,
    partial_pieces: usize,
    denied: Option<Bits>,
}

/// What is held of a shard.
#[derive(Debug)]
struct Part {
    pieces: Bits,
    /// Groups that make up no whole piece yet.
    crumbs: GroupRanges,
}

impl Claims {
    /// Does it claim the whole version?
    pub(super) const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Has it claimed anything?
    pub(super) fn is_empty(&self) -> bool {
        !self.complete && self.any.as_ref().is_none_or(|any| any.ones() == 0)
    }

    /// Notes that it holds all; was that new?
    pub(super) fn complete(&mut self, shards: &mut Shards) -> bool {
        let partial: Vec<Slot> = self.partial.keys().copied().collect();
        for slot in partial {
            self.whole(slot, shards);
        }
        !std::mem::replace(&mut self.complete, true)
    }

    /// Notes a whole shard; was that new?
    pub(super) fn whole(&mut self, slot: Slot, shards: &mut Shards) -> bool {
        let was_part = self.drop_part(slot, shards);
        let new = self.add(slot, shards.capacity());
        if new || was_part {
            shards.gain_holder(slot);
        }
        new || was_part
    }

    /// Notes a part of a shard; was any whole piece of it new?
    pub(super) fn part(&mut self, slot: Slot, ranges: &GroupRanges, shards: &mut Shards) -> bool {
        let known = self.any.as_ref().is_some_and(|any| any.contains(slot.at()));
        let pieces = shards.pieces(slot);
        let has_all = if known {
            !self.partial.contains_key(&slot)
        } else {
            self.complete && self.has_any(slot)
        };
        if has_all {
            return false;
        }
        if !known {
            if self.partial.len() >= PARTIAL_SHARDS_MAX
                || self.partial_pieces.saturating_add(pieces) > PARTIAL_PIECES_MAX
            {
                return false;
            }
            self.partial_pieces += pieces;
            shards.gain_part(slot);
        }
        let part = self.partial.entry(slot).or_insert_with(|| Part {
            pieces: Bits::new(pieces),
            crumbs: GroupRanges::new(),
        });
        let new = part.add(slot, ranges, shards);
        shards.gain_pieces(slot, &new);
        self.add(slot, shards.capacity());
        !new.is_empty()
    }

    fn add(&mut self, slot: Slot, capacity: usize) -> bool {
        if let Some(denied) = &mut self.denied {
            denied.remove(slot.at());
        }
        self.any
            .get_or_insert_with(|| Bits::new(capacity))
            .insert(slot.at())
    }

    /// It lacks a shard that it claimed.
    pub(super) fn deny(&mut self, slot: Slot, shards: &mut Shards) {
        self.denied
            .get_or_insert_with(|| Bits::new(shards.capacity()))
            .insert(slot.at());
        let was_part = self.drop_part(slot, shards);
        let claimed = self.any.as_mut().is_some_and(|any| any.remove(slot.at()));
        if claimed && !was_part {
            shards.lose_holder(slot);
        }
    }

    /// Does it claim any of this shard?
    pub(super) fn has_any(&self, slot: Slot) -> bool {
        let (word, bit) = (slot.at() / 64, slot.at() % 64);
        (self.word(0, word) >> bit) & 1 == 1
    }

    /// Does it claim all these pieces?
    pub(super) fn has(&self, slot: Slot, mut pieces: Range<usize>) -> bool {
        self.has_any(slot)
            && self
                .limit(slot)
                .is_none_or(|held| pieces.all(|piece| held.contains(piece)))
    }

    /// The pieces that it is limited to in a shard of which it claims any; `None`: it claims all.
    pub(super) fn limit(&self, slot: Slot) -> Option<&Bits> {
        self.partial.get(&slot).map(|part| &part.pieces)
    }

    /// Counts its claims out of the rarity of shards and pieces.
    pub(super) fn withdraw(mut self, shards: &mut Shards) {
        for at in self.any.take().iter().flat_map(Bits::iter) {
            let slot = Slot::new(at);
            if !self.drop_part(slot, shards) {
                shards.lose_holder(slot);
            }
        }
    }

    /// Forgets what is held of a shard that is held in part; was it?
    fn drop_part(&mut self, slot: Slot, shards: &mut Shards) -> bool {
        let Some(part) = self.partial.remove(&slot) else {
            return false;
        };
        self.partial_pieces -= part.pieces.len();
        shards.lose_part(slot, &part.pieces);
        true
    }
}

impl Part {
    /// Adds groups; returns the whole pieces that are new.
    fn add(&mut self, slot: Slot, ranges: &GroupRanges, shards: &Shards) -> Vec<Range<usize>> {
        let mut new = Vec::new();
        let mut crumbs = std::mem::take(&mut self.crumbs);
        crumbs.insert_all(ranges);
        for range in crumbs.iter() {
            let whole = shards.whole_pieces_in(slot, range);
            let touched = shards.pieces_of(slot, range);
            new.extend(self.pieces.insert_range(whole.clone()));
            if whole != touched && self.crumbs.len_ranges() < CRUMBS_MAX {
                self.crumbs.insert(range);
            }
        }
        new
    }
}

impl Mask for Claims {
    fn word(&self, level: usize, index: usize) -> u64 {
        let held = match &self.any {
            _ if self.complete => u64::MAX,
            Some(any) => any.word(level, index),
            None => 0,
        };
        match &self.denied {
            Some(denied) if level == 0 => held & !denied.word(level, index),
            Some(_) | None => held,
        }
    }
}
