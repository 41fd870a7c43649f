use proptest::{collection::vec, prelude::*};

use super::*;

/// The bytes of a file follow from its key, as they do from a hash.
fn files(keys: &[u8]) -> Files {
    keys.iter()
        .map(|key| (FileKey((*key).into()), u64::from(*key) + 1))
        .collect()
}

fn holding(hold: Hold, keys: &[u8]) -> Holding {
    let files = files(keys);
    Holding { hold, files }
}

fn some_files() -> impl Strategy<Value = Files> {
    vec(0_u8..12, 0..6).prop_map(|keys| files(&keys))
}

fn some_holding() -> impl Strategy<Value = Holding> {
    let hold = prop_oneof![Just(Hold::Nothing), Just(Hold::Mirror), Just(Hold::Kept)];
    (hold, some_files()).prop_map(|(hold, files)| Holding { hold, files })
}

prop_compose! {
    fn usage()(
        limit in 0_u64..120,
        fixed in 0_u64..30,
        cache in 0_u64..30,
        holdings in vec(some_holding(), 0..8),
    ) -> Usage {
        Usage { limit, fixed, cache, holdings }
    }
}

/// What is there after room was made, without these versions.
fn after(usage: &Usage, cache: u64, removed: &[usize]) -> u64 {
    let holdings = usage.holdings.iter().enumerate();
    let stay = holdings.filter(|(at, _)| !removed.contains(at));
    let left = Usage {
        cache: usage.cache - cache,
        holdings: stay.map(|(_, holding)| holding.clone()).collect(),
        ..usage.clone()
    };
    left.bytes()
}

proptest! {
    #[test]
    fn what_the_user_keeps_never_goes(usage in usage(), needed in 0_u64..60) {
        let room = usage.make_room(needed);
        for at in &room.remove {
            prop_assert!(usage.holdings[*at].hold != Hold::Kept);
        }
        prop_assert!(room.cache <= usage.cache);
    }

    #[test]
    fn room_is_made_or_what_lacks_is_said(usage in usage(), needed in 0_u64..60) {
        let room = usage.make_room(needed);
        let left = after(&usage, room.cache, &room.remove) + needed;
        if room.lacks == 0 {
            prop_assert!(left <= usage.limit);
        } else {
            prop_assert_eq!(left, usage.limit + room.lacks);
            // There is no other way.
            let all: Vec<_> = (0..usage.holdings.len())
                .filter(|at| usage.holdings[*at].hold != Hold::Kept)
                .collect();
            prop_assert_eq!(after(&usage, usage.cache, &all) + needed, left);
        }
    }

    #[test]
    fn nothing_goes_in_vain(usage in usage(), needed in 0_u64..60) {
        let room = usage.make_room(needed);
        if !room.remove.is_empty() {
            prop_assert_eq!(room.cache, usage.cache, "the cache goes first");
        }
        let left = after(&usage, room.cache, &room.remove);
        for at in &room.remove {
            let others: Vec<_> = room.remove.iter().copied().filter(|other| other != at).collect();
            let with = after(&usage, room.cache, &others);
            prop_assert!(with > left, "{} frees nothing", at);
            prop_assert!(with + needed > usage.limit, "{} could stay", at);
        }
    }

    #[test]
    fn what_is_chosen_fits_and_counts_shared_files_once(
        wanted in vec((some_files(), any::<bool>()), 0..8),
        budget in 0_u64..120,
    ) {
        let candidates: Vec<_> = wanted.iter().map(|(files, known)| Candidate {
            bytes: Usage { limit: 0, fixed: 0, cache: 0, holdings: vec![Holding { hold: Hold::Kept, files: files.clone() }] }.bytes(),
            files: known.then(|| files.clone()),
        }).collect();
        let choice = choose(&candidates, budget);
        prop_assert_eq!(choice.left_out.len(), candidates.len());
        prop_assert!(choice.bytes <= budget);
        let chosen = candidates.iter().zip(&choice.left_out).filter(|(_, left)| left.is_none());
        let known = Usage {
            limit: 0, fixed: 0, cache: 0,
            holdings: chosen.clone().filter_map(|(candidate, _)| candidate.files.clone())
                .map(|files| Holding { hold: Hold::Mirror, files }).collect(),
        };
        let unknown: u64 = chosen.filter(|(candidate, _)| candidate.files.is_none())
            .map(|(candidate, _)| candidate.bytes).sum();
        prop_assert_eq!(choice.bytes, known.bytes() + unknown);
        for needs in choice.left_out.iter().flatten() {
            prop_assert!(*needs > 0);
        }
        // The most wanted is left out only if it alone is too large.
        if let (Some(first), Some(left)) = (candidates.first(), choice.left_out.first()) {
            prop_assert_eq!(left.is_some(), first.bytes > budget);
        }
    }
}

#[test]
fn the_cache_goes_first_then_the_oldest_mirrored_version() {
    let usage = Usage {
        limit: 40,
        fixed: 5,
        cache: 4,
        holdings: vec![
            holding(Hold::Kept, &[9]),
            holding(Hold::Mirror, &[7, 0]),
            holding(Hold::Mirror, &[8, 0]),
            holding(Hold::Nothing, &[1]),
        ],
    };
    assert_eq!(usage.bytes(), 5 + 4 + 10 + 8 + 1 + 9 + 2);
    let room = |cache, remove: &[usize], lacks| Room {
        cache,
        remove: remove.to_vec(),
        lacks,
    };
    assert_eq!(usage.make_room(1), room(0, &[], 0));
    assert_eq!(usage.make_room(4), room(3, &[], 0));
    assert_eq!(usage.make_room(7), room(4, &[3], 0));
    assert_eq!(usage.make_room(15), room(4, &[3, 1], 0));
    assert_eq!(usage.make_room(30), room(4, &[3, 1, 2], 5));
}

#[test]
fn what_does_not_fit_is_left_out_and_smaller_ones_come() {
    let candidate = |keys: &[u8]| Candidate {
        files: Some(files(keys)),
        bytes: 1000,
    };
    // 10 + 5 bytes; 5 more; 1 more behind what is too large.
    let all = [
        candidate(&[9, 4]),
        candidate(&[9, 3, 11]),
        candidate(&[4, 0]),
    ];
    let choice = choose(&all, 20);
    assert_eq!(choice.left_out, [None, Some(16), None]);
    assert_eq!(choice.bytes, 16);
    assert_eq!(choose(&all, 32).left_out, [None, None, None]);
}
