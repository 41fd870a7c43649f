//! The shards of a fetch: what is here, what is asked for, what is wanted.

use std::{collections::BTreeMap, ops::Range};

use super::{
    FetchConfig, ShardSpec,
    bits::{Bits, Mask},
    queue::{Cursor, Queue},
    shard::{Room, Shard, Take},
};
use crate::{
    table::ShardIndex,
    wire::{GroupRange, GroupRanges},
};

/// The place of a shard in this fetch: shards that were not selected have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(u32);

impl Slot {
    pub(super) fn new(at: usize) -> Self {
        Self(u32::try_from(at).unwrap_or(u32::MAX))
    }

    pub(super) fn at(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Large shards that may be begun and not yet whole; beyond that, begun ones go before rarer ones: an
/// open shard costs a descriptor, and its proofs.
const OPEN_SHARDS_MAX: usize = 64;

/// Shards of a fetch on demand: their names and sets of bits are small, and who reads more files than
/// that begins anew.
const ON_DEMAND_SHARDS_MAX: usize = 1 << 16;

/// All shards of a fetch, and the queue of those with something to ask for.
///
/// Invariants: a shard is in the queue, at its level, exactly if some of it is wanted; `done`, `open`
/// and `bytes_done` are sums over the shards.
#[derive(Debug)]
pub(super) struct Shards {
    /// Sorted by number, behind them those that were added.
    shards: Vec<Shard>,
    added: BTreeMap<ShardIndex, Slot>,
    capacity: usize,
    queue: Queue,
    done: usize,
    /// Large shards that are begun and not whole.
    open: usize,
    bytes_total: u64,
    bytes_done: u64,
}

impl Shards {
    pub(super) fn new(config: &FetchConfig, specs: impl IntoIterator<Item = ShardSpec>) -> Self {
        let specs = specs.into_iter();
        let mut shards: Vec<Shard> = specs.map(|spec| Shard::new(config, &spec)).collect();
        shards.sort_by_key(|shard| shard.index);
        shards.dedup_by_key(|shard| shard.index);
        shards.truncate(usize::try_from(u32::MAX).unwrap_or(usize::MAX));
        let sum =
            |bytes_of: fn(&Shard) -> u64| shards.iter().map(bytes_of).fold(0, u64::saturating_add);
        let capacity = match config.on_demand {
            true => shards.len().max(ON_DEMAND_SHARDS_MAX),
            false => shards.len(),
        };
        let mut all = Self {
            added: BTreeMap::new(),
            capacity,
            queue: Queue::new(capacity, config.seed),
            done: shards.iter().filter(|shard| shard.is_done()).count(),
            open: shards.iter().filter(|shard| shard.is_open()).count(),
            bytes_total: sum(|shard| shard.size),
            bytes_done: sum(Shard::bytes_done),
            shards,
        };
        for slot in all.slots() {
            all.requeue(slot);
        }
        all
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.shards.len()).map(Slot::new)
    }

    /// The slots of the shards `first..first + count`.
    pub(super) fn slots_between(
        &self,
        first: ShardIndex,
        count: u64,
    ) -> impl Iterator<Item = Slot> + use<> {
        let end = u64::from(first.0).saturating_add(count);
        let sorted = self.sorted();
        let low = sorted.partition_point(|shard| shard.index < first);
        let high = sorted.partition_point(|shard| u64::from(shard.index.0) < end);
        let added = self.added.range(first..);
        let added: Vec<Slot> = added
            .take_while(|(index, _)| u64::from(index.0) < end)
            .map(|(_, slot)| *slot)
            .collect();
        (low..high).map(Slot::new).chain(added)
    }

    /// Those that were there from the beginning.
    fn sorted(&self) -> &[Shard] {
        let count = self.shards.len() - self.added.len();
        self.shards.get(..count).unwrap_or_default()
    }

    /// Adds a shard if there is room and none has its number.
    pub(super) fn add(&mut self, config: &FetchConfig, spec: &ShardSpec) -> Option<Slot> {
        if self.slot_of(spec.shard).is_some() || self.is_full() {
            return None;
        }
        let (slot, shard) = (Slot::new(self.shards.len()), Shard::new(config, spec));
        self.added.insert(spec.shard, slot);
        self.bytes_total = self.bytes_total.saturating_add(shard.size);
        self.bytes_done = self.bytes_done.saturating_add(shard.bytes_done());
        self.done += usize::from(shard.is_done());
        self.open += usize::from(shard.is_open());
        self.shards.push(shard);
        self.requeue(slot);
        Some(slot)
    }

    /// Is there no room for another one?
    pub(super) const fn is_full(&self) -> bool {
        self.shards.len() >= self.capacity
    }

    /// How many there may be.
    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn slot_of(&self, index: ShardIndex) -> Option<Slot> {
        let found = self
            .sorted()
            .binary_search_by_key(&index, |shard| shard.index);
        let added = || self.added.get(&index).copied();
        found.ok().map(Slot::new).or_else(added)
    }

    pub(super) fn index(&self, slot: Slot) -> ShardIndex {
        self.get(slot)
            .map_or(ShardIndex(u32::MAX), |shard| shard.index)
    }

    pub(super) fn size(&self, slot: Slot) -> u64 {
        self.get(slot).map_or(0, |shard| shard.size)
    }

    pub(super) fn is_done(&self, slot: Slot) -> bool {
        self.get(slot).is_none_or(Shard::is_done)
    }

    /// Is it asked for as a whole only?
    pub(super) fn is_small(&self, slot: Slot) -> bool {
        self.get(slot).is_none_or(Shard::is_small)
    }

    /// All groups of a shard.
    pub(super) fn whole(&self, slot: Slot) -> GroupRanges {
        self.get(slot).map(Shard::whole).unwrap_or_default()
    }

    pub(super) const fn len(&self) -> usize {
        self.shards.len()
    }

    pub(super) const fn done(&self) -> usize {
        self.done
    }

    pub(super) const fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    pub(super) const fn bytes_done(&self) -> u64 {
        self.bytes_done
    }

    /// Does any peer claim it, or a part of it, by itself?
    pub(super) fn is_claimed(&self, slot: Slot) -> bool {
        self.get(slot)
            .is_some_and(|shard| shard.holders > 0 || shard.parts > 0)
    }

    /// What of these groups is not here.
    pub(super) fn missing(&self, slot: Slot, groups: &GroupRanges) -> GroupRanges {
        self.get(slot)
            .map(|shard| shard.missing(groups))
            .unwrap_or_default()
    }

    /// The beginning of a walk through what is to be asked for.
    pub(super) const fn walk(&self) -> Cursor {
        self.queue.walk(self.open >= OPEN_SHARDS_MAX)
    }

    /// The next shard with something to ask for that is in `mask`.
    pub(super) fn next(
        &self,
        cursor: &mut Cursor,
        mask: &impl Mask,
        steps: &mut u64,
    ) -> Option<Slot> {
        self.queue.next(cursor, mask, steps)
    }

    fn contest(&mut self, slot: Slot) {
        let is_asked = self.get(slot).is_some_and(Shard::is_asked);
        self.queue.contest(slot, is_asked);
    }

    /// Is nothing left to ask for?
    pub(super) fn is_all_asked(&self) -> bool {
        self.queue.is_empty()
    }

    /// The pieces of a shard in which parts are claimed.
    pub(super) fn pieces(&self, slot: Slot) -> usize {
        self.get(slot).map_or(0, Shard::pieces)
    }

    /// The pieces that hold any of these groups.
    pub(super) fn pieces_of(&self, slot: Slot, groups: GroupRange) -> Range<usize> {
        self.get(slot).map_or(0..0, |shard| shard.pieces_of(groups))
    }

    /// These groups and all others of their pieces.
    pub(super) fn widened(&self, slot: Slot, groups: &GroupRanges) -> GroupRanges {
        self.get(slot)
            .map(|shard| shard.widened(groups))
            .unwrap_or_default()
    }

    /// The pieces whose groups are all in this range.
    pub(super) fn whole_pieces_in(&self, slot: Slot, groups: GroupRange) -> Range<usize> {
        self.get(slot)
            .map_or(0..0, |shard| shard.whole_pieces_in(groups))
    }

    /// One more peer claims a part of it, no piece yet.
    pub(super) fn gain_part(&mut self, slot: Slot) {
        self.contest(slot);
        self.change(slot, |shard| shard.parts = shard.parts.saturating_add(1));
    }

    /// Who claims a part of a shard claims these pieces as well.
    pub(super) fn gain_pieces(&mut self, slot: Slot, pieces: &[Range<usize>]) {
        if !pieces.is_empty() {
            self.change(slot, |shard| shard.gain_pieces(pieces));
        }
    }

    /// A peer that claimed these pieces of a shard does not any more.
    pub(super) fn lose_part(&mut self, slot: Slot, pieces: &Bits) {
        self.change(slot, |shard| shard.lose_part(pieces));
    }

    /// One more peer claims all of it by itself.
    pub(super) fn gain_holder(&mut self, slot: Slot) {
        self.contest(slot);
        self.change(slot, |shard| {
            shard.holders = shard.holders.saturating_add(1);
        });
    }

    /// One peer less claims it by itself.
    pub(super) fn lose_holder(&mut self, slot: Slot) {
        self.change(slot, |shard| {
            shard.holders = shard.holders.saturating_sub(1);
        });
    }

    /// Takes what is to be asked next in a shard, of the pieces in `held` if the peer is limited.
    pub(super) fn take(
        &mut self,
        slot: Slot,
        held: Option<&Bits>,
        room: Room,
        steps: &mut u64,
    ) -> Take {
        let level = self.get(slot).and_then(|shard| shard.queued);
        let taken = self.change(slot, |shard| shard.take(held, room, steps));
        if let Some(Take::Ranges(..)) = taken {
            self.queue.took(slot, level, self.is_small(slot), steps);
        }
        taken.unwrap_or(Take::Nothing)
    }

    /// Lets a walk from which something was taken go on.
    pub(super) fn follow(&self, cursor: &mut Cursor) {
        self.queue.follow(cursor);
    }

    /// As [`Shard::release`].
    pub(super) fn release(&mut self, slot: Slot, groups: GroupRange, coming: &GroupRanges) -> bool {
        self.change(slot, |shard| shard.release(groups, coming))
            .unwrap_or(false)
    }

    /// Groups of a large shard are here. Returns the bytes that are new.
    pub(super) fn received(&mut self, slot: Slot, groups: GroupRange) -> u64 {
        self.gain(slot, |shard| shard.received(groups))
    }

    /// All of a small shard is here. Returns the bytes that are new.
    pub(super) fn received_small(&mut self, slot: Slot) -> u64 {
        self.gain(slot, Shard::received_small)
    }

    /// Groups that were here are lost; a small shard as a whole. Was anything lost?
    pub(super) fn lose(&mut self, slot: Slot, groups: GroupRange) -> bool {
        let was_done = self.is_done(slot);
        let lost = self.change(slot, |shard| shard.lose(groups)).unwrap_or(0);
        self.bytes_done = self.bytes_done.saturating_sub(lost);
        self.done -= usize::from(was_done && lost > 0);
        lost > 0
    }

    /// A reader waits for these groups; requests bring those in `coming`.
    pub(super) fn prioritise(&mut self, slot: Slot, groups: GroupRange, coming: &GroupRanges) {
        self.change(slot, |shard| shard.prioritise(groups, coming));
    }

    /// No reader waits for these groups any more.
    pub(super) fn leave(&mut self, slot: Slot, groups: GroupRange) {
        self.change(slot, |shard| shard.leave(groups));
    }

    /// What is wanted of a shard at all: all of it, or what readers wait for.
    pub(super) fn demanded(&self, slot: Slot) -> GroupRanges {
        self.get(slot).map(Shard::demanded).unwrap_or_default()
    }

    /// Makes a change that brings new bytes.
    fn gain(&mut self, slot: Slot, change: impl FnOnce(&mut Shard) -> u64) -> u64 {
        let was_done = self.is_done(slot);
        let new = self.change(slot, change).unwrap_or(0);
        self.bytes_done = self.bytes_done.saturating_add(new);
        self.done += usize::from(!was_done && self.is_done(slot));
        new
    }

    fn get(&self, slot: Slot) -> Option<&Shard> {
        self.shards.get(slot.at())
    }

    /// Changes a shard and puts it where it belongs in the queue.
    fn change<T>(&mut self, slot: Slot, change: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        let shard = self.shards.get_mut(slot.at())?;
        let was_open = shard.is_open();
        let changed = change(shard);
        self.open = self.open + usize::from(shard.is_open()) - usize::from(was_open);
        self.requeue(slot);
        Some(changed)
    }

    fn requeue(&mut self, slot: Slot) {
        let Some(shard) = self.shards.get_mut(slot.at()) else {
            return;
        };
        let level = shard.level();
        if level == shard.queued {
            return;
        }
        if let Some(old) = std::mem::replace(&mut shard.queued, level) {
            self.queue.remove(slot, old);
        }
        if let Some(new) = level {
            self.queue.insert(slot, new);
        }
    }
}

impl Shards {
    /// The groups of a shard that are missing and in no request, by the shard's own account; `None`
    /// if that does not agree with itself.
    pub(super) fn wanted(&self, slot: Slot) -> Option<GroupRanges> {
        self.get(slot)?.wanted()
    }
}
