//! A large shard: fetched in runs of pieces, from many peers at once.

use std::ops::Range;

use super::{
    FetchConfig, ShardSpec,
    bits::Bits,
    queue::spread,
    shard::{Room, Take},
    wanted::{Rank, Wanted},
};
use crate::{
    limits::CHUNK_GROUP_BYTES,
    wire::{GroupRange, GroupRanges, groups_in},
};

/// Shards of fewer pieces are fetched from their beginning by every node.
const PIECES_TO_SPREAD: usize = 8;

/// From so many pieces on, pieces grow instead: 16 GiB in pieces of 128 KiB.
const PIECES_ENOUGH: u64 = 1 << 17;

/// What is here and what is wanted of a shard that is fetched in pieces.
///
/// Invariant: no wanted piece is whole.
#[derive(Debug)]
pub(super) struct Large {
    size: u64,
    /// Groups in a piece; the last piece may be shorter.
    piece_groups: u64,
    have: GroupRanges,
    /// Pieces that are in no request.
    wanted: Wanted,
    pieces: usize,
    started: bool,
    /// Groups that others had first.
    foreign: u64,
    urgent: GroupRanges,
    /// Pieces that readers want, as groups; `None`: all are wanted.
    demand: Option<GroupRanges>,
}

impl Large {
    pub(super) fn new(config: &FetchConfig, spec: &ShardSpec) -> Self {
        let groups = groups_in(spec.size);
        let piece_groups = piece_groups(config, groups);
        let pieces = usize::try_from(groups.div_ceil(piece_groups)).unwrap_or(usize::MAX);
        let mut large = Self {
            size: spec.size,
            piece_groups,
            have: spec.have.within(groups),
            wanted: Wanted::new(pieces, start(config.seed, spec, pieces), config.seed),
            pieces,
            started: !spec.have.is_empty(),
            foreign: 0,
            urgent: GroupRanges::new(),
            demand: config.on_demand.then(GroupRanges::new),
        };
        if config.on_demand {
            return large;
        }
        for missing in large.have.missing_within(groups).iter() {
            for piece in large.pieces_of(missing) {
                large.wanted.insert(piece);
            }
        }
        large
    }

    pub(super) fn is_done(&self) -> bool {
        self.have.is_complete(groups_in(self.size))
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.ones() > 0
    }

    pub(super) const fn is_started(&self) -> bool {
        self.started
    }

    pub(super) fn is_urgent(&self) -> bool {
        !self.urgent.is_empty()
    }

    pub(super) fn bytes_here(&self) -> u64 {
        self.have.len_bytes(self.size)
    }

    /// Pieces in all.
    pub(super) const fn pieces(&self) -> usize {
        self.pieces
    }

    /// The fewest peers that claim one of the wanted pieces, without those that claim all.
    pub(super) fn claims(&self) -> u16 {
        self.wanted.rarest().map_or(0, Rank::claims)
    }

    /// One more peer claims these pieces.
    pub(super) fn gain(&mut self, pieces: &[Range<usize>]) {
        for range in pieces {
            // It has what was asked for here when nobody claimed it: it asked for it too, earlier.
            let mut fresh = self.wanted.fresh(range);
            let is_coming = |piece| {
                !self.wanted.contains(piece) && !self.have.contains_all(self.groups_of(piece))
            };
            if fresh.any(is_coming) {
                self.wanted.leave();
            }
            self.wanted.gain(range.clone());
        }
    }

    /// Others have these pieces. Do they bring more of it into the swarm than this node?
    pub(super) fn is_foreign(&mut self, pieces: &[Range<usize>]) -> bool {
        for range in pieces {
            let groups = self.groups_between(range);
            let here = self.have.intersect(&groups.into()).len_groups();
            self.foreign = self.foreign.saturating_add(groups.count - here);
        }
        self.foreign > self.have.len_groups()
    }

    /// One peer less claims these pieces.
    pub(super) fn lose_claims(&mut self, pieces: &Bits) {
        for range in pieces.ranges() {
            self.wanted.lose(range);
        }
    }

    /// Takes wanted pieces of those in `held`, as the ranges of them that are not here: those that a
    /// reader waits for, or the rarest, in runs.
    pub(super) fn take(&mut self, held: Option<&Bits>, room: Room, steps: &mut u64) -> Take {
        let mut load = Load::new(room);
        if let Some(first) = self.next_urgent(held, steps) {
            let urgent = self.urgent.clone();
            let wanted = |large: &Self, piece| {
                large.wanted.contains(piece) && overlaps(&urgent, large.groups_of(piece))
            };
            self.run(first, held, &mut load, wanted);
        } else if let Some((rank, first)) = self.wanted.next(held, steps) {
            let mut next = Some(first);
            while let Some(first) = next {
                let end = self.run(first, held, &mut load, |large, piece| {
                    large.wanted.has(rank, piece)
                });
                self.wanted.ran_to(rank, end);
                next = if load.is_full {
                    None
                } else {
                    self.wanted.next_of(rank, held, steps)
                };
            }
        } else {
            return Take::Nothing;
        }
        *steps += u64::try_from(load.ranges.len()).unwrap_or(0);
        if load.ranges.is_empty() {
            return Take::TooLarge;
        }
        self.started = true;
        Take::Ranges(load.ranges, load.bytes)
    }

    /// Takes pieces from `first` on, as far as they are wanted, held and fit. Returns the piece
    /// after the last.
    fn run(
        &mut self,
        first: usize,
        held: Option<&Bits>,
        load: &mut Load,
        wanted: impl Fn(&Self, usize) -> bool,
    ) -> usize {
        let mut piece = first;
        while wanted(self, piece) && held.is_none_or(|held| held.contains(piece)) {
            let missing = self.missing(&self.groups_of(piece).into());
            if !load.add(&missing, missing.len_bytes(self.size)) {
                break;
            }
            self.wanted.remove(piece);
            piece += 1;
        }
        piece
    }

    /// Groups are wanted again, except in pieces that are whole or that `coming` brings.
    pub(super) fn release(&mut self, groups: GroupRange, coming: &GroupRanges) -> bool {
        let mut released = false;
        for piece in self.pieces_of(groups) {
            let range = self.groups_of(piece);
            let elsewhere = overlaps(coming, range);
            if !elsewhere && !self.have.contains_all(range) && self.is_demanded(range) {
                released |= self.wanted.insert(piece);
            }
        }
        released
    }

    /// Groups are here. Returns the bytes that are new.
    pub(super) fn received(&mut self, groups: GroupRange) -> u64 {
        let Some(groups) = groups.within(groups_in(self.size)) else {
            return 0;
        };
        let new = self.missing(&groups.into()).len_bytes(self.size);
        self.have.insert(groups);
        for piece in self.pieces_of(groups) {
            let range = self.groups_of(piece);
            if self.have.contains_all(range) {
                self.wanted.remove(piece);
                if let Some(demand) = &mut self.demand {
                    demand.remove(range);
                }
            }
        }
        new
    }

    /// Groups are lost. Returns the bytes that were here.
    pub(super) fn lose(&mut self, groups: GroupRange) -> u64 {
        let Some(groups) = groups.within(groups_in(self.size)) else {
            return 0;
        };
        let lost = self.have.intersect(&groups.into());
        self.have.remove(groups);
        for range in lost.iter() {
            for piece in self.pieces_of(range) {
                if self.is_demanded(self.groups_of(piece)) {
                    self.wanted.insert(piece);
                }
            }
        }
        lost.len_bytes(self.size)
    }

    /// A reader waits for these groups; requests bring those in `coming`. Is any of them not here?
    pub(super) fn prioritise(&mut self, groups: GroupRange, coming: &GroupRanges) -> bool {
        if let Some(groups) = groups.within(groups_in(self.size)) {
            let missing = self.missing(&groups.into());
            self.urgent.insert_all(&missing);
            self.demand(&missing, coming);
        }
        self.is_urgent()
    }

    fn demand(&mut self, missing: &GroupRanges, coming: &GroupRanges) {
        let Some(mut demand) = self.demand.take() else {
            return;
        };
        for range in missing.iter() {
            for piece in self.pieces_of(range) {
                let range = self.groups_of(piece);
                demand.insert(range);
                if !overlaps(coming, range) {
                    self.wanted.insert(piece);
                }
            }
        }
        self.demand = Some(demand);
    }

    /// No reader waits for these groups any more. Does one wait for others?
    pub(super) fn leave(&mut self, groups: GroupRange) -> bool {
        self.urgent.remove(groups);
        if let Some(mut demand) = self.demand.take() {
            for piece in self.pieces_of(groups) {
                demand.remove(self.groups_of(piece));
                self.wanted.remove(piece);
            }
            self.demand = Some(demand);
        }
        self.is_urgent()
    }

    /// What is wanted at all: all of it, or what readers wait for.
    pub(super) fn demanded(&self) -> GroupRanges {
        let all = || GroupRanges::full(groups_in(self.size));
        self.demand.clone().unwrap_or_else(all)
    }

    fn is_demanded(&self, groups: GroupRange) -> bool {
        let demand = self.demand.as_ref();
        demand.is_none_or(|demand| overlaps(demand, groups))
    }

    /// What of these groups is not here.
    pub(super) fn missing(&self, groups: &GroupRanges) -> GroupRanges {
        let mut missing = GroupRanges::new();
        for range in groups.iter() {
            missing.insert(range);
            if self.have.contains_all(range) {
                missing.remove(range);
            } else if overlaps(&self.have, range) {
                missing.remove_all(&self.have.intersect(&range.into()));
            }
        }
        missing
    }

    /// The next piece that a reader waits for and that is in no request, of those in `held`.
    fn next_urgent(&mut self, held: Option<&Bits>, steps: &mut u64) -> Option<usize> {
        if !self.is_urgent() {
            return None;
        }
        let urgent = std::mem::take(&mut self.urgent);
        self.urgent = self.missing(&urgent);
        let mut waiting = false;
        for range in self.urgent.iter() {
            let mut at = self.pieces_of(range);
            while let Some(piece) = self.wanted.first_in(&at, steps) {
                waiting = true;
                if held.is_none_or(|held| held.contains(piece)) {
                    return Some(piece);
                }
                at.start = piece + 1;
            }
        }
        if !waiting {
            self.urgent = GroupRanges::new();
        }
        None
    }

    /// The groups of these pieces.
    pub(super) fn groups_between(&self, pieces: &Range<usize>) -> GroupRange {
        let first = self.groups_of(pieces.start).first;
        let last = self.groups_of(pieces.end.saturating_sub(1));
        GroupRange {
            first,
            count: last.end().saturating_sub(first),
        }
    }

    /// The groups of a piece.
    fn groups_of(&self, piece: usize) -> GroupRange {
        let first = u64::try_from(piece)
            .unwrap_or(u64::MAX)
            .saturating_mul(self.piece_groups);
        let end = first
            .saturating_add(self.piece_groups)
            .min(groups_in(self.size));
        GroupRange {
            first,
            count: end.saturating_sub(first),
        }
    }

    /// The pieces that hold any of these groups.
    pub(super) fn pieces_of(&self, groups: GroupRange) -> Range<usize> {
        let end = groups.end().min(groups_in(self.size));
        to_usize(groups.first / self.piece_groups)..to_usize(end.div_ceil(self.piece_groups))
    }

    /// The pieces whose groups are all in this range.
    pub(super) fn whole_pieces_in(&self, groups: GroupRange) -> Range<usize> {
        let total = groups_in(self.size);
        let end = if groups.end() >= total {
            total.div_ceil(self.piece_groups)
        } else {
            groups.end() / self.piece_groups
        };
        to_usize(groups.first.div_ceil(self.piece_groups))..to_usize(end)
    }
}

impl Large {
    /// The missing groups of pieces that are in no request; `None` if one of them is whole.
    pub(super) fn wanted_groups(&self) -> Option<GroupRanges> {
        let wanted = self.wanted.audit()?;
        let groups = || wanted.iter().map(|piece| self.groups_of(*piece));
        let is_whole = groups().any(|groups| self.have.contains_all(groups));
        (!is_whole).then(|| self.missing(&groups().collect()))
    }
}

/// What a request takes of one shard.
#[derive(Debug)]
struct Load {
    ranges: Vec<GroupRange>,
    bytes: u64,
    room: Room,
    is_full: bool,
}

impl Load {
    const fn new(room: Room) -> Self {
        Self {
            ranges: Vec::new(),
            bytes: 0,
            room,
            is_full: false,
        }
    }

    /// Adds ranges if they fit. The first may exceed the aim, not the limit.
    fn add(&mut self, ranges: &GroupRanges, bytes: u64) -> bool {
        let limit = if self.ranges.is_empty() {
            self.room.limit
        } else {
            self.room.aim.min(self.room.limit)
        };
        self.is_full =
            self.bytes + bytes > limit || self.ranges.len() + ranges.len_ranges() > self.room.items;
        if self.is_full {
            return false;
        }
        self.bytes += bytes;
        append(&mut self.ranges, ranges);
        true
    }
}

/// Groups in a piece: pieces grow with the shard up to the size of a request.
pub(super) fn piece_groups(config: &FetchConfig, groups: u64) -> u64 {
    let mut piece = (config.piece_bytes / CHUNK_GROUP_BYTES).max(1);
    while groups.div_ceil(piece) > PIECES_ENOUGH
        && piece * 2 * CHUNK_GROUP_BYTES <= config.request_bytes_max
    {
        piece *= 2;
    }
    piece
}

/// The piece at which this node starts with a shard.
fn start(seed: u64, spec: &ShardSpec, pieces: usize) -> usize {
    if pieces < PIECES_TO_SPREAD {
        return 0;
    }
    let count = u64::try_from(pieces).unwrap_or(u64::MAX);
    to_usize(spread(seed ^ spread(u64::from(spec.shard.0))) % count)
}

/// Appends ranges that lie behind the last, joining those that touch.
fn append(ranges: &mut Vec<GroupRange>, more: &GroupRanges) {
    for range in more.iter() {
        match ranges.last_mut() {
            Some(last) if last.end() == range.first => last.count += range.count,
            _ => ranges.push(range),
        }
    }
}

/// Is any group of `range` in `set`?
fn overlaps(set: &GroupRanges, range: GroupRange) -> bool {
    !set.intersect(&range.into()).is_empty()
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
