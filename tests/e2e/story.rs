//! Publish, seed, fetch from three seeds at once; how much disk, traffic and memory that takes.

use anyhow::{Result, ensure};
use opendag_tests::{
    MIB, Tree, measure,
    world::{number, text},
};

use crate::common::{Swarm, ensure_equal, ensure_modest, node, share, world};

/// What a data directory holds before anything is published: indexes and databases of a fixed size.
fn growth_of_publish(tree: &Tree) -> Result<(u64, u64)> {
    let world = world()?;
    let source = tree.write(&world.path("source"))?;
    let node = world.node("publisher");
    node.publish(
        &Tree::new(9).file("seed", 1).write(&world.path("small"))?,
        "small",
    )?;
    let before = measure::disk_usage(node.data_dir())?;
    let published = node
        .run([
            "publish",
            &source.display().to_string(),
            "--name",
            "data",
            "--license",
            "CC0-1.0",
        ])?
        .ok()?;
    ensure_modest("publish", published.peak_bytes)?;
    let after = measure::disk_usage(node.data_dir())?;
    Ok((
        after.saturating_sub(before),
        number(&published.event("published")?, "bytes")?,
    ))
}

#[test]
fn publishing_a_large_file_in_place_takes_under_two_percent() -> Result<()> {
    let (growth, bytes) = growth_of_publish(&Tree::new(21).file("large.bin", 192 * MIB))?;
    ensure!(bytes == 192 * MIB);
    ensure!(
        growth * 50 < bytes,
        "the data directory grew by {growth} for {bytes} bytes"
    );
    Ok(())
}

#[test]
fn publishing_many_files_in_place_takes_under_ten_percent() -> Result<()> {
    // 11 KiB on average, as in the documentation of the Rust toolchain.
    let tree = Tree::many(22, 3000, 22 * 1024);
    let (growth, bytes) = growth_of_publish(&tree)?;
    ensure!(bytes == tree.bytes());
    ensure!(
        growth * 10 < bytes,
        "the data directory grew by {growth} for {bytes} bytes"
    );
    Ok(())
}

#[test]
fn copying_takes_the_space_that_in_place_does_not() -> Result<()> {
    // Negative control of the two above: the figure must move when bytes are copied.
    let world = world()?;
    let source = Tree::new(23)
        .file("large.bin", 16 * MIB)
        .write(&world.path("source"))?;
    let node = world.node("publisher");
    node.run([
        "publish",
        &source.display().to_string(),
        "--name",
        "data",
        "--license",
        "CC0-1.0",
        "--copy",
    ])?
    .ok()?;
    let usage = measure::disk_usage(node.data_dir())?;
    ensure!(usage >= 16 * MIB, "a copy took only {usage} bytes");
    Ok(())
}

fn fetch_from_three_seeds(tree: &Tree, rate: &str) -> Result<()> {
    let mut swarm = Swarm::start(tree, 3, rate)?;
    let output = swarm.world.path("fetched");
    let finished = swarm
        .world
        .node("fourth")
        .fetch(&swarm.link, &output, &[])?
        .ok()?;
    let fetched = finished.event("fetched")?;

    ensure_equal(&swarm.source, &output)?;
    let bytes = swarm.bytes()?;
    ensure!(number(&fetched, "bytes")? == bytes && number(&fetched, "files")? == tree.files());
    ensure!(text(&fetched, "manifest")? == text(&swarm.published, "manifest")?);
    // Near the end what is late is asked of a second peer, on a busy machine more often.
    let received = number(&fetched, "received_bytes")?;
    ensure!(
        received * 100 <= bytes * 105,
        "{received} bytes were received for {bytes}"
    );
    for seed in &swarm.seeds {
        let given = share(&fetched, &seed.peer);
        ensure!(
            given * 100 >= bytes * 15,
            "{} gave {given} of {bytes} bytes: {fetched}",
            seed.peer
        );
    }
    ensure!(
        finished
            .events()?
            .iter()
            .any(|event| event["event"] == "progress"),
        "no progress was told"
    );
    ensure_modest("fetch", finished.peak_bytes)?;
    for seed in &mut swarm.seeds {
        ensure_modest("a seed", seed.running.peak_bytes())?;
    }
    for seed in swarm.seeds {
        seed.stop()?;
    }
    Ok(())
}

#[test]
fn p2_one_large_file_comes_whole_from_three_seeds_at_once() -> Result<()> {
    fetch_from_three_seeds(&Tree::new(24).file("large.bin", 96 * MIB + 1), "8MB")
}

#[test]
fn p2_many_files_come_whole_from_three_seeds_at_once() -> Result<()> {
    let mut tree = Tree::interesting(25);
    for index in 0..1200_u64 {
        tree = tree.file(&format!("many/{index}.txt"), (index * 7919) % 40_000);
    }
    fetch_from_three_seeds(&tree, "4MB")
}

#[test]
fn node_fetch_of_a_manifest_works_as_the_user_wrote_it() -> Result<()> {
    let swarm = Swarm::start(&Tree::interesting(26), 1, "100MB")?;
    let manifest = text(&swarm.published, "manifest")?;
    let node = swarm.world.node("fetcher").with_binary(node());
    node.config(&format!(
        "bootstrap = [\"{}\"]\n",
        swarm.seeds[0].address()?
    ))?;
    // No `-o`: the folder has the dataset's name and lies where the command runs.
    let fetched = node.run(["fetch", &manifest])?.ok()?.event("fetched")?;
    ensure_equal(&swarm.source, &swarm.world.path("data"))?;
    ensure!(text(&fetched, "manifest")? == manifest);
    Ok(())
}

/// A daemon fetches with these options, the publisher goes away, and another node asks the daemon
/// and waits for so long.
fn fetch_from_a_mirror(seed: u64, options: &[&str], patience: &str) -> Result<Option<i32>> {
    let mut swarm = Swarm::start(&Tree::interesting(seed), 1, "100MB")?;
    let (dataset, first) = (text(&swarm.published, "dataset")?, swarm.seeds.remove(0));
    let mirror = swarm
        .world
        .node("mirror")
        .daemon(["--bootstrap", first.address()?])?;
    let options = [&["--peer", first.address()?], options].concat();
    mirror
        .node()
        .fetch(&dataset, &swarm.world.path("a"), &options)?
        .ok()?;
    first.stop()?;
    let (node, output) = (swarm.world.node("late"), swarm.world.path("b"));
    let finished = node.fetch(
        &dataset,
        &output,
        &["--peer", mirror.address()?, "--timeout", patience],
    )?;
    if finished.code == Some(0) {
        ensure_equal(&swarm.source, &output)?;
    }
    Ok(finished.code)
}

#[test]
fn a_fetch_through_a_daemon_seeds_afterwards() -> Result<()> {
    ensure!(fetch_from_a_mirror(27, &[], "60s")? == Some(0));
    Ok(())
}

#[test]
fn a_fetch_without_seeding_gives_nothing_to_others() -> Result<()> {
    ensure!(fetch_from_a_mirror(29, &["--no-seed"], "5s")? == Some(3));
    Ok(())
}

#[test]
fn a_selection_fetches_only_what_it_names() -> Result<()> {
    let swarm = Swarm::start(&Tree::interesting(28), 1, "100MB")?;
    let node = swarm.world.node("fetcher");
    let output = swarm.world.path("some");
    let only = ["--include", "sizes/*", "--exclude", "**/8388609.bin"];
    let plan = node
        .fetch(&swarm.link, &output, &[&only[..], &["--plan"]].concat())?
        .ok()?
        .event("plan")?;
    ensure!(!output.exists(), "a plan wrote something");
    let fetched = node
        .fetch(&swarm.link, &output, &only)?
        .ok()?
        .event("fetched")?;
    ensure!(
        number(&plan, "missing_bytes")? == number(&fetched, "bytes")?,
        "{plan} {fetched}"
    );
    ensure!(
        output.join("sizes/1048577.bin").exists() && !output.join("sizes/8388609.bin").exists()
    );
    ensure!(number(&fetched, "files")? == 12, "{fetched}");
    Ok(())
}
