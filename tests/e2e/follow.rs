//! New versions come by themselves to those who follow.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    Node, tree,
    world::{number, text},
};
use serde_json::Value;

use crate::common::{ensure_equal, ensure_says, world};

/// How long a version may take to come: gossip takes a second, a busy machine many.
const COME_MAX: Duration = Duration::from_secs(90);
/// How much of the dataset there is.
const BYTES: u64 = 8 * 1024 * 1024;

fn follows(node: &Node) -> Result<Value> {
    let listed = node.run(["follow", "list"])?.ok()?.event("follows")?;
    Ok(listed["follows"].clone())
}

/// Waits until what is followed first is so far. Each look is a command of its own, so nothing spins.
fn until(node: &Node, reached: impl Fn(&Value) -> bool) -> Result<Value> {
    let start = Instant::now();
    loop {
        let follows = follows(node)?;
        if reached(&follows[0]) {
            return Ok(follows);
        }
        ensure!(start.elapsed() < COME_MAX, "it did not come: {follows}");
    }
}

/// Waits until a version is where it shall go.
fn until_here(node: &Node, manifest: &str) -> Result<()> {
    let is_here = |dataset: &Value| dataset["newest"] == manifest && dataset["here"] == true;
    let reached = |follow: &Value| {
        follow["datasets"]
            .as_array()
            .is_some_and(|all| all.iter().any(is_here))
    };
    until(node, reached).map(|_| ())
}

fn received(node: &Node) -> Result<u64> {
    let status = node.run(["status"])?.ok()?.event("status")?;
    number(&status["counters"], "received_bytes")
}

fn publish(node: &Node, folder: &Path, bytes: &[u8]) -> Result<String> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("rows"), bytes)?;
    text(&node.publish(folder, "followed")?, "manifest")
}

fn dataset(node: &Node, name: &str) -> Result<Value> {
    let shown = node.run(["show", name])?.ok()?.event("versions")?;
    Ok(shown["versions"][0].clone())
}

#[test]
fn a_new_version_comes_by_itself_and_costs_what_changed() -> Result<()> {
    let world = world()?;
    let (publisher, follower) = (world.node("publisher"), world.node("follower"));
    let mut bytes = Vec::new();
    std::io::copy(
        &mut std::io::Read::take(tree::content(5, "rows"), BYTES),
        &mut bytes,
    )?;
    let first = publish(&publisher, &world.path("one"), &bytes)?;
    let seed = publisher.daemon::<&str>([])?;
    let id = text(&dataset(&publisher, "followed")?, "dataset")?;
    follower.config(&format!("bootstrap = [\"{}\"]\n", seed.address()?))?;
    let output = world.path("output");
    let folder = output.to_str().context("UTF-8")?;
    // Nothing of it is known here yet, and no daemon runs: that is for later.
    let said = follower.run(["follow", &id, "--auto-fetch", "-o", folder])?;
    ensure_says(&said.ok()?, &["opendag daemon"])?;
    let daemon = follower.daemon::<&str>([])?;
    until_here(&follower, &first)?;
    ensure_equal(&world.path("one"), &output)?;
    let before = received(&follower)?;
    ensure!(before >= BYTES, "{before} bytes cannot be all");

    bytes.splice(4_000_000..4_000_100, *b"changed");
    let second = publish(&publisher, &world.path("two"), &bytes)?;
    until_here(&follower, &second)?;
    ensure_equal(&world.path("two"), &output)?;
    let cost = received(&follower)? - before;
    ensure!(cost < BYTES / 4, "{cost} bytes for what changed");

    // After a restart it is still followed; then no longer.
    daemon.stop()?;
    follower.run(["reindex"])?.ok()?;
    ensure!(follows(&follower)?[0]["output"] == folder);
    bytes.splice(1_000_000..1_000_100, *b"again");
    let third = publish(&publisher, &world.path("three"), &bytes)?;
    let daemon = follower.daemon::<&str>([])?;
    until_here(&follower, &third)?;
    ensure_equal(&world.path("three"), &output)?;
    let status = follower.run(["status"])?.ok()?.event("status")?;
    ensure!(number(&status["counters"], "follows")? == 1, "{status}");
    ensure!(
        number(&status["counters"], "follows_failing")? == 0,
        "{status}"
    );
    daemon.stop()?;
    follower.run(["unfollow", &id])?.ok()?;
    ensure!(follows(&follower)?.as_array().is_some_and(Vec::is_empty));
    follower.run(["unfollow", &id])?.code(2)?;
    ensure!(output.join("rows").is_file(), "what was fetched stays");
    Ok(())
}

/// The versions that lie on a node.
fn here(node: &Node) -> Result<Vec<String>> {
    let listed = node.run(["ls"])?.ok()?.event("versions")?;
    let listed = listed["versions"].as_array().context("versions")?;
    listed
        .iter()
        .map(|version| text(version, "manifest"))
        .collect()
}

#[test]
fn of_a_publisher_the_newest_versions_stay_unless_pinned_or_denied() -> Result<()> {
    let world = world()?;
    let (publisher, follower) = (world.node("publisher"), world.node("follower"));
    let one = |version: u8| -> Result<String> {
        let folder = world.path(format!("v{version}"));
        publish(&publisher, &folder, &[version; 5000])
    };
    let by_hand = one(0)?;
    let seed = publisher.daemon::<&str>([])?;
    let address = seed.address()?.to_owned();
    let shown = dataset(&publisher, "followed")?;
    let key = shown["owners"][0].as_str().context("an owner")?.to_owned();
    follower
        .fetch(&by_hand, &world.path("by-hand"), &["--peer", &address])?
        .ok()?;
    let daemon = follower.daemon(["--bootstrap", &address])?;
    let follow = ["follow", &key, "--auto-fetch", "--keep", "2"];
    follower.run(follow)?.ok()?;
    // One after the other: which ones are skipped in between is chance.
    let mut versions = Vec::new();
    for version in 1..=2 {
        versions.push(one(version)?);
        until_here(&follower, versions.last().context("a version")?)?;
    }
    let [first, second] = &versions[..] else {
        anyhow::bail!("two versions")
    };
    follower.run(["pin", first])?.ok()?;
    let third = one(3)?;
    until_here(&follower, &third)?;
    let fourth = one(4)?;
    until_here(&follower, &fourth)?;
    let start = Instant::now();
    loop {
        let here = here(&follower)?;
        let has = |manifest: &String| here.contains(manifest);
        let stay = [&by_hand, first, &third, &fourth];
        ensure!(stay.into_iter().all(has), "too much was let go: {here:?}");
        if !has(second) {
            break;
        }
        ensure!(start.elapsed() < COME_MAX, "{second} was not let go");
    }

    // What is denied does not come.
    let deny = ["denylist", "add", &key, "--reason", "enough"];
    follower.run(deny)?.ok()?;
    let fifth = one(5)?;
    follower.run(follow)?.ok()?;
    let says_why = |follow: &Value| {
        follow["datasets"][0]["problem"]
            .as_str()
            .is_some_and(|why| why.contains("enough"))
    };
    until(&follower, says_why)?;
    follower.run(["denylist", "remove", &key])?.ok()?;
    follower.run(follow)?.ok()?;
    until_here(&follower, &fifth)?;
    daemon.stop()?;
    Ok(())
}
