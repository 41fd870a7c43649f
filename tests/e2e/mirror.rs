//! Mirrors: versions come by themselves, within a budget, and go on to others.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use opendag_tests::{
    Daemon, MIB, Tree, World, tree,
    world::{Node, number, text},
};
use serde_json::Value;

use crate::common::{ensure_equal, ensure_says, world};

/// How long a version may take to come: gossip takes a second, a busy machine many.
const COME_MAX: Duration = Duration::from_secs(90);

fn mirrors(node: &Node) -> Result<Value> {
    let listed = node.run(["mirror", "--list"])?.ok()?.event("mirrors")?;
    Ok(listed.get("mirrors").cloned().unwrap_or_default())
}

/// Waits until the first mirror is as wanted. Each look is a command of its own, so nothing spins.
fn until(node: &Node, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let start = Instant::now();
    loop {
        let mirrors = mirrors(node)?;
        let mirror = mirrors.get(0).cloned().unwrap_or_default();
        if wanted(&mirror) {
            return Ok(mirror);
        }
        ensure!(start.elapsed() < COME_MAX, "it did not come: {mirror}");
    }
}

/// Publishes a folder of 4 MiB of which the named half is new.
fn publish(daemon: &Daemon, world: &World, name: &str, half: u64) -> Result<Value> {
    let tree = Tree::new(1).file("same.bin", 2 * MIB);
    let folder = world.path(format!("{name}-{half}"));
    tree.write(&folder)?;
    let other = Tree::new(half + 2).file("new.bin", 2 * MIB);
    let written = other.write(&world.path(format!("{name}-{half}.new")))?;
    fs::copy(written.join("new.bin"), folder.join("new.bin"))?;
    daemon.node().publish(&folder, name)
}

fn folder(world: &World, name: &str, half: u64) -> std::path::PathBuf {
    world.path(format!("{name}-{half}"))
}

/// Bytes below a folder, hard links counted once.
fn usage(path: &Path) -> Result<u64> {
    let (mut seen, mut bytes) = (BTreeSet::new(), 0);
    for path in tree::paths(path)? {
        let metadata = fs::metadata(&path)?;
        if metadata.is_file() && seen.insert((metadata.dev(), metadata.ino())) {
            bytes += metadata.len();
        }
    }
    Ok(bytes)
}

#[test]
fn what_a_publisher_publishes_comes_to_the_mirror_and_outlives_the_publisher() -> Result<()> {
    let world = world()?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let first = publish(&publisher, &world, "one", 0)?;
    let keys = publisher.node().run(["key", "list"])?.ok()?.event("keys")?;
    let key = text(&keys["keys"][0], "public")?;
    let bootstrap = ["--bootstrap", publisher.address()?];
    let mirror = world.node("mirror").daemon(bootstrap)?;
    mirror.node().run(["mirror", &key])?.ok()?;
    let held = |count: u64| move |info: &Value| info["held"] == count && info["versions"] == count;
    until(mirror.node(), held(1))?;
    // A new version and a new dataset, by themselves.
    publish(&publisher, &world, "one", 1)?;
    let other = publish(&publisher, &world, "two", 2)?;
    until(mirror.node(), held(3))?;
    let status = mirror.node().run(["status"])?.ok()?.event("status")?;
    ensure!(status["mirrors"][0]["held"] == 3, "{status}");
    // What versions and datasets share takes room once.
    let copies = usage(&mirror.node().data_dir().join("copies"))?;
    ensure!(copies < 9 * MIB, "{copies} bytes for 8 MiB");
    publisher.stop()?;

    // After a restart too, and for those who know nothing of the publisher.
    let node = mirror.node().clone();
    mirror.stop()?;
    let mirror = node.daemon::<&str>([])?;
    until(mirror.node(), held(3))?;
    let fetcher = world.node("fetcher");
    let peer = ["--peer", mirror.address()?];
    for (published, name, half) in [(&first, "one", 0), (&other, "two", 2)] {
        let output = world.path(format!("fetched-{name}"));
        let manifest = text(published, "manifest")?;
        fetcher.fetch(&manifest, &output, &peer)?.ok()?;
        ensure_equal(&folder(&world, name, half), &output)?;
    }
    Ok(())
}

#[test]
fn p6_a_mirror_keeps_to_its_budget_and_prefers_what_is_new() -> Result<()> {
    let world = world()?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let published = publish(&publisher, &world, "data", 0)?;
    let dataset = text(&published, "dataset")?;
    publish(&publisher, &world, "data", 1)?;
    let bootstrap = ["--bootstrap", publisher.address()?];
    let mirror = world.node("mirror").daemon(bootstrap)?;
    // Two versions take 6 MiB, for what they share.
    let budget = format!("{}B", 7 * MIB);
    let line = ["mirror", &dataset, "--budget", &budget];
    let said = mirror.node().run(line)?.ok()?.event("mirrors")?;
    let info = &said["mirrors"][0];
    ensure!(
        info["held"] == 2 && info["versions"] == 2 && info["needs"] == 0,
        "{info}"
    );
    let third = publish(&publisher, &world, "data", 2)?;
    let third = text(&third, "manifest")?;
    // There is no room for a third; the oldest goes.
    let info = until(mirror.node(), |info| {
        info["versions"] == 3 && info["held"] == 2 && info["left_out"][0]["sequence"] == 0
    })?;
    ensure!(number(&info, "needs")? >= 2 * MIB, "{info}");
    let copies = usage(&mirror.node().data_dir().join("copies"))?;
    ensure!(copies < 7 * MIB, "{copies} bytes");
    let here = mirror.node().run(["ls"])?.ok()?.event("versions")?;
    ensure!(here["versions"][0]["manifest"] == third.as_str(), "{here}");
    // What is pinned is the user's: it goes with no mirror, and takes nothing of its budget.
    mirror.node().run(["pin", &third])?.ok()?;
    let less = format!("{}B", 5 * MIB);
    mirror
        .node()
        .run(["mirror", &dataset, "--budget", &less])?
        .ok()?;
    let info = until(mirror.node(), |info| info["held"] == 2)?;
    ensure!(info["budget"] == 5 * MIB, "{info}");

    // Let go, it is freed; what is pinned stays.
    let said = mirror.node().run(["unmirror", &dataset])?.ok()?;
    ensure_says(&said, &["opendag gc"])?;
    let freed = mirror.node().run(["gc"])?.ok()?.event("freed")?;
    ensure!(
        freed["versions"].as_array().map(Vec::len) == Some(1),
        "{freed}"
    );
    let here = mirror.node().run(["ls"])?.ok()?.event("versions")?;
    ensure!(
        here["versions"].as_array().map(Vec::len) == Some(1)
            && here["versions"][0]["manifest"] == third.as_str(),
        "{here}"
    );
    ensure!(
        mirrors(mirror.node())? == Value::Array(vec![]),
        "unmirrored"
    );
    mirror.node().run(["unmirror", &dataset])?.code(2)?;
    Ok(())
}

#[test]
fn the_disk_budget_holds_for_mirrors_and_what_the_user_fetches_comes_first() -> Result<()> {
    let world = world()?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let published = publish(&publisher, &world, "data", 0)?;
    let dataset = text(&published, "dataset")?;
    for half in [1, 2] {
        publish(&publisher, &world, "data", half)?;
    }
    let wanted = publish(&publisher, &world, "wanted", 3)?;
    let bootstrap = ["--bootstrap", publisher.address()?];
    let mirror = world.node("mirror").daemon(bootstrap)?;
    mirror.node().run(["mirror", &dataset])?.ok()?;
    until(mirror.node(), |info| info["held"] == 3)?;
    // 8 MiB are mirrored; 4 MiB are to come.
    let now = mirror.node().run(["quota"])?.ok()?.event("quota")?;
    ensure!(now["mirrored"] == 8 * MIB && now["kept"] == 0, "{now}");
    let limit = format!("{}B", number(&now, "used")? + 2 * MIB + MIB / 2);
    mirror.node().run(["quota", &limit])?.ok()?;
    let output = world.path("fetched");
    mirror
        .node()
        .fetch(&text(&wanted, "dataset")?, &output, &[])?
        .ok()?;
    ensure_equal(&folder(&world, "wanted", 3), &output)?;
    let info = until(mirror.node(), |info| {
        info["held"] == 2 && info["left_out"][0]["sequence"] == 0
    })?;
    ensure!(number(&info, "needs")? >= 2 * MIB, "{info}");
    let now = mirror.node().run(["quota"])?.ok()?.event("quota")?;
    ensure!(
        now["mirrored"] == 6 * MIB && now["fetched"] == 4 * MIB && now["over"] == 0,
        "{now}"
    );
    Ok(())
}
