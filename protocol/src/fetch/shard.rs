//! One shard of a fetch.

use super::{FetchConfig, ShardSpec, large::Large, queue::Level};
use crate::{
    table::ShardIndex,
    wire::{GroupRange, GroupRanges, groups_in},
};

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
pub(super) struct Shard {
    pub(super) index: ShardIndex,
    pub(super) size: u64,
    /// Peers that claim it by itself.
    pub(super) holders: u16,
    urgent: bool,
    /// Where it stands in the queue.
    pub(super) queued: Option<Level>,
    state: State,
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

impl Shard {
    pub(super) fn new(config: &FetchConfig, spec: &ShardSpec) -> Self {
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

    pub(super) fn is_done(&self) -> bool {
        match &self.state {
            State::Small(phase) => *phase == Phase::Done,
            State::Large(large) => large.is_done(),
        }
    }

    /// Is it asked for as a whole only?
    pub(super) const fn is_small(&self) -> bool {
        matches!(self.state, State::Small(_))
    }

    pub(super) fn bytes_done(&self) -> u64 {
        match &self.state {
            State::Small(Phase::Done) => self.size,
            State::Small(_) => 0,
            State::Large(large) => large.bytes_here(),
        }
    }

    /// All its groups.
    pub(super) fn whole(&self) -> GroupRanges {
        GroupRanges::full(groups_in(self.size))
    }

    /// Where it should stand in the queue.
    pub(super) fn level(&self) -> Option<Level> {
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

    /// Takes what is to be asked next, of the groups in `held` if the peer is limited.
    pub(super) fn take(&mut self, held: Option<&GroupRanges>, room: Room, steps: &mut u64) -> Take {
        let phase = match &mut self.state {
            State::Small(phase) => phase,
            State::Large(large) => {
                let taken = large.take(held, room, steps);
                self.urgent = large.is_urgent();
                return taken;
            }
        };
        let range = GroupRange {
            first: 0,
            count: groups_in(self.size),
        };
        if *phase != Phase::Wanted || held.is_some_and(|held| !held.contains_all(range)) {
            return Take::Nothing;
        }
        if self.size > room.limit {
            return Take::TooLarge;
        }
        *phase = Phase::Asked;
        Take::Ranges(vec![range], self.size)
    }

    /// What was asked for will not come: it is wanted again, except what is here or what another
    /// request still brings (`coming`). Is anything wanted again?
    pub(super) fn release(&mut self, groups: GroupRange, coming: Option<&GroupRanges>) -> bool {
        match &mut self.state {
            State::Small(phase) => {
                let released = *phase == Phase::Asked && coming.is_none_or(GroupRanges::is_empty);
                if released {
                    *phase = Phase::Wanted;
                }
                released
            }
            State::Large(large) => large.release(groups, coming),
        }
    }

    /// Groups of a large shard are here. Returns the bytes that are new.
    pub(super) fn received(&mut self, groups: GroupRange) -> u64 {
        match &mut self.state {
            State::Small(_) => 0,
            State::Large(large) => large.received(groups),
        }
    }

    /// All of a small shard is here. Returns the bytes that are new.
    pub(super) fn received_small(&mut self) -> u64 {
        match &mut self.state {
            State::Small(phase) if *phase != Phase::Done => {
                *phase = Phase::Done;
                self.urgent = false;
                self.size
            }
            State::Small(_) | State::Large(_) => 0,
        }
    }

    /// What of these groups is not here.
    pub(super) fn missing(&self, groups: &GroupRanges) -> GroupRanges {
        match &self.state {
            State::Small(Phase::Done) => GroupRanges::new(),
            State::Small(_) => groups.clone(),
            State::Large(large) => large.missing(groups),
        }
    }

    /// Groups that were here are lost; a small shard as a whole. Returns the bytes that were here.
    pub(super) fn lose(&mut self, groups: GroupRange) -> u64 {
        match &mut self.state {
            State::Small(phase) if *phase == Phase::Done && self.size > 0 => {
                *phase = Phase::Wanted;
                self.size
            }
            State::Small(_) => 0,
            State::Large(large) => large.lose(groups),
        }
    }

    /// A reader waits for these groups.
    pub(super) fn prioritise(&mut self, groups: GroupRange) {
        self.urgent = match &mut self.state {
            State::Small(phase) => *phase != Phase::Done,
            State::Large(large) => large.prioritise(groups),
        };
    }
}

impl Shard {
    /// The groups that are missing and in no request, by its own account; `None` if that does not
    /// agree with itself.
    pub(super) fn wanted(&self) -> Option<GroupRanges> {
        if self.level() != self.queued {
            return None;
        }
        match &self.state {
            State::Small(Phase::Wanted) => Some(self.whole()),
            State::Small(_) => Some(GroupRanges::new()),
            State::Large(large) => large.wanted_groups(),
        }
    }
}
