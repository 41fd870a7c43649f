//! Which statements a node keeps, and which one replaces which.
//!
//! Of each author, type and subject the newest is kept, by `issued_at` and then by id. Beyond the
//! limits the oldest go first, those of authors that somebody here wants last. The order depends on
//! what statements say and not on when they came, so nodes that heard the same keep the same.
//! Pure; source: `specs/records.md`, section *Statements*.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    RecordId, Timestamp,
    key::PublicKey,
    limits::{
        CLOCK_SKEW_MAX, STATEMENTS_MAX, STATEMENTS_PER_AUTHOR_MAX, STATEMENTS_PER_SUBJECT_MAX,
    },
    record::{Statement, Subject},
};

/// What a statement is one of, of which only the newest counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatementKey {
    /// What it is about.
    pub subject: Option<Subject>,
    /// Who says it.
    pub author: PublicKey,
    /// Its type.
    pub kind: Box<str>,
}

impl StatementKey {
    /// The key of a statement.
    #[must_use]
    pub fn of(statement: &Statement) -> Self {
        Self {
            subject: statement.subject(),
            author: statement.author(),
            kind: statement.kind().into(),
        }
    }
}

/// What is remembered of a statement that is kept; the record itself lies elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: RecordId,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// How many bytes its record has.
    pub bytes: u32,
}

impl Kept {
    /// What is remembered of a statement whose record has so many bytes.
    #[must_use]
    pub fn of(statement: &Statement, bytes: u32) -> Self {
        Self {
            id: statement.id(),
            issued_at: statement.issued_at(),
            bytes,
        }
    }
}

/// The limits of what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementLimits {
    /// Statements in all.
    pub all: usize,
    /// Statements of one author.
    pub per_author: usize,
    /// Statements about one subject.
    pub per_subject: usize,
    /// Bytes of all records together.
    pub bytes: u64,
}

impl StatementLimits {
    /// The limits of the format, with so many bytes.
    #[must_use]
    pub const fn with_bytes(bytes: u64) -> Self {
        Self {
            all: STATEMENTS_MAX,
            per_author: STATEMENTS_PER_AUTHOR_MAX,
            per_subject: STATEMENTS_PER_SUBJECT_MAX,
            bytes,
        }
    }
}

/// What to do with a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assessed {
    /// Keep it and pass it on; these are not kept any more: the one that it replaces, and what went
    /// over a limit.
    Keep {
        /// Their ids.
        dropped: Vec<RecordId>,
    },
    /// It is kept already.
    Known,
    /// A newer one is kept.
    Stale,
    /// It would be the first to go.
    Unneeded,
    /// It was issued later than now: a clock is wrong, perhaps ours.
    FromTheFuture,
}

/// The order in which statements go: unwanted ones first, then the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    wanted: bool,
    issued_at: Timestamp,
    id: RecordId,
}

/// [`Assessed`], before it is told.
enum Plan {
    Keep(Vec<Rank>),
    Not(Assessed),
}

impl Plan {
    fn assessed(self) -> Assessed {
        match self {
            Self::Keep(dropped) => Assessed::Keep {
                dropped: dropped.into_iter().map(|rank| rank.id).collect(),
            },
            Self::Not(assessed) => assessed,
        }
    }
}

/// What a node keeps of statements.
///
/// Invariants: `by_author`, `by_subject` and `by_rank` name the statements of `kept` and no others, and
/// have no empty sets; `bytes` is their sum; all are within the limits.
#[derive(Clone, Debug)]
pub struct Statements {
    limits: StatementLimits,
    wanted: BTreeSet<PublicKey>,
    kept: BTreeMap<StatementKey, Kept>,
    by_author: BTreeMap<PublicKey, BTreeSet<Rank>>,
    by_subject: BTreeMap<Subject, BTreeSet<Rank>>,
    by_rank: BTreeMap<Rank, StatementKey>,
    bytes: u64,
}

impl Statements {
    /// None yet.
    #[must_use]
    pub const fn new(limits: StatementLimits) -> Self {
        Self {
            limits,
            wanted: BTreeSet::new(),
            kept: BTreeMap::new(),
            by_author: BTreeMap::new(),
            by_subject: BTreeMap::new(),
            by_rank: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// What [`Statements::insert`] would do with a statement whose record has so many bytes. A clock
    /// only decides whether it is taken *now*.
    #[must_use]
    pub fn assess(&self, statement: &Statement, bytes: u32, now: Timestamp) -> Assessed {
        if statement.issued_at() > now.saturating_add(CLOCK_SKEW_MAX) {
            return Assessed::FromTheFuture;
        }
        let (key, kept) = (StatementKey::of(statement), Kept::of(statement, bytes));
        self.plan(&key, &kept).assessed()
    }

    /// Takes a statement in, if it is one to keep, whatever the time. Answers what became of it.
    pub fn insert(&mut self, key: StatementKey, new: Kept) -> Assessed {
        let plan = self.plan(&key, &new);
        if let Plan::Keep(dropped) = &plan {
            for rank in dropped {
                self.remove(rank);
            }
            let rank = self.rank(&key, &new);
            self.by_author.entry(key.author).or_default().insert(rank);
            if let Some(subject) = key.subject {
                self.by_subject.entry(subject).or_default().insert(rank);
            }
            self.bytes = self.bytes.saturating_add(new.bytes.into());
            self.by_rank.insert(rank, key.clone());
            self.kept.insert(key, new);
        }
        debug_assert!(self.holds_invariants());
        plan.assessed()
    }

    fn plan(&self, key: &StatementKey, new: &Kept) -> Plan {
        let rank = self.rank(key, new);
        let replaced = match self.kept.get(key) {
            Some(old) if old.id == new.id => return Plan::Not(Assessed::Known),
            Some(old) if rank < self.rank(key, old) => return Plan::Not(Assessed::Stale),
            Some(old) => Some(self.rank(key, old)),
            None => None,
        };
        let mut dropped: Vec<Rank> = replaced.into_iter().collect();
        let of_author = self.by_author.get(&key.author);
        let about = key
            .subject
            .as_ref()
            .and_then(|subject| self.by_subject.get(subject));
        for (ranks, limit) in [
            (of_author, self.limits.per_author),
            (about, self.limits.per_subject),
        ] {
            let ranks = ranks.into_iter().flatten();
            if !make_room(ranks, limit, &rank, &mut dropped) {
                return Plan::Not(Assessed::Unneeded);
            }
        }
        if !self.make_room_in_all(new.bytes.into(), &rank, &mut dropped) {
            return Plan::Not(Assessed::Unneeded);
        }
        Plan::Keep(dropped)
    }

    /// Drops the first to go until `bytes` more and one more statement fit; false if the new one is
    /// among them.
    fn make_room_in_all(&self, bytes: u64, new: &Rank, dropped: &mut Vec<Rank>) -> bool {
        let size = |rank: &Rank| {
            let kept = self.by_rank.get(rank).and_then(|key| self.kept.get(key));
            kept.map_or(0, |kept| u64::from(kept.bytes))
        };
        let gone: u64 = dropped.iter().map(size).sum();
        let mut after = self.bytes.saturating_sub(gone).saturating_add(bytes);
        let mut count = self.kept.len() + 1 - dropped.len().min(self.kept.len());
        let mut first = self.by_rank.keys();
        while after > self.limits.bytes || count > self.limits.all {
            let Some(rank) = first.next().filter(|rank| *rank < new) else {
                return false;
            };
            if !dropped.contains(rank) {
                after = after.saturating_sub(size(rank));
                count -= 1;
                dropped.push(*rank);
            }
        }
        true
    }

    fn rank(&self, key: &StatementKey, kept: &Kept) -> Rank {
        Rank {
            wanted: self.wanted.contains(&key.author),
            issued_at: kept.issued_at,
            id: kept.id,
        }
    }

    fn remove(&mut self, rank: &Rank) {
        let Some(key) = self.by_rank.remove(rank) else {
            return;
        };
        let bytes = self.kept.remove(&key).map_or(0, |kept| kept.bytes);
        self.bytes = self.bytes.saturating_sub(bytes.into());
        remove_rank(&mut self.by_author, &key.author, rank);
        if let Some(subject) = &key.subject {
            remove_rank(&mut self.by_subject, subject, rank);
        }
    }

    /// Says whose statements go last: those of authors that somebody here follows or is.
    pub fn set_wanted(&mut self, wanted: BTreeSet<PublicKey>) {
        let mut again = Self::new(self.limits);
        again.wanted = wanted;
        for (key, kept) in std::mem::take(&mut self.kept) {
            again.insert(key, kept);
        }
        *self = again;
    }

    /// What is kept about a subject: the newest first.
    pub fn about(&self, subject: &Subject) -> impl Iterator<Item = RecordId> + '_ {
        let ranks = self.by_subject.get(subject);
        by_time(ranks.into_iter().flatten())
    }

    /// What is kept of an author: the newest first.
    pub fn by(&self, author: &PublicKey) -> impl Iterator<Item = RecordId> + '_ {
        let ranks = self.by_author.get(author);
        by_time(ranks.into_iter().flatten())
    }

    /// All that are kept, in no order that means anything.
    pub fn all(&self) -> impl Iterator<Item = (&StatementKey, &Kept)> {
        self.kept.iter()
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The invariants of the type; the sums only where they are quickly made.
    fn holds_invariants(&self) -> bool {
        let named = self.by_rank.len() == self.kept.len();
        let within = self.kept.len() <= self.limits.all && self.bytes <= self.limits.bytes;
        named
            && within
            && (self.kept.len() > 64
                || self.bytes
                    == self
                        .kept
                        .values()
                        .map(|kept| u64::from(kept.bytes))
                        .sum::<u64>())
    }
}

/// Drops the first of `ranks` if there is no room for one more; false if the new one would go first.
fn make_room<'a>(
    ranks: impl Iterator<Item = &'a Rank> + Clone,
    limit: usize,
    new: &Rank,
    dropped: &mut Vec<Rank>,
) -> bool {
    let mut stay = ranks.filter(|rank| !dropped.contains(rank));
    if stay.clone().count() < limit {
        return true;
    }
    match stay.next().copied() {
        Some(first) if first < *new => {
            dropped.push(first);
            true
        }
        Some(_) | None => false,
    }
}

fn by_time<'a>(ranks: impl Iterator<Item = &'a Rank>) -> impl Iterator<Item = RecordId> {
    let mut ranks: Vec<_> = ranks.collect();
    ranks.sort_by_key(|rank| std::cmp::Reverse((rank.issued_at, rank.id)));
    ranks.into_iter().map(|rank| rank.id)
}

fn remove_rank<K: Ord>(map: &mut BTreeMap<K, BTreeSet<Rank>>, key: &K, rank: &Rank) {
    if let Some(ranks) = map.get_mut(key) {
        ranks.remove(rank);
        if ranks.is_empty() {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
