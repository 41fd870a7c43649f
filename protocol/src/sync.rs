//! Set reconciliation: two nodes find out in which records they differ, at a cost that follows the
//! difference and not the sets.
//!
//! Both sort their items by time and id. One sends the fingerprint of all; where fingerprints of a
//! range differ, whoever sees it answers with those of smaller ranges, and with the ids themselves
//! where there are few. The receiver of a list of ids knows the difference: what it lacks it will ask
//! for, what the other lacks it will offer. (Range-based set reconciliation, A. Meyer 2023.)
//! Pure; source: `specs/protocols.md`, section *`sync/1`*.

mod reconcile;

pub use reconcile::{Found, Reconcile, SyncError, is_open};

use crate::{RecordId, Timestamp};

/// Items between two sums that are kept: a fingerprint adds up at most twice as many, and a sum costs
/// 2 bytes an item.
const STEP: usize = 16;

/// One record of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// The time that it says: sets mostly differ in what is new.
    pub time: Timestamp,
    /// Its id.
    pub id: RecordId,
}

/// The end of a range of items: those below it are inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bound {
    pub(crate) time: u64,
    pub(crate) id: [u8; 32],
}

impl Bound {
    pub(crate) const START: Self = Self {
        time: 0,
        id: [0; 32],
    };
    /// Above all items: no record says such a time.
    pub(crate) const END: Self = Self {
        time: u64::MAX,
        id: [0; 32],
    };

    fn of(item: &Item) -> Self {
        Self {
            time: item.time.as_secs(),
            id: *item.id.hash().as_bytes(),
        }
    }

    /// The shortest bound above `before` and not above `next`.
    pub(crate) fn between(before: &Item, next: &Item) -> Self {
        let (before, mut bound) = (Self::of(before), Self::of(next));
        let shared = match before.time == bound.time {
            true => before
                .id
                .iter()
                .zip(bound.id)
                .take_while(|(a, b)| **a == *b)
                .count()
                .saturating_add(1),
            false => 0,
        };
        for byte in bound.id.iter_mut().skip(shared) {
            *byte = 0;
        }
        bound
    }
}

/// A number of 256 bits, modulo 2^256; the least significant part first.
type Sum = [u64; 4];

fn add(sum: &mut Sum, other: &Sum) {
    let mut carry = false;
    for (part, more) in sum.iter_mut().zip(other) {
        let (with, first) = part.overflowing_add(*more);
        let (with, second) = with.overflowing_add(u64::from(carry));
        *part = with;
        carry = first || second;
    }
}

fn subtract(sum: &mut Sum, other: &Sum) {
    let mut negative = other.map(|part| !part);
    add(&mut negative, &[1, 0, 0, 0]);
    add(sum, &negative);
}

fn number_of(item: &Item) -> Sum {
    let mut sum = [0; 4];
    let hash = item.id.hash();
    let (parts, _) = hash.as_bytes().as_chunks::<8>();
    for (to, from) in sum.iter_mut().zip(parts) {
        *to = u64::from_le_bytes(*from);
    }
    sum
}

/// A set of records, sorted, of which any range has a fingerprint at once.
///
/// Invariants: `items` are sorted and unique; `sums[i]` is the sum of the first `i * STEP` of them.
#[derive(Clone, Debug)]
pub struct Items {
    items: Vec<Item>,
    sums: Vec<Sum>,
}

impl Items {
    /// The set of these.
    #[must_use]
    pub fn new(mut items: Vec<Item>) -> Self {
        items.sort_unstable();
        items.dedup();
        let mut sums = Vec::with_capacity(items.len() / STEP + 1);
        let mut sum = [0; 4];
        for step in items.chunks(STEP) {
            sums.push(sum);
            for item in step {
                add(&mut sum, &number_of(item));
            }
        }
        sums.push(sum);
        Self { items, sums }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items from `start` to `end`, both as positions.
    pub(crate) fn slice(&self, start: usize, end: usize) -> &[Item] {
        self.items.get(start..end).unwrap_or_default()
    }

    /// Where the first item is that is not below `bound`.
    pub(crate) fn position(&self, bound: &Bound) -> usize {
        self.items.partition_point(|item| Bound::of(item) < *bound)
    }

    /// The sum of the items before a position.
    fn sum_before(&self, position: usize) -> Sum {
        let step = (position / STEP).min(self.sums.len().saturating_sub(1));
        let mut sum = self.sums.get(step).copied().unwrap_or_default();
        for item in self.slice(step * STEP, position) {
            add(&mut sum, &number_of(item));
        }
        sum
    }

    /// What two ranges with the same items have in common, and others do not: the first 16 bytes of
    /// the BLAKE3 of the sum of their ids (as numbers, little-endian, modulo 2^256) and their count.
    pub(crate) fn fingerprint(&self, start: usize, end: usize) -> [u8; 16] {
        let mut sum = self.sum_before(end);
        subtract(&mut sum, &self.sum_before(start));
        let mut hasher = blake3::Hasher::new();
        for part in sum {
            hasher.update(&part.to_le_bytes());
        }
        let count = end.saturating_sub(start);
        hasher.update(&u64::try_from(count).unwrap_or(u64::MAX).to_le_bytes());
        let mut fingerprint = [0; 16];
        hasher.finalize_xof().fill(&mut fingerprint);
        fingerprint
    }
}

#[cfg(test)]
mod tests;
