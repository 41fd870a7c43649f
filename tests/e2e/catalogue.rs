//! Every node learns the catalogue: by gossip what is new, by comparing what was missed.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use opendag_node::store::{DataDir, Store};
use opendag_tests::{Daemon, Tree, catalogue::Heard};

use crate::common::world;

/// How long a node may take to be current, from its first peer on.
const CURRENT_MAX: Duration = Duration::from_secs(10);

/// Puts what is known of many datasets into a data directory that no node uses.
fn seed(data_dir: &Path, heard: &[Heard]) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let store = Store::open(&DataDir::open(data_dir)?).await?;
        let records: Vec<_> = heard.iter().flat_map(Heard::records).collect();
        let writing = store.clone();
        let taken = tokio::task::spawn_blocking(move || {
            writing.apply_all(&records, opendag_tests::catalogue::now())
        });
        for taken in taken.await?? {
            taken?;
        }
        store.shutdown().await?;
        Ok(())
    })
}

/// How many datasets a daemon knows.
pub(crate) fn known(daemon: &Daemon) -> Result<u64> {
    let status = daemon.node().run(["status"])?.ok()?.event("status")?;
    status["counters"]["known_datasets"]
        .as_u64()
        .context("known datasets")
}

/// Waits until a daemon knows so many datasets; how long that took.
pub(crate) fn wait_until_known(daemon: &Daemon, count: u64, within: Duration) -> Result<Duration> {
    let start = Instant::now();
    loop {
        let known = known(daemon)?;
        if known >= count {
            return Ok(start.elapsed());
        }
        ensure!(
            start.elapsed() < within,
            "it knows {known} datasets of {count} after {} s",
            within.as_secs()
        );
    }
}

#[test]
fn p7_a_node_that_was_away_is_current_soon_after_its_first_peer() -> Result<()> {
    const WEEK: u64 = 7 * 24 * 60 * 60;
    let world = world()?;
    let (up, away) = (world.node("up"), world.node("away"));
    let old = (0..2000).map(|number| Heard::new(number, WEEK));
    let old = old.collect::<Result<Vec<_>, _>>()?;
    // Meanwhile a half of them was renewed, and others are new.
    let newer = (0..1000).map(|number| Heard::new(number, 60));
    let new = (2000..3000).map(|number| Heard::new(number, 60));
    let now = newer.chain(new).collect::<Result<Vec<_>, _>>()?;
    seed(away.data_dir(), &old)?;
    seed(up.data_dir(), &old)?;
    seed(up.data_dir(), &now)?;
    let up = up.daemon::<&str>([])?;
    ensure!(known(&up)? == 3000);
    let away = away.daemon(["--bootstrap", up.address()?])?;
    let took = wait_until_known(&away, 3000, CURRENT_MAX)?;
    println!("current after {} ms", took.as_millis());
    // Its newest heads and versions are those of the other.
    away.stop()?;
    let node = world.node("away");
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let store = Store::open(&DataDir::open(node.data_dir())?).await?;
        for heard in &now {
            let state = store.dataset(&heard.dataset)?.context("unknown")?;
            ensure!(state.newest_record() == Some(&heard.head), "an old head");
            ensure!(store.has_record(&heard.manifest.id())?, "no manifest");
        }
        Ok(())
    })
}

#[test]
fn a_new_dataset_is_known_to_all_and_late_joiners() -> Result<()> {
    let world = world()?;
    let source = Tree::interesting(7).write(&world.path("source"))?;
    let first = world.node("first").daemon::<&str>([])?;
    let second = world
        .node("second")
        .daemon(["--bootstrap", first.address()?])?;
    let third = world
        .node("third")
        .daemon(["--bootstrap", second.address()?])?;
    first.node().publish(&source, "data")?;
    wait_until_known(&third, 1, CURRENT_MAX)?;
    let late = world
        .node("late")
        .daemon(["--bootstrap", third.address()?])?;
    wait_until_known(&late, 1, CURRENT_MAX)?;
    // By its name, without having fetched it; and it does not lie there.
    late.node().run(["show", "data"])?.ok()?;
    let listed = late.node().run(["ls"])?.ok()?;
    let shown = listed.lines.iter().any(|line| line.contains("\"data\""));
    ensure!(!shown, "ls shows what is not here");
    Ok(())
}
