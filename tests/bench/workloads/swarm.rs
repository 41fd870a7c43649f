//! OpenDAG alone: several daemons that have all of a folder, and fetches from them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use opendag_tests::{Daemon, World, tree, world::text};
use serde_json::Value;

use super::Bench;
use crate::{
    peers::{
        FETCH_TIME_MAX, Host, SEED_TIME_MAX,
        opendag::{fetch_command, on},
    },
    process::{Ended, Process, Used, Watched},
    transfer::{fresh, warm},
};

/// How long a daemon may take to end.
const STOP_TIME_MAX: Duration = Duration::from_secs(60);

/// Seeds of one version.
pub(super) struct Swarm {
    /// Declared before the world, so that processes end before their folders go.
    pub(super) seeds: Vec<Daemon>,
    pub(super) link: String,
    pub(super) world: World,
    pub(super) source: PathBuf,
    folder: PathBuf,
}

impl Swarm {
    /// Publishes `source`, mirrors it to as many nodes as there are hosts, and starts their daemons
    /// with `args`.
    pub(super) fn new(
        bench: &Bench<'_>,
        source: &Path,
        hosts: &[Host],
        args: &[&str],
    ) -> Result<Self> {
        let folder = bench.folder("work")?;
        let world = World::new_in(&bench.options.binary, &folder)?;
        let publisher = world.node("seed0");
        let published = publisher
            .start([
                "publish",
                &source.display().to_string(),
                "--name",
                "data",
                "--license",
                "CC0-1.0",
            ])?
            .finish(SEED_TIME_MAX)?
            .ok()?
            .event("published")?;
        let link = text(&published, "dataset")?;
        // Mirrors are filled without caps and without bad links.
        let unlimited = publisher.daemon::<&str>([])?;
        for index in 1..hosts.len() {
            let target = folder.join(format!("mirror{index}"));
            let node = world.node(&format!("seed{index}"));
            let command = fetch_command(&node, &link, &target, &[&unlimited])?;
            Process::start("mirror", command, &folder.join("logs"))?
                .finish(SEED_TIME_MAX, &mut Watched::new(Vec::new()))?;
        }
        unlimited
            .running
            .stop(STOP_TIME_MAX)?
            .ok()
            .context("the publisher's daemon")?;
        let mut seeds = Vec::new();
        for (index, host) in hosts.iter().enumerate() {
            let node = on(world.node(&format!("seed{index}")), host);
            seeds.push(node.daemon(args)?);
        }
        Ok(Self {
            seeds,
            link,
            world,
            source: source.to_path_buf(),
            folder,
        })
    }

    /// The seeds' processes.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.seeds.iter().map(|seed| seed.running.pid()).collect()
    }

    /// One fetch by a new node on `host` from all seeds.
    pub(super) fn fetch(&self, host: &Host, run: usize) -> Result<Fetched> {
        let target = self.folder.join("target");
        fresh(&target)?;
        warm(&self.source)?;
        let node = on(self.world.node(&format!("fetch{run}")), host);
        let seeds: Vec<&Daemon> = self.seeds.iter().collect();
        let command = fetch_command(&node, &self.link, &target, &seeds)?;
        let fetched = measured(command, self.pids(), &self.folder.join("logs"))?;
        equal(&self.source, &target)?;
        fs::remove_dir_all(&target)?;
        fs::remove_dir_all(node.data_dir())?;
        Ok(fetched)
    }
}

/// A measured fetch.
pub(super) struct Fetched {
    pub(super) seconds: f64,
    pub(super) used: Used,
    pub(super) seeds: Used,
    /// The event at its end.
    pub(super) event: Value,
}

/// Runs a fetch beside these seeds.
pub(super) fn measured(command: Command, seeds: Vec<u32>, logs: &Path) -> Result<Fetched> {
    rustix::fs::sync();
    let mut seeds = Watched::new(seeds);
    let started = Instant::now();
    let ended = Process::start("fetch", command, logs)?.finish(FETCH_TIME_MAX, &mut seeds)?;
    Ok(Fetched {
        seconds: (ended.at - started).as_secs_f64(),
        used: ended.used,
        seeds: seeds.used(),
        event: event(&ended, "fetched")?,
    })
}

/// The last event of a kind.
pub(super) fn event(ended: &Ended, kind: &str) -> Result<Value> {
    let lines = ended.stdout.lines().rev();
    let mut events = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events
        .find(|event| event.get("event").and_then(Value::as_str) == Some(kind))
        .with_context(|| format!("no event {kind}"))
}

/// A number of an event, 0 when it has none.
pub(super) fn number(event: &Value, field: &str) -> u64 {
    event.get(field).and_then(Value::as_u64).unwrap_or(0)
}

/// An error unless both folders hold the same.
pub(super) fn equal(source: &Path, target: &Path) -> Result<()> {
    let found = tree::differences(source, target)?;
    ensure!(
        found.is_empty(),
        "{} differences, the first: {}",
        found.len(),
        found.first().map_or("", String::as_str)
    );
    Ok(())
}
