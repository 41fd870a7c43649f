//! The cost of decisions, in steps: it must grow with the work, not with its square.

use std::collections::BTreeSet;

use super::{
    super::*,
    sim::{MIB, Node, Sim},
};
use crate::fetch::queue::spread;

/// Steps of a fetch of so many pieces from three peers.
fn steps_of(sizes: &[u64]) -> u64 {
    let nodes = (0..3).map(|_| Node::new(400 * MIB, 1)).collect();
    let mut sim = Sim::new(FetchConfig::default(), sizes, nodes);
    sim.part_groups = 1 << 20;
    sim.run(3_600_000);
    assert!(sim.report.completed_ms.is_some());
    sim.fetch.steps()
}

#[test]
fn decisions_for_100_000_pieces_cost_as_much_each_as_for_10_000() {
    let piece = FetchConfig::default().piece_bytes;
    let (few, many) = (steps_of(&[10_000 * piece]), steps_of(&[100_000 * piece]));
    assert!(
        many <= 12 * few,
        "{few} steps for 10,000 pieces, {many} for 100,000"
    );
    assert!(many <= 5 * 100_000, "{many} steps for 100,000 pieces");
}

#[test]
fn decisions_for_100_000_shards_cost_as_much_each_as_for_10_000() {
    for size in [100, 10_000, MIB] {
        let (few, many) = (
            steps_of(&vec![size; 10_000]),
            steps_of(&vec![size; 100_000]),
        );
        assert!(
            many <= 12 * few,
            "{few} steps for 10,000 shards of {size} bytes, {many} for 100,000"
        );
        assert!(
            many <= 20 * 100_000,
            "{many} steps for 100,000 shards of {size} bytes"
        );
    }
}

#[test]
fn a_thousand_peers_with_a_tenth_of_50_000_shards_each() {
    let shards = 50_000u32;
    let nodes = (0..1000u64)
        .map(|n| {
            let held: BTreeSet<u32> = (0..shards)
                .filter(|shard| spread((n << 32) | u64::from(*shard)).is_multiple_of(10))
                .collect();
            Node {
                holds: Some(held),
                ..Node::new(MIB, 5 + n % 50)
            }
        })
        .collect();
    let mut sim = Sim::new(
        FetchConfig::default(),
        &vec![10_000; shards as usize],
        nodes,
    );
    sim.run(600_000);
    assert!(
        sim.report.completed_ms.is_some(),
        "{:?}",
        sim.fetch.progress()
    );
    let steps = sim.fetch.steps();
    assert!(steps <= 200 * u64::from(shards), "{steps} steps");
}

#[test]
fn a_shard_takes_little_memory() {
    // And a bit in each of nine sets, and one for each peer that does not hold the whole version.
    assert!(size_of::<crate::fetch::shard::Shard>() <= 48);
}
