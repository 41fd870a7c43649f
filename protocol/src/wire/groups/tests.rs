use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const GROUPS: u64 = 40;

fn range() -> impl Strategy<Value = GroupRange> {
    (0..GROUPS, 1..12_u64).prop_map(|(first, count)| GroupRange { first, count })
}

fn set() -> impl Strategy<Value = GroupRanges> {
    proptest::collection::vec(range(), 0..8).prop_map(|ranges| ranges.into_iter().collect())
}

fn model(set: &GroupRanges) -> BTreeSet<u64> {
    set.iter()
        .flat_map(|range| range.first..range.end())
        .collect()
}

#[test]
fn open_ranges_reach_the_end_of_any_blob() {
    assert_eq!(
        GroupRange::ALL.within(7),
        Some(GroupRange { first: 0, count: 7 })
    );
    assert_eq!(GroupRange::ALL.bytes(20_000), 0..20_000);
    assert_eq!(GroupRange { first: 2, count: 0 }.within(2), None);
    assert_eq!(
        GroupRange { first: 1, count: 1 }.bytes(20_000),
        16_384..20_000
    );
    assert_eq!(
        GroupRange { first: 9, count: 1 }.bytes(20_000),
        20_000..20_000
    );
    let mut set = GroupRanges::from(GroupRange { first: 3, count: 0 });
    assert!(set.contains(1 << 60));
    assert_eq!(set.within(5).len_groups(), 2);
    set.remove(GroupRange { first: 5, count: 0 });
    assert_eq!(set, GroupRange { first: 3, count: 2 }.into());
}

#[test]
fn sizes_have_the_documented_number_of_groups() {
    for (size, groups) in [
        (0, 0),
        (1, 1),
        (16_383, 1),
        (16_384, 1),
        (16_385, 2),
        (u64::MAX, 1 << 50),
    ] {
        assert_eq!(groups_in(size), groups, "{size}");
    }
    assert_eq!(
        GroupRange::covering(16_383, 16_385),
        Some(GroupRange { first: 0, count: 2 })
    );
    assert_eq!(GroupRange::covering(5, 5), None);
    assert_eq!(GroupRanges::full(2).len_bytes(16_385), 16_385);
    assert!(GroupRanges::new().is_complete(0));
    assert!(!GroupRanges::new().is_complete(1));
}

#[test]
fn hostile_ranges_are_refused() {
    for text in [
        "[18446744073709551615,0]",
        "[18446744073709551614,1]",
        "[1,18446744073709551615]",
        "[-1,1]",
        "[1]",
    ] {
        assert!(serde_json::from_str::<GroupRange>(text).is_err(), "{text}");
    }
    for text in [
        "[[4,2],[1,1]]",
        "[[0,2],[2,1]]",
        "[[0,2],[1,1]]",
        "[[0,0],[7,1]]",
    ] {
        assert!(serde_json::from_str::<GroupRanges>(text).is_err(), "{text}");
    }
    let set: GroupRanges = serde_json::from_str("[[0,2],[3,1],[9,0]]").unwrap();
    assert_eq!(serde_json::to_string(&set).unwrap(), "[[0,2],[3,1],[9,0]]");
}

proptest! {
    #[test]
    fn sets_behave_like_a_set_of_numbers(a in set(), b in set(), range in range(), group in 0..60_u64) {
        let (left, right) = (model(&a), model(&b));
        prop_assert_eq!(a.contains(group), left.contains(&group));
        prop_assert_eq!(a.contains_all(range), (range.first..range.end()).all(|group| left.contains(&group)));
        prop_assert_eq!(a.len_groups(), left.len() as u64);
        prop_assert_eq!(model(&a.intersect(&b)), left.intersection(&right).copied().collect::<BTreeSet<_>>());
        prop_assert_eq!(model(&a.missing_within(GROUPS)), (0..GROUPS).filter(|group| !left.contains(group)).collect::<BTreeSet<_>>());
        prop_assert_eq!(model(&a.within(group)), left.iter().copied().filter(|at| *at < group).collect::<BTreeSet<_>>());
        prop_assert_eq!(a.is_complete(group), (0..group).all(|at| left.contains(&at)));
        let mut union = a.clone();
        union.insert_all(&b);
        prop_assert_eq!(model(&union), left.union(&right).copied().collect::<BTreeSet<_>>());
        let mut rest = a.clone();
        rest.remove_all(&b);
        prop_assert_eq!(model(&rest), left.difference(&right).copied().collect::<BTreeSet<_>>());
        let text = serde_json::to_string(&a).unwrap();
        prop_assert_eq!(serde_json::from_str::<GroupRanges>(&text).unwrap(), a);
    }
}
