use proptest::prelude::*;

use super::*;
use crate::{BlobId, Hash, testing::*};

const LIMITS: StatementLimits = StatementLimits {
    all: 8,
    per_author: 4,
    per_subject: 3,
    bytes: 8000,
};

fn subject(number: u8) -> Subject {
    BlobId::from_hash(Hash::of(&[number])).into()
}

fn new(author: u8, about: u8, issued_at: u64) -> (StatementKey, Kept) {
    let said = statement(author, Some(subject(about)), issued_at);
    (StatementKey::of(&said), Kept::of(&said, 500))
}

fn ids(kept: &Statements) -> BTreeSet<RecordId> {
    kept.all().map(|(_, kept)| kept.id).collect()
}

#[test]
fn p7_of_one_author_type_and_subject_the_newest_stays() {
    let mut kept = Statements::new(LIMITS);
    let (key, old) = new(1, 1, 100);
    let (_, newer) = new(1, 1, 200);
    let keep = |dropped| Assessed::Keep { dropped };
    assert_eq!(kept.insert(key.clone(), newer), keep(vec![]));
    assert_eq!(kept.insert(key.clone(), old), Assessed::Stale);
    assert_eq!(kept.insert(key.clone(), newer), Assessed::Known);
    let (_, newest) = new(1, 1, 201);
    assert_eq!(kept.insert(key, newest), keep(vec![newer.id]));
    assert_eq!(
        kept.about(&subject(1)).collect::<Vec<_>>(),
        [newest.id],
        "one per author and subject"
    );
    let (other, by_another) = new(2, 1, 50);
    assert_eq!(kept.insert(other, by_another), keep(vec![]));
    assert_eq!(
        kept.about(&subject(1)).collect::<Vec<_>>(),
        [newest.id, by_another.id]
    );
}

#[test]
fn a_statement_from_the_future_waits() {
    let kept = Statements::new(LIMITS);
    let said = statement(1, None, 10_000);
    let at = |now| kept.assess(&said, 500, Timestamp::from_secs(now));
    assert_eq!(at(10_000 - 3601), Assessed::FromTheFuture);
    assert_eq!(at(10_000 - 3600), Assessed::Keep { dropped: vec![] });
}

#[test]
fn p6_limits_hold_and_the_oldest_go() {
    let mut kept = Statements::new(LIMITS);
    let of_one: Vec<_> = (0..6).map(|n| new(1, n, 100 + u64::from(n))).collect();
    for (key, new) in of_one.iter().cloned() {
        kept.insert(key, new);
    }
    let left: Vec<_> = kept.by(&key(1).public()).collect();
    let expected: Vec<_> = of_one[2..].iter().rev().map(|(_, kept)| kept.id).collect();
    assert_eq!(left, expected, "four of an author");
    let (key, late) = new(1, 9, 99);
    assert_eq!(kept.insert(key, late), Assessed::Unneeded);

    let about: Vec<_> = (10..15)
        .map(|author| new(author, 1, 300 + u64::from(author)))
        .collect();
    for (key, new) in about.iter().cloned() {
        kept.insert(key, new);
    }
    assert_eq!(kept.about(&subject(1)).count(), 3, "three about a subject");
    assert_eq!(kept.len(), 7);
    for (author, about) in [(20, 20), (21, 21), (22, 22)] {
        let (key, new) = new(author, about, 500);
        kept.insert(key, new);
    }
    assert_eq!(kept.len(), 8, "eight in all");
}

#[test]
fn p6_bytes_are_bounded() {
    let mut kept = Statements::new(LIMITS);
    let size = |bytes, (key, new): (StatementKey, Kept)| (key, Kept { bytes, ..new });
    for author in 1..=5 {
        let (key, new) = size(1900, new(author, author, 100 + u64::from(author)));
        kept.insert(key, new);
    }
    assert_eq!(kept.len(), 4);
    let (key, huge) = size(7999, new(9, 9, 500));
    assert!(matches!(
        kept.insert(key, huge),
        Assessed::Keep { dropped } if dropped.len() == 4
    ));
    let (key, beyond) = size(8001, new(8, 8, 501));
    assert_eq!(kept.insert(key, beyond), Assessed::Unneeded);
    assert_eq!(kept.len(), 1, "what cannot be kept takes nothing away");
}

#[test]
fn what_is_wanted_goes_last() {
    let mut kept = Statements::new(LIMITS);
    let (wanted, old) = new(1, 1, 1);
    kept.set_wanted(BTreeSet::from([key(1).public()]));
    kept.insert(wanted, old);
    for author in 2..40 {
        let (key, new) = new(author, 1, 1000 + u64::from(author));
        kept.insert(key, new);
        let (key, new) = self::new(author, author, 1000 + u64::from(author));
        kept.insert(key, new);
    }
    assert!(ids(&kept).contains(&old.id));
    kept.set_wanted(BTreeSet::new());
    let (key, new) = new(50, 1, 2000);
    kept.insert(key, new);
    assert!(!ids(&kept).contains(&old.id), "negative control");
}

proptest! {
    /// As long as no limit is reached, the order of arrival plays no part.
    #[test]
    fn the_order_of_arrival_plays_no_part(
        said in prop::collection::vec((1_u8..4, 1_u8..3, 0_u64..5), 0..24),
        seed in any::<u64>(),
    ) {
        let limits = StatementLimits { all: 64, per_author: 64, per_subject: 64, bytes: 1 << 20 };
        let mut shuffled = said.clone();
        let noise = noise(seed, said.len().max(1) * 8);
        for at in (1..shuffled.len()).rev() {
            shuffled.swap(at, usize::from(noise[at]) % (at + 1));
        }
        let keep = |said: &[(u8, u8, u64)]| {
            let mut kept = Statements::new(limits);
            for (author, about, at) in said {
                let (key, new) = new(*author, *about, *at);
                kept.insert(key, new);
            }
            ids(&kept)
        };
        prop_assert_eq!(keep(&said), keep(&shuffled));
    }

    /// Against limits that are reached often: they hold, and nothing newer than what stays was sent away by its key.
    #[test]
    fn limits_hold_whatever_comes(said in prop::collection::vec((1_u8..6, 1_u8..6, 0_u64..9), 0..64)) {
        let mut kept = Statements::new(LIMITS);
        for (author, about, at) in said {
            let (key, new) = new(author, about, at);
            let before = kept.kept.get(&key).copied();
            kept.insert(key.clone(), new);
            let after = kept.kept.get(&key).copied();
            if let (Some(before), Some(after)) = (before, after) {
                prop_assert!((after.issued_at, after.id) >= (before.issued_at, before.id));
            }
            prop_assert!(kept.holds_invariants());
            for ranks in kept.by_author.values() {
                prop_assert!((1..=LIMITS.per_author).contains(&ranks.len()));
            }
            for ranks in kept.by_subject.values() {
                prop_assert!((1..=LIMITS.per_subject).contains(&ranks.len()));
            }
        }
    }
}
