//! R1: one large file read from front to back through a gateway, against a fetch of it.

use std::fs;

use anyhow::{Context, Result, ensure};
use opendag_tests::{MIB, Tree};

use super::{
    super::{Bench, swarm::Swarm, trees::SEED},
    Gateway,
    client::{curl, get, hash, told},
};
use crate::{
    peers::{FETCH_TIME_MAX, Host, opendag::on},
    process::{Process, Watched, missing},
    report::{Report, Row},
    say,
    stats::{Goal, Sense, ratio},
    transfer::{figures, mb, warm},
};

const GOAL: f64 = 0.9;

/// R1.
pub(in super::super) fn against_fetch(bench: &Bench<'_>) -> Result<Report> {
    let bytes = bench.options.scaled(2048) * MIB;
    let title = format!(
        "one file of {} MiB read in order from one seed",
        bytes / MIB
    );
    let mut report = Report::new("R1", title);
    let lacking = missing(&["curl"]);
    ensure!(lacking.is_empty(), "not on the search path: {lacking:?}");
    let source = Tree::new(SEED)
        .file("large.bin", bytes)
        .write(&bench.path("data"))?;
    let mut swarm = Swarm::new(bench, &source, &[Host::loopback()], &[])?;
    // Exactly this version: neither looks for a newer one.
    swarm.link = super::manifest(swarm.seeds.first().context("a seed")?)?;
    let mut rows = ["fetch", "gateway", "gateway, again"].map(Row::new);
    let [fetches, colds, warms] = &mut rows;
    for round in 0..bench.options.rounds {
        let fetched = swarm.fetch(&Host::loopback(), round)?;
        let speed = mb(bytes) / fetched.seconds;
        let run = figures(fetched.seconds, speed, fetched.used, fetched.seeds);
        fetches.runs.push(run);

        warm(&source)?;
        let node = on(
            swarm.world.node(&format!("gateway{round}")),
            &Host::loopback(),
        );
        let seeds: Vec<_> = swarm.seeds.iter().collect();
        let gateway = Gateway::start(&node, &seeds)?;
        let path = format!("/d/{}/large.bin", swarm.link);
        for row in [&mut *colds, &mut *warms] {
            rustix::fs::sync();
            let mut others = Watched::new([vec![gateway.pid()], swarm.pids()].concat());
            let ended = Process::start("curl", curl(&gateway.url, &path), &bench.path("logs"))?
                .finish(FETCH_TIME_MAX, &mut others)?;
            let (first, whole) = told(&ended.stdout, bytes)?;
            let run = figures(whole, mb(bytes) / whole, ended.used, others.used());
            row.runs.push(run.with("first_byte_s", first));
        }
        say(&format!("  round {}: measured", round + 1));
        let right = hash(&source.join("large.bin"))?;
        ensure!(
            get(&gateway.url, &path, None)?.hash == right,
            "other bytes came"
        );
        gateway.daemon.stop()?;
        fs::remove_dir_all(node.data_dir())?;
    }
    report.rows.extend(rows);
    let speeds = report
        .median("gateway", "MB/s")
        .zip(report.median("fetch", "MB/s"));
    report.goals.push(Goal {
        what: "speed of a cold read / fetch".to_owned(),
        sense: Sense::AtLeast,
        goal: GOAL,
        measured: speeds.and_then(|(read, fetch)| ratio(read, fetch)),
    });
    report.notes.push(
        "a fetch counts from the start of its process until all is durable; a read from the start of curl, \
         which writes nothing, until its last byte, on a gateway that runs and does not know the dataset"
            .to_owned(),
    );
    report
        .notes
        .push("of a read, fetch_* is curl, and seed_* gateway and seed together".to_owned());
    Ok(report)
}
