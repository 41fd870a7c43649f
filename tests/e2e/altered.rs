//! Files that change behind a seed's back.

use anyhow::{Result, ensure};
use opendag_tests::{
    MIB, Tree,
    tree::{Mtime, flip_bit},
    world::text,
};

use crate::common::{Swarm, ensure_equal, ensure_says};

/// Two seeds; the second one's copy of both a large and a small file is altered.
fn altered(seed: u64, mtime: Mtime) -> Result<Swarm> {
    let tree = Tree::new(seed)
        .file("large.bin", 24 * MIB)
        .file("small.txt", 5000)
        .file("good.bin", 3 * MIB);
    let swarm = Swarm::start(&tree, 2, "6MB")?;
    // Whatever part of it is asked for, it is not as it was.
    for quarter in 0..96 {
        flip_bit(
            &swarm.world.path("mirror1/large.bin"),
            quarter * MIB / 4,
            mtime,
        )?;
    }
    flip_bit(&swarm.world.path("mirror1/small.txt"), 17, mtime)?;
    Ok(swarm)
}

fn fetch_beside_an_altered_seed(seed: u64, mtime: Mtime) -> Result<()> {
    let swarm = altered(seed, mtime)?;
    let output = swarm.world.path("fetched");
    let finished = swarm
        .world
        .node("fetcher")
        .fetch(&swarm.link, &output, &swarm.peers()?)?
        .ok()?;
    ensure_equal(&swarm.source, &output)?;
    // The fetch names the shard and the peer that could not give it.
    let peer = swarm.seeds[1].peer.as_str();
    let events = finished.events()?;
    let named = |path: &str| {
        events
            .iter()
            .map(ToString::to_string)
            .any(|event| event.contains(path) && event.contains(peer))
    };
    ensure!(
        named("large.bin") || named("small.txt"),
        "nothing names {peer}: {events:#?}"
    );
    Ok(())
}

#[test]
fn p2_a_seed_whose_files_changed_unseen_gives_no_wrong_byte() -> Result<()> {
    fetch_beside_an_altered_seed(41, Mtime::Keep)
}

#[test]
fn p2_a_seed_whose_files_changed_visibly_gives_no_wrong_byte() -> Result<()> {
    let swarm = altered(42, Mtime::Move)?;
    let output = swarm.world.path("fetched");
    swarm
        .world
        .node("fetcher")
        .fetch(&swarm.link, &output, &swarm.peers()?)?
        .ok()?;
    ensure_equal(&swarm.source, &output)
}

#[test]
fn p2_an_altered_seed_alone_cannot_complete_a_fetch() -> Result<()> {
    // Negative control: the good copy was really needed.
    let mut swarm = altered(43, Mtime::Keep)?;
    swarm.seeds.remove(0).stop()?;
    let output = swarm.world.path("fetched");
    let dataset = text(&swarm.published, "dataset")?;
    let peer = swarm.seeds[0].address()?;
    let finished = swarm.world.node("fetcher").fetch(
        &dataset,
        &output,
        &["--peer", peer, "--timeout", "6s"],
    )?;
    ensure!(matches!(finished.code, Some(1 | 3)), "{finished:?}");
    ensure!(!output.join("large.bin").exists() && !output.join("small.txt").exists());
    Ok(())
}

#[test]
fn verify_finds_what_changed_and_repairs_what_was_fetched() -> Result<()> {
    let swarm = altered(44, Mtime::Keep)?;
    let node = swarm.seeds[1].node();
    let found = node.run(["verify", "--no-repair"])?;
    ensure!(
        found.code == Some(1),
        "bad shards must show in the exit code: {found:?}"
    );
    ensure_says(&found, &["large.bin", "small.txt"])?;
    let bad = found.event("verified")?["bad"]
        .as_array()
        .map_or(0, Vec::len);
    ensure!(bad == 2, "{bad} bad shards");

    node.run(["verify"])?.ok()?;
    ensure_equal(&swarm.source, &swarm.world.path("mirror1"))?;
    node.run(["verify", "--no-repair"])?.ok()?;
    Ok(())
}
