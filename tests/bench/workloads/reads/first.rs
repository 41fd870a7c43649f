//! R4: the first byte of a dataset of which only the id is known, on a network of 20 nodes.

use std::{fs, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use opendag_tests::{Daemon, MIB, Tree, World, world::text};

use super::{
    super::{Bench, trees::SEED},
    Gateway,
    client::get,
};
use crate::{
    report::{Report, Row, Run},
    say,
    stats::{Goal, Sense},
};

const NODES: usize = 20;
/// Datasets that are read for the first time in each round.
const READS: usize = 3;
/// Seconds until the first byte.
const GOAL: f64 = 2.0;
/// So long the network is left alone, so that all routing tables are filled.
const SETTLE: Duration = Duration::from_secs(5);

/// R4.
pub(in super::super) fn first_byte(bench: &Bench<'_>) -> Result<Report> {
    let title = format!("first byte of a dataset by its id alone, {NODES} nodes");
    let mut report = Report::new("R4", title);
    let world = World::new_in(&bench.options.binary, &bench.folder("work")?)?;
    let mut nodes: Vec<Daemon> = Vec::new();
    for index in 0..NODES {
        // Each knows the one before it.
        let known = nodes.last().map(Daemon::address).transpose()?;
        let known = known.map(|known| ["--bootstrap".to_owned(), known.to_owned()]);
        let args = known.into_iter().flatten();
        nodes.push(world.node(&format!("node{index}")).daemon(args)?);
    }
    thread::sleep(SETTLE);
    let mut row = Row::new("first byte");
    for round in 0..bench.options.rounds {
        let mut datasets = Vec::new();
        for read in 0..READS {
            let name = format!("data{round}-{read}");
            let seed = SEED + u64::try_from(round * READS + read)?;
            let tree = Tree::new(seed).file("a.bin", 4 * MIB);
            let source = tree.write(&bench.path(&name))?;
            let publisher = nodes
                .get((round * 7 + read * 5) % NODES)
                .context("a node")?;
            let published = publisher.node().publish(&source, &name)?;
            datasets.push((text(&published, "dataset")?, source));
        }
        thread::sleep(SETTLE);
        let node = world.node(&format!("gateway{round}"));
        let known = nodes.get((round * 3 + 11) % NODES).context("a node")?;
        let gateway = Gateway::start(&node, &[known])?;
        for (dataset, source) in datasets {
            let got = get(&gateway.url, &format!("/d/{dataset}/a.bin"), None)?;
            let right = blake3::hash(&fs::read(source.join("a.bin"))?);
            ensure!(
                got.status == 200 && got.hash == right,
                "status {}",
                got.status
            );
            let first = got.first.as_secs_f64();
            say(&format!("  round {}: {first:.2} s", round + 1));
            row.runs.push(Run::default().with("seconds", first));
        }
        gateway.daemon.stop()?;
        fs::remove_dir_all(node.data_dir())?;
    }
    report.goals.push(Goal {
        what: "seconds to the first byte, the slowest".to_owned(),
        sense: Sense::AtMost,
        goal: GOAL,
        measured: row.worst("seconds"),
    });
    report.rows.push(row);
    Ok(report)
}
