use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{
    Hash,
    limits::{FRAME_BYTES_MAX, SYNC_DIFFERENCE_MAX},
    wire::{BoundedBytes, BoundedVec, SyncHas, SyncMessage, SyncRange, decode_frame, encode_frame},
};

fn item(number: u64, time: u64) -> Item {
    Item {
        time: Timestamp::from_secs(time),
        id: RecordId::from_hash(Hash::of(&number.to_le_bytes())),
    }
}

fn side(items: impl IntoIterator<Item = Item>) -> Reconcile {
    Reconcile::new(Arc::new(Items::new(items.into_iter().collect())))
}

fn ids(items: impl IntoIterator<Item = Item>) -> BTreeSet<RecordId> {
    items.into_iter().map(|item| item.id).collect()
}

/// What a conversation came to.
struct Talk {
    first: Found,
    second: Found,
    bytes: usize,
    messages: usize,
}

/// Lets two sides talk through the wire, until neither has more to say.
fn talk(mut first: Reconcile, mut second: Reconcile) -> Talk {
    let (mut bytes, mut messages) = (0, 0);
    let mut through_the_wire = |ranges| {
        let frame = encode_frame(&SyncMessage::Ranges(ranges)).unwrap();
        bytes += frame.len();
        messages += 1;
        assert!(frame.len() <= FRAME_BYTES_MAX);
        match decode_frame(&frame[4..]).unwrap() {
            SyncMessage::Ranges(ranges) => ranges,
            other => panic!("{other:?}"),
        }
    };
    let mut message = through_the_wire(first.open());
    for turn in 0.. {
        if !is_open(&message) {
            break;
        }
        let side = if turn % 2 == 0 {
            &mut second
        } else {
            &mut first
        };
        message = through_the_wire(side.answer(&message).unwrap());
    }
    // What each found for the other is offered.
    for side in [&first, &second] {
        bytes += 45 * side.found().to_offer.len();
    }
    Talk {
        first: first.into_found(),
        second: second.into_found(),
        bytes,
        messages,
    }
}

/// What `of` learns that it lacks: found by itself or offered by the other.
fn lacking(of: &Found, other: &Found) -> BTreeSet<RecordId> {
    let offered = ids(other.to_offer.iter().copied());
    of.lacking.union(&offered).copied().collect()
}

fn check(ours: &BTreeSet<Item>, theirs: &BTreeSet<Item>) -> Talk {
    let talk = talk(side(ours.clone()), side(theirs.clone()));
    let only = |a: &BTreeSet<Item>, b: &BTreeSet<Item>| ids(a.difference(b).copied());
    assert_eq!(lacking(&talk.first, &talk.second), only(theirs, ours));
    assert_eq!(lacking(&talk.second, &talk.first), only(ours, theirs));
    talk
}

#[test]
fn equal_sets_need_two_messages() {
    for count in [0, 1, 8, 9, 5000] {
        let items: BTreeSet<_> = (0..count).map(|n| item(n, n / 3)).collect();
        let talk = check(&items, &items);
        assert!(talk.messages <= 2 && talk.bytes < 600, "{}", talk.bytes);
    }
}

#[test]
fn a_new_node_learns_all_in_one_go() {
    let items: BTreeSet<_> = (0..3000).map(|n| item(n, 1_700_000_000 + n)).collect();
    for (ours, theirs) in [(&items, &BTreeSet::new()), (&BTreeSet::new(), &items)] {
        let talk = check(ours, theirs);
        assert!(talk.messages <= 4, "{} messages", talk.messages);
        assert!(talk.bytes < 3000 * 50, "{} bytes", talk.bytes);
    }
}

/// The figure: 100,000 heads of which 100 differ, wherever they lie.
#[test]
fn a_hundred_differences_among_100_000_move_less_than_100_kib() {
    const COUNT: u64 = 100_000;
    // Issued over a month, some at one second.
    let time = |n: u64| {
        1_700_000_000
            + Hash::of(&n.to_be_bytes()).as_bytes()[0..4]
                .iter()
                .fold(0, |sum, byte| sum * 256 + u64::from(*byte))
                % 2_600_000
    };
    let all: BTreeSet<_> = (0..COUNT).map(|n| item(n, time(n))).collect();
    // Everywhere: fifty that only one has, fifty that only the other has.
    let without = |start: usize| {
        let gone: BTreeSet<_> = (0..50_u64)
            .map(|n| n * 1987 + u64::try_from(start).unwrap())
            .map(|n| item(n, time(n)))
            .collect();
        all.difference(&gone).copied().collect::<BTreeSet<_>>()
    };
    let talk = check(&without(0), &without(7));
    println!(
        "everywhere: {} bytes in {} messages",
        talk.bytes, talk.messages
    );
    assert!(talk.bytes < 100 * 1024, "{} bytes", talk.bytes);
    assert!(talk.messages <= 10, "{} messages", talk.messages);
    // What is new: all differences lie at the end.
    let old: BTreeSet<_> = all.iter().take(all.len() - 100).copied().collect();
    let talk = check(&old, &all);
    println!(
        "at the end: {} bytes in {} messages",
        talk.bytes, talk.messages
    );
    assert!(talk.bytes < 20 * 1024, "{} bytes", talk.bytes);
}

#[test]
fn p6_large_differences_are_found_in_parts() {
    let count = u64::try_from(SYNC_DIFFERENCE_MAX).unwrap() + 4000;
    let items: BTreeSet<_> = (0..count).map(|n| item(n, n)).collect();
    let talk = talk(side([]), side(items.clone()));
    let found = lacking(&talk.first, &talk.second);
    assert_eq!(found.len(), SYNC_DIFFERENCE_MAX);
    let newest = ids(items.iter().rev().take(SYNC_DIFFERENCE_MAX).copied());
    assert_eq!(found, newest, "the newest come first");
}

#[test]
fn sets_that_differ_everywhere_end() {
    let ours: BTreeSet<_> = (0..9000).map(|n| item(n, n % 7)).collect();
    let theirs: BTreeSet<_> = (9000..18_000).map(|n| item(n, n % 7)).collect();
    check(&ours, &theirs);
}

fn range(later: u64, prefix: &[u8], has: SyncHas) -> SyncRange {
    SyncRange {
        later,
        prefix: BoundedBytes::try_from(prefix).unwrap(),
        has,
    }
}

fn ranges(ranges: Vec<SyncRange>) -> BoundedVec<SyncRange, { crate::limits::SYNC_RANGES_MAX }> {
    BoundedVec::try_from(ranges).unwrap()
}

#[test]
fn ranges_out_of_order_are_refused() {
    let settled = || SyncHas::Settled;
    let cases = [
        vec![range(0, &[], settled())],
        vec![range(5, &[], settled()), range(0, &[], settled())],
        vec![range(5, &[2], settled()), range(0, &[1], settled())],
        vec![range(5, &[2], settled()), range(0, &[2], settled())],
        vec![range(u64::MAX, &[1], settled())],
        vec![range(u64::MAX, &[], settled()), range(1, &[], settled())],
    ];
    for case in cases {
        let error = side([item(1, 1)]).answer(&ranges(case)).unwrap_err();
        assert_eq!(error, SyncError::Order);
    }
    let fine = vec![
        range(5, &[2], settled()),
        range(0, &[3], settled()),
        range(u64::MAX - 5, &[], settled()),
    ];
    assert!(side([item(1, 1)]).answer(&ranges(fine)).is_ok());
}

#[test]
fn p6_one_side_ends_what_the_other_never_would() {
    let mut side = side((0..100).map(|n| item(n, n)));
    let lie = ranges(vec![range(u64::MAX, &[], SyncHas::Fingerprint([7; 16]))]);
    let answers = std::iter::from_fn(|| side.answer(&lie).ok()).count();
    assert_eq!(answers, 64);
    assert_eq!(side.found(), &Found::default());
}

#[test]
fn p6_lies_about_ids_are_bounded() {
    let mut side = side((0..100).map(|n| item(n, n)));
    for round in 0..60 {
        let lies = (0..400_u64).map(|n| {
            let ids = (0..32).map(|k| item(round * 1_000_000 + n * 100 + k + 1000, 0).id);
            range(1, &[], SyncHas::Ids(ids.collect()))
        });
        side.answer(&ranges(lies.collect())).unwrap();
    }
    assert!(side.found().lacking.len() <= SYNC_DIFFERENCE_MAX);
    assert!(side.found().to_offer.len() <= 100);
}

#[test]
fn messages_that_break_a_rule_are_refused() {
    let frame = |range: &SyncRange| {
        encode_frame(&SyncMessage::Ranges(ranges(vec![range.clone()]))).unwrap()[4..].to_vec()
    };
    let good = range(1, &[1], SyncHas::Fingerprint([9; 16]));
    let bytes = frame(&good);
    assert!(decode_frame::<SyncMessage>(&bytes).is_ok());
    let at = bytes.iter().rposition(|byte| *byte != 9).unwrap();
    for kind in [0, 2, 3, 255] {
        let mut bad = bytes.clone();
        bad[at] = kind;
        assert!(decode_frame::<SyncMessage>(&bad).is_err(), "kind {kind}");
    }
    assert!(decode_frame::<SyncMessage>(&frame(&range(1, &[1, 0], SyncHas::Settled))).is_err());
    let many = (0..65).map(|n| item(n, 0).id).collect();
    assert!(decode_frame::<SyncMessage>(&frame(&range(1, &[], SyncHas::Ids(many)))).is_err());
    for cut in 0..bytes.len() {
        assert!(decode_frame::<SyncMessage>(&bytes[..cut]).is_err());
    }
}

proptest! {
    #[test]
    fn any_two_sets_find_their_difference(
        ours in prop::collection::btree_set((0_u64..400, 0_u64..6), 0..200),
        theirs in prop::collection::btree_set((0_u64..400, 0_u64..6), 0..200),
    ) {
        // An id has one time.
        let set = |set: BTreeSet<(u64, u64)>| set.into_iter().map(|(n, _)| item(n, n % 5)).collect();
        check(&set(ours), &set(theirs));
    }

    #[test]
    fn a_fingerprint_depends_on_the_items_alone(
        numbers in prop::collection::btree_set(0_u64..1000, 0..120),
        cut in 0_usize..120,
    ) {
        let items: Vec<_> = numbers.iter().map(|n| item(*n, n % 3)).collect();
        let all = Items::new(items.clone());
        let cut = cut.min(all.len());
        let part = Items::new(all.slice(cut, all.len()).to_vec());
        prop_assert_eq!(all.fingerprint(cut, all.len()), part.fingerprint(0, part.len()));
        let mut less = all.slice(cut, all.len()).to_vec();
        if less.pop().is_some() {
            let less = Items::new(less);
            prop_assert_ne!(less.fingerprint(0, less.len()), part.fingerprint(0, part.len()));
        }
    }

    #[test]
    fn a_bound_lies_between_its_items(a in any::<u64>(), b in any::<u64>(), times in (0_u64..2, 0_u64..2)) {
        let (a, b) = (item(a, times.0), item(b, times.1));
        prop_assume!(a != b);
        let (low, high) = (a.min(b), a.max(b));
        let bound = Bound::between(&low, &high);
        prop_assert!(Bound::of(&low) < bound && bound <= Bound::of(&high));
    }

    /// Whatever comes, a side answers within its bounds or says what is wrong.
    #[test]
    fn arbitrary_messages_are_survived(
        said in prop::collection::vec((0_u64..4, prop::collection::vec(any::<u8>(), 0..3), 0_u8..3), 0..40),
    ) {
        let mut side = side((0..50).map(|n| item(n, n % 5)));
        let message = said.into_iter().map(|(later, prefix, kind)| {
            let has = match kind {
                0 => SyncHas::Settled,
                1 => SyncHas::Fingerprint([1; 16]),
                _ => SyncHas::Ids(vec![item(later, 0).id]),
            };
            range(later, &prefix, has)
        });
        if let Ok(answer) = side.answer(&ranges(message.collect())) {
            prop_assert!(encode_frame(&SyncMessage::Ranges(answer)).is_ok());
        }
    }
}
