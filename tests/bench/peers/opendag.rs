//! OpenDAG: a daemon that published in place, and `fetch` with a new data directory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use opendag_tests::{Daemon, Node, World, world::text};

use super::{Fetch, Host, Job, Peer, Role, SEED_TIME_MAX, Seed};

/// The build under test.
pub(crate) struct OpenDag {
    /// Its `opendag`.
    pub(crate) binary: PathBuf,
}

impl Peer for OpenDag {
    fn name(&self) -> &'static str {
        "opendag"
    }

    fn missing(&self) -> Option<String> {
        (!self.binary.is_file()).then(|| format!("no {}", self.binary.display()))
    }

    fn role(&self) -> Role {
        Role::Subject
    }

    fn syncs(&self) -> bool {
        true
    }

    fn seed(&self, job: &Job<'_>) -> Result<Box<dyn Seed>> {
        fs::create_dir_all(&job.scratch)?;
        let world = World::new_in(&self.binary, &job.scratch)?;
        let seed = on(world.node("seed"), &job.seed);
        let published = seed
            .start([
                "publish",
                &job.source.display().to_string(),
                "--name",
                "data",
                "--license",
                "CC0-1.0",
            ])?
            .finish(SEED_TIME_MAX)?
            .ok()?
            .event("published")?;
        Ok(Box::new(Seeding {
            daemon: seed.daemon::<&str>([])?,
            link: text(&published, "dataset")?,
            host: job.fetch.clone(),
            world,
        }))
    }
}

/// The node, running on a host.
pub(crate) fn on(node: Node, host: &Host) -> Node {
    let ip = &host.address;
    // Both transports, as a node listens by default.
    let node = node.listening(&format!("/ip4/{ip}/tcp/0,/ip4/{ip}/udp/0/quic-v1"));
    if host.wrapper.is_empty() {
        return node;
    }
    node.wrapped(&host.wrapper.iter().map(String::as_str).collect::<Vec<_>>())
}

struct Seeding {
    // Declared before the world, so that the process ends before its folder goes.
    daemon: Daemon,
    link: String,
    host: Host,
    world: World,
}

impl Seed for Seeding {
    fn pids(&self) -> Vec<u32> {
        vec![self.daemon.running.pid()]
    }

    fn fetch(&self, target: &Path, run: usize) -> Result<Fetch> {
        if let Some(before) = run.checked_sub(1) {
            let before = self.world.node(&format!("fetch{before}"));
            if before.data_dir().exists() {
                fs::remove_dir_all(before.data_dir())?;
            }
        }
        let node = on(self.world.node(&format!("fetch{run}")), &self.host);
        Ok(Fetch {
            command: fetch_command(&node, &self.link, target, &[&self.daemon])?,
            result: target.to_path_buf(),
        })
    }
}

/// A fetch of a link from these daemons.
pub(crate) fn fetch_command(
    node: &Node,
    link: &str,
    target: &Path,
    seeds: &[&Daemon],
) -> Result<Command> {
    let target = target.to_str().context("a folder with a plain name")?;
    let mut args = vec!["--json", "fetch", link, "-o", target];
    for address in seeds.iter().flat_map(|seed| &seed.addresses) {
        args.extend(["--peer", address]);
    }
    Ok(node.command(args))
}
