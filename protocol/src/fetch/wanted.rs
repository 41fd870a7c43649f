//! The pieces of a large shard that are in no request, by how many peers claim them.

use std::ops::Range;

use super::{
    bits::{Bits, Mask},
    queue::spread,
};

/// How rare a piece is: claimed by no peer, by one, by two or three, by more. Peers that claim the
/// whole shard count for all pieces alike and so for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(usize);

/// Ranks in all.
const RANKS: usize = 4;
/// Places that are tried for a new run before the next gap is taken as it is.
const DRAWS: u32 = 4;
/// So many pieces of a run may be on their way: the budget in pieces of the smallest size.
const RUN_SEEN: usize = 128;
/// Of more claims than that one less makes no piece rarer.
const CLAIMS_COMMON: u16 = 4;
/// Pieces whose claims are counted together.
const STRETCH: usize = 64;
/// So far a gap is looked at for its end.
const GAP_SEEN: usize = 1024;

/// Wanted pieces.
///
/// Invariant: a wanted piece is in the set of its rank and in no other.
#[derive(Debug)]
pub(super) struct Wanted {
    ranks: [Bits; RANKS],
    /// How many peers claim each piece; empty as long as none claims a part.
    claims: Vec<u16>,
    pieces: usize,
    /// Where the next run begins, in each rank.
    here: [usize; RANKS],
    /// The last run of pieces that nobody claimed.
    run: Range<usize>,
    /// Somebody else is on the same way: go on elsewhere.
    leave: bool,
    draws: u64,
}

impl Rank {
    /// Claimed by no peer.
    pub(super) const UNCLAIMED: Self = Self(0);

    /// The fewest peers that claim a piece of this rank.
    pub(super) const fn claims(self) -> u16 {
        match self.0 {
            0 => 0,
            1 => 1,
            2 => 2,
            _ => 4,
        }
    }

    fn of(claims: u16) -> Self {
        Self(match claims {
            0 => 0,
            1 => 1,
            2 | 3 => 2,
            4.. => RANKS - 1,
        })
    }
}

impl Wanted {
    /// None of so many pieces; the first run will begin at `start`.
    pub(super) fn new(pieces: usize, start: usize, seed: u64) -> Self {
        Self {
            ranks: std::array::from_fn(|_| Bits::new(pieces)),
            claims: Vec::new(),
            pieces,
            here: [start; RANKS],
            run: start..start,
            leave: false,
            draws: seed,
        }
    }

    pub(super) fn ones(&self) -> usize {
        self.ranks.iter().map(Bits::ones).sum()
    }

    /// The rank of the rarest wanted piece.
    pub(super) fn rarest(&self) -> Option<Rank> {
        let mut ranks = self.ranks.iter();
        ranks.position(|pieces| pieces.ones() > 0).map(Rank)
    }

    pub(super) fn contains(&self, piece: usize) -> bool {
        self.has(self.rank(piece), piece)
    }

    /// Is it wanted, and of this rank?
    pub(super) fn has(&self, rank: Rank, piece: usize) -> bool {
        let pieces = self.ranks.get(rank.0);
        pieces.is_some_and(|pieces| pieces.contains(piece))
    }

    pub(super) fn insert(&mut self, piece: usize) -> bool {
        let rank = self.rank(piece);
        self.set(rank).is_some_and(|pieces| pieces.insert(piece))
    }

    pub(super) fn remove(&mut self, piece: usize) -> bool {
        let rank = self.rank(piece);
        self.set(rank).is_some_and(|pieces| pieces.remove(piece))
    }

    /// The first wanted piece of a range, of any rank.
    pub(super) fn first_in(&self, range: &Range<usize>, steps: &mut u64) -> Option<usize> {
        let sets = self.ranks.iter().filter(|pieces| pieces.ones() > 0);
        sets.filter_map(|pieces| pieces.first_in(range.clone(), steps))
            .min()
    }

    /// The rarest wanted piece of those in `held`, near where the last run ended.
    pub(super) fn next(&mut self, held: Option<&Bits>, steps: &mut u64) -> Option<(Rank, usize)> {
        let mut ranks = (0..RANKS).map(Rank);
        ranks.find_map(|rank| Some((rank, self.next_of(rank, held, steps)?)))
    }

    /// As [`Wanted::next`], of one rank.
    ///
    /// Where a run of unclaimed pieces ran into what others claim, or somebody else is on the same
    /// way, it begins anew somewhere else: what follows behind others' pieces is what they ask for
    /// at this moment.
    pub(super) fn next_of(
        &mut self,
        rank: Rank,
        held: Option<&Bits>,
        steps: &mut u64,
    ) -> Option<usize> {
        let pieces = self.ranks.get(rank.0)?;
        if pieces.ones() == 0 {
            return None;
        }
        let here = self.here.get(rank.0).copied().unwrap_or(0);
        let is_here = pieces.contains(here) && held.is_none_or(|held| held.contains(here));
        if is_here && !(rank == Rank::UNCLAIMED && self.leave) {
            return Some(here);
        }
        match held {
            Some(held) => around(pieces, held, here, steps),
            None if rank == Rank::UNCLAIMED && !self.claims.is_empty() => {
                self.draws = spread(self.draws);
                self.leave = false;
                let drawn = pieces.draw(self.draws, steps)?;
                self.run = drawn..drawn;
                Some(drawn)
            }
            None => pieces.first_around(here, steps),
        }
    }

    /// A run ended before this piece.
    pub(super) fn ran_to(&mut self, rank: Rank, end: usize) {
        if let Some(here) = self.here.get_mut(rank.0) {
            *here = if end < self.pieces { end } else { 0 };
        }
        if rank == Rank::UNCLAIMED {
            self.run.end = end;
        }
    }

    /// One more peer claims these pieces.
    pub(super) fn gain(&mut self, pieces: Range<usize>) {
        if self.claims.is_empty() {
            self.claims = vec![0; self.pieces];
        }
        self.count(pieces, |claims| claims.saturating_add(1));
    }

    /// What of these pieces was asked for last while nobody claimed it.
    pub(super) fn fresh(&self, pieces: &Range<usize>) -> Range<usize> {
        let oldest = self.run.end.saturating_sub(RUN_SEEN).max(self.run.start);
        pieces.start.max(oldest)..pieces.end.min(self.run.end)
    }

    /// Somebody else is on the same way: go on elsewhere.
    pub(super) const fn leave(&mut self) {
        self.leave = true;
    }

    /// One peer less claims these pieces. A count at its end stays there.
    pub(super) fn lose(&mut self, pieces: Range<usize>) {
        self.count(pieces, |claims| match claims {
            u16::MAX => claims,
            _ => claims.saturating_sub(1),
        });
    }

    /// Changes counts by one. Where many peers claim each of a stretch no rank changes, and counting is all.
    fn count(&mut self, pieces: Range<usize>, change: impl Fn(u16) -> u16) {
        let (mut at, end) = (pieces.start, pieces.end.min(self.claims.len()));
        while at < end {
            let stop = (at + STRETCH).min(end);
            let stretch = self.claims.get_mut(at..stop).unwrap_or_default();
            if stretch.iter().copied().fold(u16::MAX, u16::min) > CLAIMS_COMMON {
                for claims in stretch {
                    *claims = change(*claims);
                }
            } else {
                (at..stop).for_each(|piece| self.count_one(piece, &change));
            }
            at = stop;
        }
    }

    fn count_one(&mut self, piece: usize, change: impl Fn(u16) -> u16) {
        let Some(claims) = self.claims.get_mut(piece) else {
            return;
        };
        let before = Rank::of(*claims);
        *claims = change(*claims);
        let after = Rank::of(*claims);
        if before != after
            && self.set(before).is_some_and(|pieces| pieces.remove(piece))
            && let Some(pieces) = self.set(after)
        {
            pieces.insert(piece);
        }
    }

    /// All wanted pieces; `None` if one is in the set of another rank.
    pub(super) fn audit(&self) -> Option<Vec<usize>> {
        let mut all = Vec::new();
        for (rank, pieces) in self.ranks.iter().enumerate() {
            for piece in pieces.iter() {
                if self.rank(piece) != Rank(rank) {
                    return None;
                }
                all.push(piece);
            }
        }
        Some(all)
    }

    pub(super) fn rank(&self, piece: usize) -> Rank {
        Rank::of(self.claims.get(piece).copied().unwrap_or(0))
    }

    fn set(&mut self, rank: Rank) -> Option<&mut Bits> {
        self.ranks.get_mut(rank.0)
    }
}

/// The first position in `mask` from `here` on and around the end.
fn around(pieces: &Bits, mask: &impl Mask, here: usize, steps: &mut u64) -> Option<usize> {
    pieces
        .first_common(mask, here..pieces.len(), steps)
        .or_else(|| pieces.first_common(mask, 0..here, steps))
}

impl Bits {
    /// The first position from `here` on and around the end.
    pub(super) fn first_around(&self, here: usize, steps: &mut u64) -> Option<usize> {
        self.first_in(here..self.len(), steps)
            .or_else(|| self.first_in(0..here, steps))
    }

    /// A position drawn by `seed`: where nothing is taken in front of it, or inside of a gap between
    /// what is.
    pub(super) fn draw(&self, seed: u64, steps: &mut u64) -> Option<usize> {
        let mut place = 0;
        for draw in 0..DRAWS {
            *steps += 1;
            place = below(spread(seed.wrapping_add(draw.into())), self.len());
            if self.contains(place) {
                return Some(place);
            }
        }
        let first = self.first_around(place, steps)?;
        let seen = (first + 1..self.len()).take(GAP_SEEN);
        let gap = 1 + seen.take_while(|at| self.contains(*at)).count();
        *steps += u64::try_from(gap / 64).unwrap_or(0);
        Some(first + below(spread(seed), gap))
    }
}

fn below(number: u64, end: usize) -> usize {
    let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
    usize::try_from(number % end).unwrap_or(0)
}
