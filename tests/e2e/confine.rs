//! Where a fetch may write: below its target and nowhere else.

use std::{fs, os::unix::fs::symlink};

use anyhow::{Result, ensure};
use opendag_tests::{Tree, tree};

use crate::common::{Swarm, ensure_equal, ensure_says};

fn swarm(seed: u64) -> Result<Swarm> {
    Swarm::start(
        &Tree::new(seed)
            .file("sub/deep/file.txt", 20_000)
            .file("top.txt", 10),
        1,
        "100MB",
    )
}

#[test]
fn p3_a_planted_symlink_to_a_folder_is_not_followed() -> Result<()> {
    let swarm = swarm(51)?;
    let (output, outside) = (swarm.world.path("fetched"), swarm.world.path("outside"));
    fs::create_dir_all(&output)?;
    fs::create_dir_all(&outside)?;
    symlink(&outside, output.join("sub"))?;
    let finished = swarm
        .world
        .node("fetcher")
        .fetch(&swarm.link, &output, &[])?;
    ensure!(matches!(finished.code, Some(1 | 2 | 4)), "{finished:?}");
    ensure_says(&finished, &["sub"])?;
    ensure!(
        tree::paths(&outside)?.is_empty(),
        "bytes were written through a symlink"
    );
    Ok(())
}

#[test]
fn p3_a_planted_symlink_in_place_of_a_file_is_not_followed() -> Result<()> {
    let swarm = swarm(52)?;
    let (output, outside) = (swarm.world.path("fetched"), swarm.world.path("victim"));
    fs::create_dir_all(output.join("sub/deep"))?;
    fs::write(&outside, b"precious")?;
    symlink(&outside, output.join("sub/deep/file.txt"))?;
    let finished = swarm
        .world
        .node("fetcher")
        .fetch(&swarm.link, &output, &[])?;
    ensure!(matches!(finished.code, Some(1 | 2 | 4)), "{finished:?}");
    ensure!(fs::read(&outside)? == b"precious");
    Ok(())
}

#[test]
fn p3_a_file_of_the_user_is_not_overwritten_unless_asked() -> Result<()> {
    let swarm = swarm(53)?;
    let output = swarm.world.path("fetched");
    fs::create_dir_all(&output)?;
    fs::write(output.join("top.txt"), b"mine")?;
    let node = swarm.world.node("fetcher");
    let finished = node.fetch(&swarm.link, &output, &[])?;
    ensure!(matches!(finished.code, Some(1 | 2 | 4)), "{finished:?}");
    ensure_says(&finished, &["top.txt"])?;
    ensure!(fs::read(output.join("top.txt"))? == b"mine");

    node.fetch(&swarm.link, &output, &["--overwrite"])?.ok()?;
    ensure_equal(&swarm.source, &output)
}

#[test]
fn p3_a_fetch_changes_nothing_but_target_and_data_directory() -> Result<()> {
    let swarm = swarm(54)?;
    let around = swarm.world.path("around");
    fs::create_dir_all(&around)?;
    let output = around.join("fetched");
    let node = swarm.world.node("fetcher");
    node.fetch(&swarm.link, &output, &[])?.ok()?;
    let there: Vec<_> = fs::read_dir(&around)?
        .filter_map(Result::ok)
        .map(|entry| entry.file_name())
        .collect();
    ensure!(there == ["fetched"], "{there:?}");
    ensure!(
        !swarm.world.path("home").exists(),
        "something was written to the home folder"
    );
    ensure_equal(&swarm.source, &output)
}

#[test]
fn p3_fetching_into_the_published_folder_changes_nothing() -> Result<()> {
    let swarm = swarm(55)?;
    let kept = Tree::new(55)
        .file("sub/deep/file.txt", 20_000)
        .file("top.txt", 10)
        .write(&swarm.world.path("kept"))?;
    let finished = swarm.seeds[0]
        .node()
        .fetch(&swarm.link, &swarm.source, &[])?;
    ensure!(matches!(finished.code, Some(0 | 2)), "{finished:?}");
    ensure_equal(&kept, &swarm.source)
}
