//! What stays on disk: pins, what is freed and why, the disk budget.

use std::fs;

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    Daemon, Finished, MIB, Tree, World, measure,
    world::{Node, number, text},
};
use serde_json::Value;

use crate::common::{ensure_equal, ensure_says, world};

/// Publishes a copy of 2 MiB, so that there is something that can be freed.
fn publish_copy(world: &World, node: &Node, name: &str) -> Result<Value> {
    let seed = name.bytes().map(u64::from).sum();
    let tree = Tree::new(seed).file("file.bin", 2 * MIB);
    let folder = tree.write(&world.path(format!("{name}.source")))?;
    let (path, license) = (folder.display().to_string(), ["--license", "CC0-1.0"]);
    let line = ["publish", &path, "--name", name, "--copy"];
    node.run(line.iter().chain(&license))?
        .ok()?
        .event("published")
}

fn versions_here(node: &Node) -> Result<Vec<Value>> {
    let listed = node.run(["ls"])?.ok()?.event("versions")?;
    Ok(listed["versions"].as_array().cloned().unwrap_or_default())
}

#[test]
fn p1_what_is_pinned_stays_until_it_is_unpinned() -> Result<()> {
    let world = world()?;
    let node = world.node("node");
    let published = publish_copy(&world, &node, "kept")?;
    let (dataset, version) = (text(&published, "dataset")?, text(&published, "manifest")?);
    publish_copy(&world, &node, "other")?;
    node.run(["pin", "kept"])?.ok()?;
    node.run(["unpin", "other"])?.ok()?;

    // The version is let go, but its dataset is not.
    let said = node.run(["unpin", &version])?.ok()?;
    ensure_says(&said, &["kept by other pins"])?;
    let refused = node.run(["rm", &version])?.code(2)?;
    ensure_says(
        &refused,
        &["is pinned", &format!("opendag unpin {dataset}")],
    )?;
    // The index is not the truth.
    fs::remove_dir_all(node.data_dir().join("index"))?;
    let planned = node.run(["gc", "--plan"])?.ok()?.event("freed")?;
    ensure!(versions_here(&node)?.len() == 2, "a plan touched something");
    let freed = node.run(["gc"])?.ok()?.event("freed")?;
    ensure!(
        planned["planned"] == true && freed["planned"] == false,
        "{planned} {freed}"
    );
    for field in ["versions", "bytes", "outboard_bytes", "description_bytes"] {
        ensure!(planned[field] == freed[field], "{planned} {freed}");
    }
    let gone = &freed["versions"][0];
    ensure!(
        gone["name"] == "other" && gone["why"] == "let_go" && gone["files_stay"] == false,
        "{freed}"
    );
    ensure!(
        gone["bytes"] == 2 * MIB && freed["outboard_bytes"] != 0,
        "{freed}"
    );
    let again = node.run(["gc"])?.ok()?.event("freed")?;
    ensure!(
        again["bytes"] == 0 && again["versions"] == Value::Array(vec![]),
        "{again}"
    );
    let here = versions_here(&node)?;
    ensure!(here.len() == 1, "{here:?}");
    ensure!(
        here[0]["manifest"] == version.as_str() && here[0]["pinned"] == "dataset",
        "{here:?}"
    );
    ensure!(here[0]["places"][0]["pinned"] == true, "{here:?}");
    node.run(["verify"])?.ok()?;

    let before = measure::disk_usage(node.data_dir())?;
    node.run(["unpin", "kept"])?.ok()?;
    node.run(["gc"])?.ok()?;
    ensure!(versions_here(&node)?.is_empty(), "it was let go");
    let after = measure::disk_usage(node.data_dir())?;
    ensure!(after + 2 * MIB <= before, "{before} became {after}");
    Ok(())
}

#[test]
fn a_pin_moves_nothing_and_holds_what_comes() -> Result<()> {
    let world = world()?;
    let source = Tree::new(7).file("x", 5000).write(&world.path("source"))?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let published = publisher.node().publish(&source, "data")?;
    let (dataset, version) = (text(&published, "dataset")?, text(&published, "manifest")?);
    let node = world.node("node");
    let said = node.run(["pin", &version])?.ok()?;
    ensure_says(
        &said,
        &["fetches nothing", "opendag fetch", "opendag mirror"],
    )?;
    ensure!(versions_here(&node)?.is_empty(), "nothing was to come");
    let pins = node.run(["pin"])?.ok()?.event("pins")?;
    ensure!(
        pins["pins"][0]["id"] == version.as_str()
            && pins["pins"][0]["here"] == Value::Array(vec![]),
        "{pins}"
    );

    let peer = ["--peer", publisher.address()?];
    node.run(["mirror", &dataset].iter().chain(&peer))?.ok()?;
    ensure_says(&node.run(["rm", "data"])?.code(2)?, &["is pinned"])?;
    let shown = node.run(["show", "data"])?.ok()?.event("versions")?;
    ensure!(shown["versions"][0]["pinned"] == "version", "{shown}");
    let place = text(&shown["versions"][0]["places"][0], "path")?;
    ensure_equal(&source, place.as_ref())?;
    let pins = node.run(["pin"])?.ok()?.event("pins")?;
    ensure!(
        pins["pins"][0]["name"] == "data" && pins["pins"][0]["here"][0] == version.as_str(),
        "{pins}"
    );
    node.run(["unpin", &version])?.ok()?;
    node.run(["unmirror", "data"])?.ok()?;
    node.run(["rm", "data"])?.ok()?;
    ensure!(versions_here(&node)?.is_empty(), "it was let go");
    Ok(())
}

/// What `quota` says.
fn quota(node: &Node, more: &[&str]) -> Result<Value> {
    node.run(std::iter::once(&"quota").chain(more))?
        .ok()?
        .event("quota")
}

/// Sets a budget with room for so many bytes beside records and what there is now.
fn allow(node: &Node, more: u64) -> Result<Value> {
    let now = quota(node, &[])?;
    let limit = number(&now, "used")? + more;
    quota(node, &[&format!("{limit}B")])
}

/// A daemon with two datasets of 8 MiB.
struct Seed {
    world: World,
    daemon: Daemon,
    datasets: Vec<String>,
}

impl Seed {
    fn start() -> Result<Self> {
        let world = world()?;
        let daemon = world.node("seed").daemon::<&str>([])?;
        let mut datasets = Vec::new();
        for (seed, name) in [(1, "one"), (2, "two")] {
            let tree = Tree::new(seed).file("file.bin", 8 * MIB);
            let folder = tree.write(&world.path(name))?;
            let published = daemon.node().publish(&folder, name)?;
            datasets.push(text(&published, "dataset")?);
        }
        Ok(Self {
            world,
            daemon,
            datasets,
        })
    }

    fn dataset(&self, number: usize) -> Result<&str> {
        let dataset = self.datasets.get(number).context("no such dataset")?;
        Ok(dataset)
    }

    fn bring(&self, node: &Node, line: &[&str]) -> Result<Finished> {
        let peer = ["--peer", self.daemon.address()?];
        node.run(line.iter().chain(&peer))
    }
}

#[test]
fn p6_a_fetch_that_would_pass_the_budget_is_refused_before_it_begins() -> Result<()> {
    let seed = Seed::start()?;
    let published = quota(seed.daemon.node(), &[])?;
    ensure!(
        published["limit"].is_null() && published["published"] == 16 * MIB,
        "{published}"
    );
    ensure!(number(&published, "used")? < 16 * MIB, "{published}");

    let node = seed.world.node("node");
    let first = seed.world.path("first").display().to_string();
    let second = seed.world.path("second").display().to_string();
    seed.bring(&node, &["fetch", seed.dataset(0)?, "-o", &first])?
        .ok()?;
    let set = allow(&node, 6 * MIB)?;
    ensure!(set["fetched"] == 8 * MIB && set["over"] == 0, "{set}");
    let refused = seed.bring(&node, &["fetch", seed.dataset(1)?, "-o", &second])?;
    let refused = refused.code(4)?;
    ensure_says(&refused, &["budget", "opendag quota", "opendag rm"])?;
    ensure!(
        !seed.world.path("second/file.bin").exists(),
        "something was fetched"
    );
    // What is here already needs no room; the budget is there after a restart.
    seed.bring(&node, &["fetch", seed.dataset(0)?, "-o", &first])?
        .ok()?;
    let daemon = node.daemon::<&str>([])?;
    let shown = quota(&node, &[])?;
    ensure!(shown["limit"] == set["limit"], "{shown} {set}");
    // Less than the user keeps: nothing of it goes, and that is said.
    let less = quota(&node, &["1MB"])?;
    ensure!(number(&less, "over")? > 7 * MIB, "{less}");
    ensure_equal(&seed.world.path("one"), first.as_ref())?;
    ensure!(quota(&node, &["none"])?["limit"].is_null(), "no budget");
    seed.bring(&node, &["fetch", seed.dataset(1)?, "-o", &second])?
        .ok()?;
    daemon.stop()?;
    Ok(())
}

#[test]
fn what_nothing_holds_makes_room_and_what_is_pinned_does_not() -> Result<()> {
    let seed = Seed::start()?;
    let node = seed.world.node("node");
    let second = seed.world.path("second").display().to_string();
    seed.bring(&node, &["mirror", seed.dataset(0)?])?.ok()?;
    allow(&node, 6 * MIB)?;
    node.run(["pin", "one"])?.ok()?;
    let fetch = ["fetch", seed.dataset(1)?, "-o", &second];
    seed.bring(&node, &fetch)?.code(4)?;
    ensure!(versions_here(&node)?.len() == 1, "what is pinned went");
    node.run(["verify"])?.ok()?;

    // A mirror holds it as long as there is room.
    let said = node.run(["unpin", "one"])?.ok()?;
    ensure_says(&said, &["kept by other pins or mirrors"])?;
    ensure_says(&node.run(["rm", "one"])?.code(2)?, &["opendag unmirror"])?;
    ensure!(quota(&node, &[])?["mirrored"] == 8 * MIB, "not mirrored");
    node.run(["unmirror", "one"])?.ok()?;
    let shown = quota(&node, &[])?;
    ensure!(shown["let_go"] == 8 * MIB && shown["kept"] == 0, "{shown}");
    seed.bring(&node, &fetch)?.ok()?;
    let shown = quota(&node, &[])?;
    ensure!(
        shown["let_go"] == 0 && shown["fetched"] == 8 * MIB && shown["over"] == 0,
        "{shown}"
    );
    let here = versions_here(&node)?;
    ensure!(here.len() == 1 && here[0]["name"] == "two", "{here:?}");
    ensure_equal(&seed.world.path("two"), second.as_ref())
}
