//! Many fetchers and few seeds: who finds whom, who gives, who gets how much.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use opendag_protocol::Hash;
use opendag_tests::{
    Daemon, MIB, Signal, Tree, World,
    hostile::{Meal, compete},
    world::{COMMAND_TIME_MAX, number, text},
};
use serde_json::Value;

use crate::common::{ensure_equal, share, world};

/// A daemon with little to upload, alone with a version that the fetchers can find through it only.
struct Scene {
    world: World,
    source: PathBuf,
    seed: Daemon,
    dataset: String,
    bytes: u64,
}

impl Scene {
    fn new(tree: &Tree, upload_limit: &str) -> Result<Self> {
        let world = world()?;
        let source = tree.write(&world.path("source"))?;
        let publisher = world.node("publisher");
        publisher.config("dht = false\n")?;
        let published = publisher.publish(&source, "data")?;
        Ok(Self {
            seed: publisher.daemon(["--upload-limit", upload_limit])?,
            dataset: text(&published, "dataset")?,
            bytes: number(&published, "bytes")?,
            world,
            source,
        })
    }

    /// `count` fetches at once that know nobody but the seed; the last event of each.
    fn fetch_all(&self, count: usize) -> Result<Vec<Value>> {
        // They begin together, when all of them run: on a busy machine the first would have all
        // before the last knows anybody to trade with.
        self.seed.running.signal(Signal::STOP)?;
        let mut running = Vec::new();
        for index in 0..count {
            let node = self.world.node(&format!("fetcher{index}"));
            node.config("dht = false\n")?;
            let output = self.world.path(format!("fetched{index}"));
            let options = ["--peer", self.seed.address()?];
            let mut fetch = node.start_fetch(&self.dataset, &output, &options)?;
            fetch.wait_event("progress", COMMAND_TIME_MAX)?;
            running.push((fetch, output));
        }
        self.seed.running.signal(Signal::CONT)?;
        let mut ends = Vec::new();
        for (fetch, output) in running {
            ends.push(fetch.finish(COMMAND_TIME_MAX)?.ok()?.event("fetched")?);
            ensure_equal(&self.source, &output)?;
        }
        Ok(ends)
    }

    /// What the seed has sent, in copies of the version.
    fn copies_sent(&self) -> Result<f64> {
        let status = self.seed.node().run(["status"])?.ok()?.event("status")?;
        let sent = status["counters"]["sent_bytes"]
            .as_f64()
            .context("a counter of sent bytes")?;
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        Ok(sent / self.bytes as f64)
    }
}

/// Four fetches of one seed; if they did not trade, it would send four copies.
fn p5_fetchers_trade(tree: &Tree, copies_max: f64) -> Result<()> {
    let scene = Scene::new(tree, "3MB")?;
    let fetched = scene.fetch_all(4)?;
    let copies = scene.copies_sent()?;
    ensure!(
        copies <= copies_max,
        "the seed sent {copies:.2} copies to four that could have traded: {fetched:#?}"
    );
    for end in &fetched {
        let from_seed = share(end, &scene.seed.peer);
        ensure!(from_seed < scene.bytes, "it got all from the seed: {end}");
    }
    Ok(())
}

#[test]
fn fetchers_that_know_only_the_seed_trade_a_large_file() -> Result<()> {
    p5_fetchers_trade(&Tree::new(141).file("large.bin", 12 * MIB), 2.0)
}

#[test]
fn fetchers_that_know_only_the_seed_trade_many_files() -> Result<()> {
    let tree = (0..24).fold(Tree::new(142), |tree, index| {
        tree.file(&format!("{index}.bin"), MIB / 2)
    });
    // They are asked for as wholes, so more of them is on its way to several at once than of a large file.
    p5_fetchers_trade(&tree, 2.5)
}

#[test]
fn one_fetcher_gets_one_copy_from_the_seed() -> Result<()> {
    // Negative control of the two above: what the seed sent is counted.
    let scene = Scene::new(&Tree::new(143).file("large.bin", 4 * MIB), "8MB")?;
    let fetched = scene.fetch_all(1)?;
    let copies = scene.copies_sent()?;
    ensure!((1.0..1.2).contains(&copies), "{copies} copies: {fetched:?}");
    Ok(())
}

#[test]
fn p6_s6_a_peer_with_many_streams_gets_the_share_of_one() -> Result<()> {
    let scene = Scene::new(&Tree::new(144).file("large.bin", 4 * MIB), "2MB")?;
    let meal = Meal {
        network: scene.world.network(),
        address: scene.seed.address()?,
        hash: Hash::of(&std::fs::read(scene.source.join("large.bin"))?),
    };
    let shares = compete(meal, &[16, 1], 10 * MIB)?;
    let [greedy, modest] = shares[..] else {
        anyhow::bail!("two peers: {shares:?}");
    };
    // Kernel and Yamux hold some 100 KiB for each stream besides.
    ensure!(
        modest * 10 >= greedy * 7 && greedy * 10 >= modest * 7,
        "not shared equally: {shares:?}"
    );
    Ok(())
}
