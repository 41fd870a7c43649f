//! How a fetcher finds peers: DHT, LAN, link; and what it says when there are none.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use opendag_protocol::{DatasetId, Hash};
use opendag_tests::{Tree, netns::Cable, skipped, world::text};

use crate::common::{Swarm, ensure_equal, ensure_says, node as node_binary, world};

#[test]
fn a_bare_id_and_a_bootstrap_address_are_enough() -> Result<()> {
    // The bootstrap node holds nothing: the publisher can only be found through the DHT.
    let world = world()?;
    let source = Tree::interesting(71).write(&world.path("source"))?;
    let bootstrap = world.node("bootstrap").daemon::<&str>([])?;
    let publisher = world
        .node("publisher")
        .daemon(["--bootstrap", bootstrap.address()?])?;
    let published = publisher.node().publish(&source, "data")?;

    let node = world.node("fetcher").with_binary(node_binary());
    node.config(&format!("bootstrap = [\"{}\"]\n", bootstrap.address()?))?;
    let output = world.path("fetched");
    node.fetch(&text(&published, "dataset")?, &output, &[])?
        .ok()?;
    ensure_equal(&source, &output)?;
    // And the same for the id of the version.
    let output = world.path("exact");
    let other = world.node("other");
    other.config(&format!("bootstrap = [\"{}\"]\n", bootstrap.address()?))?;
    other
        .fetch(&text(&published, "manifest")?, &output, &[])?
        .ok()?;
    ensure_equal(&source, &output)
}

#[test]
fn with_the_dht_off_a_peer_on_the_command_line_is_enough() -> Result<()> {
    let world = world()?;
    let source = Tree::interesting(72).write(&world.path("source"))?;
    let publisher = world.node("publisher");
    publisher.config("dht = false\n")?;
    let publisher = publisher.daemon::<&str>([])?;
    let published = publisher.node().publish(&source, "data")?;
    let (node, output) = (world.node("fetcher"), world.path("fetched"));
    node.config("dht = false\n")?;
    node.fetch(
        &text(&published, "dataset")?,
        &output,
        &["--peer", publisher.address()?],
    )?
    .ok()?;
    ensure_equal(&source, &output)
}

#[test]
fn quic_alone_is_enough() -> Result<()> {
    let world = world()?;
    let source = Tree::interesting(73).write(&world.path("source"))?;
    let udp = "/ip4/127.0.0.1/udp/0/quic-v1";
    let publisher = world.node("publisher").listening(udp).daemon::<&str>([])?;
    let published = publisher.node().publish(&source, "data")?;
    let (node, output) = (world.node("fetcher").listening(udp), world.path("fetched"));
    node.fetch(&text(&published, "link")?, &output, &[])?.ok()?;
    ensure_equal(&source, &output)
}

#[test]
fn mdns_finds_a_node_on_the_same_lan() -> Result<()> {
    let cable = match Cable::new() {
        Ok(cable) => cable,
        Err(reason) => {
            skipped(
                "mdns_finds_a_node_on_the_same_lan",
                &format!("no network namespaces here: {reason:#}"),
            );
            return Ok(());
        }
    };
    let world = world()?;
    let source = Tree::interesting(74).write(&world.path("source"))?;
    let host = |name: &str, side: usize| -> Result<_> {
        let listen = format!("/ip4/{}/tcp/0", Cable::ADDRESSES[side]);
        let node = world
            .node(name)
            .in_namespace(cable.names()[side])
            .listening(&listen);
        node.config("dht = false\nmdns = true\n")?;
        Ok(node)
    };
    let publisher = host("publisher", 0)?.daemon::<&str>([])?;
    let published = publisher.node().publish(&source, "data")?;
    let output = world.path("fetched");
    host("fetcher", 1)?
        .fetch(&text(&published, "dataset")?, &output, &[])?
        .ok()?;
    ensure_equal(&source, &output)?;

    // Negative control: without mDNS nobody is found on the same cable.
    let deaf = host("deaf", 1)?;
    deaf.config("dht = false\nmdns = false\n")?;
    let dataset = text(&published, "dataset")?;
    deaf.fetch(&dataset, &world.path("nothing"), &["--timeout", "5s"])?
        .code(3)?;
    Ok(())
}

#[test]
fn p8_a_link_to_nothing_says_where_it_looked_and_ends_in_time() -> Result<()> {
    let swarm = Swarm::start(&Tree::new(75).file("x", 1), 1, "100MB")?;
    let missing = DatasetId::from_hash(Hash::of(b"nothing has this hash")).to_string();
    let started = Instant::now();
    let output = swarm.world.path("fetched");
    let options = ["--peer", swarm.seeds[0].address()?, "--timeout", "3s"];
    let finished = swarm
        .world
        .node("fetcher")
        .fetch(&missing, &output, &options)?
        .code(3)?;
    ensure!(
        started.elapsed() < Duration::from_secs(40),
        "it took {:?}",
        started.elapsed()
    );
    ensure_says(&finished, &["looked"])?;
    ensure!(!output.exists(), "a folder was left for nothing");
    Ok(())
}

#[test]
fn p8_without_any_peer_it_says_what_it_waits_for() -> Result<()> {
    let mut swarm = Swarm::start(&Tree::new(76).file("x", 100_000), 1, "100MB")?;
    swarm.seeds.remove(0).stop()?;
    let output = swarm.world.path("fetched");
    let finished = swarm
        .world
        .node("fetcher")
        .fetch(&swarm.link, &output, &["--timeout", "4s"])?
        .code(3)?;
    ensure_says(&finished, &["waiting_for"])
}

#[test]
fn two_networks_never_mix() -> Result<()> {
    let (one, other) = (world()?, world()?);
    let source = Tree::new(77).file("x", 1).write(&one.path("source"))?;
    let publisher = one.node("publisher").daemon::<&str>([])?;
    let published = publisher.node().publish(&source, "data")?;
    let options = ["--peer", publisher.address()?, "--timeout", "3s"];
    other
        .node("fetcher")
        .fetch(&text(&published, "link")?, &other.path("fetched"), &options)?
        .code(3)?;
    Ok(())
}

#[test]
fn an_exported_manifest_is_a_link_and_a_forged_one_is_refused() -> Result<()> {
    let swarm = Swarm::start(&Tree::interesting(78), 1, "100MB")?;
    let file = swarm.world.path("data.opendag");
    let path = file.display().to_string();
    swarm.seeds[0]
        .node()
        .run(["manifest", "export", "data", "-o", &path])?
        .ok()?;
    let output = swarm.world.path("fetched");
    let peer = ["--peer", swarm.seeds[0].address()?];
    swarm
        .world
        .node("fetcher")
        .fetch(&path, &output, &peer)?
        .ok()?;
    ensure_equal(&swarm.source, &output)?;

    let mut bytes = std::fs::read(&file)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes)?;
    let refused = swarm
        .world
        .node("other")
        .fetch(&path, &swarm.world.path("nothing"), &peer)?;
    ensure!(matches!(refused.code, Some(2 | 4)), "{refused:?}");
    ensure!(!swarm.world.path("nothing").exists());
    Ok(())
}
