//! B1: publish a large file in place, compared with the hashes alone.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Result;
use opendag_tests::{MIB, Tree, World};

use super::{Bench, trees::SEED};
use crate::{
    peers::need,
    process::{Process, Watched},
    report::{Report, Row, Run},
    say,
    stats::{Goal, Sense, ratio},
    transfer::{lossy, mb, warm},
};

/// No publishing takes longer.
const PUBLISH_TIME_MAX: Duration = Duration::from_secs(10 * 60);
/// The goal: of the speed of the hashes alone.
const GOAL: f64 = 0.9;

/// A way to read the whole file once.
struct Way {
    name: &'static str,
    /// Builds the command of one run.
    command: Box<dyn Build>,
}

/// A folder, the world of a run and its number become a command.
trait Build: Fn(&Path, &World, usize) -> Command {}

impl<F: Fn(&Path, &World, usize) -> Command> Build for F {}

fn way(name: &'static str, command: impl Fn(&Path, &World, usize) -> Command + 'static) -> Way {
    Way {
        name,
        command: Box::new(command),
    }
}

/// The switches of `publish` that this build has.
fn switches(bench: &Bench<'_>) -> Result<(bool, bool)> {
    let help = Command::new(&bench.options.binary)
        .args(["publish", "--help"])
        .output()?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    Ok((
        help.contains("--no-sha256"),
        help.contains("--no-chunk-maps"),
    ))
}

fn publishing(name: &'static str, more: Vec<&'static str>) -> Way {
    way(name, move |source, world, run| {
        let node = world.node(&format!("{name}{run}").replace([' ', '+'], "-"));
        let mut command = node.command(["--json", "publish", "--name", "data"]);
        command.args(["--license", "CC0-1.0"]);
        command.args(&more).arg(source);
        command
    })
}

fn shell(name: &'static str, script: String) -> Way {
    way(name, move |source, _, _| {
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(source.join("large.bin"));
        command
    })
}

/// B1.
pub(super) fn in_place(bench: &Bench<'_>) -> Result<Report> {
    let bytes = bench.options.scaled(8 * 1024) * MIB;
    let title = format!("publish one file of {} MiB in place", bytes / MIB);
    let mut report = Report::new("B1", title);
    let source = Tree::new(SEED)
        .file("large.bin", bytes)
        .write(&bench.path("data"))?;
    let ways = ways(bench, &mut report)?;
    let mut rows: Vec<Row> = ways.iter().map(|way| Row::new(way.name)).collect();
    for round in 0..bench.options.rounds {
        for (way, row) in ways.iter().zip(&mut rows) {
            row.runs.push(run(bench, way, &source, round)?);
        }
    }
    report.rows = rows;
    for (subject, rival) in [
        ("opendag blake3", "b3sum"),
        ("opendag blake3+sha256", "b3sum & sha256"),
    ] {
        let speeds = report
            .median(subject, "MB/s")
            .zip(report.median(rival, "MB/s"));
        report.goals.push(Goal {
            what: format!("speed of {subject} / {rival}"),
            sense: Sense::AtLeast,
            goal: GOAL,
            measured: speeds.and_then(|(subject, rival)| ratio(subject, rival)),
        });
    }
    Ok(report)
}

fn ways(bench: &Bench<'_>, report: &mut Report) -> Result<Vec<Way>> {
    let (no_sha256, no_maps) = switches(bench)?;
    let maps_off: Vec<&str> = no_maps.then_some("--no-chunk-maps").into_iter().collect();
    let mut ways = Vec::new();
    if no_sha256 {
        let more = ["--no-sha256"].into_iter().chain(maps_off.clone());
        ways.push(publishing("opendag blake3", more.collect()));
    } else {
        report
            .notes
            .push("opendag with BLAKE3 only left out: this build has no --no-sha256".to_owned());
    }
    ways.push(publishing("opendag blake3+sha256", maps_off));
    if no_maps {
        ways.push(publishing("opendag all and maps", Vec::new()));
    }
    if let Some(reason) = need(&["b3sum"]) {
        report.notes.push(format!("b3sum left out: {reason}"));
        return Ok(ways);
    }
    ways.push(shell("b3sum", "b3sum \"$0\"".to_owned()));
    // The one of OpenSSL knows the instructions for SHA-256; that of the core utilities may not.
    let sha256 = if need(&["openssl"]).is_none() {
        "openssl dgst -sha256"
    } else {
        "sha256sum"
    };
    let script = format!("b3sum \"$0\" & {sha256} \"$0\"; wait");
    ways.push(shell("b3sum & sha256", script));
    Ok(ways)
}

fn run(bench: &Bench<'_>, way: &Way, source: &Path, round: usize) -> Result<Run> {
    let folder = bench.folder("work")?;
    let world = World::new_in(&bench.options.binary, &folder)?;
    let bytes = fs::metadata(source.join("large.bin"))?.len();
    warm(source)?;
    rustix::fs::sync();
    let started = Instant::now();
    let command = (way.command)(source, &world, round);
    let ended = Process::start("publish", command, &folder.join("logs"))?
        .finish(PUBLISH_TIME_MAX, &mut Watched::new(Vec::new()))?;
    let seconds = (ended.at - started).as_secs_f64();
    let speed = mb(bytes) / seconds;
    say(&format!(
        "  round {}: {:<22} {seconds:7.2} s  {speed:6.1} MB/s",
        round + 1,
        way.name
    ));
    Ok(Run::default()
        .with("seconds", seconds)
        .with("MB/s", speed)
        .with("cpu_s", ended.used.cpu_seconds)
        .with("peak_bytes", lossy(ended.used.peak_bytes)))
}
