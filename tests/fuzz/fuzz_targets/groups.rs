//! Sets of chunk groups: they agree with a plain set of numbers.
#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use opendag_protocol::{
    cbor::{from_slice_canonical, to_vec},
    wire::{GroupRange, GroupRanges},
};

/// All groups that the sets are compared on: an open range ends here.
const GROUPS: u64 = 512;

#[derive(Debug, Arbitrary)]
enum Step {
    Insert { first: u8, count: u8 },
    Remove { first: u8, count: u8 },
    Intersect { ranges: Vec<(u8, u8)> },
    Within { groups: u8 },
    Missing { groups: u8 },
}

fuzz_target!(|steps: Vec<Step>| {
    let (mut set, mut model) = (GroupRanges::new(), BTreeSet::new());
    for step in steps.iter().take(50) {
        take(step, &mut set, &mut model);
        let found: BTreeSet<u64> = (0..GROUPS).filter(|group| set.contains(*group)).collect();
        assert_eq!(found, model, "{step:?}");
        let ranges: Vec<GroupRange> = set.iter().collect();
        assert!(ranges.windows(2).all(|two| two[0].end() < two[1].first));
        assert_eq!(
            set.within(GROUPS).len_groups(),
            u64::try_from(model.len()).unwrap()
        );
        assert!(ranges.iter().all(|range| set.contains_all(*range)));
        assert_eq!(ranges.iter().copied().collect::<GroupRanges>(), set);
        if !ranges.iter().any(|range| range.is_open()) {
            let bytes = to_vec(&set).unwrap();
            assert_eq!(from_slice_canonical::<GroupRanges>(&bytes).unwrap(), set);
        }
    }
});

fn range(first: u8, count: u8) -> GroupRange {
    GroupRange {
        first: first.into(),
        count: count.into(),
    }
}

fn numbers(range: GroupRange) -> impl Iterator<Item = u64> {
    (0..GROUPS).filter(move |group| range.contains(*group))
}

fn take(step: &Step, set: &mut GroupRanges, model: &mut BTreeSet<u64>) {
    match step {
        Step::Insert { first, count } => {
            set.insert(range(*first, *count));
            model.extend(numbers(range(*first, *count)));
        }
        Step::Remove { first, count } => {
            set.remove(range(*first, *count));
            model.retain(|group| !range(*first, *count).contains(*group));
        }
        Step::Intersect { ranges } => {
            let ranges = || ranges.iter().map(|(first, count)| range(*first, *count));
            let other: GroupRanges = ranges().collect();
            let swapped = other.intersect(set);
            *set = set.intersect(&other);
            assert_eq!(*set, swapped);
            model.retain(|group| ranges().any(|range| range.contains(*group)));
        }
        Step::Within { groups } => {
            *set = set.within((*groups).into());
            model.retain(|group| *group < u64::from(*groups));
        }
        Step::Missing { groups } => {
            *set = set.missing_within((*groups).into());
            *model = (0..u64::from(*groups))
                .filter(|group| !model.contains(group))
                .collect();
            assert!(set.is_complete(0));
        }
    }
}
