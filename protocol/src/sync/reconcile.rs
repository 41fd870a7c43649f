//! One side of a reconciliation.

use std::{collections::BTreeSet, sync::Arc};

use super::{Bound, Item, Items};
use crate::{
    RecordId,
    fault::Fault,
    limits::{
        SYNC_DIFFERENCE_MAX, SYNC_IDS_PER_RANGE_MAX, SYNC_RANGES_BYTES_MAX, SYNC_RANGES_MAX,
        SYNC_ROUNDS_MAX,
    },
    score::Offence,
    wire::{BoundedBytes, BoundedVec, SyncHas, SyncRange},
};

/// Into how many a range is split. With 8, a hundred differences among 100,000 items cost 70 KiB; with
/// 16 they cost half as much again, with 4 two more round trips.
const PARTS: usize = 8;
/// A range with so few items is told by their ids: about as long as the fingerprints of its parts.
const FEW: usize = 8;
/// Bytes of a range around what it says: list, numbers, lengths.
const RANGE_BYTES: usize = 16;

/// Why a message of the other side is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// A range does not end after the one before.
    #[error("the ranges of a reconciliation are not in order")]
    Order,
    /// It goes on and on.
    #[error("a reconciliation takes more than {SYNC_ROUNDS_MAX} rounds")]
    Rounds,
}

impl SyncError {
    /// Who is to blame.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Order => Fault::Peer(Offence::Protocol),
            // Large differences take several reconciliations.
            Self::Rounds => Fault::Transient,
        }
    }
}

/// What a reconciliation found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What the other side has and this one does not.
    pub lacking: BTreeSet<RecordId>,
    /// What this side has and the other does not.
    pub to_offer: BTreeSet<Item>,
}

impl Found {
    fn lacks(&mut self, id: RecordId) {
        if self.lacking.len() < SYNC_DIFFERENCE_MAX {
            self.lacking.insert(id);
        }
    }

    /// Of too many the newest are offered.
    fn offers(&mut self, item: Item) {
        self.to_offer.insert(item);
        if self.to_offer.len() > SYNC_DIFFERENCE_MAX {
            self.to_offer.pop_first();
        }
    }
}

/// One side of a reconciliation: bounded in rounds, and in what it finds, whatever the other sends.
#[derive(Clone, Debug)]
pub struct Reconcile {
    items: Arc<Items>,
    found: Found,
    rounds: u32,
}

type Ranges = BoundedVec<SyncRange, SYNC_RANGES_MAX>;

impl Reconcile {
    /// A side that has these.
    #[must_use]
    pub fn new(items: Arc<Items>) -> Self {
        Self {
            items,
            found: Found::default(),
            rounds: 0,
        }
    }

    /// The message that opens a reconciliation.
    #[must_use]
    pub fn open(&self) -> Ranges {
        let mut reply = Reply::default();
        reply.differs(&self.items, 0, self.items.len(), Bound::END);
        reply.finish(&self.items)
    }

    /// Takes a message of the other side and answers with the next. If no range of the answer is open
    /// ([`is_open`]), the comparison has ended; if none of the message was, so has it, and nobody need
    /// hear the answer.
    ///
    /// # Errors
    /// [`SyncError`]; what was found so far stays.
    pub fn answer(&mut self, message: &Ranges) -> Result<Ranges, SyncError> {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds > SYNC_ROUNDS_MAX {
            return Err(SyncError::Rounds);
        }
        let mut reply = Reply::default();
        let mut lower = Bound::START;
        for range in message {
            let upper = upper_of(&lower, range)?;
            let (start, end) = (self.items.position(&lower), self.items.position(&upper));
            match &range.has {
                SyncHas::Settled => reply.settled(upper),
                SyncHas::Fingerprint(theirs) => {
                    if *theirs == self.items.fingerprint(start, end) {
                        reply.settled(upper);
                    } else {
                        reply.differs(&self.items, start, end, upper);
                    }
                }
                SyncHas::Ids(theirs) => {
                    self.compare(theirs, start, end);
                    reply.settled(upper);
                }
            }
            lower = upper;
            if reply.is_full() {
                break;
            }
        }
        Ok(reply.finish(&self.items))
    }

    fn compare(&mut self, theirs: &[RecordId], start: usize, end: usize) {
        let theirs: BTreeSet<RecordId> = theirs.iter().copied().collect();
        let ours = self.items.slice(start, end);
        let ids: BTreeSet<RecordId> = ours.iter().map(|item| item.id).collect();
        for item in ours.iter().filter(|item| !theirs.contains(&item.id)) {
            self.found.offers(*item);
        }
        for id in theirs.difference(&ids) {
            self.found.lacks(*id);
        }
    }

    /// What was found.
    #[must_use]
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// Ends it.
    #[must_use]
    pub fn into_found(self) -> Found {
        self.found
    }
}

/// Does some range of a message want an answer?
#[must_use]
pub fn is_open(message: &Ranges) -> bool {
    message.iter().any(|range| range.has != SyncHas::Settled)
}

fn upper_of(lower: &Bound, range: &SyncRange) -> Result<Bound, SyncError> {
    let mut id = [0; 32];
    for (to, from) in id.iter_mut().zip(range.prefix.iter()) {
        *to = *from;
    }
    let time = lower
        .time
        .checked_add(range.later)
        .ok_or(SyncError::Order)?;
    let upper = Bound { time, id };
    (upper > *lower && upper <= Bound::END)
        .then_some(upper)
        .ok_or(SyncError::Order)
}

/// A message that is being made, no longer than a frame.
struct Reply {
    ranges: Vec<SyncRange>,
    bytes: usize,
    /// Where the last range ends.
    until: Bound,
    /// Where the settled ranges behind it end: told together, and only if something follows.
    settled: Bound,
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            ranges: Vec::new(),
            bytes: 0,
            until: Bound::START,
            settled: Bound::START,
        }
    }
}

impl Reply {
    fn settled(&mut self, upper: Bound) {
        self.settled = upper;
    }

    /// Says what this side has in a range in which the other has something else.
    fn differs(&mut self, items: &Items, start: usize, end: usize, upper: Bound) {
        let ours = items.slice(start, end);
        if ours.len() <= FEW {
            let ids = ours.iter().map(|item| item.id).collect();
            self.push(upper, SyncHas::Ids(ids));
            return;
        }
        for part in 0..PARTS {
            let at = |part: usize| start + ours.len() * part / PARTS;
            let (from, to) = (at(part), at(part + 1));
            let bound = match (items.slice(to - 1, to + 1), part + 1 == PARTS) {
                ([before, next], false) => Bound::between(before, next),
                _ => upper,
            };
            self.push(bound, SyncHas::Fingerprint(items.fingerprint(from, to)));
        }
    }

    fn push(&mut self, upper: Bound, has: SyncHas) {
        if self.is_full() {
            return;
        }
        if self.settled > self.until {
            self.write(self.settled, SyncHas::Settled);
        }
        self.write(upper, has);
        self.settled = upper;
    }

    fn write(&mut self, upper: Bound, has: SyncHas) {
        let used = upper.id.iter().rposition(|byte| *byte != 0);
        let prefix = upper
            .id
            .iter()
            .copied()
            .take(used.map_or(0, |last| last + 1));
        let prefix: Vec<u8> = prefix.collect();
        let said = match &has {
            SyncHas::Settled => 1,
            SyncHas::Fingerprint(_) => 17,
            SyncHas::Ids(ids) => 1 + 32 * ids.len(),
        };
        self.bytes += RANGE_BYTES + prefix.len() + said;
        self.ranges.push(SyncRange {
            later: upper.time.saturating_sub(self.until.time),
            prefix: BoundedBytes::try_from(prefix).unwrap_or_default(),
            has,
        });
        self.until = upper;
    }

    /// Is there room for nothing but the rest?
    fn is_full(&self) -> bool {
        self.bytes >= SYNC_RANGES_BYTES_MAX || self.ranges.len() >= SYNC_RANGES_MAX - 3
    }

    /// The message. If it is full, its last range says of all that was left out that it is to be compared again.
    fn finish(mut self, items: &Items) -> Ranges {
        if self.is_full() && self.until < Bound::END {
            if self.settled > self.until && self.settled < Bound::END {
                self.write(self.settled, SyncHas::Settled);
            }
            let start = items.position(&self.until);
            let rest = items.fingerprint(start, items.len());
            self.write(Bound::END, SyncHas::Fingerprint(rest));
        }
        BoundedVec::take_from(&mut self.ranges.into_iter())
    }
}

const _: () = assert!(FEW <= SYNC_IDS_PER_RANGE_MAX && FEW >= PARTS);
