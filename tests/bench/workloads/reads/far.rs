//! R3: a mebibyte of a file on a peer that is far away, in round trips.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    Daemon, MIB, Tree,
    link::{Link, Quality},
};

use super::{
    super::{Bench, swarm::Swarm, trees::SEED},
    Gateway, client,
};
use crate::{
    peers::{Host, opendag::on},
    report::{Report, Row, Run},
    say,
    stats::{Goal, Sense},
};

/// Bits a second: what is measured is delay.
const RATE_BITS: u64 = 1_000_000_000;
/// Each way.
const DELAY: Duration = Duration::from_millis(50);
/// Round trips that a cold mebibyte may take.
const GOAL: f64 = 3.0;

/// R3.
pub(in super::super) fn round_trips(bench: &Bench<'_>) -> Result<Report> {
    let title = "1 MiB of a file of a peer 50 ms away each way, in round trips";
    let mut report = Report::new("R3", title);
    let link = Link::new(&Quality::new(RATE_BITS, DELAY), 1)?;
    let hosts: Vec<Host> = (0..2).map(|index| host(&link, index)).collect();
    let (Some(near), Some(far)) = (hosts.first(), hosts.get(1)) else {
        return Ok(report);
    };
    let mut tree = Tree::new(SEED);
    for name in ["a", "b", "c", "d"] {
        tree = tree.file(&format!("{name}.bin"), 16 * MIB);
    }
    let source = tree.write(&bench.path("data"))?;
    let swarm = Swarm::new(bench, &source, std::slice::from_ref(far), &[])?;
    let seed = swarm.seeds.first().context("a seed")?;
    let manifest = super::manifest(seed)?;
    let cases = [
        "dataset not known here",
        "version not known here",
        "known, nothing read since the start",
        "known, after another file",
        "known, more of that file",
    ];
    let mut rows = cases.map(Row::new);
    for round in 0..bench.options.rounds {
        let measured = measure(&swarm, (near, seed), &manifest, round)?;
        for (row, run) in rows.iter_mut().zip(measured) {
            row.runs.push(run);
        }
        say(&format!("  round {}", round + 1));
    }
    for (row, name) in rows.iter().zip(cases).skip(2) {
        report.goals.push(Goal {
            what: format!("round trips ({name})"),
            sense: Sense::AtMost,
            goal: GOAL,
            measured: row.median("round_trips"),
        });
    }
    report.rows.extend(rows);
    Ok(report)
}

/// All cases, one after the other.
fn measure(
    swarm: &Swarm,
    (near, seed): (&Host, &Daemon),
    manifest: &str,
    round: usize,
) -> Result<Vec<Run>> {
    let new = |name: &str| on(swarm.world.node(&format!("{name}{round}")), near);
    let mut runs = Vec::new();
    let stranger = new("stranger");
    let gateway = Gateway::start(&stranger, &[seed])?;
    runs.push(range(
        near,
        &gateway.url,
        &format!("/d/{}/a.bin", swarm.link),
    )?);
    gateway.daemon.stop()?;
    let node = new("gateway");
    let gateway = Gateway::start(&node, &[seed])?;
    runs.push(range(near, &gateway.url, &format!("/d/{manifest}/a.bin"))?);
    gateway.daemon.stop()?;
    let gateway = Gateway::start(&node, &[seed])?;
    runs.push(range(near, &gateway.url, &format!("/d/{manifest}/b.bin"))?);
    runs.push(range(near, &gateway.url, &format!("/d/{manifest}/c.bin"))?);
    let path = format!("/d/{manifest}/c.bin");
    runs.push(range_at(near, (&gateway.url, &path), 8 * MIB)?);
    gateway.daemon.stop()?;
    for node in [stranger, node] {
        fs::remove_dir_all(node.data_dir())?;
    }
    Ok(runs)
}

fn range(host: &Host, url: &str, path: &str) -> Result<Run> {
    range_at(host, (url, path), 3 * MIB)
}

/// The client runs where the gateway does.
fn range_at(host: &Host, (url, path): (&str, &str), at: u64) -> Result<Run> {
    let curl = client::curl(url, path);
    let mut command: Command = host.command(curl.get_program());
    command.args(curl.get_args());
    command.args(["-r", &format!("{at}-{}", at + MIB - 1)]);
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "curl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (first, whole) = client::told(&String::from_utf8_lossy(&output.stdout), MIB)?;
    let round_trip = 2.0 * DELAY.as_secs_f64();
    Ok(Run::default()
        .with("round_trips", whole / round_trip)
        .with("to_first_byte", first / round_trip))
}

fn host(link: &Link, index: usize) -> Host {
    let wrapper = ["ip", "netns", "exec", link.namespace(index)];
    Host {
        address: Link::address(index),
        wrapper: wrapper.map(str::to_owned).to_vec(),
    }
}
