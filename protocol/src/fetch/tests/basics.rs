use super::{
    super::*,
    drain,
    sim::{MIB, Node, complete},
    spec,
};
use crate::{limits::CHUNK_GROUP_BYTES, wire::groups_in};

/// Sizes at which something changes: nothing, one byte, around a chunk group, around the limit of
/// small shards, whole pieces, and more than a piece by one byte.
const SIZES: [u64; 12] = [
    0,
    1,
    CHUNK_GROUP_BYTES - 1,
    CHUNK_GROUP_BYTES,
    CHUNK_GROUP_BYTES + 1,
    MIB - 1,
    MIB,
    MIB + 1,
    MIB + CHUNK_GROUP_BYTES,
    8 * MIB,
    8 * MIB + 1,
    20 * MIB - 5,
];

#[test]
fn every_size_arrives_once_from_one_peer() {
    let sim = complete(&SIZES, vec![Node::new(10 * MIB, 5)], 60_000);
    assert_eq!(sim.report.arrived, SIZES.iter().sum::<u64>());
    assert_eq!(sim.fetch.progress().wasted_bytes, 0);
    assert_eq!(sim.fetch.progress().shards_done, 12);
    assert_eq!(sim.fetch.stalled(sim.now()), None);
}

#[test]
fn nothing_to_fetch_is_complete_at_once() {
    let mut fetch = Fetch::new(FetchConfig::default(), []);
    assert_eq!(drain(&mut fetch), [Output::Completed]);
    let mut fetch = Fetch::new(FetchConfig::default(), [spec(7, 0)]);
    assert_eq!(
        drain(&mut fetch),
        [
            Output::ShardDone {
                shard: ShardIndex(7)
            },
            Output::Completed
        ]
    );
}

#[test]
fn p4_what_is_here_is_never_asked_for() {
    let groups = groups_in(20 * MIB);
    let mut have = GroupRanges::new();
    have.extend([3, 17, 18, 500].map(|first| GroupRange { first, count: 9 }));
    have.insert(GroupRange {
        first: groups - 1,
        count: 0,
    });
    let whole = ShardSpec {
        shard: ShardIndex(2),
        size: 100,
        have: GroupRanges::full(1),
    };
    let large = ShardSpec {
        shard: ShardIndex(1),
        size: 20 * MIB,
        have: have.clone(),
    };
    let mut fetch = Fetch::new(FetchConfig::default(), [large, whole]);
    assert_eq!(
        drain(&mut fetch),
        [Output::ShardDone {
            shard: ShardIndex(2)
        }]
    );
    fetch.handle(Time::ZERO, Input::PeerJoined { peer: PeerKey(0) });
    fetch.handle(
        Time::ZERO,
        Input::Holdings {
            peer: PeerKey(0),
            update: Holdings::Complete,
        },
    );
    let mut asked = GroupRanges::new();
    while let Some(output) = fetch.poll() {
        let Output::Request { request, items, .. } = output else {
            continue;
        };
        for Item { shard, groups } in items {
            assert!(
                have.intersect(&groups.into()).is_empty()
                    && asked.intersect(&groups.into()).is_empty()
            );
            asked.insert(groups);
            fetch.handle(
                Time::ZERO,
                Input::Verified {
                    request,
                    shard,
                    groups,
                    bytes: 1,
                },
            );
        }
        fetch.handle(
            Time::ZERO,
            Input::Ended {
                request,
                end: End::Done,
            },
        );
    }
    assert_eq!(asked, have.missing_within(groups));
    assert!(fetch.is_complete());
}

#[test]
fn many_small_shards_travel_in_one_request() {
    let sim = complete(&vec![1000; 20_000], vec![Node::new(50 * MIB, 20)], 60_000);
    assert!(
        sim.report.requests < 250,
        "{} requests",
        sim.report.requests
    );
}

#[test]
fn lost_shards_are_fetched_again() {
    let mut sim = complete(&[100, 5 * MIB], vec![Node::new(10 * MIB, 5)], 60_000);
    let now = sim.now();
    sim.fetch.handle(
        now,
        Input::LocalLost {
            shard: ShardIndex(0),
            groups: GroupRange::ALL,
        },
    );
    sim.fetch.handle(
        now,
        Input::LocalLost {
            shard: ShardIndex(1),
            groups: GroupRange { first: 7, count: 2 },
        },
    );
    let outputs = drain(&mut sim.fetch);
    let mut items = Vec::new();
    for output in outputs {
        let Output::Request {
            request,
            items: more,
            ..
        } = output
        else {
            panic!("{output:?}")
        };
        for Item { shard, groups } in more {
            items.push((shard.0, groups.first, groups.count));
            sim.fetch.handle(
                now,
                Input::Verified {
                    request,
                    shard,
                    groups,
                    bytes: 1,
                },
            );
        }
    }
    items.sort_unstable();
    assert_eq!(items, [(0, 0, 1), (1, 7, 2)]);
    assert_eq!(drain(&mut sim.fetch).last(), Some(&Output::Completed));
}

#[test]
fn nodes_start_at_different_places() {
    let first = |seed| {
        let config = FetchConfig {
            seed,
            ..FetchConfig::default()
        };
        let mut fetch = Fetch::new(config, (0..50_000).map(|n| spec(n, 10_000)));
        fetch.handle(Time::ZERO, Input::PeerJoined { peer: PeerKey(0) });
        fetch.handle(
            Time::ZERO,
            Input::Holdings {
                peer: PeerKey(0),
                update: Holdings::Complete,
            },
        );
        let Some(Output::Request { items, .. }) = fetch.poll() else {
            panic!("nothing asked")
        };
        items[0].shard
    };
    let starts: std::collections::BTreeSet<ShardIndex> = (0..20).map(first).collect();
    assert!(starts.len() >= 19, "{starts:?}");
}

#[test]
fn p8_it_says_what_it_waits_for() {
    let now = Time::ZERO;
    let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, 10), spec(1, 10)]);
    assert_eq!(fetch.stalled(now), Some(Why::NoPeers));
    let peer = PeerKey(3);
    fetch.handle(now, Input::PeerJoined { peer });
    assert_eq!(fetch.stalled(now), Some(Why::NoHoldings));
    let update = Holdings::Shards {
        first: ShardIndex(0),
        bits: vec![1],
    };
    fetch.handle(now, Input::Holdings { peer, update });
    assert_eq!(fetch.stalled(now), None);
    let later = now + Duration::from_secs(3);
    assert_eq!(fetch.stalled(later), Some(Why::NoAnswer { since: now }));
    let Some(Output::Request { request, .. }) = fetch.poll() else {
        panic!("nothing asked")
    };
    fetch.handle(
        later,
        Input::Ended {
            request,
            end: End::Closed,
        },
    );
    assert!(matches!(fetch.stalled(later), Some(Why::PeersRest { until }) if until > later));
    let again = later + Duration::from_secs(1);
    assert!(fetch.deadline().is_some_and(|at| at <= again));
    fetch.handle_timeout(again);
    let Some(Output::Request { request, .. }) = fetch.poll() else {
        panic!("not asked again")
    };
    let groups = GroupRange::ALL;
    fetch.handle(
        again,
        Input::Verified {
            request,
            shard: ShardIndex(0),
            groups,
            bytes: 10,
        },
    );
    fetch.handle(
        again,
        Input::Ended {
            request,
            end: End::Done,
        },
    );
    assert_eq!(fetch.stalled(again), Some(Why::NobodyHolds { shards: 1 }));
}

#[test]
fn tiny_shards_do_not_open_streams_without_end() {
    let mut fetch = Fetch::new(FetchConfig::default(), (0..100_000).map(|n| spec(n, 1)));
    for peer in (0..50).map(PeerKey) {
        fetch.handle(Time::ZERO, Input::PeerJoined { peer });
        fetch.handle(
            Time::ZERO,
            Input::Holdings {
                peer,
                update: Holdings::Complete,
            },
        );
    }
    let requests = drain(&mut fetch);
    assert_eq!(requests.len(), FetchConfig::default().requests_max);
    let of_one = requests.iter().filter(|output| {
        matches!(
            output,
            Output::Request {
                peer: PeerKey(0),
                ..
            }
        )
    });
    assert!(of_one.count() <= FetchConfig::default().peer_requests_max);
}

#[test]
fn pieces_grow_with_the_shard() {
    let config = FetchConfig::default();
    let bytes =
        |size| crate::fetch::large::piece_groups(&config, groups_in(size)) * CHUNK_GROUP_BYTES;
    let gib = 1024 * MIB;
    let sizes = [
        2 * MIB,
        8 * gib,
        16 * gib,
        16 * gib + 1,
        64 * gib,
        100 * gib,
        10_000 * gib,
    ];
    assert_eq!(
        sizes.map(|size| bytes(size) / 1024),
        [128, 128, 128, 256, 512, 1024, 1024]
    );
}
