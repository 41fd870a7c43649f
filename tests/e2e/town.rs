//! Honest nodes beside an attack: a publisher, the node that is attacked, and whoever fetches.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use opendag_tests::{Daemon, MIB, Node, Tree, World, measure, world::text};
use serde_json::Value;

use crate::common::{MEMORY_BYTES_MAX, ensure_equal, world};

/// Honest nodes agree within this after an attack.
pub(crate) const AGREE_MAX: Duration = Duration::from_secs(60);
/// What an attacked node has open: connections, files of the store, listeners.
const OPEN_FILES_MAX: usize = 400;
/// What strangers may make a node write to its log.
const LOG_BYTES_MAX: usize = 16 * 1024;
/// Between two looks at another process.
const LOOK: Duration = Duration::from_millis(50);

/// See the module.
pub(crate) struct Town {
    pub(crate) world: World,
    pub(crate) publisher: Daemon,
    pub(crate) victim: Daemon,
    source: PathBuf,
    /// What the publisher publishes.
    pub(crate) dataset: String,
    rounds: u32,
}

/// A file of a source that changes from version to version.
const CHANGING: &str = "changing.txt";

impl Town {
    /// A publisher with a dataset, and a victim that knows it.
    pub(crate) fn new(seed: u64) -> Result<Self> {
        Self::with(seed, "")
    }

    /// The same with a configuration of the victim.
    pub(crate) fn with(seed: u64, config: &str) -> Result<Self> {
        let world = world()?;
        let tree = Tree::new(seed)
            .file("large.bin", 3 * MIB + 1)
            .file("a/small.txt", 700);
        let source = tree.write(&world.path("source"))?;
        let publisher = world.node("publisher").daemon::<&str>([])?;
        let published = publisher.node().publish(&source, "data")?;
        let victim = world.node("victim");
        victim.config(config)?;
        let victim = victim.daemon(["--bootstrap", publisher.address()?])?;
        let town = Self {
            source,
            dataset: text(&published, "dataset")?,
            world,
            publisher,
            victim,
            rounds: 0,
        };
        wait_for_newest(
            town.victim.node(),
            &town.dataset,
            &text(&published, "manifest")?,
        )?;
        Ok(town)
    }

    /// The victim's address.
    pub(crate) fn address(&self) -> Result<&str> {
        self.victim.address()
    }

    /// Publishes a next version: the victim learns it, and somebody new fetches it by way of the victim.
    pub(crate) fn goes_on(&mut self) -> Result<()> {
        self.rounds += 1;
        std::fs::write(self.source.join(CHANGING), self.rounds.to_string())?;
        let published = self.publisher.node().publish(&self.source, "data")?;
        let manifest = text(&published, "manifest")?;
        wait_for_newest(self.victim.node(), &self.dataset, &manifest)?;
        let output = self.world.path(format!("fetched-{}", self.rounds));
        let fetcher = self.world.node(&format!("fetcher-{}", self.rounds));
        let from = [
            "--peer",
            self.victim.address()?,
            "--peer",
            self.publisher.address()?,
        ];
        let fetched = fetcher.fetch(&self.dataset, &output, &from)?.ok()?;
        ensure!(
            text(&fetched.event("fetched")?, "manifest")? == manifest,
            "an old version"
        );
        ensure_equal(&self.source, &output)
    }

    /// Starts the victim anew on its data directory.
    pub(crate) fn restart(self) -> Result<Self> {
        let node = self.victim.node().clone();
        self.victim.stop()?;
        let victim = node.daemon(["--bootstrap", self.publisher.address()?])?;
        Ok(Self { victim, ..self })
    }

    /// The victim's memory, descriptors and log are within bounds, and it broke no promise.
    pub(crate) fn ensure_bounded(&mut self) -> Result<()> {
        ensure_bounded(&mut self.victim)
    }
}

/// See [`Town::ensure_bounded`].
pub(crate) fn ensure_bounded(victim: &mut Daemon) -> Result<()> {
    let pid = victim.running.pid();
    let (memory, files) = (victim.running.peak_bytes(), measure::open_files(pid));
    ensure!(
        memory > 0,
        "the victim has ended:\n{}",
        victim.running.errors()
    );
    ensure!(
        memory < MEMORY_BYTES_MAX,
        "the victim used {} MiB",
        memory / MIB
    );
    ensure!(files < OPEN_FILES_MAX, "the victim has {files} files open");
    let errors = victim.running.errors();
    let bad = errors.contains("panicked at") || errors.contains("ERROR");
    ensure!(
        !bad && errors.len() < LOG_BYTES_MAX,
        "the victim says:\n{errors}"
    );
    Ok(())
}

/// The newest version of a dataset as a node knows it.
pub(crate) fn newest(node: &Node, dataset: &str) -> Result<Option<Value>> {
    let shown = node.run(["show", dataset])?;
    if shown.code != Some(0) {
        return Ok(None);
    }
    let versions = shown.event("versions")?;
    Ok(versions["versions"].get(0).cloned())
}

/// Waits until a node knows this version as the newest.
pub(crate) fn wait_for_newest(node: &Node, dataset: &str, manifest: &str) -> Result<()> {
    wait_until(
        AGREE_MAX,
        &format!("{manifest} is the newest of {dataset}"),
        || {
            let newest = newest(node, dataset)?;
            Ok(newest.is_some_and(|newest| newest["manifest"] == manifest))
        },
    )
}

/// Looks again and again until something is so.
pub(crate) fn wait_until(
    within: Duration,
    what: &str,
    mut is: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let start = Instant::now();
    while !is()? {
        ensure!(
            start.elapsed() < within,
            "{what}: not within {} s",
            within.as_secs()
        );
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// A counter of a daemon's status.
pub(crate) fn counter(daemon: &Daemon, name: &str) -> Result<u64> {
    let status = daemon.node().run(["status"])?.ok()?.event("status")?;
    status["counters"][name]
        .as_u64()
        .with_context(|| format!("the counter {name}"))
}
