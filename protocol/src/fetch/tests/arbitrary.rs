//! Whatever comes in: the invariants hold, each request ends once, nothing missing is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    super::*,
    sim::{Character, MIB, Node, Sim},
};

const SIZES: [u64; 6] = [0, 1, 100_000, MIB, 3 * MIB + 1, 9 * MIB];

fn range() -> impl Strategy<Value = GroupRange> {
    (0u64..700, 0u64..300).prop_map(|(first, count)| GroupRange { first, count })
}

fn holdings() -> impl Strategy<Value = Holdings> {
    prop_oneof![
        Just(Holdings::Complete),
        (0u32..8, prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(first, bits)| {
            Holdings::Shards {
                first: ShardIndex(first),
                bits,
            }
        }),
        (0u32..8, prop::collection::vec(range(), 0..4)).prop_map(|(shard, ranges)| {
            Holdings::Partial {
                shard: ShardIndex(shard),
                ranges: ranges.into_iter().collect(),
            }
        }),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(End::Done),
        1 => Just(End::Timeout),
        1 => Just(End::Busy),
        1 => Just(End::Closed),
        1 => Just(End::WrongBytes)
    ]
}

fn input() -> impl Strategy<Value = Input> {
    let peer = || (0u32..5).prop_map(PeerKey);
    let shard = || (0u32..8).prop_map(ShardIndex);
    let request = || (0u64..40).prop_map(RequestId);
    prop_oneof![
        2 => peer().prop_map(|peer| Input::PeerJoined { peer }),
        1 => peer().prop_map(|peer| Input::PeerLeft { peer }),
        3 => (peer(), holdings()).prop_map(|(peer, update)| Input::Holdings { peer, update }),
        6 => (request(), shard(), range()).prop_map(|(request, shard, groups)| Input::Verified {
            request, shard, groups, bytes: 16_384
        }),
        1 => (request(), shard()).prop_map(|(request, shard)| Input::ItemMissing { request, shard }),
        3 => (request(), end()).prop_map(|(request, end)| Input::Ended { request, end }),
        1 => (shard(), range()).prop_map(|(shard, groups)| Input::Prioritise { shard, groups }),
        1 => (shard(), range()).prop_map(|(shard, groups)| Input::Unwanted { shard, groups }),
        1 => shard().prop_map(|shard| Input::Add(spec(shard.0))),
        1 => (shard(), range()).prop_map(|(shard, groups)| Input::LocalLost { shard, groups }),
    ]
}

fn spec(shard: u32) -> ShardSpec {
    let at = usize::try_from(shard).unwrap() % SIZES.len();
    ShardSpec {
        shard: ShardIndex(shard),
        size: SIZES[at],
        have: GroupRanges::new(),
    }
}

fn fetch(in_flight_bytes_max: u64) -> Fetch {
    let config = FetchConfig {
        in_flight_bytes_max,
        ..FetchConfig::default()
    };
    Fetch::new(config, (0..6).map(spec))
}

fn fetch_on_demand(in_flight_bytes_max: u64) -> Fetch {
    let config = FetchConfig {
        in_flight_bytes_max,
        on_demand: true,
        ..FetchConfig::default()
    };
    Fetch::new(config, (2..4).map(spec))
}

proptest! {
    #[test]
    fn invariants_hold_for_any_inputs(
        steps in prop::collection::vec((0u64..3000, input()), 1..200),
        limit in prop_oneof![Just(MIB), Just(8 * MIB)],
        on_demand in any::<bool>(),
    ) {
        let mut fetch = if on_demand { fetch_on_demand(limit) } else { fetch(limit) };
        let mut now = Time::ZERO;
        let (mut open, mut seen) = (BTreeMap::new(), BTreeSet::new());
        let (mut here, mut banned) = (BTreeSet::new(), BTreeSet::new());
        for (ms, input) in steps {
            now = now + Duration::from_millis(ms);
            fetch.handle_timeout(now);
            while let Some(output) = fetch.poll() {
                if let Output::Cancel { request, .. } = output {
                    prop_assert!(open.remove(&request).is_some());
                } else if let Output::Request { request, peer, .. } = output {
                    prop_assert!(seen.insert(request) && here.contains(&peer) && !banned.contains(&peer));
                    open.insert(request, peer);
                }
            }
            match &input {
                Input::PeerJoined { peer } => drop(here.insert(*peer)),
                Input::PeerLeft { peer } => {
                    here.remove(peer);
                    open.retain(|_, asked| asked != peer);
                }
                Input::Ended { request, end } => {
                    let peer = open.remove(request);
                    banned.extend(peer.filter(|_| *end == End::WrongBytes));
                }
                _ => {}
            }
            fetch.handle(now, input);
            prop_assert_eq!(fetch.audit(), Ok(()));
            while let Some(output) = fetch.poll() {
                match output {
                    Output::Request { request, peer, items, .. } => {
                        prop_assert!(seen.insert(request) && !items.is_empty());
                        prop_assert!(here.contains(&peer), "asks {peer:?}, which is not here");
                        prop_assert!(!banned.contains(&peer), "asks {peer:?}, which lied, again");
                        open.insert(request, peer);
                    }
                    Output::Cancel { request, .. } => prop_assert!(open.remove(&request).is_some()),
                    Output::ShardDone { .. } | Output::Ban { .. } | Output::Completed => {}
                }
            }
            prop_assert!(fetch.progress().in_flight_bytes <= limit);
            prop_assert!(fetch.deadline().is_none_or(|at| at > now), "{:?} is due at {now:?} and was not handled", fetch.timers.first());
        }
    }

    /// From wherever arbitrary inputs lead, one honest peer ends the fetch, also if it fails first.
    #[test]
    fn p5_one_honest_peer_ends_it_from_any_state(
        steps in prop::collection::vec((0u64..3000, input()), 0..100),
    ) {
        let mut fetch = fetch(8 * MIB);
        let mut now = Time::ZERO;
        for (ms, input) in steps {
            now = now + Duration::from_millis(ms);
            fetch.handle(now, input);
            while fetch.poll().is_some() {}
        }
        let honest = PeerKey(77);
        fetch.handle(now, Input::PeerJoined { peer: honest });
        fetch.handle(now, Input::Holdings { peer: honest, update: Holdings::Complete });
        let mut fails = 2;
        for _ in 0..10_000 {
            while let Some(output) = fetch.poll() {
                if let Output::Request { request, peer, items, .. } = output && peer == honest {
                    // It rests now: only its own timer brings it back.
                    if fails > 0 {
                        fails -= 1;
                        fetch.handle(now, Input::Ended { request, end: End::Busy });
                        continue;
                    }
                    for Item { shard, groups } in items {
                        fetch.handle(now, Input::Verified { request, shard, groups, bytes: 1 });
                    }
                    fetch.handle(now, Input::Ended { request, end: End::Done });
                }
            }
            let Some(at) = fetch.deadline().filter(|_| !fetch.is_complete()) else { break };
            now = at.max(now);
            fetch.handle_timeout(now);
        }
        prop_assert!(fetch.is_complete(), "{:?} {:?}", fetch.progress(), fetch.stalled(now));
    }

    /// The same for what a reader waits for, of a shard that is added at last or was there before.
    #[test]
    fn p5_one_honest_peer_brings_what_a_reader_waits_for_from_any_state(
        steps in prop::collection::vec((0u64..3000, input()), 0..100),
        shard in 0u32..8,
        groups in range(),
    ) {
        let mut fetch = fetch_on_demand(8 * MIB);
        let mut now = Time::ZERO;
        for (ms, input) in steps {
            now = now + Duration::from_millis(ms);
            fetch.handle(now, input);
            while fetch.poll().is_some() {}
        }
        let (honest, shard) = (PeerKey(77), ShardIndex(shard));
        fetch.handle(now, Input::Add(spec(shard.0)));
        fetch.handle(now, Input::PeerJoined { peer: honest });
        fetch.handle(now, Input::Holdings { peer: honest, update: Holdings::Complete });
        fetch.handle(now, Input::Prioritise { shard, groups });
        let slot = fetch.shards.slot_of(shard).unwrap();
        let waits = fetch.shards.whole(slot).intersect(&groups.into());
        for _ in 0..10_000 {
            while let Some(output) = fetch.poll() {
                if let Output::Request { request, peer, items, .. } = output && peer == honest {
                    for Item { shard, groups } in items {
                        fetch.handle(now, Input::Verified { request, shard, groups, bytes: 1 });
                    }
                    fetch.handle(now, Input::Ended { request, end: End::Done });
                }
            }
            let is_here = fetch.shards.missing(slot, &waits).is_empty();
            let Some(at) = fetch.deadline().filter(|_| !is_here) else { break };
            now = at.max(now);
            fetch.handle_timeout(now);
        }
        prop_assert!(fetch.shards.missing(slot, &waits).is_empty(), "{:?}", fetch.stalled(now));
    }

    #[test]
    fn p5_any_mix_of_peers_with_one_honest_ends_well(
        seed in any::<u64>(),
        evil in prop::collection::vec((0usize..9, 1u64..100, 0u64..100, 0u64..3000), 0..12),
        honest in (1u64..50, 0u64..200, 0u64..50),
    ) {
        let characters = [
            Character::Honest, Character::Liar(10), Character::Boaster, Character::Staller(0), Character::Staller(50),
            Character::Trickler(3), Character::Busy, Character::Skipper, Character::Breaker(20),
        ];
        let mut nodes: Vec<Node> = evil
            .into_iter()
            .map(|(kind, rate, delay, joins)| Node {
                joins_at_ms: joins,
                leaves_at_ms: (joins % 3 == 0).then_some(joins + 2000),
                ..Node::new(rate * 100_000, delay).is(characters[kind])
            })
            .collect();
        nodes.push(Node { loss: honest.2, ..Node::new(honest.0 * 100_000, honest.1) });
        let config = FetchConfig { seed, ..FetchConfig::default() };
        let mut sim = Sim::new(config, &[20 * MIB, 5, 0, 900_000, 40_000, 3 * MIB], nodes);
        sim.run(900_000);
        prop_assert!(sim.report.completed_ms.is_some(), "{:?}", sim.fetch.progress());
    }
}
