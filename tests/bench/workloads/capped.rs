//! B5 and B6: seeds whose upload is capped, one fetcher and eight.

use std::{fs, time::Instant};

use anyhow::{Context, Result};
use opendag_tests::{Daemon, MIB, Tree};

use super::{
    Bench,
    swarm::{Swarm, equal, number},
    trees::SEED,
};
use crate::{
    peers::{FETCH_TIME_MAX, Host},
    process::{Process, Watched},
    report::{Report, Row, Run},
    say,
    stats::{Goal, Sense, ratio},
    transfer::{figures, fresh, lossy, mb, warm},
};

/// The cap of each seed, and its bytes a second.
const CAP: (&str, f64) = ("20MB", 20.0e6);
/// Seeds of B5.
const SEEDS: usize = 3;
/// Fetchers of B6.
const FETCHERS: usize = 8;

/// B5: three capped seeds, one fetcher.
pub(super) fn three_seeds(bench: &Bench<'_>) -> Result<Report> {
    let bytes = bench.options.scaled(1024) * MIB;
    let title = format!(
        "{} MiB from {SEEDS} seeds capped at {} a second each",
        bytes / MIB,
        CAP.0
    );
    let mut report = Report::new("B5", title);
    let source = Tree::new(SEED)
        .file("large.bin", bytes)
        .write(&bench.path("data"))?;
    let swarm = Swarm::new(
        bench,
        &source,
        &vec![Host::loopback(); SEEDS],
        &["--upload-limit", CAP.0],
    )?;
    let mut row = Row::new("opendag");
    for round in 0..bench.options.rounds {
        let fetched = swarm.fetch(&Host::loopback(), round)?;
        let speed = mb(bytes) / fetched.seconds;
        say(&format!("  round {}: {speed:.1} MB/s", round + 1));
        row.runs
            .push(figures(fetched.seconds, speed, fetched.used, fetched.seeds));
    }
    report.rows.push(row);
    report.goals.push(Goal {
        what: "speed / sum of the caps".to_owned(),
        sense: Sense::AtLeast,
        goal: 0.95,
        measured: report
            .median("opendag", "MB/s")
            .and_then(|speed| ratio(speed * 1e6, CAP.1 * lossy(SEEDS as u64))),
    });
    Ok(report)
}

/// B6: one capped seed, eight fetchers that serve each other.
pub(super) fn eight_fetchers(bench: &Bench<'_>) -> Result<Report> {
    let bytes = bench.options.scaled(400) * MIB;
    let title = format!(
        "{} MiB from one seed capped at {} a second to {FETCHERS} fetchers at once",
        bytes / MIB,
        CAP.0
    );
    let mut report = Report::new("B6", title);
    let source = Tree::new(SEED)
        .file("large.bin", bytes)
        .write(&bench.path("data"))?;
    let swarm = Swarm::new(
        bench,
        &source,
        &[Host::loopback()],
        &["--upload-limit", CAP.0],
    )?;
    let mut row = Row::new("opendag");
    for round in 0..bench.options.rounds {
        row.runs.push(at_once(bench, &swarm, round, bytes)?);
    }
    report.rows.push(row);
    for (what, goal, figure) in [
        ("time / (size / cap)", 1.15, "time_ratio"),
        ("copies that the seed uploaded", 1.5, "copies"),
    ] {
        report.goals.push(Goal {
            what: what.to_owned(),
            sense: Sense::AtMost,
            goal,
            measured: report.median("opendag", figure),
        });
    }
    Ok(report)
}

fn at_once(bench: &Bench<'_>, swarm: &Swarm, round: usize, bytes: u64) -> Result<Run> {
    let (seed, folder) = (
        swarm.seeds.first().context("a seed")?,
        bench.folder("work")?,
    );
    let mut daemons = Vec::new();
    for index in 0..FETCHERS {
        let node = swarm.world.node(&format!("fetch{round}-{index}"));
        daemons.push(node.daemon(["--bootstrap", seed.address()?])?);
        fresh(&folder.join(format!("target{index}")))?;
    }
    warm(&swarm.source)?;
    rustix::fs::sync();
    let sent_before = sent(seed)?;
    let mut seeds = Watched::new(swarm.pids());
    let mut fetchers = Watched::new(daemons.iter().map(|daemon| daemon.running.pid()).collect());
    let started = Instant::now();
    let mut running = Vec::new();
    for (index, daemon) in daemons.iter().enumerate() {
        // The daemon fetches, and goes on seeding when its fetch is done.
        let target = folder.join(format!("target{index}"));
        let command =
            crate::peers::opendag::fetch_command(daemon.node(), &swarm.link, &target, &[seed])?;
        let name = format!("fetch{index}");
        running.push(Process::start(&name, command, &folder.join("logs"))?);
    }
    for process in running {
        process.finish(FETCH_TIME_MAX, &mut seeds)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let (seeds, fetchers) = (seeds.used(), fetchers.used());
    let copies = lossy(sent(seed)? - sent_before) / lossy(bytes);
    for (index, daemon) in daemons.into_iter().enumerate() {
        let target = folder.join(format!("target{index}"));
        equal(&swarm.source, &target)?;
        let data = daemon.node().data_dir().to_path_buf();
        daemon.kill()?;
        fs::remove_dir_all(target)?;
        fs::remove_dir_all(data)?;
    }
    say(&format!(
        "  round {}: {seconds:.1} s, the seed uploaded {copies:.2} copies",
        round + 1
    ));
    let run = figures(seconds, mb(bytes) / seconds, fetchers, seeds);
    Ok(run
        .with("time_ratio", seconds * CAP.1 / lossy(bytes))
        .with("copies", copies))
}

/// Bytes of blobs that a daemon sent since it started.
fn sent(daemon: &Daemon) -> Result<u64> {
    let status = daemon.node().run(["status"])?.ok()?.event("status")?;
    let counters = status.get("counters").context("counters of a daemon")?;
    Ok(number(counters, "sent_bytes"))
}
