//! One shard of a fetch.

use std::ops::Range;

use super::{
    FetchConfig, ShardSpec,
    bits::Bits,
    large::Large,
    queue::{Level, Standing},
};
use crate::{
    table::ShardIndex,
    wire::{GroupRange, GroupRanges, groups_in},
};

/// How far a shard is that is only asked for as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// On demand only: no reader wants it.
    Idle,
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
    /// Peers that claim all of it by itself.
    pub(super) holders: u16,
    /// Peers that claim a part of it.
    pub(super) parts: u16,
    urgent: bool,
    on_demand: bool,
    /// Was it begun here before anybody else claimed any of it?
    mine: bool,
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
            State::Small(match done {
                true => Phase::Done,
                false => Phase::missing(config.on_demand),
            })
        } else {
            State::Large(Box::new(Large::new(config, spec)))
        };
        Self {
            index: spec.shard,
            size: spec.size,
            holders: 0,
            parts: 0,
            mine: false,
            urgent: false,
            on_demand: config.on_demand,
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
        let (wanted, started, claims) = match &self.state {
            State::Small(phase) => (*phase == Phase::Wanted, false, 0),
            State::Large(large) => (large.is_wanted(), large.is_started(), large.claims()),
        };
        wanted.then(|| {
            Level::of(Standing {
                urgent: self.urgent,
                mine: self.mine,
                started,
                partly: self.parts > 0,
                claims: claims.saturating_add(self.holders),
            })
        })
    }

    /// Is it a large shard of which some is here or asked for, but not all is here?
    pub(super) fn is_open(&self) -> bool {
        match &self.state {
            State::Small(_) => false,
            State::Large(large) => large.is_started() && !large.is_done(),
        }
    }

    /// The pieces it is claimed in; a small one is a single piece.
    pub(super) fn pieces(&self) -> usize {
        match &self.state {
            State::Small(_) => 1,
            State::Large(large) => large.pieces(),
        }
    }

    /// The pieces that hold any of these groups.
    pub(super) fn pieces_of(&self, groups: GroupRange) -> Range<usize> {
        match &self.state {
            State::Small(_) => 0..1,
            State::Large(large) => large.pieces_of(groups),
        }
    }

    /// These groups and all others of their pieces.
    pub(super) fn widened(&self, groups: &GroupRanges) -> GroupRanges {
        match &self.state {
            State::Small(_) => self.whole(),
            State::Large(large) => groups
                .iter()
                .map(|range| large.groups_between(&large.pieces_of(range)))
                .collect(),
        }
    }

    /// The pieces whose groups are all in this range.
    pub(super) fn whole_pieces_in(&self, groups: GroupRange) -> Range<usize> {
        match &self.state {
            State::Small(_) => {
                let whole = groups.first == 0 && groups.end() >= groups_in(self.size);
                0..usize::from(whole)
            }
            State::Large(large) => large.whole_pieces_in(groups),
        }
    }

    /// One more peer claims these pieces, besides a part of it before.
    pub(super) fn gain_pieces(&mut self, pieces: &[Range<usize>]) {
        match &mut self.state {
            State::Small(_) if pieces.is_empty() => {}
            State::Small(_) => self.holders = self.holders.saturating_add(1),
            State::Large(large) => {
                self.mine = self.mine && !large.is_foreign(pieces);
                large.gain(pieces);
            }
        }
    }

    /// Is it asked for, as a whole?
    pub(super) const fn is_asked(&self) -> bool {
        matches!(self.state, State::Small(Phase::Asked))
    }

    /// A peer that claimed a part of it, these pieces, does not any more.
    pub(super) fn lose_part(&mut self, pieces: &Bits) {
        self.parts = self.parts.saturating_sub(1);
        match &mut self.state {
            State::Small(_) if pieces.ones() == 0 => {}
            State::Small(_) => self.holders = self.holders.saturating_sub(1),
            State::Large(large) => large.lose_claims(pieces),
        }
    }

    /// Takes what is to be asked next, of the pieces in `held` if the peer is limited.
    pub(super) fn take(&mut self, held: Option<&Bits>, room: Room, steps: &mut u64) -> Take {
        let phase = match &mut self.state {
            State::Small(phase) => phase,
            State::Large(large) => {
                let taken = large.take(held, room, steps);
                self.urgent = large.is_urgent();
                let taken_first = matches!(taken, Take::Ranges(..));
                self.mine |= taken_first && self.holders == 0 && self.parts == 0;
                return taken;
            }
        };
        let range = GroupRange {
            first: 0,
            count: groups_in(self.size),
        };
        if *phase != Phase::Wanted || held.is_some_and(|held| !held.contains(0)) {
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
    pub(super) fn release(&mut self, groups: GroupRange, coming: &GroupRanges) -> bool {
        match &mut self.state {
            State::Small(phase) => {
                let released = *phase == Phase::Asked && coming.is_empty();
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
                *phase = Phase::missing(self.on_demand);
                self.size
            }
            State::Small(_) => 0,
            State::Large(large) => large.lose(groups),
        }
    }

    /// A reader waits for these groups; requests bring those in `coming`.
    pub(super) fn prioritise(&mut self, groups: GroupRange, coming: &GroupRanges) {
        self.urgent = match &mut self.state {
            State::Small(phase) => {
                if *phase == Phase::Idle {
                    *phase = Phase::Wanted;
                }
                *phase != Phase::Done
            }
            State::Large(large) => large.prioritise(groups, coming),
        };
    }

    /// No reader waits for these groups any more. A small shard that is asked for still comes.
    pub(super) fn leave(&mut self, groups: GroupRange) {
        self.urgent = match &mut self.state {
            State::Small(phase) => {
                if *phase == Phase::Wanted && self.on_demand {
                    *phase = Phase::Idle;
                }
                false
            }
            State::Large(large) => large.leave(groups),
        };
    }
}

impl Phase {
    /// Of what is not here.
    const fn missing(on_demand: bool) -> Self {
        if on_demand { Self::Idle } else { Self::Wanted }
    }
}

impl Shard {
    /// What is wanted at all: all of it, or what readers wait for.
    pub(super) fn demanded(&self) -> GroupRanges {
        match &self.state {
            State::Small(Phase::Idle) => GroupRanges::new(),
            State::Small(_) => self.whole(),
            State::Large(large) => large.demanded(),
        }
    }

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
