//! Equal seeds give equal shares, and no scheduler stands between a fast peer and its rate.

use super::{
    super::*,
    sim::{MIB, Node, Sim, complete, tree},
};

/// The smallest share among the peers, in percent.
fn least_share(sim: &Sim) -> u64 {
    let total: u64 = sim.report.given.values().sum();
    let nodes = u32::try_from(sim.nodes.len()).unwrap();
    (0..nodes)
        .map(|n| sim.report.given.get(&n).copied().unwrap_or(0) * 100 / total)
        .min()
        .unwrap()
}

/// Three seeds with these rates in MiB/s and delays in ms, on a machine that verifies 200 MiB/s.
fn three(sizes: &[u64], rates: [u64; 3], delays: [u64; 3], joins: [u64; 3]) -> Sim {
    let nodes = (0..3)
        .map(|n| Node {
            joins_at_ms: joins[n],
            item_us: 20,
            ..Node::new(rates[n] * MIB, delays[n])
        })
        .collect();
    let mut sim = Sim::new(FetchConfig::default(), sizes, nodes);
    sim.own_bytes_per_s = 200 * MIB;
    sim.part_groups = 16;
    sim.run(3_600_000);
    assert!(
        sim.report.completed_ms.is_some(),
        "{:?}",
        sim.fetch.progress()
    );
    sim
}

/// What the user may run: one large file (a sixteenth of 8 GiB: the rest repeats it), a tree.
fn datasets() -> [(&'static str, Vec<u64>); 4] {
    [
        ("one large file", vec![512 * MIB]),
        ("a tree", tree(20_000)),
        ("small", tree(600)),
        ("one file of 8 MiB", vec![8 * MIB]),
    ]
}

#[test]
fn three_equal_seeds_give_equal_shares() {
    for (name, sizes) in datasets() {
        for rate in [5, 100, 1000] {
            for delay in [0, 1, 40] {
                let sim = three(&sizes, [rate; 3], [delay; 3], [0; 3]);
                let least = least_share(&sim);
                assert!(
                    least >= 25,
                    "{name} at {rate} MiB/s, {delay} ms: {:?}",
                    sim.report.given
                );
                let (total, arrived) = (sizes.iter().sum::<u64>(), sim.report.arrived);
                assert!(
                    arrived <= total + total / 100,
                    "{name}: {arrived} of {total} bytes"
                );
            }
        }
    }
}

#[test]
fn unequal_seeds_still_give_fifteen_percent() {
    for (name, sizes) in &datasets()[..2] {
        for (rates, delays) in [
            ([300, 600, 300], [0, 0, 0]),
            ([100, 200, 100], [1, 1, 1]),
            ([20, 40, 30], [10, 1, 5]),
            ([1000, 1000, 1000], [0, 0, 3]),
            ([1000, 1000, 1000], [1, 10, 20]),
        ] {
            let sim = three(sizes, rates, delays, [0; 3]);
            assert!(
                least_share(&sim) >= 15,
                "{name}, {rates:?}, {delays:?}: {:?}",
                sim.report.given
            );
        }
    }
}

#[test]
fn a_seed_that_joins_late_catches_up() {
    let sim = three(&[512 * MIB], [500; 3], [1; 3], [0, 300, 600]);
    assert!(least_share(&sim) >= 25, "{:?}", sim.report.given);
}

#[test]
fn one_fast_peer_is_never_left_without_work() {
    // 20 s of work, and 1.5 s for the slow start.
    for (rate, delay) in [(100, 1), (300, 1), (100, 20), (10, 100), (200, 5)] {
        let total = rate * 20;
        let sim = complete(&[total * MIB], vec![Node::new(rate * MIB, delay)], 60_000);
        let ms = sim.report.completed_ms.unwrap();
        assert!(ms <= 21_500, "{rate} MiB/s, {delay} ms: {ms} ms");
    }
}

#[test]
fn a_slow_peer_does_not_slow_a_fast_one() {
    let alone = complete(&[400 * MIB], vec![Node::new(100 * MIB, 2)], 60_000);
    let slow = (0..20).map(|_| Node::new(32 * 1024, 100));
    let nodes = std::iter::once(Node::new(100 * MIB, 2))
        .chain(slow)
        .collect();
    let both = complete(&[400 * MIB], nodes, 60_000);
    let (alone, both) = (
        alone.report.completed_ms.unwrap(),
        both.report.completed_ms.unwrap(),
    );
    assert!(
        both <= alone + alone / 10 + 1500,
        "{alone} ms alone, {both} ms with slow peers"
    );
}

#[test]
fn three_peers_are_three_times_as_fast() {
    let one = complete(&[300 * MIB], vec![Node::new(20 * MIB, 10)], 60_000);
    let nodes = (0..3).map(|_| Node::new(20 * MIB, 10)).collect();
    let three = complete(&[300 * MIB], nodes, 60_000);
    let (one, three) = (
        one.report.completed_ms.unwrap(),
        three.report.completed_ms.unwrap(),
    );
    assert!(
        three * 100 <= one * 37,
        "{one} ms with one, {three} ms with three"
    );
}
