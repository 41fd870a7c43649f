//! Owners who contradict themselves, and keys that were taken from their thieves.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, ensure};
use opendag_protocol::Timestamp;
use opendag_tests::{
    Tree, World,
    hostile::{Author, Conduct, Files, Library, Peer, Version},
    http,
    world::{number, text},
};
use serde_json::Value;

use crate::common::{ensure_equal, ensure_says, world};

fn files(text: &str) -> Files {
    Files::from([("x".to_owned(), text.as_bytes().to_vec())])
}

fn serve(world: &World, seed: u8, version: Version) -> Result<Peer> {
    Peer::start(
        world.network(),
        seed,
        Library::from(version),
        Conduct::Honest,
    )
}

/// A dataset whose owner signed two second versions.
struct Fork {
    author: Author,
    root: Version,
    one: Version,
    other: Version,
}

impl Fork {
    fn new(seed: u8) -> Result<Self> {
        let author = Author::new(seed, "forked")?;
        let root = author.version(0, None, &files("root"))?;
        let one = author.version(1, Some(root.manifest), &files("one"))?;
        let other = author.version(1, Some(root.manifest), &files("other"))?;
        // By the clock of its owner it is the newer one.
        let later = Timestamp::from_secs(author.now.as_secs() + 1);
        let head = author.head(1, other.manifest, later)?;
        let other = other.with_head(head);
        Ok(Self {
            author,
            root,
            one,
            other,
        })
    }
}

fn shown(node: &opendag_tests::Node, link: &str) -> Result<Value> {
    let shown = node.run(["show", link])?.ok()?.event("versions")?;
    Ok(shown["versions"][0].clone())
}

/// What `show` says names both versions, when they were made, and by whom.
fn ensure_told(shown: &Value, one: &str, other: &str) -> Result<()> {
    let forks = shown["forks"].as_array().cloned().unwrap_or_default();
    let versions = forks.iter().find(|fork| fork["kind"] == "manifest");
    let versions = versions.unwrap_or(&Value::Null);
    ensure!(
        versions["open"] == true && number(versions, "sequence")? == 1,
        "{shown}"
    );
    ensure!(versions["first"]["manifest"] == one, "{shown}");
    ensure!(versions["second"]["manifest"] == other, "{shown}");
    for side in ["first", "second"] {
        ensure!(number(&versions[side], "at")? > 0, "{shown}");
        let signers = versions[side]["signers"].as_array().map(Vec::len);
        ensure!(signers == Some(1), "{shown}");
    }
    Ok(())
}

#[test]
fn p7_s8_a_fork_is_shown_and_never_taken_without_a_word() -> Result<()> {
    let world = world()?;
    let fork = Fork::new(61)?;
    let dataset = fork.one.dataset.to_string();
    let (one, other) = (
        fork.one.manifest.to_string(),
        fork.other.manifest.to_string(),
    );
    let reader = world.node("reader");
    let peer = serve(&world, 62, fork.root.clone().and(&fork.one))?;
    let from = ["--peer", peer.address()];
    let fetched = reader.fetch(&dataset, &world.path("a"), &from)?.ok()?;
    ensure!(fetched.event("fetched")?["manifest"] == one.as_str());
    drop(peer);

    let both = fork.root.clone().and(&fork.one).and(&fork.other);
    let peer = serve(&world, 63, both)?;
    let from = ["--peer", peer.address()];
    // Each command is a new process: what was proved once stays proved.
    for _ in 0..2 {
        let refused = reader.fetch(&dataset, &world.path("b"), &from)?.code(4)?;
        ensure_says(&refused, &[&one, &other, "--accept-fork", "number 1"])?;
        ensure!(!world.path("b").exists(), "something was written");
    }
    ensure_told(&shown(&reader, &dataset)?, &one, &other)?;

    // Whoever says which one, or that it does not matter, gets it.
    for (name, manifest) in [("one", &one), ("other", &other)] {
        let output = world.path(format!("exactly-{name}"));
        reader.fetch(manifest, &output, &from)?.ok()?;
        ensure!(fs::read(output.join("x"))? == name.as_bytes());
    }
    let accepting = [from[0], from[1], "--accept-fork"];
    let fetched = reader.fetch(&dataset, &world.path("b"), &accepting)?.ok()?;
    ensure!(fetched.event("fetched")?["manifest"] == other.as_str());

    // The owner goes on from one of them: that decides it.
    let third = fork
        .author
        .version(2, Some(fork.one.manifest), &files("third"))?;
    let all = fork
        .root
        .clone()
        .and(&fork.one)
        .and(&fork.other)
        .and(&third);
    let peer = serve(&world, 64, all)?;
    let from = ["--peer", peer.address()];
    let fetched = reader.fetch(&dataset, &world.path("c"), &from)?.ok()?;
    ensure!(fetched.event("fetched")?["manifest"] == third.manifest.to_string());
    let shown = shown(&reader, &dataset)?;
    ensure!(
        shown["forks"][0]["open"] == false,
        "still shown, and decided: {shown}"
    );
    Ok(())
}

#[test]
fn p7_s8_the_gateway_keeps_the_version_that_it_knew_before_a_fork() -> Result<()> {
    let world = world()?;
    let fork = Fork::new(65)?;
    let dataset = fork.one.dataset.to_string();
    let reader = world.node("reader");
    let peer = serve(&world, 66, fork.root.clone().and(&fork.one))?;
    let from = ["--peer", peer.address()];
    reader.fetch(&dataset, &world.path("a"), &from)?.ok()?;
    let both = fork.root.clone().and(&fork.one).and(&fork.other);
    let liar = serve(&world, 67, both)?;
    let from = ["--peer", liar.address()];
    reader.fetch(&dataset, &world.path("b"), &from)?.code(4)?;
    let output = world.path("other");
    reader
        .fetch(&fork.other.manifest.to_string(), &output, &from)?
        .ok()?;

    let daemon = reader.daemon(["--gateway", "127.0.0.1:0"])?;
    let url = text(&daemon.ready, "gateway")?;
    let get = |path: &str| http::request(&url, "GET", path, &[], "");
    let got = get(&format!("/d/{dataset}/x"))?;
    ensure!(got.status == 200 && got.body == b"one", "{got:?}");
    let exactly = get(&format!("/d/{}/x", fork.other.manifest))?;
    ensure!(
        exactly.body == b"other",
        "negative control: the other is here as well"
    );
    Ok(())
}

/// A copy of a data directory as a thief of its keys has it: as another node.
fn steal(from: &Path, to: &Path) -> Result<()> {
    ensure!(
        Command::new("cp")
            .arg("-a")
            .args([from, to])
            .status()?
            .success()
    );
    fs::remove_file(to.join("identity"))?;
    Ok(())
}

#[test]
fn p7_a_revoked_key_brings_back_no_older_history() -> Result<()> {
    let world = world()?;
    let folder = Tree::new(401).file("x", 10).write(&world.path("folder"))?;
    let owner = world.node("owner");
    let first = owner.publish(&folder, "data")?;
    let dataset = text(&first, "dataset")?;
    let thief = world.node("thief");
    steal(owner.data_dir(), thief.data_dir())?;

    owner.run(["key", "new", "second"])?.ok()?;
    owner
        .run(["key", "rotate", "data", "--owner", "second"])?
        .ok()?;
    fs::write(folder.join("y"), b"y")?;
    let path = folder.display().to_string();
    let line = ["publish", &path, "--name", "data", "--key", "second"];
    let newest = owner.run(line)?.ok()?.event("published")?;
    let reader = world.node("reader");
    let daemon = owner.daemon::<&str>([])?;
    let honest = ["--peer", daemon.address()?];
    reader.fetch(&dataset, &world.path("a"), &honest)?.ok()?;
    daemon.stop()?;

    // The thief goes on with the key that it has, by far and by clock ahead of the owner.
    let stolen = Tree::new(402).file("z", 10).write(&world.path("stolen"))?;
    let mut last = Value::Null;
    for number in 0..3 {
        fs::write(stolen.join("more"), [number])?;
        last = thief.publish(&stolen, "data")?;
    }
    ensure!(
        last["dataset"] == dataset.as_str() && number(&last, "sequence")? == 3,
        "{last}"
    );
    let daemon = thief.daemon::<&str>([])?;
    let peer = ["--peer", daemon.address()?];
    // Each command is a new process on the same data directory.
    for _ in 0..2 {
        let shown = reader.run(["show", &dataset, peer[0], peer[1]])?.ok()?;
        let shown = shown.event("versions")?;
        ensure!(
            shown["versions"][0]["manifest"] == newest["manifest"],
            "{shown}"
        );
        ensure!(
            shown["versions"][0]["forks"] == serde_json::json!([]),
            "{shown}"
        );
        let fetched = reader.fetch(&dataset, &world.path("a"), &peer)?.ok()?;
        ensure!(fetched.event("fetched")?["manifest"] == newest["manifest"]);
        ensure_equal(&folder, &world.path("a"))?;
    }
    // Negative control: who never heard of the rotation believes the thief.
    let naive = world
        .node("naive")
        .fetch(&dataset, &world.path("b"), &peer)?
        .ok()?;
    ensure!(naive.event("fetched")?["manifest"] == last["manifest"]);
    Ok(())
}
