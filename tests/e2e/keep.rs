//! Keeping, letting go, freeing; and a node that has lost its index.

use std::fs;

use anyhow::{Result, ensure};
use opendag_tests::{MIB, Tree, measure, tree::paths, world::text};

use crate::common::{ensure_equal, world};

#[test]
fn removing_one_of_two_datasets_leaves_the_other_whole() -> Result<()> {
    let world = world()?;
    let shared = Tree::new(91)
        .file("shared.bin", 4 * MIB)
        .file("shared.txt", 5000);
    let one = shared
        .clone()
        .file("own.bin", 2 * MIB)
        .write(&world.path("one"))?;
    let two = shared
        .file("other.bin", 2 * MIB)
        .write(&world.path("two"))?;
    let node = world.node("publisher");
    let copy = |path: &std::path::Path, name: &str| {
        node.run([
            "publish",
            &path.display().to_string(),
            "--name",
            name,
            "--license",
            "CC0-1.0",
            "--copy",
        ])?
        .ok()?
        .event("published")
    };
    copy(&one, "one")?;
    let published = copy(&two, "two")?;
    let kept = world.path("kept");
    fs::rename(&two, &kept)?;
    let before = measure::disk_usage(node.data_dir())?;
    let removed = node.run(["rm", "one"])?.ok()?.event("changed")?;
    let after = measure::disk_usage(node.data_dir())?;
    ensure!(
        before - after.min(before) >= 2 * MIB,
        "{before} became {after}: {removed}"
    );

    // Also after what is not needed is collected, and after a restart.
    node.run(["gc"])?.ok()?;
    let daemon = node.daemon::<&str>([])?;
    let output = world.path("fetched");
    world
        .node("fetcher")
        .fetch(
            &text(&published, "dataset")?,
            &output,
            &["--peer", daemon.address()?],
        )?
        .ok()?;
    ensure_equal(&kept, &output)?;
    let left = node.run(["ls"])?.ok()?.event("versions")?;
    ensure!(
        left["versions"].as_array().map(Vec::len) == Some(1),
        "{left}"
    );
    Ok(())
}

#[test]
fn removing_never_touches_published_files() -> Result<()> {
    let world = world()?;
    let tree = Tree::interesting(92);
    let (source, kept) = (
        tree.write(&world.path("source"))?,
        tree.write(&world.path("kept"))?,
    );
    let node = world.node("publisher");
    node.publish(&source, "data")?;
    node.run(["unpin", "data"])?.ok()?;
    node.run(["gc"])?.ok()?;
    ensure_equal(&kept, &source)?;
    let second = node.publish(&source, "data")?;
    ensure!(second["sequence"] == 0, "{second}");
    node.run(["rm", "data"])?.ok()?;
    ensure_equal(&kept, &source)
}

#[test]
fn p9_a_lost_index_is_rebuilt_by_itself() -> Result<()> {
    let world = world()?;
    let source = Tree::interesting(93).write(&world.path("source"))?;
    let node = world.node("publisher");
    let published = node.publish(&source, "data")?;
    fs::remove_dir_all(node.data_dir().join("index"))?;
    let daemon = node.daemon::<&str>([])?;
    let output = world.path("fetched");
    let dataset = text(&published, "dataset")?;
    world
        .node("fetcher")
        .fetch(&dataset, &output, &["--peer", daemon.address()?])?
        .ok()?;
    ensure_equal(&source, &output)
}

#[test]
fn p9_a_damaged_index_is_rebuilt_and_versions_go_on() -> Result<()> {
    let world = world()?;
    let source = Tree::interesting(94).write(&world.path("source"))?;
    let node = world.node("publisher");
    let first = node.publish(&source, "data")?;
    for path in paths(&node.data_dir().join("index"))? {
        if path.is_file() {
            fs::write(&path, vec![0xa5; 100_000])?;
        }
    }
    fs::write(source.join("more"), b"more")?;
    let second = node.publish(&source, "data")?;
    ensure!(
        second["dataset"] == first["dataset"] && second["sequence"] == 1,
        "{second}"
    );
    node.run(["reindex"])?.ok()?;
    let log = node.run(["log", "data"])?.ok()?.event("versions")?;
    ensure!(log["versions"].as_array().map(Vec::len) == Some(2), "{log}");
    Ok(())
}

#[test]
fn p9_a_torn_record_segment_loses_no_whole_record() -> Result<()> {
    let world = world()?;
    let source = Tree::interesting(95).write(&world.path("source"))?;
    let node = world.node("publisher");
    let first = node.publish(&source, "data")?;
    // What a power cut leaves: half an entry at the end.
    let segments = paths(&node.data_dir().join("records"))?;
    let last = segments
        .iter()
        .rfind(|path| path.is_file())
        .ok_or_else(|| anyhow::anyhow!("no segment"))?;
    let mut bytes = fs::read(last)?;
    let torn = bytes.get(..37).unwrap_or_default().to_vec();
    bytes.extend(torn);
    fs::write(last, bytes)?;
    fs::remove_dir_all(node.data_dir().join("index"))?;
    let shown = node.run(["show", "data"])?.ok()?.event("versions")?;
    ensure!(
        shown["versions"][0]["manifest"] == first["manifest"],
        "{shown}"
    );
    node.run(["verify"])?.ok()?;
    Ok(())
}

#[test]
fn p9_an_altered_record_is_noticed_and_the_node_starts() -> Result<()> {
    let world = world()?;
    let source = Tree::interesting(96).write(&world.path("source"))?;
    let node = world.node("publisher");
    node.publish(&source, "data")?;
    node.publish(
        &Tree::new(97).file("z", 3).write(&world.path("other"))?,
        "other",
    )?;
    let segments = paths(&node.data_dir().join("records"))?;
    let last = segments
        .iter()
        .rfind(|path| path.is_file())
        .ok_or_else(|| anyhow::anyhow!("no segment"))?;
    opendag_tests::tree::flip_bit(last, 100, opendag_tests::tree::Mtime::Keep)?;
    fs::remove_dir_all(node.data_dir().join("index"))?;
    // Whatever was lost, the node works.
    let again = node.publish(&source, "data")?;
    let daemon = node.daemon::<&str>([])?;
    let output = world.path("fetched");
    let manifest = text(&again, "manifest")?;
    world
        .node("fetcher")
        .fetch(&manifest, &output, &["--peer", daemon.address()?])?
        .ok()?;
    ensure_equal(&source, &output)
}

#[test]
fn a_mirrored_version_is_served_and_freed() -> Result<()> {
    let world = world()?;
    let source = Tree::interesting(98).write(&world.path("source"))?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let published = publisher.node().publish(&source, "data")?;
    let mirror = world
        .node("mirror")
        .daemon(["--bootstrap", publisher.address()?])?;
    mirror
        .node()
        .run(["mirror", &text(&published, "link")?])?
        .ok()?;
    publisher.stop()?;

    let output = world.path("fetched");
    let peer = ["--peer", mirror.address()?];
    world
        .node("fetcher")
        .fetch(&text(&published, "dataset")?, &output, &peer)?
        .ok()?;
    ensure_equal(&source, &output)?;

    let before = measure::disk_usage(mirror.node().data_dir())?;
    mirror.node().run(["unmirror", "data"])?.ok()?;
    mirror.node().run(["gc"])?.ok()?;
    let after = measure::disk_usage(mirror.node().data_dir())?;
    ensure!(
        after + 8 * MIB < before,
        "{before} became {after}: nothing was freed"
    );
    Ok(())
}
