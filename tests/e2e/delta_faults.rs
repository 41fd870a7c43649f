//! Fetching what changed beside liars, from old peers, over damage and kills.

use std::fs;

use anyhow::{Context, Result, ensure};
use opendag_tests::{
    hostile::{Conduct, Files},
    world::{COMMAND_TIME_MAX, number, text},
};

use crate::{
    common::{ensure_equal, world},
    delta::{Scene, files, rows, scattered, write},
};

#[test]
fn p5_a_liar_that_sends_wrong_spans_is_found_out_beside_an_honest_seed() -> Result<()> {
    let (old, new) = scattered();
    for (seed, conduct) in [
        (11, Conduct::WrongFirst),
        (12, Conduct::WrongLast),
        (13, Conduct::SwappedRanges),
        (14, Conduct::Nothing),
        (15, Conduct::StallsNearTheEnd),
    ] {
        let scene = Scene::new(seed, &old, &new, None)?;
        let node = scene.node()?;
        let liar = scene.peer(200, &scene.new, conduct)?;
        // Else it could have given all before the liar is connected.
        let honest = scene.peer_after(&liar, 101, &scene.new)?;
        let peers = ["--peer", liar.address(), "--peer", honest.address()];
        let fetched = scene.fetch_new(&node, "new", &peers)?;
        ensure!(
            liar.counts().asked() > 0,
            "{conduct:?}: the liar was never asked"
        );
        let (bytes, reused) = (
            number(&fetched, "bytes")?,
            number(&fetched, "reused_bytes")?,
        );
        ensure!(reused > bytes / 2, "{conduct:?}: {fetched}");
        ensure!(
            number(&fetched, "received_bytes")? < bytes * 2 / 3,
            "{conduct:?}: {fetched}"
        );
    }
    Ok(())
}

#[test]
fn p2_a_chunk_map_that_lies_costs_time_only() -> Result<()> {
    let (old, new) = scattered();
    // The maps say that the files have other bytes: those of the old version as far as these go, or some that nobody
    // has.
    let as_before = |new: &Files| -> Files {
        let was = |(path, content): (&String, &Vec<u8>)| {
            let mut bytes = old.get(path).cloned().unwrap_or_default();
            bytes.resize(content.len(), b'?');
            (path.clone(), bytes)
        };
        new.iter().map(was).collect()
    };
    let unknown = |new: &Files| -> Files {
        let lie = |(path, content): (&String, &Vec<u8>)| {
            let mut bytes = content.clone();
            for byte in bytes.iter_mut().step_by(9000) {
                *byte ^= 1;
            }
            (path.clone(), bytes)
        };
        new.iter().map(lie).collect()
    };
    for (seed, described) in [(21, as_before(&new)), (22, unknown(&new))] {
        let scene = Scene::new(seed, &old, &new, Some(&described))?;
        let node = scene.node()?;
        let one = scene.peer(101, &scene.new, Conduct::Honest)?;
        let two = scene.peer(102, &scene.new, Conduct::Honest)?;
        let peers = ["--peer", one.address(), "--peer", two.address()];
        let fetched = scene.fetch_new(&node, "new", &peers)?;
        let bytes = number(&fetched, "bytes")?;
        let received = number(&fetched, "received_bytes")?;
        // All that is lied about comes as a whole in the end.
        ensure!(
            received > bytes * 9 / 10 && received < bytes * 2,
            "{fetched}"
        );
    }
    Ok(())
}

#[test]
fn peers_that_do_not_know_spans_give_files_whole() -> Result<()> {
    let (old, new) = scattered();
    let scene = Scene::new(31, &old, &new, None)?;
    let node = scene.node()?;
    let seed = scene.peer(101, &scene.new, Conduct::WithoutSpans)?;
    let fetched = scene.fetch_new(&node, "new", &["--peer", seed.address()])?;
    let seconds = fetched["seconds"].as_f64().context("seconds")?;
    // Five seconds were waited once; a busy machine has some to spare.
    ensure!(seconds < 4.5, "{fetched}");
    let bytes = number(&fetched, "bytes")?;
    ensure!(
        number(&fetched, "received_bytes")? > bytes * 9 / 10,
        "{fetched}"
    );
    Ok(())
}

#[test]
fn p2_an_older_version_that_was_changed_on_disk_does_no_harm() -> Result<()> {
    let (old, new) = scattered();
    let scene = Scene::new(41, &old, &new, None)?;
    let node = scene.node()?;
    let large = scene.world.path("old/large.jsonl");
    let mut bytes = fs::read(&large)?;
    let middle = bytes.len() / 2;
    bytes.drain(middle..middle + 300_000);
    bytes[1000..2000].fill(b'~');
    fs::write(&large, bytes)?;
    for path in old.keys().filter(|path| path.starts_with("d0/f000")) {
        fs::remove_file(scene.world.path("old").join(path))?;
    }
    let seed = scene.peer(101, &scene.new, Conduct::Honest)?;
    let fetched = scene.fetch_new(&node, "new", &["--peer", seed.address()])?;
    let (bytes, reused) = (
        number(&fetched, "bytes")?,
        number(&fetched, "reused_bytes")?,
    );
    ensure!(reused > bytes / 3, "what is left of it helps: {fetched}");
    Ok(())
}

#[test]
fn p4_a_delta_that_was_killed_goes_on_where_it_was() -> Result<()> {
    let world = world()?;
    let (source, output) = (world.path("source"), world.path("fetched"));
    let old = rows(0, 200_000);
    let size = u64::try_from(old.len())?;
    write(&files([("rows.jsonl", old.clone())]), &source)?;
    let publisher = world.node("publisher");
    let seed = publisher.daemon::<&str>([])?;
    let link = text(&publisher.publish(&source, "data")?, "dataset")?;
    let node = world.node("fetcher");
    node.fetch(&link, &output, &["--peer", seed.address()?])?
        .ok()?;
    seed.stop()?;

    // As much again is appended, slowly to be had.
    let new = [old, rows(200_000, 200_000)].concat();
    write(&files([("rows.jsonl", new)]), &source)?;
    let seed = publisher.daemon(["--upload-limit", "1500kB"])?;
    publisher.publish(&source, "data")?;
    let peer = ["--peer", seed.address()?];
    let mut fetch = node.start_fetch(&link, &output, &peer)?;
    fetch.wait_for("a half", COMMAND_TIME_MAX, |event| {
        event["phase"] == "fetch" && event["received_bytes"].as_u64() > Some(size / 2)
    })?;
    let first = fetch.kill()?.received_bytes();
    ensure!(
        fs::metadata(output.join("rows.jsonl"))?.len() == size,
        "half a file has its final name"
    );
    seed.stop()?;
    let seed = publisher.daemon::<&str>([])?;
    let peer = ["--peer", seed.address()?];
    let last = node.fetch(&link, &output, &peer)?.ok()?.event("fetched")?;
    let received = number(&last, "received_bytes")?;
    ensure_equal(&source, &output)?;
    // What was in flight, the chunk at the seam, and the map once more.
    ensure!(
        received + first <= size + size / 5,
        "{first} and {received} of {size}"
    );
    ensure!(received <= size * 3 / 4, "{first} and {received} of {size}");
    Ok(())
}
