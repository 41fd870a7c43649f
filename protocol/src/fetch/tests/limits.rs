//! P4: what a crash may cost is what is in flight.

use super::{
    super::*,
    sim::{MIB, Node, Sim, tree},
};

fn peak(config: FetchConfig, sizes: &[u64]) -> u64 {
    let nodes = (0..12u64)
        .map(|n| Node {
            loss: n,
            joins_at_ms: n * 20,
            ..Node::new((1 + n * n) * 4 * MIB, n * 3)
        })
        .collect();
    let mut sim = Sim::new(config, sizes, nodes);
    sim.run(600_000);
    assert!(sim.report.completed_ms.is_some());
    sim.report.in_flight_peak
}

#[test]
fn p4_never_more_than_8_mib_in_flight() {
    for sizes in [vec![700 * MIB], tree(10_000), vec![MIB; 500]] {
        let peak = peak(FetchConfig::default(), &sizes);
        assert!(peak <= 8 * MIB, "{peak} bytes");
        assert!(peak > 6 * MIB, "{peak} bytes: the limit was never tried");
    }
}

#[test]
fn p4_control_the_account_sees_more_in_flight() {
    let config = FetchConfig {
        in_flight_bytes_max: 32 * MIB,
        ..FetchConfig::default()
    };
    assert!(peak(config, &[700 * MIB]) > 8 * MIB);
}
