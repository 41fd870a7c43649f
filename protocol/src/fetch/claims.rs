//! What one peer claims to hold.

use std::collections::BTreeMap;

use super::{
    bits::{Bits, Mask},
    shards::{Shards, Slot},
};
use crate::wire::{GroupRange, GroupRanges};

/// Shards of which a peer may hold a part, beyond which partial claims are not kept.
const PARTIAL_SHARDS_MAX: usize = 4096;
/// Ranges kept for one shard that a peer holds in part.
const PARTIAL_RANGES_MAX: usize = 1024;

/// What one peer claims to hold.
///
/// Invariant: a shard held in part is also in `any`, so that searches find it.
#[derive(Debug, Default)]
pub(super) struct Claims {
    complete: bool,
    any: Option<Bits>,
    partial: BTreeMap<Slot, GroupRanges>,
    denied: Option<Bits>,
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
    pub(super) fn complete(&mut self) -> bool {
        self.partial.clear();
        !std::mem::replace(&mut self.complete, true)
    }

    /// Notes a whole shard; is the shard new among its claims?
    pub(super) fn whole(&mut self, slot: Slot, len: usize) -> bool {
        self.partial.remove(&slot);
        self.add(slot, len)
    }

    /// Notes a part of a shard; is the shard new among its claims?
    pub(super) fn part(&mut self, slot: Slot, ranges: &GroupRanges, len: usize) -> bool {
        let known = self.any.as_ref().is_some_and(|any| any.contains(slot.at()));
        if known && !self.partial.contains_key(&slot) {
            return false;
        }
        if !known && self.partial.len() >= PARTIAL_SHARDS_MAX {
            return false;
        }
        let held = self.partial.entry(slot).or_default();
        held.insert_all(ranges);
        if held.len_ranges() > PARTIAL_RANGES_MAX {
            held.clone_from(ranges);
        }
        self.add(slot, len)
    }

    fn add(&mut self, slot: Slot, len: usize) -> bool {
        if let Some(denied) = &mut self.denied {
            denied.remove(slot.at());
        }
        self.any
            .get_or_insert_with(|| Bits::new(len))
            .insert(slot.at())
    }

    /// It lacks a shard that it claimed. Returns whether the shard was claimed by itself, not only
    /// as part of the whole version.
    pub(super) fn deny(&mut self, slot: Slot, len: usize) -> bool {
        self.denied
            .get_or_insert_with(|| Bits::new(len))
            .insert(slot.at());
        self.partial.remove(&slot);
        self.any.as_mut().is_some_and(|any| any.remove(slot.at()))
    }

    /// Does it claim any of this shard?
    pub(super) fn has_any(&self, slot: Slot) -> bool {
        let (word, bit) = (slot.at() / 64, slot.at() % 64);
        (self.word(0, word) >> bit) & 1 == 1
    }

    /// Does it claim all these groups?
    pub(super) fn has(&self, slot: Slot, groups: GroupRange) -> bool {
        self.has_any(slot)
            && self
                .limit(slot)
                .is_none_or(|held| held.contains_all(groups))
    }

    /// The groups that it is limited to in a shard of which it claims any; `None`: it claims all.
    pub(super) fn limit(&self, slot: Slot) -> Option<&GroupRanges> {
        self.partial.get(&slot)
    }

    /// Counts its claims out of the rarity of shards.
    pub(super) fn withdraw(&self, shards: &mut Shards) {
        for at in self.any.iter().flat_map(Bits::iter) {
            shards.lose_holder(Slot::new(at));
        }
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
