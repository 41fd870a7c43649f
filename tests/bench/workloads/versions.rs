//! B8: the next version of a dataset, fetched by a node that has the one before.

mod datasets;
mod ideal;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use opendag_tests::{Daemon, Node, World, world::text};
use serde_json::Value;

use self::{
    datasets::{Dataset, all},
    ideal::{Ideal, ideal},
};
use super::{
    Bench,
    swarm::{equal, measured, number},
};
use crate::{
    isolate,
    peers::{
        Host, SEED_TIME_MAX,
        opendag::{fetch_command, on},
    },
    process::{Process, Watched},
    report::{Report, Row, Run},
    say,
    stats::{Goal, Sense, ratio},
    transfer::{fresh, lossy, mb, size, warm},
};

/// The goal: bytes received, as a multiple of what has changed with its description.
const CHANGED_GOAL: f64 = 1.1;
/// The goal: bytes received, as a multiple of those of a full fetch.
const FULL_GOAL: f64 = 1.01;

/// B8.
pub(super) fn next_version(bench: &Bench<'_>) -> Result<Report> {
    let mut report = Report::new("B8", "version 2 for a node that has version 1");
    if !isolate::inside() {
        report.notes.push(
            "not in a network of its own: received bytes are what the fetch says, without descriptions"
                .to_owned(),
        );
    }
    for dataset in all() {
        if let Some(reason) = (dataset.missing)() {
            report
                .notes
                .push(format!("{} left out: {reason}", dataset.name));
            continue;
        }
        let row = one(bench, &dataset).with_context(|| format!("dataset {}", dataset.name))?;
        report.goals.extend(goals(&row));
        report.rows.push(row);
    }
    Ok(report)
}

fn goals(row: &Row) -> [Goal; 2] {
    let received = row.median("received_bytes");
    let against = |what: &str, goal: f64, whole: Option<f64>| Goal {
        what: format!("{}: received / {what}", row.name),
        sense: Sense::AtMost,
        goal,
        measured: received
            .zip(whole)
            .and_then(|(received, whole)| ratio(received, whole)),
    };
    let ideal = row
        .median("changed_bytes")
        .zip(row.median("description_bytes"));
    let ideal = ideal.map(|(changed, description)| changed + description);
    [
        against("changed chunks and description", CHANGED_GOAL, ideal),
        against("a full fetch", FULL_GOAL, row.median("full_fetch_bytes")),
    ]
}

/// A publisher with a daemon, and what it published last.
struct Publisher {
    daemon: Daemon,
    link: String,
    world: World,
}

impl Publisher {
    fn publish(&self, folder: &Path) -> Result<()> {
        publish(self.daemon.node(), folder).map(drop)
    }
}

fn publish(node: &Node, folder: &Path) -> Result<Value> {
    node.start([
        "publish",
        &folder.display().to_string(),
        "--name",
        "data",
        "--license",
        "CC0-1.0",
    ])?
    .finish(SEED_TIME_MAX)?
    .ok()?
    .event("published")
}

fn one(bench: &Bench<'_>, dataset: &Dataset) -> Result<Row> {
    let folder = bench.path("versions");
    fresh(&folder)?;
    let (old, new) = (
        folder.join("v1").join("data"),
        folder.join("v2").join("data"),
    );
    (dataset.write)(bench, &old, &new)?;
    let ideal = ideal(&old, &new)?;
    let world = World::new_in(&bench.options.binary, &folder)?;
    let host = Host::loopback();
    let daemon = on(world.node("publisher"), &host).daemon::<&str>([])?;
    let link = text(&publish(daemon.node(), &old)?, "dataset")?;
    let publisher = Publisher {
        daemon,
        link,
        world,
    };
    let mut row = Row::new(dataset.name);
    // Every fetcher has version 1 before version 2 exists, as its users had.
    for round in 0..bench.options.rounds {
        let node = on(publisher.world.node(&format!("fetch{round}")), &host);
        let target = folder.join(format!("old{round}"));
        let command = fetch_command(&node, &publisher.link, &target, &[&publisher.daemon])?;
        Process::start("first", command, &folder.join("logs"))?
            .finish(SEED_TIME_MAX, &mut Watched::new(Vec::new()))?;
    }
    publisher.publish(&new)?;
    for round in 0..bench.options.rounds {
        row.runs
            .push(round_of(&publisher, &folder, &new, round, &ideal)?);
    }
    Ok(row)
}

fn round_of(
    publisher: &Publisher,
    folder: &Path,
    new: &Path,
    round: usize,
    ideal: &Ideal,
) -> Result<Run> {
    let has_old = fetch(publisher, folder, new, &format!("fetch{round}"))?;
    let has_none = fetch(publisher, folder, new, &format!("full{round}"))?;
    say(&format!(
        "  round {}: received {:.2} MB, changed {:.2} MB and {:.2} MB of description, in full {:.2} MB",
        round + 1,
        mb(has_old.received),
        mb(ideal.changed),
        mb(ideal.description),
        mb(has_none.received)
    ));
    Ok(Run::default()
        .with("seconds", has_old.seconds)
        .with("full_seconds", has_none.seconds)
        .with("version_2_bytes", lossy(size(new)?))
        .with("changed_bytes", lossy(ideal.changed))
        .with("description_bytes", lossy(ideal.description))
        .with("received_bytes", lossy(has_old.received))
        .with("said_received_bytes", lossy(has_old.said))
        .with("reused_bytes", lossy(has_old.reused))
        .with("full_fetch_bytes", lossy(has_none.received)))
}

/// What a fetch of version 2 received.
struct Received {
    seconds: f64,
    /// By the counter of the network, headers and both directions included; what it says outside of one.
    received: u64,
    said: u64,
    reused: u64,
}

fn fetch(publisher: &Publisher, folder: &Path, new: &Path, name: &str) -> Result<Received> {
    let node = on(publisher.world.node(name), &Host::loopback());
    let target = folder.join(format!("new-{name}"));
    let command = fetch_command(&node, &publisher.link, &target, &[&publisher.daemon])?;
    warm(new)?;
    let before = on_loopback();
    let fetched = measured(
        command,
        vec![publisher.daemon.running.pid()],
        &folder.join("logs"),
    )?;
    let counted = on_loopback()
        .zip(before)
        .map(|(after, before)| after - before);
    equal(new, &target)?;
    fs::remove_dir_all(&target)?;
    let said = number(&fetched.event, "received_bytes");
    Ok(Received {
        seconds: fetched.seconds,
        received: counted.unwrap_or(said),
        said,
        reused: number(&fetched.event, "reused_bytes"),
    })
}

/// Bytes that crossed the loopback of this program's own network since it exists.
fn on_loopback() -> Option<u64> {
    if !isolate::inside() {
        return None;
    }
    received_on_lo(&fs::read_to_string("/proc/net/dev").ok()?)
}

/// The first figure behind `lo:` in `/proc/net/dev`: bytes received, which on a loopback are all.
fn received_on_lo(table: &str) -> Option<u64> {
    let line = table
        .lines()
        .find_map(|line| line.trim().strip_prefix("lo:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_of_the_loopback_is_read() {
        let table = "Inter-|   Receive\n face |bytes packets\n  eth0: 5 1\n    lo: 1234 7 0 0\n";
        assert_eq!(received_on_lo(table), Some(1234));
        assert_eq!(received_on_lo(""), None);
    }

    #[test]
    fn both_goals_are_about_what_was_received() {
        let mut row = Row::new("text");
        row.runs.push(
            Run::default()
                .with("received_bytes", 22.0)
                .with("changed_bytes", 15.0)
                .with("description_bytes", 5.0)
                .with("full_fetch_bytes", 44.0),
        );
        let [changed, full] = goals(&row);
        assert_eq!(changed.measured, Some(1.1));
        assert_eq!(full.measured, Some(0.5));
    }
}
