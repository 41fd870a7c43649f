use super::{
    super::*,
    sim::{Character, MIB, Node, Sim, complete, tree},
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

fn spec(shard: u32, size: u64) -> ShardSpec {
    ShardSpec {
        shard: ShardIndex(shard),
        size,
        have: GroupRanges::new(),
    }
}

fn drain(fetch: &mut Fetch) -> Vec<Output> {
    std::iter::from_fn(|| fetch.poll()).collect()
}

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
fn what_a_reader_waits_for_goes_first() {
    let mut fetch = Fetch::new(
        FetchConfig::default(),
        [spec(0, 50 * MIB), spec(1, 50 * MIB), spec(2, 10)],
    );
    let groups = GroupRange {
        first: 1000,
        count: 10,
    };
    fetch.handle(
        Time::ZERO,
        Input::Prioritise {
            shard: ShardIndex(1),
            groups,
        },
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
    for output in drain(&mut fetch) {
        if let Output::Request { items, .. } = output {
            asked.extend(
                items
                    .iter()
                    .filter(|item| item.shard.0 == 1)
                    .map(|item| item.groups),
            );
        }
    }
    assert!(asked.contains_all(groups), "{asked:?}");
}

#[test]
fn rare_shards_go_first() {
    let sizes = vec![200_000; 400];
    let common: std::collections::BTreeSet<u32> = (0..399).collect();
    let mut rare = Node::new(MIB, 5);
    rare.holds = Some((0..400).collect());
    let other = || Node {
        holds: Some(common.clone()),
        ..Node::new(MIB, 5)
    };
    let mut sim = Sim::new(FetchConfig::default(), &sizes, vec![other(), other(), rare]);
    sim.run(2_000);
    let progress = sim.fetch.progress();
    assert!(progress.shards_done < 100, "{progress:?}");
    assert!(sim.has(399), "the rare shard is not among the first");
}

#[test]
fn a_partial_holder_is_asked_only_for_what_it_holds() {
    let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, 50 * MIB)]);
    fetch.handle(Time::ZERO, Input::PeerJoined { peer: PeerKey(0) });
    let held: GroupRanges = [
        GroupRange {
            first: 13,
            count: 30,
        },
        GroupRange {
            first: 3198,
            count: 2,
        },
    ]
    .into_iter()
    .collect();
    let update = Holdings::Partial {
        shard: ShardIndex(0),
        ranges: held.clone(),
    };
    fetch.handle(
        Time::ZERO,
        Input::Holdings {
            peer: PeerKey(0),
            update,
        },
    );
    let mut asked = GroupRanges::new();
    while let Some(output) = fetch.poll() {
        let Output::Request { request, items, .. } = output else {
            continue;
        };
        for Item { shard, groups } in items {
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
    }
    assert_eq!(
        asked.iter().collect::<Vec<_>>(),
        [GroupRange {
            first: 16,
            count: 24
        }]
    );
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
fn peers_may_come_go_and_come_back() {
    let nodes = (0..8u64)
        .map(|n| {
            let mut node = Node::new(2 * MIB, 10 + n);
            node.joins_at_ms = n * 300;
            node.leaves_at_ms = (n != 5).then_some(1000 + n * 500);
            node
        })
        .collect();
    let mut sim = Sim::new(FetchConfig::default(), &tree(3000), nodes);
    sim.add(Node::new(MIB, 3).is(Character::Busy));
    for n in 0..4 {
        sim.rejoin(n, 4000 + u64::from(n) * 100);
    }
    sim.run(120_000);
    assert!(
        sim.report.completed_ms.is_some(),
        "{:?}",
        sim.fetch.progress()
    );
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
fn what_a_peer_takes_back_is_not_asked_of_it() {
    let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, 10), spec(1, 10)]);
    let peer = PeerKey(0);
    fetch.handle(Time::ZERO, Input::PeerJoined { peer });
    fetch.handle(
        Time::ZERO,
        Input::Holdings {
            peer,
            update: Holdings::Shards {
                first: ShardIndex(1),
                bits: vec![1],
            },
        },
    );
    assert_eq!(drain(&mut fetch).len(), 1);
    fetch.handle(
        Time::ZERO,
        Input::Holdings {
            peer,
            update: Holdings::Nothing,
        },
    );
    fetch.handle(
        Time::ZERO,
        Input::Ended {
            request: RequestId(0),
            end: End::Busy,
        },
    );
    let later = Time::from_millis(60_000);
    fetch.handle_timeout(later);
    assert_eq!(drain(&mut fetch), []);
    fetch.handle(
        later,
        Input::Holdings {
            peer,
            update: Holdings::Complete,
        },
    );
    assert_eq!(drain(&mut fetch).len(), 1);
}

#[test]
fn bytes_that_come_after_the_end_are_not_fetched_again() {
    let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, 5 * MIB)]);
    let (now, peer) = (Time::ZERO, PeerKey(0));
    fetch.handle(now, Input::PeerJoined { peer });
    fetch.handle(
        now,
        Input::Holdings {
            peer,
            update: Holdings::Complete,
        },
    );
    let Some(Output::Request { request, items, .. }) = fetch.poll() else {
        panic!("nothing asked")
    };
    let Item { shard, groups } = items[0];
    fetch.handle(
        now,
        Input::Ended {
            request,
            end: End::Closed,
        },
    );
    fetch.handle(
        now,
        Input::Verified {
            request,
            shard,
            groups,
            bytes: 1,
        },
    );
    while fetch.poll().is_some() {}
    fetch.handle_timeout(Time::from_millis(60_000));
    for output in drain(&mut fetch) {
        let Output::Request { items, .. } = output else {
            continue;
        };
        assert!(
            items.iter().all(|item| item.groups.first >= groups.end()),
            "{items:?}"
        );
    }
    assert!(fetch.progress().bytes_done > 0);
}

#[test]
fn peers_are_not_blamed_when_this_node_stood_still() {
    let run = |stopped: bool| {
        let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, 5 * MIB)]);
        let peer = PeerKey(0);
        fetch.handle(Time::ZERO, Input::PeerJoined { peer });
        fetch.handle(
            Time::ZERO,
            Input::Holdings {
                peer,
                update: Holdings::Complete,
            },
        );
        let end = Time::from_millis(14_000);
        while let Some(at) = fetch.deadline().filter(|at| *at < end && !stopped) {
            fetch.handle_timeout(at);
        }
        fetch.handle_timeout(end);
        drain(&mut fetch)
            .iter()
            .filter(|output| matches!(output, Output::Cancel { .. }))
            .count()
    };
    assert_eq!(run(true), 0);
    assert!(run(false) > 0);
}

#[test]
fn a_request_that_says_it_is_alive_does_not_time_out_before_its_deadline() {
    let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, MIB)]);
    let peer = PeerKey(0);
    fetch.handle(Time::ZERO, Input::PeerJoined { peer });
    fetch.handle(
        Time::ZERO,
        Input::Holdings {
            peer,
            update: Holdings::Complete,
        },
    );
    let Some(Output::Request {
        request, deadline, ..
    }) = fetch.poll()
    else {
        panic!("nothing asked")
    };
    let mut cancelled = None;
    for ms in (0..400_000).step_by(500) {
        let now = Time::from_millis(ms);
        fetch.handle_timeout(now);
        fetch.handle(now, Input::Alive { request });
        let outputs = drain(&mut fetch);
        if cancelled.is_none()
            && outputs
                .iter()
                .any(|output| matches!(output, Output::Cancel { .. }))
        {
            cancelled = Some(now);
        }
    }
    assert!(
        cancelled.is_some_and(|at| at >= deadline && at.since(deadline) < Duration::from_secs(1))
    );
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

/// A fetch from peers that hold everything, and what it does first.
fn from_complete_peers(peers: u32) -> (Fetch, Vec<Output>) {
    let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, 20 * MIB)]);
    for peer in (0..peers).map(PeerKey) {
        fetch.handle(Time::ZERO, Input::PeerJoined { peer });
        let update = Holdings::Complete;
        fetch.handle(Time::ZERO, Input::Holdings { peer, update });
    }
    let outputs = drain(&mut fetch);
    (fetch, outputs)
}

#[test]
fn a_silent_peer_loses_its_requests_when_its_patience_ends_and_not_later() {
    let (mut fetch, asked) = from_complete_peers(1);
    assert_eq!(asked.len(), 2);
    let mut now = Time::ZERO;
    let mut ends = Vec::new();
    while ends.len() < 2 {
        now = fetch
            .deadline()
            .expect("peers that owe something have a timer");
        fetch.handle_timeout(now);
        assert_eq!(fetch.audit(), Ok(()));
        ends.extend(
            drain(&mut fetch)
                .into_iter()
                .filter_map(|output| match output {
                    Output::Cancel { cause, .. } => Some((now, cause)),
                    _ => None,
                }),
        );
        assert!(now.as_millis() <= 10_000, "{now:?}");
    }
    assert!(
        ends.iter()
            .all(|(at, cause)| at.as_millis() == 10_000 && *cause == CancelCause::Timeout)
    );
    // It rests, and is asked again when it has rested.
    let again = std::iter::from_fn(|| {
        now = fetch.deadline()?;
        fetch.handle_timeout(now);
        Some(drain(&mut fetch))
    });
    let again = again
        .take(20)
        .flatten()
        .find(|output| matches!(output, Output::Request { .. }));
    assert!(
        again.is_some() && now.as_millis() == 10_500,
        "{again:?} at {now:?}"
    );
}

#[test]
fn what_a_reader_waits_for_is_asked_of_a_second_peer_when_the_first_is_slow() {
    for prioritised in [true, false] {
        let (mut fetch, mut outputs) = from_complete_peers(2);
        let first = outputs.iter().find_map(|output| match output {
            Output::Request {
                peer: PeerKey(0),
                items,
                ..
            } => Some(items[0]),
            _ => None,
        });
        let first = first.unwrap();
        // The second answers all that it is asked every 120 ms, the first nothing.
        let mut doubled = None;
        for ms in 1..2400 {
            let now = Time::from_millis(ms);
            if ms == 1500 && prioritised {
                let Item { shard, groups } = first;
                fetch.handle(now, Input::Prioritise { shard, groups });
            }
            fetch.handle_timeout(now);
            outputs.extend(drain(&mut fetch));
            if ms % 120 != 0 {
                continue;
            }
            for output in std::mem::take(&mut outputs) {
                let Output::Request {
                    request,
                    peer: PeerKey(1),
                    items,
                    ..
                } = output
                else {
                    continue;
                };
                if items.contains(&first) {
                    doubled = Some(ms);
                }
                for Item { shard, groups } in items {
                    fetch.handle(
                        now,
                        Input::Verified {
                            request,
                            shard,
                            groups,
                            bytes: 1,
                        },
                    );
                }
                fetch.handle(
                    now,
                    Input::Ended {
                        request,
                        end: End::Done,
                    },
                );
            }
        }
        assert_eq!(
            doubled,
            prioritised.then_some(1560),
            "it is answered 60 ms later"
        );
    }
}

#[test]
fn what_one_of_many_idle_peers_claims_is_asked_of_it_in_the_end() {
    let mut fetch = Fetch::new(FetchConfig::default(), [spec(0, 4 * MIB), spec(1, 100)]);
    for n in 0..1000 {
        let peer = PeerKey(n);
        fetch.handle(Time::ZERO, Input::PeerJoined { peer });
        let ranges = GroupRange { first: 0, count: 8 }.into();
        let update = Holdings::Partial {
            shard: ShardIndex(0),
            ranges,
        };
        fetch.handle(Time::ZERO, Input::Holdings { peer, update });
    }
    let request = drain(&mut fetch)
        .into_iter()
        .find_map(|output| match output {
            Output::Request { request, peer, .. } => Some((request, peer)),
            _ => None,
        });
    let (request, peer) = request.expect("the first piece is asked of the first");
    // It leaves; any other of the thousand can bring the piece.
    fetch.handle(Time::ZERO, Input::PeerLeft { peer });
    let again = std::iter::from_fn(|| {
        let outputs = drain(&mut fetch);
        let now = fetch.deadline()?;
        fetch.handle_timeout(now);
        Some((now, outputs))
    });
    let again = again.take(100).find(|(_, outputs)| {
        outputs
            .iter()
            .any(|output| matches!(output, Output::Request { .. }))
    });
    let (now, _) = again.unwrap_or_else(|| panic!("nobody is asked after {request:?} ended"));
    assert!(now.as_millis() <= 1000, "{now:?}");
}
