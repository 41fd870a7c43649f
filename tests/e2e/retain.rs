//! What stays on disk: pins, what is freed and why, the disk budget.

use std::fs;

use anyhow::{Result, ensure};
use opendag_tests::{MIB, Tree, World, measure, world::Node, world::text};
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
    node.run(["rm", "data"])?.ok()?;
    ensure!(versions_here(&node)?.is_empty(), "it was let go");
    Ok(())
}
