//! What several groups of tests begin with.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use opendag_tests::{
    Daemon, Finished, MIB, Tree, World, tree,
    world::{number, text},
};
use serde_json::Value;

/// Promise of the project's first job: no process of it needs more memory.
pub(crate) const MEMORY_BYTES_MAX: u64 = 300 * MIB;

/// A world whose nodes run the binary under test.
pub(crate) fn world() -> Result<World> {
    World::new(opendag())
}

/// The binary under test: the one that was built with the tests, or the one of that name in the
/// folder that `OPENDAG_TEST_BINARIES` names, such as a release build.
pub(crate) fn opendag() -> PathBuf {
    binary("opendag", env!("CARGO_BIN_EXE_opendag"))
}

/// The same program under the name that the user asked for.
pub(crate) fn node() -> PathBuf {
    binary("node", env!("CARGO_BIN_EXE_node"))
}

fn binary(name: &str, built: &str) -> PathBuf {
    match std::env::var_os("OPENDAG_TEST_BINARIES") {
        Some(folder) => Path::new(&folder).join(name),
        None => built.into(),
    }
}

/// An error that lists what differs between two folders.
pub(crate) fn ensure_equal(left: &Path, right: &Path) -> Result<()> {
    let found = tree::differences(left, right)?;
    ensure!(
        found.is_empty(),
        "{} differences: {:#?}",
        found.len(),
        found.iter().take(10).collect::<Vec<_>>()
    );
    Ok(())
}

/// An error if any file under its final name has other bytes than its original.
pub(crate) fn ensure_no_wrong_file(source: &Path, output: &Path) -> Result<()> {
    for path in tree::paths(output)? {
        let below = path.strip_prefix(output)?;
        if path.is_file() && !below.starts_with(".opendag") {
            let same = std::fs::read(&path)? == std::fs::read(source.join(below))?;
            ensure!(same, "{} has wrong bytes", path.display());
        }
    }
    Ok(())
}

/// An error unless the process stayed below the promised memory.
pub(crate) fn ensure_modest(what: &str, peak_bytes: u64) -> Result<()> {
    ensure!(peak_bytes > 0, "the memory of {what} was not measured");
    ensure!(
        peak_bytes < MEMORY_BYTES_MAX,
        "{what} used {} MiB of memory",
        peak_bytes / MIB
    );
    Ok(())
}

/// One dataset that several daemons seed.
pub(crate) struct Swarm {
    pub(crate) world: World,
    /// The published folder.
    pub(crate) source: PathBuf,
    /// What `publish` said.
    pub(crate) published: Value,
    /// The publisher first, then the mirrors.
    pub(crate) seeds: Vec<Daemon>,
    /// The link that the publisher prints now.
    pub(crate) link: String,
}

impl Swarm {
    /// `seeds` daemons, each of which has all of `tree` and uploads at most `rate`.
    pub(crate) fn start(tree: &Tree, seeds: usize, rate: &str) -> Result<Self> {
        let world = world()?;
        let source = tree.write(&world.path("source"))?;
        let publisher = world.node("seed0");
        let published = publisher.publish(&source, "data")?;
        let mut first = publisher.daemon::<&str>([])?;

        let mut mirrors = Vec::new();
        for index in 1..seeds {
            let bootstrap = first.address()?.to_owned();
            let mirror = world.node(&format!("seed{index}")).daemon([
                "--bootstrap",
                &bootstrap,
                "--upload-limit",
                rate,
            ])?;
            let output = world.path(format!("mirror{index}"));
            mirror
                .node()
                .fetch(
                    &text(&published, "dataset")?,
                    &output,
                    &["--peer", &bootstrap],
                )?
                .ok()?;
            mirrors.push(mirror);
        }
        // The limit on the publisher begins only now, so that the mirrors did not have to wait.
        first.stop()?;
        first = match mirrors.first() {
            Some(mirror) => {
                publisher.daemon(["--upload-limit", rate, "--bootstrap", mirror.address()?])?
            }
            None => publisher.daemon(["--upload-limit", rate])?,
        };
        let shown = publisher.run(["show", "data"])?.ok()?.event("versions")?;
        let link = text(&shown["versions"][0], "link")?;
        let mut all = vec![first];
        all.append(&mut mirrors);
        Ok(Self {
            world,
            source,
            published,
            seeds: all,
            link,
        })
    }

    /// Starts all seeds anew without a limit; their addresses are others then.
    pub(crate) fn unleash(&mut self) -> Result<()> {
        for seed in std::mem::take(&mut self.seeds) {
            let node = seed.node().clone();
            seed.stop()?;
            self.seeds.push(node.daemon::<&str>([])?);
        }
        Ok(())
    }

    /// Addresses of all seeds as `--peer` options.
    pub(crate) fn peers(&self) -> Result<Vec<&str>> {
        let mut options = Vec::new();
        for seed in &self.seeds {
            options.extend(["--peer", seed.address()?]);
        }
        Ok(options)
    }

    /// Bytes of the dataset.
    pub(crate) fn bytes(&self) -> Result<u64> {
        number(&self.published, "bytes")
    }
}

/// How much of a fetch came from a peer.
pub(crate) fn share(fetched: &Value, peer: &str) -> u64 {
    let peers = fetched["peers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    peers
        .iter()
        .find(|share| share["peer"] == peer)
        .and_then(|share| share["bytes"].as_u64())
        .unwrap_or(0)
}

/// An error unless the process said a sentence that contains `words`, as event or on standard error.
pub(crate) fn ensure_says(finished: &Finished, words: &[&str]) -> Result<()> {
    let said = format!("{}\n{}", finished.lines.join("\n"), finished.stderr).to_lowercase();
    for word in words {
        ensure!(
            said.contains(&word.to_lowercase()),
            "no word of {word:?} in:\n{said}"
        );
    }
    Ok(())
}
