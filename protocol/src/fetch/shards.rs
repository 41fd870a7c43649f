//! The shards of a fetch: what is here, what is asked for, what is wanted.

use super::{
    FetchConfig, ShardSpec,
    bits::Mask,
    large::Large,
    queue::{Cursor, Level, Queue},
};
use crate::{
    table::ShardIndex,
    wire::{GroupRange, GroupRanges, groups_in},
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

/// How far a shard is that is only asked for as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Wanted,
    Asked,
    Done,
}

#[derive(Debug)]
enum State {
    Small(Phase),
    Large(Box<Large>),
}

/// One shard; kept small, there are millions.
#[derive(Debug)]
struct Shard {
    index: ShardIndex,
    size: u64,
    /// Peers that claim it by itself.
    holders: u16,
    urgent: bool,
    /// Where it stands in the queue.
    queued: Option<Level>,
    state: State,
}

impl Shard {
    fn is_done(&self) -> bool {
        match &self.state {
            State::Small(phase) => *phase == Phase::Done,
            State::Large(large) => large.is_done(),
        }
    }

    /// Where it should stand in the queue.
    fn level(&self) -> Option<Level> {
        let (wanted, started) = match &self.state {
            State::Small(phase) => (*phase == Phase::Wanted, false),
            State::Large(large) => (large.is_wanted(), large.is_started()),
        };
        match (wanted, self.urgent, started) {
            (false, _, _) => None,
            (true, true, _) => Some(Level::URGENT),
            (true, false, true) => Some(Level::STARTED),
            (true, false, false) => Some(Level::of_holders(self.holders)),
        }
    }
}

/// How much a request may still take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Bytes up to which it should grow.
    pub(super) aim: u64,
    /// Bytes that its next item must not exceed.
    pub(super) limit: u64,
    /// Items that it may still take.
    pub(super) items: usize,
}

/// What came of looking for something to ask in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// Nothing there for this peer.
    Nothing,
    /// There is something, but it does not fit.
    TooLarge,
    /// These ranges, of so many bytes in all.
    Ranges(Vec<GroupRange>, u64),
}

/// All shards of a fetch, and the queue of those with something to ask for.
///
/// Invariant: a shard is in the queue, at its level, exactly if some of it is wanted.
#[derive(Debug)]
pub(super) struct Shards {
    shards: Vec<Shard>,
    queue: Queue,
    done: usize,
    bytes_total: u64,
    bytes_done: u64,
}

impl Shards {
    pub(super) fn new(config: &FetchConfig, specs: impl IntoIterator<Item = ShardSpec>) -> Self {
        let mut shards: Vec<Shard> = specs
            .into_iter()
            .map(|spec| Shard::new(config, &spec))
            .collect();
        shards.sort_by_key(|shard| shard.index);
        shards.dedup_by_key(|shard| shard.index);
        shards.truncate(usize::try_from(u32::MAX).unwrap_or(usize::MAX));
        let mut all = Self {
            queue: Queue::new(shards.len(), config.seed),
            done: 0,
            bytes_total: shards
                .iter()
                .map(|shard| shard.size)
                .fold(0, u64::saturating_add),
            bytes_done: shards
                .iter()
                .map(Shard::bytes_done)
                .fold(0, u64::saturating_add),
            shards,
        };
        for slot in all.slots() {
            all.done += usize::from(all.is_done(slot));
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
        let low = self.shards.partition_point(|shard| shard.index < first);
        let high = self
            .shards
            .partition_point(|shard| u64::from(shard.index.0) < end);
        (low..high).map(Slot::new)
    }

    pub(super) fn slot_of(&self, index: ShardIndex) -> Option<Slot> {
        self.shards
            .binary_search_by_key(&index, |shard| shard.index)
            .ok()
            .map(Slot::new)
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
        self.get(slot)
            .is_none_or(|shard| matches!(shard.state, State::Small(_)))
    }

    pub(super) fn len(&self) -> usize {
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

    /// How many peers claim it by itself.
    pub(super) fn holders(&self, slot: Slot) -> u16 {
        self.get(slot).map_or(0, |shard| shard.holders)
    }

    /// One more peer claims it by itself.
    pub(super) fn gain_holder(&mut self, slot: Slot) {
        if let Some(shard) = self.get_mut(slot) {
            shard.holders = shard.holders.saturating_add(1);
        }
        self.requeue(slot);
    }

    /// One peer less claims it by itself.
    pub(super) fn lose_holder(&mut self, slot: Slot) {
        if let Some(shard) = self.get_mut(slot) {
            shard.holders = shard.holders.saturating_sub(1);
        }
        self.requeue(slot);
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

    /// Takes what is to be asked next in a shard, of the groups in `held` if the peer is limited.
    pub(super) fn take(
        &mut self,
        slot: Slot,
        held: Option<&GroupRanges>,
        room: Room,
        steps: &mut u64,
    ) -> Take {
        let Some(shard) = self.get_mut(slot) else {
            return Take::Nothing;
        };
        let taken = match &mut shard.state {
            State::Small(phase) if *phase == Phase::Wanted => {
                let range = GroupRange {
                    first: 0,
                    count: groups_in(shard.size),
                };
                if held.is_some_and(|held| !held.contains_all(range)) {
                    Take::Nothing
                } else if shard.size > room.limit {
                    Take::TooLarge
                } else {
                    *phase = Phase::Asked;
                    Take::Ranges(vec![range], shard.size)
                }
            }
            State::Small(_) => Take::Nothing,
            State::Large(large) => {
                let taken = large.take(held, room, steps);
                shard.urgent = large.is_urgent();
                taken
            }
        };
        self.requeue(slot);
        taken
    }

    /// What was asked for will not come: it is wanted again, except what is here or what another
    /// request still brings (`coming`). Is anything wanted again?
    pub(super) fn release(
        &mut self,
        slot: Slot,
        groups: GroupRange,
        coming: Option<&GroupRanges>,
    ) -> bool {
        let Some(shard) = self.get_mut(slot) else {
            return false;
        };
        let released = match &mut shard.state {
            State::Small(phase) => {
                let released = *phase == Phase::Asked && coming.is_none_or(GroupRanges::is_empty);
                if released {
                    *phase = Phase::Wanted;
                }
                released
            }
            State::Large(large) => large.release(groups, coming),
        };
        self.requeue(slot);
        released
    }

    /// Groups of a large shard are here. Returns the bytes that are new.
    pub(super) fn received(&mut self, slot: Slot, groups: GroupRange) -> u64 {
        let Some(shard) = self.get_mut(slot) else {
            return 0;
        };
        let State::Large(large) = &mut shard.state else {
            return 0;
        };
        let was_done = large.is_done();
        let new = large.received(groups);
        let finished = !was_done && large.is_done();
        self.bytes_done = self.bytes_done.saturating_add(new);
        self.done += usize::from(finished);
        self.requeue(slot);
        new
    }

    /// All of a small shard is here. Returns the bytes that are new.
    pub(super) fn received_small(&mut self, slot: Slot) -> u64 {
        let Some(shard) = self.get_mut(slot) else {
            return 0;
        };
        let State::Small(phase) = &mut shard.state else {
            return 0;
        };
        if *phase == Phase::Done {
            return 0;
        }
        *phase = Phase::Done;
        shard.urgent = false;
        let new = shard.size;
        self.bytes_done = self.bytes_done.saturating_add(new);
        self.done += 1;
        self.requeue(slot);
        new
    }

    /// What of these groups is not here.
    pub(super) fn missing(&self, slot: Slot, groups: &GroupRanges) -> GroupRanges {
        match self.get(slot).map(|shard| &shard.state) {
            Some(State::Small(phase)) if *phase != Phase::Done => groups.clone(),
            Some(State::Large(large)) => large.missing(groups),
            Some(State::Small(_)) | None => GroupRanges::new(),
        }
    }

    /// All groups of a shard.
    pub(super) fn whole(&self, slot: Slot) -> GroupRanges {
        GroupRanges::full(groups_in(self.size(slot)))
    }

    /// Groups that were here are lost; a small shard as a whole. Was anything lost?
    pub(super) fn lose(&mut self, slot: Slot, groups: GroupRange) -> bool {
        let Some(shard) = self.get_mut(slot) else {
            return false;
        };
        let was_done = shard.is_done();
        let lost = match &mut shard.state {
            State::Small(phase) if *phase == Phase::Done && shard.size > 0 => {
                *phase = Phase::Wanted;
                shard.size
            }
            State::Small(_) => 0,
            State::Large(large) => large.lose(groups),
        };
        let undone = was_done && lost > 0;
        self.bytes_done = self.bytes_done.saturating_sub(lost);
        self.done -= usize::from(undone);
        self.requeue(slot);
        lost > 0
    }

    /// A reader waits for these groups.
    pub(super) fn prioritise(&mut self, index: ShardIndex, groups: GroupRange) {
        let Some(slot) = self.slot_of(index) else {
            return;
        };
        if let Some(shard) = self.get_mut(slot) {
            shard.urgent = match &mut shard.state {
                State::Small(phase) => *phase != Phase::Done,
                State::Large(large) => large.prioritise(groups),
            };
        }
        self.requeue(slot);
    }

    fn get(&self, slot: Slot) -> Option<&Shard> {
        self.shards.get(slot.at())
    }

    fn get_mut(&mut self, slot: Slot) -> Option<&mut Shard> {
        self.shards.get_mut(slot.at())
    }

    /// Puts a shard where it belongs in the queue.
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

impl Shard {
    fn new(config: &FetchConfig, spec: &ShardSpec) -> Self {
        let state = if spec.size <= config.small_shard_bytes {
            let done = spec.have.is_complete(groups_in(spec.size));
            State::Small(if done { Phase::Done } else { Phase::Wanted })
        } else {
            State::Large(Box::new(Large::new(config, spec)))
        };
        Self {
            index: spec.shard,
            size: spec.size,
            holders: 0,
            urgent: false,
            queued: None,
            state,
        }
    }

    fn bytes_done(&self) -> u64 {
        match &self.state {
            State::Small(Phase::Done) => self.size,
            State::Small(_) => 0,
            State::Large(large) => large.bytes_here(),
        }
    }
}

#[cfg(test)]
impl Shards {
    /// The groups of a shard that are missing and in no request, by the shard's own account.
    pub(super) fn wanted(&self, slot: Slot) -> GroupRanges {
        let shard = self.get(slot).unwrap();
        assert_eq!(shard.level(), shard.queued);
        match &shard.state {
            State::Small(Phase::Wanted) => GroupRanges::full(groups_in(shard.size)),
            State::Small(_) => GroupRanges::new(),
            State::Large(large) => large.wanted_groups(),
        }
    }

    /// The groups of a shard that are not here.
    pub(super) fn all_missing(&self, slot: Slot) -> GroupRanges {
        self.missing(slot, &GroupRanges::full(groups_in(self.size(slot))))
    }
}
