//! Denylists: what stops on the node of whoever heeds one, and nowhere else.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use opendag_protocol::{BlobId, Hash, ManifestId};
use opendag_tests::{
    Daemon, MIB, Node, Tree,
    hostile::Curious,
    http,
    world::{COMMAND_TIME_MAX, text},
};

use crate::{
    catalogue::{known, wait_until_known},
    common::{ensure_equal, ensure_says, world},
    community::ensure_said,
};

/// How long what is told may take to come: catalogues are compared about once a minute.
const HEARD_MAX: Duration = Duration::from_secs(150);

/// What `ls` lists.
fn listed(node: &Node) -> Result<Vec<String>> {
    let versions = node.run(["ls"])?.ok()?.event("versions")?;
    let versions = versions["versions"].as_array().context("versions")?;
    versions
        .iter()
        .map(|version| text(version, "name"))
        .collect()
}

#[test]
fn a_subscribed_denylist_stops_this_node_and_no_other() -> Result<()> {
    let world = world()?;
    let nodes = [
        "publisher",
        "reader",
        "bystander",
        "late",
        "later",
        "warden",
    ];
    let nodes = nodes.map(|name| world.node(name));
    for node in &nodes {
        node.config("dht = false\nmdns = false\n")?;
    }
    let [publisher, reader, bystander, late, later, warden] = nodes;
    let (bad, good) = (world.path("bad"), world.path("good"));
    for (folder, content) in [(&bad, "bad"), (&good, "good")] {
        fs::create_dir(folder)?;
        fs::write(folder.join("x"), content.repeat(1000))?;
    }
    let denied = publisher.publish(&bad, "denied")?;
    let dataset = text(&denied, "dataset")?;
    let other = text(&publisher.publish(&good, "other")?, "dataset")?;
    let seed = publisher.daemon::<&str>([])?;
    let from = ["--peer", seed.address()?];
    for (node, output) in [(&reader, "r"), (&bystander, "b")] {
        node.fetch(&dataset, &world.path(output), &from)?.ok()?;
    }
    reader.fetch(&other, &world.path("r-other"), &from)?.ok()?;
    seed.stop()?;

    let deny = [
        "denylist",
        "add",
        "--dataset",
        &dataset,
        "--reason",
        "taken without asking",
    ];
    warden.run(deny)?.ok()?;
    let published = warden.run(["denylist", "publish"])?.ok()?;
    let words = published
        .lines
        .iter()
        .flat_map(|line| line.split(|c: char| c != ':' && !c.is_alphanumeric()));
    let key = words
        .into_iter()
        .find(|word| word.starts_with("ed25519:"))
        .context("a key")?
        .to_owned();
    // A list of somebody to whom nobody subscribed does nothing, and one that is heeded comes by itself.
    ensure!(listed(&reader)?.contains(&"denied".to_owned()));
    let told = warden.daemon::<&str>([])?;
    let daemon = reader.daemon(["--bootstrap", told.address()?])?;
    reader.run(["denylist", "subscribe", &key])?.ok()?;
    let deadline = Instant::now() + HEARD_MAX;
    while listed(&reader)? != ["other"] {
        ensure!(Instant::now() < deadline, "the list did not come");
    }
    daemon.stop()?;
    told.stop()?;

    let found = |words: &str| -> Result<bool> {
        let found = reader.run(["search", words])?.ok()?;
        Ok(found.lines.iter().any(|line| line.contains("\"found\"")))
    };
    ensure!(!found("denied")? && found("other")?);

    // It is neither fetched, nor read, nor given to others, each with the reason; all else goes on.
    let why = ["taken without asking", &key];
    let again = reader.fetch(&dataset, &world.path("again"), &[])?.code(4)?;
    ensure_says(&again, &why)?;
    let shown = reader.run(["show", &dataset])?.ok()?;
    ensure_says(&shown, &why)?;
    let daemon = reader.daemon(["--gateway", "127.0.0.1:0"])?;
    let gateway = text(&daemon.ready, "gateway")?;
    let get = |of: &str| http::request(&gateway, "GET", &format!("/d/{of}/x"), &[], "");
    let refused = get(&dataset)?;
    ensure!(refused.status == 451, "{}", refused.status);
    ensure!(String::from_utf8_lossy(&refused.body).contains("taken without asking"));
    ensure!(get(&other)?.status == 200);
    let from_reader = ["--peer", daemon.address()?, "--timeout", "4s"];
    late.fetch(&other, &world.path("l-other"), &from_reader)?
        .ok()?;
    late.fetch(&dataset, &world.path("l"), &from_reader)?
        .code(3)?;
    let free = bystander.daemon::<&str>([])?;
    later
        .fetch(&dataset, &world.path("l2"), &["--peer", free.address()?])?
        .ok()?;

    // Also whoever knows its ids gets nothing.
    let (manifest, shard) = (
        text(&denied, "manifest")?,
        Hash::of(&fs::read(bad.join("x"))?),
    );
    let asks = |of: &Daemon, seed| -> Result<[bool; 3]> {
        let curious = Curious::start(world.network(), seed, of.address()?)?;
        Ok([
            curious.gets_dataset(dataset.parse()?)?,
            curious.gets_record(manifest.parse::<ManifestId>()?.into())?,
            curious.gets_blob(shard)?,
        ])
    };
    ensure!(asks(&daemon, 91)? == [false; 3]);
    ensure!(asks(&free, 92)? == [true; 3], "others give it as ever");
    let curious = Curious::start(world.network(), 93, daemon.address()?)?;
    ensure!(curious.gets_blob(Hash::of(&fs::read(good.join("x"))?))?);

    // It ends with the subscription.
    reader.run(["denylist", "unsubscribe", &key])?.ok()?;
    ensure!(get(&dataset)?.status == 200);
    ensure!(asks(&daemon, 94)? == [true; 3]);
    late.fetch(&dataset, &world.path("l"), &from_reader)?.ok()?;
    Ok(())
}

#[test]
fn ones_own_denylist_hides_reviews_and_can_be_ignored_for_a_fetch() -> Result<()> {
    let world = world()?;
    let (source, node) = (world.path("source"), world.node("reader"));
    Tree::new(91).file("x", 1000).write(&source)?;
    let published = node.publish(&source, "mine")?;
    let manifest = text(&published, "manifest")?;
    node.run(["key", "new", "troll"])?.ok()?;
    let said = ["review", "mine", "--rating", "1", "--key", "troll"];
    let said = node.run(said)?.ok()?.event("reviewed")?;
    let troll = text(&said, "author")?;
    ensure_said(&node, "mine", Some(1.0), &[1])?;
    let deny = ["denylist", "add", &troll, "--reason", "rude"];
    node.run(deny)?.ok()?;
    ensure_said(&node, "mine", None, &[])?;
    let lists = node.run(["denylist", "list"])?.ok()?;
    ensure_says(&lists, &[&troll, "rude"])?;
    node.run(["denylist", "remove", &troll])?.ok()?;
    ensure_said(&node, "mine", Some(1.0), &[1])?;
    node.run(["denylist", "remove", &troll])?.code(2)?;

    node.run(["denylist", "add", &manifest])?.ok()?;
    let output = world.path("output");
    let refused = node.fetch(&manifest, &output, &[])?.code(4)?;
    ensure_says(&refused, &["your own denylist", "--ignore-denylists"])?;
    node.fetch(&manifest, &output, &["--ignore-denylists"])?
        .ok()?;
    ensure!(listed(&node)?.is_empty(), "what is denied is listed");
    // An entry that has expired does nothing.
    node.run(["denylist", "add", &manifest, "--expires", "0s"])?
        .ok()?;
    ensure!(!listed(&node)?.is_empty());

    let published = node.run(["denylist", "publish"])?.ok()?;
    ensure_says(&published, &["1 entries", "ed25519:"])?;
    let nobody = node.run(["denylist", "subscribe", "nobody"])?.code(2)?;
    ensure_says(&nobody, &["nobody"])
}

#[test]
fn what_a_denied_publisher_says_is_not_passed_on() -> Result<()> {
    let world = world()?;
    let nodes = ["first", "between", "last"].map(|name| world.node(name));
    for node in &nodes {
        // No way from the first to the last but through the one between.
        node.config("dht = false\nmdns = false\n")?;
    }
    let [first, between, last] = nodes;
    let source = Tree::new(95).file("x", 1000).write(&world.path("source"))?;
    let made = first.run(["key", "new", "bad"])?.ok()?.event("keys")?;
    let bad = made["keys"].as_array().context("keys")?;
    let bad = bad
        .iter()
        .find(|key| key["name"] == "bad")
        .context("the key")?;
    between
        .run(["denylist", "add", &text(bad, "public")?])?
        .ok()?;
    let from = first.daemon::<&str>([])?;
    let way = between.daemon(["--bootstrap", from.address()?])?;
    let to = last.daemon(["--bootstrap", way.address()?])?;

    // By gossip: the denied one is told first, and the other one arrives.
    let path = source.to_string_lossy();
    for (name, key) in [("denied", "bad"), ("other", "default")] {
        let publish = [
            "publish",
            &path,
            "--name",
            name,
            "--key",
            key,
            "--license",
            "CC0-1.0",
        ];
        first.run(publish)?.ok()?;
    }
    wait_until_known(&to, 1, HEARD_MAX)?;
    last.run(["show", "other"])?.ok()?;
    ensure!(known(&way)? == 1, "the one between keeps what is denied");

    // By comparing.
    let late = world.node("late");
    late.config("dht = false\nmdns = false\n")?;
    let late = late.daemon(["--bootstrap", way.address()?])?;
    wait_until_known(&late, 1, HEARD_MAX)?;
    late.node().run(["show", "other"])?.ok()?;

    // It ends with the entry.
    way.stop()?;
    between
        .run(["denylist", "remove", &text(bad, "public")?])?
        .ok()?;
    let way = between.daemon(["--bootstrap", from.address()?])?;
    wait_until_known(&way, 2, HEARD_MAX)?;
    ensure!(known(&to)? == 1 && known(&late)? == 1);
    Ok(())
}

#[test]
fn what_is_denied_while_it_is_fetched_is_fetched_no_further() -> Result<()> {
    let world = world()?;
    let tree = Tree::new(61)
        .file("large.bin", 24 * MIB)
        .file("small.txt", 90_000);
    let source = tree.write(&world.path("source"))?;
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let dataset = text(&publisher.node().publish(&source, "data")?, "dataset")?;
    let reader = world.node("reader");
    let daemon = reader.daemon([
        "--bootstrap",
        publisher.address()?,
        "--download-limit",
        "4MB",
    ])?;
    let blob = BlobId::from_hash(Hash::of(&fs::read(source.join("large.bin"))?)).to_string();
    for denied in [&dataset, &blob] {
        let output = world.path(denied);
        let mut fetch = reader.start_fetch(&dataset, &output, &[])?;
        fetch.wait_for("some of it", COMMAND_TIME_MAX, |event| {
            event["phase"] == "fetch" && event["received_bytes"].as_u64() > Some(MIB)
        })?;
        let deny = ["denylist", "add", denied, "--reason", "it was stolen"];
        reader.run(deny)?.ok()?;
        let stopped = fetch.finish(COMMAND_TIME_MAX)?.code(4)?;
        ensure_says(&stopped, &["it was stolen"])?;
        ensure!(!output.join("large.bin").exists(), "it was fetched");
        let received = stopped.received_bytes();
        ensure!(received < 20 * MIB, "{received} bytes came all the same");
        reader.run(["denylist", "remove", denied])?.ok()?;
    }
    // What came stays, and the fetch goes on when it may.
    let output = world.path(&dataset);
    let fetched = reader.fetch(&dataset, &output, &[])?.ok()?;
    let received = fetched.received_bytes();
    ensure!(received < 24 * MIB, "{received} bytes came again");
    ensure_equal(&source, &output)?;
    daemon.stop()?;
    Ok(())
}
