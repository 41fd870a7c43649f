//! `kill -9` of seeds, fetchers and publishers, and what is left afterwards.

use std::fs;

use anyhow::{Result, ensure};
use opendag_tests::{
    MIB, Tree,
    world::{COMMAND_TIME_MAX, number, text},
};

use crate::common::{Swarm, ensure_equal, ensure_no_wrong_file, share, world};

/// What a crash may cost: verified data that was not yet durable.
const LOST_PER_KILL_MAX: u64 = 16 * MIB;

#[test]
fn p5_a_fetch_completes_when_one_of_two_seeds_is_killed() -> Result<()> {
    let mut swarm = Swarm::start(&Tree::new(31).file("large.bin", 32 * MIB), 2, "4MB")?;
    let output = swarm.world.path("fetched");
    let options = swarm.peers()?;
    let mut fetch = swarm
        .world
        .node("fetcher")
        .start_fetch(&swarm.link, &output, &options)?;
    fetch.wait_for("a quarter of two", COMMAND_TIME_MAX, |event| {
        event["peers"] == 2 && event["received_bytes"].as_u64() > Some(8 * MIB)
    })?;
    let victim = swarm.seeds.remove(0);
    let peer = victim.peer.clone();
    victim.kill()?;
    let fetched = fetch.finish(COMMAND_TIME_MAX)?.ok()?.event("fetched")?;

    ensure_equal(&swarm.source, &output)?;
    ensure!(
        share(&fetched, &peer) > 0,
        "the seed was killed before it gave anything: {fetched}"
    );
    ensure!(share(&fetched, &swarm.seeds[0].peer) > 0);
    Ok(())
}

#[test]
fn p4_a_killed_fetch_goes_on_where_it_was() -> Result<()> {
    let bytes = 128 * MIB;
    let mut swarm = Swarm::start(
        &Tree::new(32)
            .file("large.bin", bytes - 1000)
            .file("small.txt", 1000),
        2,
        "4MB",
    )?;
    let output = swarm.world.path("fetched");
    let node = swarm.world.node("fetcher");
    let mut received = 0;
    let mut kills = 0;
    // The rest takes the seeds six seconds more: on a busy machine a share is seen late, and a fetch
    // that has ended cannot be killed.
    for percent in [20, 40, 60] {
        let mut fetch = node.start_fetch(&swarm.link, &output, &swarm.peers()?)?;
        fetch.wait_for("its share", COMMAND_TIME_MAX, |event| {
            event["phase"] == "fetch" && event["bytes"].as_u64() > Some(bytes / 100 * percent)
        })?;
        received += fetch.kill()?.received_bytes();
        kills += 1;
        ensure!(
            !output.join("large.bin").exists(),
            "an unfinished file has its final name"
        );
    }
    swarm.unleash()?;
    let options = swarm.peers()?;
    let last = node
        .fetch(&swarm.link, &output, &options)?
        .ok()?
        .event("fetched")?;
    received += number(&last, "received_bytes")?;

    ensure_equal(&swarm.source, &output)?;
    ensure!(
        kills == 3 && received <= bytes + kills * LOST_PER_KILL_MAX,
        "{received} bytes in all for {bytes}"
    );
    // Negative control: a fetch that begins again takes all bytes again.
    let again = swarm.world.path("again");
    let fetched = swarm
        .world
        .node("other")
        .fetch(&swarm.link, &again, &options)?
        .ok()?
        .event("fetched")?;
    ensure!(number(&fetched, "received_bytes")? >= bytes);
    Ok(())
}

#[test]
fn p4_a_killed_fetch_of_small_files_goes_on_where_it_was() -> Result<()> {
    let tree = Tree::many(37, 6000, 32_000);
    let mut swarm = Swarm::start(&tree, 1, "8MB")?;
    let (bytes, output) = (swarm.bytes()?, swarm.world.path("fetched"));
    let node = swarm.world.node("fetcher");
    let mut received = 0;
    for percent in [30, 60] {
        let mut fetch = node.start_fetch(&swarm.link, &output, &swarm.peers()?)?;
        fetch.wait_for("its share", COMMAND_TIME_MAX, |event| {
            event["phase"] == "fetch" && event["bytes"].as_u64() > Some(bytes / 100 * percent)
        })?;
        received += fetch.kill()?.received_bytes();
        ensure_no_wrong_file(&swarm.source, &output)?;
    }
    swarm.unleash()?;
    let last = node.fetch(&swarm.link, &output, &swarm.peers()?)?;
    received += number(&last.ok()?.event("fetched")?, "received_bytes")?;
    ensure_equal(&swarm.source, &output)?;
    ensure!(
        received <= bytes + 2 * LOST_PER_KILL_MAX,
        "{received} bytes in all for {bytes}"
    );
    // If nothing had stayed, more than that would have come twice.
    ensure!(bytes * 9 / 10 > 2 * LOST_PER_KILL_MAX, "{bytes}");
    Ok(())
}

#[test]
fn p4_nothing_is_fetched_twice_once_it_is_in_place() -> Result<()> {
    let swarm = Swarm::start(&Tree::interesting(33), 1, "100MB")?;
    let (node, output) = (swarm.world.node("fetcher"), swarm.world.path("fetched"));
    node.fetch(&swarm.link, &output, &[])?.ok()?;
    let again = node
        .fetch(&swarm.link, &output, &[])?
        .ok()?
        .event("fetched")?;
    ensure!(
        number(&again, "received_bytes")? == 0
            && number(&again, "reused_bytes")? == swarm.bytes()?,
        "{again}"
    );
    // One file lost, one file fetched.
    fs::remove_file(output.join("sizes/1048577.bin"))?;
    let repaired = node
        .fetch(&swarm.link, &output, &[])?
        .ok()?
        .event("fetched")?;
    let received = number(&repaired, "received_bytes")?;
    ensure!((1_048_577..1_200_000).contains(&received), "{repaired}");
    ensure_equal(&swarm.source, &output)
}

#[test]
fn p1_what_was_published_survives_a_kill_right_after() -> Result<()> {
    let world = world()?;
    let source = Tree::interesting(34).write(&world.path("source"))?;
    let node = world.node("publisher");
    let daemon = node.daemon::<&str>([])?;
    let published = node.publish(&source, "data")?;
    daemon.kill()?;

    let daemon = node.daemon::<&str>([])?;
    let shown = node.run(["ls"])?.ok()?.event("versions")?;
    ensure!(
        shown["versions"][0]["manifest"] == published["manifest"],
        "{shown}"
    );
    let output = world.path("fetched");
    world
        .node("fetcher")
        .fetch(
            &text(&published, "manifest")?,
            &output,
            &["--peer", daemon.address()?],
        )?
        .ok()?;
    ensure_equal(&source, &output)
}

#[test]
fn p1_what_was_fetched_survives_a_kill_right_after() -> Result<()> {
    let mut swarm = Swarm::start(&Tree::interesting(35), 1, "100MB")?;
    let first = swarm.seeds.remove(0);
    let second = swarm
        .world
        .node("second")
        .daemon(["--bootstrap", first.address()?])?;
    let node = second.node().clone();
    node.fetch(&swarm.link, &swarm.world.path("a"), &[])?.ok()?;
    second.kill()?;
    first.stop()?;

    let second = node.daemon::<&str>([])?;
    let output = swarm.world.path("b");
    swarm
        .world
        .node("third")
        .fetch(
            &text(&swarm.published, "dataset")?,
            &output,
            &["--peer", second.address()?],
        )?
        .ok()?;
    ensure_equal(&swarm.source, &output)?;
    let verified = node.run(["verify"])?.ok()?.event("verified")?;
    ensure!(
        verified["bad"].as_array().is_some_and(Vec::is_empty)
            && verified["shards"].as_u64() > Some(0),
        "{verified}"
    );
    Ok(())
}

#[test]
fn p9_a_publish_that_was_killed_leaves_a_node_that_starts() -> Result<()> {
    let world = world()?;
    let source = Tree::new(36)
        .file("small", 10)
        .write(&world.path("source"))?;
    // Takes no room, and many cores longer to hash than a busy machine takes to kill.
    let large = fs::File::create(source.join("large.bin"))?;
    large.set_len(128 * 1024 * MIB)?;
    let node = world.node("publisher");
    let args = [
        "publish",
        &source.display().to_string(),
        "--name",
        "data",
        "--license",
        "CC0-1.0",
    ]
    .map(str::to_owned);
    for _ in 0..2 {
        let mut publish = node.start(&args)?;
        publish.wait_for("hashing", COMMAND_TIME_MAX, |event| {
            event["phase"] == "hash"
        })?;
        let killed = publish.kill()?;
        ensure!(
            killed.event("published").is_err(),
            "it was killed too late to prove anything"
        );
    }
    let shown = node.run(["ls"])?.ok()?.event("versions")?;
    ensure!(
        shown["versions"].as_array().is_some_and(Vec::is_empty),
        "{shown}"
    );
    large.set_len(2 * MIB)?;
    let published = node.run(&args)?.ok()?.event("published")?;
    ensure!(number(&published, "sequence")? == 0);
    node.run(["verify"])?.ok()?;
    Ok(())
}

#[test]
fn p8_a_daemon_ends_cleanly_in_the_middle_of_a_fetch() -> Result<()> {
    let swarm = Swarm::start(&Tree::new(37).file("large.bin", 32 * MIB), 1, "4MB")?;
    let daemon = swarm.world.node("fetcher").daemon::<&str>([])?;
    let (node, output) = (daemon.node().clone(), swarm.world.path("fetched"));
    let mut fetch = node.start_fetch(&swarm.link, &output, &[])?;
    fetch.wait_for("bytes", COMMAND_TIME_MAX, |event| {
        event["received_bytes"].as_u64() > Some(0)
    })?;
    daemon.stop()?;
    let cut = fetch.finish(COMMAND_TIME_MAX)?;
    ensure!(
        cut.code == Some(1),
        "the command did not tell that its daemon went away: {cut:?}"
    );
    ensure!(!output.join("large.bin").exists());
    Ok(())
}
