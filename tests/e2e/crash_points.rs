//! `kill -9` at exact system calls, and the order of syncing and telling. Needs `strace`.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use opendag_tests::{Node, Tree, skipped, world::text};

use crate::common::{Swarm, ensure_equal, ensure_no_wrong_file, world};

/// The calls after which the disk is another one, and at which of them to die.
const POINTS: &[(&str, &[u32])] = &[
    ("fsync", &[1, 2, 4, 8, 16]),
    ("fdatasync", &[1, 2, 4, 8]),
    ("syncfs", &[1]),
    ("rename", &[1, 2]),
    ("renameat", &[1, 2, 5]),
    ("renameat2", &[1, 2, 5]),
    ("unlink", &[1, 2]),
    ("unlinkat", &[1, 2]),
    ("ftruncate", &[1]),
    ("pwrite64", &[1, 5, 20]),
];

fn has_strace(test: &str) -> bool {
    let works = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        skipped(test, "`strace` is missing or not allowed here");
    }
    works
}

fn dying_at(node: &Node, call: &str, when: u32) -> Node {
    let inject = format!("inject={call}:signal=KILL:when={when}");
    node.clone()
        .wrapped(&["strace", "-f", "-o", "/dev/null", "-e", &inject])
}

/// Kills `run` at each point, one after another on the same data; returns how often it really died.
fn die_everywhere(node: &Node, mut run: impl FnMut(&Node) -> Result<Option<i32>>) -> Result<u32> {
    let mut died = 0;
    for (call, moments) in POINTS {
        for when in *moments {
            let code =
                run(&dying_at(node, call, *when)).with_context(|| format!("at {call} {when}"))?;
            ensure!(
                matches!(code, None | Some(0)),
                "{call} {when}: it ended with {code:?}"
            );
            died += u32::from(code.is_none());
        }
    }
    Ok(died)
}

#[test]
fn p9_a_publish_that_dies_at_any_point_can_be_repeated() -> Result<()> {
    if !has_strace("p9_a_publish_that_dies_at_any_point") {
        return Ok(());
    }
    let world = world()?;
    let source = Tree::many(141, 30, 5000)
        .file("large.bin", 1_100_000)
        .write(&world.path("source"))?;
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
    let died = die_everywhere(&node, |dying| Ok(dying.run(&args)?.code))?;
    ensure!(
        died >= 5,
        "it died only {died} times: the points prove nothing"
    );

    let published = node.run(&args)?.ok()?.event("published")?;
    ensure!(
        published["sequence"] == 0,
        "a crash made a version of its own: {published}"
    );
    let daemon = node.daemon::<&str>([])?;
    let output = world.path("fetched");
    world
        .node("fetcher")
        .fetch(
            &text(&published, "link")?,
            &output,
            &["--peer", daemon.address()?],
        )?
        .ok()?;
    ensure_equal(&source, &output)
}

#[test]
fn p2_p9_a_fetch_that_dies_at_any_point_leaves_no_wrong_file_and_goes_on() -> Result<()> {
    if !has_strace("p2_p9_a_fetch_that_dies_at_any_point") {
        return Ok(());
    }
    let tree = Tree::many(142, 30, 5000).file("large.bin", 3_100_000);
    let swarm = Swarm::start(&tree, 1, "500MB")?;
    let (node, output) = (swarm.world.node("fetcher"), swarm.world.path("fetched"));
    let options = swarm.peers()?;
    let died = die_everywhere(&node, |dying| {
        let finished = dying.fetch(&swarm.link, &output, &options)?;
        ensure_no_wrong_file(&swarm.source, &output)?;
        if finished.code == Some(0) {
            ensure_equal(&swarm.source, &output)?;
            // It was not killed: the next point gets a fresh target.
            fs::remove_dir_all(&output)?;
        }
        Ok(finished.code)
    })?;
    ensure!(
        died >= 5,
        "it died only {died} times: the points prove nothing"
    );
    node.fetch(&swarm.link, &output, &options)?.ok()?;
    ensure_equal(&swarm.source, &output)
}

/// The calls of a traced command, one line each, with the paths of descriptors.
fn trace(node: &Node, log: &Path, run: impl FnOnce(&Node) -> Result<()>) -> Result<Vec<String>> {
    let calls = "trace=write,writev,pwrite64,pwritev,fsync,fdatasync,syncfs,rename,renameat,renameat2,unlink,unlinkat";
    let log_path = log.display().to_string();
    run(&node.clone().wrapped(&[
        "strace", "-f", "-y", "-s", "200", "-o", &log_path, "-e", calls,
    ]))?;
    Ok(fs::read_to_string(log)?
        .lines()
        .map(str::to_owned)
        .collect())
}

fn last(lines: &[String], words: &[&str]) -> Option<usize> {
    lines
        .iter()
        .rposition(|line| words.iter().all(|word| line.contains(word)))
}

fn is_sync(line: &str) -> bool {
    ["fsync(", "fdatasync(", "syncfs("]
        .iter()
        .any(|call| line.contains(call))
}

/// Is there a sync of a working file with this ending, or of the file system of the target?
fn is_durable(lines: &[String], ending: &str) -> bool {
    lines.iter().any(|line| {
        let is_whole = line.contains("syncfs(") && line.contains("/fetched");
        is_whole || is_sync(line) && line.contains(&format!("{ending}>"))
    })
}

#[test]
fn p1_records_are_synced_before_a_publish_is_told() -> Result<()> {
    if !has_strace("p1_records_are_synced_before_a_publish_is_told") {
        return Ok(());
    }
    let world = world()?;
    let source = Tree::many(143, 5, 100)
        .write(&world.path("source"))?
        .display()
        .to_string();
    let lines = trace(&world.node("publisher"), &world.path("trace"), |node| {
        node.run(["publish", &source, "--name", "data", "--license", "CC0-1.0"])?
            .ok()
            .map(drop)
    })?;
    let told = last(&lines, &["write", "\\\"published\\\""]).context("it was not told")?;
    let before = &lines[..told];
    let written = last(before, &["write", "/records/"]).context("no record was written")?;
    ensure!(
        before[written..].iter().any(|line| is_sync(line)),
        "records were not synced after the last write"
    );
    Ok(())
}

#[test]
fn p1_files_are_synced_before_and_after_they_get_their_names() -> Result<()> {
    if !has_strace("p1_files_are_synced_before_and_after_they_get_their_names") {
        return Ok(());
    }
    let swarm = Swarm::start(
        &Tree::many(144, 5, 3000).file("large.bin", 3_000_000),
        1,
        "100MB",
    )?;
    let options = swarm.peers()?;
    let lines = trace(
        &swarm.world.node("fetcher"),
        &swarm.world.path("trace"),
        |node| {
            node.fetch(&swarm.link, &swarm.world.path("fetched"), &options)?
                .ok()
                .map(drop)
        },
    )?;
    let told = last(&lines, &["write", "\\\"fetched\\\""]).context("it was not told")?;
    let before = &lines[..told];
    let renamed = last(before, &["rename", "large.bin"]).context("no file got its name")?;
    for ending in [".part", ".small"] {
        let named = last(before, &["rename", &format!("{ending}\"")]);
        let named = named.context("no file got its name")?;
        let written = last(&before[..named], &["write", &format!("{ending}>")]);
        let written = written.context("no file was written")?;
        ensure!(
            is_durable(&before[written..named], ending),
            "a file got its name before it was synced"
        );
    }
    let forgotten = last(before, &["unlink", ".bits"]).context("no bitmap was removed")?;
    ensure!(
        forgotten < renamed || before[renamed..forgotten].iter().any(|line| is_sync(line)),
        "the bitmap was removed before the name was synced"
    );
    ensure!(
        before[renamed..].iter().any(|line| is_sync(line)),
        "names were not synced before it was told"
    );
    Ok(())
}

#[test]
fn p4_what_a_bitmap_says_is_here_was_synced_before() -> Result<()> {
    if !has_strace("p4_what_a_bitmap_says_is_here_was_synced_before") {
        return Ok(());
    }
    let tree = Tree::new(145).file("large.bin", 6_000_000);
    let swarm = Swarm::start(&tree, 1, "1MB")?;
    let options = swarm.peers()?;
    let lines = trace(
        &swarm.world.node("fetcher"),
        &swarm.world.path("trace"),
        |node| {
            let fetched = node.fetch(&swarm.link, &swarm.world.path("fetched"), &options)?;
            fetched.ok().map(drop)
        },
    )?;
    let is_bitmap = |line: &String| line.contains("rename") && line.contains(".bits");
    let mut bitmaps = 0;
    // Between one bitmap and the next both files are synced.
    for stretch in lines.split_inclusive(is_bitmap) {
        if stretch.last().is_some_and(is_bitmap) {
            bitmaps += 1;
            ensure!(
                is_durable(stretch, ".part") && is_durable(stretch, ".obao"),
                "a bitmap was written before what it tells of was synced"
            );
        }
    }
    ensure!(bitmaps > 1, "{bitmaps} bitmaps prove nothing");
    Ok(())
}
