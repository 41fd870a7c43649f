//! Versions of one dataset: which one a link means, now and after restarts.

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use opendag_tests::{
    Tree,
    world::{Node, number, text},
};
use serde_json::Value;

use crate::common::{ensure_equal, ensure_says, world};

/// Publishes until nothing had to be read: what changed shortly before it was read is read again.
fn publish_at_rest(node: &Node, folder: &Path) -> Result<Value> {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let published = node.publish(folder, "data")?;
        if number(&published, "bytes_read")? == 0 {
            return Ok(published);
        }
        ensure!(Instant::now() < deadline, "read each time: {published}");
    }
}

#[test]
fn a_publish_reads_only_what_changed() -> Result<()> {
    let world = world()?;
    let folder = Tree::interesting(85).write(&world.path("folder"))?;
    fs::write(folder.join("large.bin"), vec![7; 3 << 20])?;
    let node = world.node("publisher");
    let first = node.publish(&folder, "data")?;
    ensure!(first["bytes_read"] == first["bytes"], "{first}");
    let same = publish_at_rest(&node, &folder)?;
    ensure!(same["manifest"] == first["manifest"] && same["new"] == false);

    // Same size, same time of modification, other bytes.
    let file = folder.join("large.bin");
    let dated = fs::metadata(&file)?.modified()?;
    fs::write(&file, vec![8; 3 << 20])?;
    File::options()
        .write(true)
        .open(&file)?
        .set_modified(dated)?;
    let second = node.publish(&folder, "data")?;
    ensure!(number(&second, "bytes_read")? == 3 << 20, "{second}");
    ensure!(number(&second, "sequence")? == 1, "{second}");

    // Other options give another version of the same files.
    let rested = publish_at_rest(&node, &folder)?;
    let path = folder.to_string_lossy();
    let line = [
        "publish",
        &path,
        "--name",
        "data",
        "--no-sha256",
        "--no-chunk-maps",
    ];
    let without = node.run(line)?.ok()?.event("published")?;
    ensure!(number(&without, "bytes_read")? == 0, "{without}");
    ensure!(without["manifest"] != rested["manifest"], "{without}");
    let with = node.publish(&folder, "data")?;
    ensure!(with["manifest"] != without["manifest"], "{with}");

    // What was put together of old and new hashes is right.
    node.run(["verify", &text(&with, "manifest")?])?.ok()?;
    Ok(())
}

#[test]
fn a_second_publish_makes_the_next_version() -> Result<()> {
    let world = world()?;
    let tree = Tree::interesting(81);
    let (old, new) = (
        tree.write(&world.path("old"))?,
        tree.write(&world.path("new"))?,
    );
    fs::write(new.join("added.txt"), b"added")?;
    fs::write(new.join("sizes/1.bin"), b"changed")?;
    fs::remove_file(new.join("sizes/1023.bin"))?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let first = publisher.node().publish(&old, "data")?;
    let second = publisher.node().publish(&new, "data")?;
    ensure!(number(&first, "sequence")? == 0 && number(&second, "sequence")? == 1);
    ensure!(first["dataset"] == second["dataset"]);
    let shown = publisher
        .node()
        .run(["show", &text(&second, "manifest")?])?
        .ok()?
        .event("versions")?;
    ensure!(
        shown["versions"][0]["parent"] == first["manifest"],
        "{shown}"
    );

    let (node, peer) = (world.node("fetcher"), ["--peer", publisher.address()?]);
    node.fetch(&text(&first, "manifest")?, &world.path("exactly"), &peer)?
        .ok()?;
    ensure_equal(&old, &world.path("exactly"))?;
    let newest = node
        .fetch(&text(&first, "dataset")?, &world.path("newest"), &peer)?
        .ok()?
        .event("fetched")?;
    ensure_equal(&new, &world.path("newest"))?;
    ensure!(newest["manifest"] == second["manifest"]);
    // What the old version already gave is not fetched again.
    ensure!(number(&newest, "received_bytes")? < 100_000, "{newest}");

    let log = publisher
        .node()
        .run(["log", "data"])?
        .ok()?
        .event("versions")?;
    ensure!(log["versions"].as_array().map(Vec::len) == Some(2), "{log}");
    let diff = publisher
        .node()
        .run([
            "diff",
            &text(&first, "manifest")?,
            &text(&second, "manifest")?,
        ])?
        .ok()?
        .event("diff")?;
    let paths = |kind: &str| {
        diff[kind]
            .as_array()
            .into_iter()
            .flatten()
            .map(|file| file["path"].clone())
            .collect::<Vec<_>>()
    };
    ensure!(paths("added") == ["added.txt"], "{diff}");
    ensure!(paths("removed") == ["sizes/1023.bin"], "{diff}");
    ensure!(paths("changed") == ["sizes/1.bin"], "{diff}");
    Ok(())
}

#[test]
fn verify_takes_a_folder_for_the_version_that_it_is_now() -> Result<()> {
    let world = world()?;
    let folder = Tree::interesting(86).write(&world.path("data"))?;
    let publisher = world.node("publisher");
    let old = publisher.publish(&folder, "data")?;
    fs::write(folder.join("sizes/1.bin"), b"changed")?;
    let new = publisher.publish(&folder, "data")?;
    ensure!(number(&new, "sequence")? == 1, "{new}");
    publisher.run(["verify"])?.ok()?;
    // Asked for by its id, the old version is told as it is: a file of it is gone.
    let old = text(&old, "manifest")?;
    publisher.run(["verify", &old])?.code(1)?;
    // What changed after the newest version is damage.
    fs::write(folder.join("sizes/1.bin"), b"damaged")?;
    publisher.run(["verify"])?.code(1)?;
    Ok(())
}

#[test]
fn publishing_the_same_again_makes_no_version() -> Result<()> {
    let world = world()?;
    let source = Tree::interesting(82).write(&world.path("source"))?;
    let node = world.node("publisher");
    let first = node.publish(&source, "data")?;
    let again = node.publish(&source, "data")?;
    ensure!(
        first["manifest"] == again["manifest"] && again["new"] == false,
        "{again}"
    );
    Ok(())
}

#[test]
fn p7_an_old_head_changes_nothing_also_after_a_restart() -> Result<()> {
    let world = world()?;
    let (old, new) = (world.path("old"), world.path("new"));
    Tree::new(83).file("x", 10).write(&old)?;
    Tree::new(84).file("x", 10).write(&new)?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let first = publisher.node().publish(&old, "data")?;
    let dataset = text(&first, "dataset")?;
    // This one sees only the first version, and repeats it to whoever asks.
    let behind = world.node("behind");
    let daemon = behind.daemon::<&str>([])?;
    behind
        .fetch(
            &dataset,
            &world.path("a"),
            &["--peer", publisher.address()?],
        )?
        .ok()?;
    daemon.stop()?;

    let second = publisher.node().publish(&new, "data")?;
    let reader = world.node("reader");
    let seen = reader
        .fetch(
            &dataset,
            &world.path("b"),
            &["--peer", publisher.address()?],
        )?
        .ok()?
        .event("fetched")?;
    ensure!(seen["manifest"] == second["manifest"]);
    publisher.stop()?;

    let daemon = behind.daemon::<&str>([])?;
    let stale = ["--peer", daemon.address()?];
    for _ in 0..2 {
        let shown = reader
            .run(["show", &dataset, stale[0], stale[1]])?
            .ok()?
            .event("versions")?;
        ensure!(
            shown["versions"][0]["manifest"] == second["manifest"],
            "{shown}"
        );
        let again = reader
            .fetch(&dataset, &world.path("b"), &stale)?
            .ok()?
            .event("fetched")?;
        ensure!(again["manifest"] == second["manifest"]);
    }
    // Negative control: who does not know better takes the old one.
    let fresh = world
        .node("fresh")
        .fetch(&dataset, &world.path("c"), &stale)?
        .ok()?
        .event("fetched")?;
    ensure!(fresh["manifest"] == first["manifest"]);
    Ok(())
}

#[test]
fn p7_gossip_and_asking_bring_the_newest_to_a_running_node() -> Result<()> {
    let world = world()?;
    let (old, new) = (world.path("old"), world.path("new"));
    Tree::new(85).file("x", 10).write(&old)?;
    Tree::new(86).file("x", 10).write(&new)?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let first = publisher.node().publish(&old, "data")?;
    let mirror = world
        .node("mirror")
        .daemon(["--bootstrap", publisher.address()?])?;
    let dataset = text(&first, "dataset")?;
    mirror.node().fetch(&dataset, &world.path("a"), &[])?.ok()?;
    let second = publisher.node().publish(&new, "data")?;
    let fetched = mirror
        .node()
        .fetch(&dataset, &world.path("b"), &[])?
        .ok()?
        .event("fetched")?;
    ensure!(fetched["manifest"] == second["manifest"], "{fetched}");
    ensure_equal(&new, &world.path("b"))
}

#[test]
fn p7_of_two_named_peers_the_one_that_knows_the_newest_version_counts() -> Result<()> {
    let world = world()?;
    let (old, new) = (world.path("old"), world.path("new"));
    Tree::new(87).file("x", 10).write(&old)?;
    Tree::new(88).file("x", 10).write(&new)?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let first = publisher.node().publish(&old, "data")?;
    let dataset = text(&first, "dataset")?;
    let behind = world.node("behind");
    let named = ["--peer", publisher.address()?];
    behind.fetch(&dataset, &world.path("a"), &named)?.ok()?;
    let second = publisher.node().publish(&new, "data")?;
    // It was away meanwhile, and knows the first version only.
    let daemon = behind.daemon::<&str>([])?;
    for round in 0..3 {
        let (peers, out) = (["--peer", daemon.address()?], format!("b{round}"));
        let fetched = world
            .node(&format!("reader{round}"))
            .fetch(
                &dataset,
                &world.path(&out),
                &[peers[0], peers[1], named[0], named[1]],
            )?
            .ok()?
            .event("fetched")?;
        ensure!(fetched["manifest"] == second["manifest"], "{fetched}");
        ensure_equal(&new, &world.path(&out))?;
    }
    Ok(())
}

#[test]
fn rotated_owners_publish_on_and_the_id_stays() -> Result<()> {
    let world = world()?;
    let source = Tree::new(87).file("x", 10).write(&world.path("source"))?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let node = publisher.node();
    let first = node.publish(&source, "data")?;
    node.run(["key", "new", "second"])?.ok()?;
    let rotated = node
        .run(["key", "rotate", "data", "--owner", "second"])?
        .ok()?
        .event("rotated")?;
    ensure!(
        rotated["dataset"] == first["dataset"] && number(&rotated, "sequence")? == 1,
        "{rotated}"
    );
    fs::write(source.join("y"), b"y")?;
    let path = source.display().to_string();
    let second = node
        .run(["publish", &path, "--name", "data", "--key", "second"])?
        .ok()?
        .event("published")?;
    ensure!(
        second["dataset"] == first["dataset"] && number(&second, "sequence")? == 1,
        "{second}"
    );

    let output = world.path("fetched");
    let dataset = text(&first, "dataset")?;
    world
        .node("fetcher")
        .fetch(&dataset, &output, &["--peer", publisher.address()?])?
        .ok()?;
    ensure_equal(&source, &output)
}

#[test]
fn keys_can_be_taken_to_another_node() -> Result<()> {
    let world = world()?;
    let source = Tree::new(88).file("x", 10).write(&world.path("source"))?;
    let (one, two) = (world.node("one"), world.node("two"));
    one.publish(&source, "data")?;
    let file = world.path("default.key");
    let path = file.display().to_string();
    one.run(["key", "export", "default", &path])?.ok()?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file)?.permissions());
    ensure!(
        mode & 0o077 == 0,
        "others may read an exported key: {mode:o}"
    );
    two.run(["key", "import", "moved", &path])?.ok()?;
    let keys = |node: &opendag_tests::Node| node.run(["key", "list"])?.ok()?.event("keys");
    let (one, two) = (keys(&one)?, keys(&two)?);
    ensure!(
        one["keys"][0]["public"] == two["keys"][0]["public"] && two["keys"][0]["name"] == "moved",
        "{one} {two}"
    );
    Ok(())
}

#[test]
fn a_dataset_begins_with_a_licence_and_keeps_it() -> Result<()> {
    let world = world()?;
    let node = world.node("publisher");
    let folder = Tree::new(91).file("x", 10).write(&world.path("a"))?;
    let path = folder.display().to_string();
    let line = ["publish", &path, "--name", "data"];
    let refused = node.run(line)?.code(2)?;
    ensure_says(&refused, &["--license", "CC-BY-4.0", "LicenseRef-"])?;
    let terms = ["--license", "LicenseRef-my-terms"];
    let first = node.run(line.iter().chain(&terms))?;
    let first = first.ok()?.event("published")?;
    ensure!(
        first["license"] == terms[1] && first["license_kept"] == false,
        "{first}"
    );

    fs::write(folder.join("y"), b"y")?;
    let second = node.run(line)?.ok()?.event("published")?;
    ensure!(
        second["license"] == terms[1] && second["license_kept"] == true,
        "{second}"
    );
    let shown = node.run(["show", "data"])?.ok()?.event("versions")?;
    ensure!(shown["versions"][0]["license"] == terms[1], "{shown}");

    // Another dataset does not take it over.
    node.run(["publish", &path, "--name", "other"])?.code(2)?;
    Ok(())
}

#[test]
fn lineage_is_kept_and_shown() -> Result<()> {
    let world = world()?;
    let node = world.node("publisher");
    let first = node.publish(&Tree::new(89).file("x", 10).write(&world.path("a"))?, "raw")?;
    let derived = Tree::new(90)
        .file("y", 10)
        .write(&world.path("b"))?
        .display()
        .to_string();
    let manifest = text(&first, "manifest")?;
    let args = [
        "publish",
        &derived,
        "--name",
        "clean",
        "--derived-from",
        &manifest,
        "--license",
        "CC-BY-4.0",
    ];
    node.run(args)?.ok()?;
    let shown = node.run(["show", "clean"])?.ok()?.event("versions")?;
    ensure!(
        shown["versions"][0]["derived_from"][0] == first["manifest"],
        "{shown}"
    );
    let refused = node
        .run([
            "publish",
            &derived,
            "--name",
            "clean",
            "--license",
            "Not A Licence",
        ])?
        .code(2)?;
    ensure_says(&refused, &["licen"])
}
