//! B7: a link of 200 Mbit/s with 50 ms each way that loses one packet of a hundred.

use std::time::Duration;

use anyhow::Result;
use opendag_tests::{
    MIB, Tree,
    link::{Link, Quality},
};

use super::{Bench, swarm::Swarm, trees::SEED};
use crate::{
    peers::{Host, Role},
    report::{Report, Row},
    say,
    stats::{Goal, Sense, ratio},
    transfer::{Comparison, Fetched, figures, mb},
};

/// Bits a second, headers included.
const RATE_BITS: u64 = 200_000_000;
/// Each way.
const DELAY: Duration = Duration::from_millis(50);
/// Of a million packets.
const LOST_PER_MILLION: u32 = 10_000;
/// Seeds beyond the link in the run with several.
const SEEDS: usize = 4;

/// B7.
pub(super) fn lossy_link(bench: &Bench<'_>) -> Result<Report> {
    let bytes = bench.options.scaled(1024) * MIB;
    let title = format!(
        "{} MiB over a link of 200 Mbit/s, 50 ms each way, 1 % loss",
        bytes / MIB
    );
    let mut report = Report::new("B7", title);
    let quality = Quality {
        lost_per_million: LOST_PER_MILLION,
        ..Quality::new(RATE_BITS, DELAY)
    };
    let link = Link::new(&quality, SEEDS)?;
    let source = Tree::new(SEED)
        .file("large.bin", bytes)
        .write(&bench.path("data"))?;
    let hosts: Vec<Host> = (0..=SEEDS).map(|index| host(&link, index)).collect();
    let (Some(fetcher), Some(first), Some(beyond)) = (hosts.first(), hosts.get(1), hosts.get(1..))
    else {
        return Ok(report);
    };
    let mut peers = bench.peers();
    peers.retain(|peer| peer.role() != Role::Limit);
    Comparison {
        source: &source,
        folder: &bench.folder("peers")?,
        seed: first.clone(),
        fetch: fetcher.clone(),
        rounds: bench.options.rounds,
        fetched: Fetched::Removed,
    }
    .run(&peers, &mut report)?;
    let name = format!("opendag {SEEDS} seeds");
    if bench.options.wants("opendag") {
        let swarm = Swarm::new(bench, &source, beyond, &[])?;
        let mut row = Row::new(name.clone());
        for round in 0..bench.options.rounds {
            let fetched = swarm.fetch(fetcher, round)?;
            let speed = mb(bytes) / fetched.seconds;
            say(&format!("  round {}: {name} {speed:.1} MB/s", round + 1));
            let run = figures(fetched.seconds, speed, fetched.used, fetched.seeds);
            row.runs.push(run);
        }
        report.rows.push(row);
    }
    let link_speed = f64::from(u32::try_from(RATE_BITS / 8)?) / 1e6;
    for (what, row, goal) in [
        ("speed with several seeds / link", name.as_str(), 0.85),
        ("speed with one seed / link", "opendag", 0.7),
    ] {
        report.goals.push(Goal {
            what: what.to_owned(),
            sense: Sense::AtLeast,
            goal,
            measured: report
                .median(row, "MB/s")
                .and_then(|speed| ratio(speed, link_speed)),
        });
    }
    Ok(report)
}

fn host(link: &Link, index: usize) -> Host {
    let wrapper = ["ip", "netns", "exec", link.namespace(index)];
    Host {
        address: Link::address(index),
        wrapper: wrapper.map(str::to_owned).to_vec(),
    }
}
