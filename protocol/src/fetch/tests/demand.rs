//! Fetches on demand: readers decide what comes.

use super::{super::*, sim::MIB};

const PEER: PeerKey = PeerKey(0);
const SHARD: ShardIndex = ShardIndex(9);

fn spec(shard: ShardIndex, size: u64) -> ShardSpec {
    ShardSpec {
        shard,
        size,
        have: GroupRanges::new(),
    }
}

/// A fetch of one shard, and one peer that holds all.
fn fetch(size: u64) -> Fetch {
    let config = FetchConfig {
        on_demand: true,
        ..FetchConfig::default()
    };
    let mut fetch = Fetch::new(config, []);
    fetch.handle(Time::ZERO, Input::PeerJoined { peer: PEER });
    let update = Holdings::Complete;
    fetch.handle(Time::ZERO, Input::Holdings { peer: PEER, update });
    fetch.handle(Time::ZERO, Input::Add(spec(SHARD, size)));
    fetch
}

fn wait_for(fetch: &mut Fetch, first: u64, count: u64) {
    let groups = GroupRange { first, count };
    let shard = SHARD;
    fetch.handle(Time::ZERO, Input::Prioritise { shard, groups });
}

/// What is asked of the peer, which answers all of it at once.
fn asked(fetch: &mut Fetch) -> GroupRanges {
    let mut all = GroupRanges::new();
    while let Some(output) = fetch.poll() {
        if let Output::Request { request, items, .. } = output {
            for Item { shard, groups } in items {
                all.insert(groups);
                let arrived = Input::Verified {
                    request,
                    shard,
                    groups,
                    bytes: 1,
                };
                fetch.handle(Time::ZERO, arrived);
            }
            let end = End::Done;
            fetch.handle(Time::ZERO, Input::Ended { request, end });
        }
    }
    all
}

#[test]
fn nothing_is_asked_for_that_no_reader_waits_for() {
    let mut fetch = fetch(50 * MIB);
    assert!(asked(&mut fetch).is_empty());
    wait_for(&mut fetch, 100, 20);
    // Pieces of 8 groups.
    let pieces = GroupRange {
        first: 96,
        count: 24,
    };
    assert_eq!(asked(&mut fetch), pieces.into());
    wait_for(&mut fetch, 96, 24);
    assert!(asked(&mut fetch).is_empty(), "it is here");
    assert!(!fetch.is_complete() && fetch.audit().is_ok());
}

#[test]
fn a_small_shard_comes_as_a_whole_once_a_reader_waits_for_any_of_it() {
    let mut fetch = fetch(100_000);
    assert!(asked(&mut fetch).is_empty());
    wait_for(&mut fetch, 3, 1);
    assert_eq!(asked(&mut fetch), GroupRanges::full(7));
}

#[test]
fn what_readers_left_is_not_asked_for() {
    let mut fetch = fetch(50 * MIB);
    wait_for(&mut fetch, 0, 3200);
    let groups = GroupRange {
        first: 1600,
        count: 1600,
    };
    let shard = SHARD;
    fetch.handle(Time::ZERO, Input::Unwanted { shard, groups });
    let asked = asked(&mut fetch);
    assert!(asked.contains_all(GroupRange {
        first: 0,
        count: 1600
    }));
    // What was on its way already may come.
    assert!(asked.len_groups() < 1600 + 600, "{asked:?}");
}

#[test]
fn what_failed_comes_again_only_for_a_reader() {
    for left in [false, true] {
        let mut fetch = fetch(50 * MIB);
        wait_for(&mut fetch, 0, 8);
        let Some(Output::Request { request, .. }) = fetch.poll() else {
            panic!("it is asked for");
        };
        if left {
            let (shard, groups) = (SHARD, GroupRange { first: 0, count: 8 });
            fetch.handle(Time::ZERO, Input::Unwanted { shard, groups });
        }
        let end = End::Closed;
        fetch.handle(Time::ZERO, Input::Ended { request, end });
        fetch.handle_timeout(Time::from_millis(5000));
        assert_eq!(asked(&mut fetch).is_empty(), left);
    }
}

#[test]
fn what_is_lost_comes_again_only_for_a_reader() {
    let mut fetch = fetch(50 * MIB);
    wait_for(&mut fetch, 0, 8);
    assert!(!asked(&mut fetch).is_empty());
    let (shard, groups) = (SHARD, GroupRange { first: 0, count: 8 });
    fetch.handle(Time::ZERO, Input::LocalLost { shard, groups });
    assert!(asked(&mut fetch).is_empty());
    wait_for(&mut fetch, 0, 1);
    assert!(!asked(&mut fetch).is_empty());
}

#[test]
fn claims_are_told_again_for_a_shard_that_was_added() {
    let config = FetchConfig {
        on_demand: true,
        ..FetchConfig::default()
    };
    let mut fetch = Fetch::new(config, []);
    fetch.handle(Time::ZERO, Input::PeerJoined { peer: PEER });
    fetch.handle(Time::ZERO, Input::Add(spec(SHARD, MIB)));
    wait_for(&mut fetch, 0, 64);
    assert!(asked(&mut fetch).is_empty(), "nobody claims it");
    let update = Holdings::Shards {
        first: SHARD,
        bits: vec![1],
    };
    fetch.handle(Time::ZERO, Input::Holdings { peer: PEER, update });
    assert_eq!(asked(&mut fetch), GroupRanges::full(64));
    // A second one of the same number changes nothing.
    fetch.handle(Time::ZERO, Input::Add(spec(SHARD, 1)));
    assert_eq!(fetch.progress().bytes_total, MIB);
}

#[test]
fn what_is_on_its_way_is_not_asked_for_again_for_a_second_reader() {
    let mut fetch = fetch(50 * MIB);
    wait_for(&mut fetch, 0, 8);
    assert!(matches!(fetch.poll(), Some(Output::Request { .. })));
    wait_for(&mut fetch, 0, 8);
    assert_eq!(fetch.poll(), None);
    assert_eq!(fetch.audit(), Ok(()));
}

#[test]
fn each_file_that_readers_wait_for_has_its_turn() {
    let mut fetch = fetch(50 * MIB);
    let shards = [1, 5, 9, 200].map(ShardIndex);
    for shard in shards {
        fetch.handle(Time::ZERO, Input::Add(spec(shard, 50 * MIB)));
    }
    // The first one is read far ahead, and its reader goes on whenever something came.
    let mut seen = Vec::new();
    for round in 0..40 {
        for shard in shards {
            let (first, count) = (round * 8, if shard == shards[0] { 1000 } else { 32 });
            let groups = GroupRange { first, count };
            fetch.handle(Time::ZERO, Input::Prioritise { shard, groups });
        }
        let Some(Output::Request { request, items, .. }) = fetch.poll() else {
            continue;
        };
        for Item { shard, groups } in items {
            seen.push(shard);
            let bytes = groups.count;
            let verified = Input::Verified {
                request,
                shard,
                groups,
                bytes,
            };
            fetch.handle(Time::ZERO, verified);
        }
        let end = End::Done;
        fetch.handle(Time::ZERO, Input::Ended { request, end });
    }
    for shard in shards {
        let turns = seen.iter().filter(|seen| **seen == shard).count();
        assert!(turns * 8 > seen.len(), "{shard:?} had {turns} of {seen:?}");
    }
    assert_eq!(fetch.audit(), Ok(()));
}
