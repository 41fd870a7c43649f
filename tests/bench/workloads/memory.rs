//! B9: memory of a seed of very many small files, and of a fetch of many.

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use super::{Bench, swarm::Swarm, trees::small};
use crate::{
    peers::Host,
    report::{Report, Row, Run},
    say,
    stats::{Goal, Sense},
    transfer::{figures, lossy, mb, size},
    usage,
};

/// How long the seed is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(60);
/// Bytes of each file: the number of files is what matters.
const FILE_BYTES: u64 = 64;
/// Bytes in the mebibyte of the goals.
const MIB: f64 = 1024.0 * 1024.0;

/// B9.
pub(super) fn many_shards(bench: &Bench<'_>) -> Result<Report> {
    let (seeded, fetched) = (
        bench.options.scaled(1_000_000),
        bench.options.scaled(100_000),
    );
    let title = format!("idle seed of {seeded} files; fetch of {fetched} files");
    let mut report = Report::new("B9", title);
    report.rows.push(idle(bench, seeded)?);
    report.rows.push(fetch(bench, fetched)?);
    for (what, row, figure, goal) in [
        (
            "resident memory of the idle seed in MiB",
            "idle seed",
            "resident_bytes",
            80.0,
        ),
        (
            "peak memory of the fetch in MiB",
            "fetch",
            "fetch_peak_bytes",
            250.0,
        ),
    ] {
        report.goals.push(Goal {
            what: what.to_owned(),
            sense: Sense::AtMost,
            goal,
            measured: report.median(row, figure).map(|bytes| bytes / MIB),
        });
    }
    Ok(report)
}

fn idle(bench: &Bench<'_>, files: u64) -> Result<Row> {
    let source = small(files, FILE_BYTES).write(&bench.path("seeded"))?;
    say("  files written, publishing");
    let swarm = Swarm::new(bench, &source, &[Host::loopback()], &[])?;
    thread::sleep(IDLE);
    let pid = *swarm.pids().first().context("a seed")?;
    let run = Run::default()
        .with("resident_bytes", lossy(usage::resident_bytes(pid)))
        .with("seed_peak_bytes", lossy(usage::peak_bytes(&[pid])))
        .with("seed_cpu_s", usage::cpu_seconds(&[pid]));
    Ok(Row {
        name: "idle seed".to_owned(),
        runs: vec![run],
    })
}

fn fetch(bench: &Bench<'_>, files: u64) -> Result<Row> {
    let source = small(files, FILE_BYTES).write(&bench.path("fetched"))?;
    let bytes = size(&source)?;
    let swarm = Swarm::new(bench, &source, &[Host::loopback()], &[])?;
    let mut row = Row::new("fetch");
    for round in 0..bench.options.rounds {
        let fetched = swarm.fetch(&Host::loopback(), round)?;
        let speed = mb(bytes) / fetched.seconds;
        say(&format!("  round {}: {:.1} s", round + 1, fetched.seconds));
        row.runs
            .push(figures(fetched.seconds, speed, fetched.used, fetched.seeds));
    }
    Ok(row)
}
