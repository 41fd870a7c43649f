//! P5: one liar cannot stop us, nor can many.

use super::{
    super::*,
    sim::{Character, MIB, Node, Sim, complete, tree},
};
use crate::limits::CHUNK_GROUP_BYTES;

const EVIL: [Character; 11] = [
    Character::Liar(0),
    Character::Liar(1),
    Character::Liar(200),
    Character::Boaster,
    Character::Staller(0),
    Character::Staller(63),
    Character::Trickler(10),
    Character::Trickler(4),
    Character::Busy,
    Character::Skipper,
    Character::Breaker(5),
];

fn datasets() -> [Vec<u64>; 3] {
    [vec![40 * MIB], tree(4000), vec![MIB; 30]]
}

#[test]
fn p5_one_liar_of_each_kind_cannot_stop_us() {
    for sizes in datasets() {
        for evil in EVIL {
            let nodes = vec![Node::new(50 * MIB, 1).is(evil), Node::new(10 * MIB, 20)];
            let total: u64 = sizes.iter().sum();
            let until = 10_000 + total / (10 * MIB) * 1000;
            let sim = complete(&sizes, nodes, until);
            let liar = matches!(evil, Character::Liar(_));
            assert_eq!(sim.report.banned.contains(&0), liar, "{evil:?}");
            assert!(!sim.report.banned.contains(&1));
        }
    }
}

#[test]
fn p5_a_crowd_of_liars_cannot_stop_one_honest_peer() {
    for sizes in datasets() {
        for evil in EVIL {
            let mut nodes: Vec<Node> = (0..60)
                .map(|n| Node::new(50 * MIB, 1 + n % 7).is(evil))
                .collect();
            nodes.push(Node {
                joins_at_ms: 500,
                ..Node::new(5 * MIB, 20)
            });
            let sim = complete(&sizes, nodes, 240_000);
            assert!(!sim.report.banned.contains(&60), "{evil:?}");
        }
    }
}

#[test]
fn p5_a_crowd_that_says_nothing_delays_little() {
    // The honest one is asked last. Asked in turn, each after 2.5 s, the larger crowd takes 500 s.
    for sizes in [vec![900_000, 10], vec![40 * MIB], tree(4000)] {
        for (crowd, until_ms) in [(40, 20_000), (200, 50_000)] {
            let silent = Node::new(50 * MIB, 1).is(Character::Staller(0));
            let mut nodes = vec![silent; crowd];
            nodes.push(Node::new(20 * MIB, 20));
            complete(&sizes, nodes, until_ms);
        }
    }
}

#[test]
fn a_crowd_that_is_far_away_costs_no_more_than_time() {
    // All answer after 4 s: later than a peer has to that others wait behind.
    for (sizes, until_ms) in [
        (vec![900_000, 10], 5_000),
        (vec![40 * MIB], 40_000),
        (tree(4000), 50_000),
    ] {
        let sim = complete(&sizes, vec![Node::new(20 * MIB, 2000); 60], until_ms);
        let more = sim.report.arrived - sizes.iter().sum::<u64>();
        assert!(more <= MIB, "{more} bytes came twice");
    }
}

#[test]
fn p5_all_kinds_of_liars_at_once() {
    let mut nodes: Vec<Node> = EVIL
        .iter()
        .cycle()
        .take(88)
        .map(|evil| Node::new(20 * MIB, 3).is(*evil))
        .collect();
    nodes.insert(
        17,
        Node {
            loss: 50,
            ..Node::new(3 * MIB, 60)
        },
    );
    complete(&[60 * MIB, 3, 0, 900_000], nodes, 300_000);
}

#[test]
fn p5_control_without_an_honest_peer_it_does_not_end_and_says_why() {
    for evil in EVIL
        .into_iter()
        .filter(|evil| !matches!(evil, Character::Trickler(_) | Character::Breaker(_)))
    {
        let nodes = (0..5).map(|_| Node::new(50 * MIB, 1).is(evil)).collect();
        let mut sim = Sim::new(FetchConfig::default(), &[40 * MIB], nodes);
        sim.run(120_000);
        assert_eq!(sim.report.completed_ms, None, "{evil:?}");
        let banned = sim.report.banned.len();
        assert_eq!(
            banned,
            if matches!(evil, Character::Liar(_)) {
                5
            } else {
                0
            },
            "{evil:?}"
        );
        let later = sim.now() + Duration::from_secs(3);
        assert!(sim.fetch.stalled(later).is_some(), "{evil:?}");
    }
}

/// Bytes that a liar could waste: what was asked of it in all, less what it gave.
fn wasted(sim: &Sim, n: u32) -> u64 {
    sim.report.asked_bytes[&n] - sim.report.given.get(&n).copied().unwrap_or(0)
}

#[test]
fn p5_a_liar_wastes_a_group_and_its_window() {
    for lies_from in [0, 1, 7, 1000] {
        let nodes = vec![
            Node::new(50 * MIB, 1).is(Character::Liar(lies_from)),
            Node::new(10 * MIB, 5),
        ];
        let mut sim = Sim::new(FetchConfig::default(), &[80 * MIB], nodes);
        sim.part_groups = 1;
        sim.run(60_000);
        assert!(sim.report.completed_ms.is_some());
        assert_eq!(sim.report.wrong_groups[&0], 1, "one wrong group bans");
        let wasted = wasted(&sim, 0);
        let window = if lies_from < 10 { 512 << 10 } else { 8 * MIB };
        assert!(
            wasted <= CHUNK_GROUP_BYTES + window,
            "{wasted} bytes wasted"
        );
    }
}

#[test]
fn p5_control_a_liar_that_is_not_told_wastes_more() {
    let nodes = vec![
        Node::new(50 * MIB, 1).is(Character::Liar(0)),
        Node::new(MIB, 5),
    ];
    let mut sim = Sim::new(FetchConfig::default(), &[80 * MIB], nodes);
    sim.part_groups = 1;
    sim.hide_lies = true;
    sim.run(90_000);
    assert!(sim.report.wrong_groups[&0] > 1);
    assert!(wasted(&sim, 0) > CHUNK_GROUP_BYTES + (512 << 10));
}

#[test]
fn p5_a_banned_peer_stays_banned_when_it_comes_back() {
    let evil = Node {
        leaves_at_ms: Some(2000),
        ..Node::new(50 * MIB, 1).is(Character::Liar(3))
    };
    let mut sim = Sim::new(
        FetchConfig::default(),
        &[50 * MIB],
        vec![evil, Node::new(4 * MIB, 5)],
    );
    sim.part_groups = 1;
    sim.rejoin(0, 3000);
    sim.run(60_000);
    assert!(sim.report.completed_ms.is_some());
    assert_eq!(sim.report.wrong_groups[&0], 1);
}

#[test]
fn p5_a_stalled_peer_is_replaced_within_its_deadline() {
    // It stops with the last pieces in its hands: an idle peer gets them long before the time-out.
    for stops in [30, 600, 1200] {
        let nodes = vec![
            Node::new(10 * MIB, 5).is(Character::Staller(stops)),
            Node::new(10 * MIB, 5),
        ];
        let sim = complete(&[20 * MIB], nodes, 6_000);
        let wasted = sim.fetch.progress().wasted_bytes;
        assert!(wasted <= MIB, "{wasted} bytes");
    }
}

#[test]
fn p5_slow_and_lossy_links_end_well() {
    // 256 kbit/s, 600 ms, one part in ten sent again after a pause.
    let node = Node {
        loss: 100,
        ..Node::new(32 * 1024, 600)
    };
    complete(&[3 * MIB, MIB, 500_000, 1], vec![node.clone()], 300_000);
    complete(
        &[3 * MIB, MIB, 500_000, 1],
        vec![node.clone(), node],
        200_000,
    );
}

#[test]
fn a_peer_that_was_stopped_for_a_while_is_forgiven() {
    let mut sim = Sim::new(
        FetchConfig::default(),
        &[60 * MIB],
        vec![Node::new(2 * MIB, 5).is(Character::Staller(100))],
    );
    sim.run(60_000);
    assert!(sim.report.completed_ms.is_none());
    sim.nodes[0].character = Character::Honest;
    sim.run(220_000);
    assert!(
        sim.report.completed_ms.is_some(),
        "{:?}",
        sim.fetch.progress()
    );
}

#[test]
fn forgiven_failures_shorten_patience_at_once() {
    let specs = [ShardSpec {
        shard: ShardIndex(0),
        size: 5 * MIB,
        have: GroupRanges::new(),
    }];
    let mut fetch = Fetch::new(FetchConfig::default(), specs);
    let (peer, at) = (PeerKey(0), Time::from_millis);
    fetch.handle(at(0), Input::PeerJoined { peer });
    fetch.handle(
        at(0),
        Input::Holdings {
            peer,
            update: Holdings::Complete,
        },
    );
    for request in 0..2 {
        fetch.handle(
            at(0),
            Input::Ended {
                request: RequestId(request),
                end: End::Busy,
            },
        );
    }
    fetch.handle_timeout(at(2000));
    let asked = std::iter::from_fn(|| fetch.poll()).filter_map(|output| match output {
        Output::Request { request, items, .. } => Some((request, items[0])),
        _ => None,
    });
    let (request, Item { shard, .. }) = asked.last().unwrap();
    fetch.handle(
        at(2000),
        Input::Verified {
            request,
            shard,
            groups: GroupRange::ALL,
            bytes: 1,
        },
    );
    assert!(fetch.deadline().is_some_and(|due| due <= at(12_000)));
    for ms in (2000..=12_000).step_by(500) {
        fetch.handle_timeout(at(ms));
    }
    let outputs: Vec<Output> = std::iter::from_fn(|| fetch.poll()).collect();
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Cancel { .. })),
        "{outputs:?}"
    );
}
