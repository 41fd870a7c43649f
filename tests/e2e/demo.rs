//! The whole story in one command, as the README begins with it.

use anyhow::{Result, ensure};
use opendag_tests::{
    MIB, Tree,
    world::{COMMAND_TIME_MAX, STOP_TIME_MAX, text},
};

use crate::common::{ensure_says, world};

#[test]
fn demo_ends_with_equal_trees() -> Result<()> {
    let world = world()?;
    let mut tree = Tree::interesting(61);
    for index in 0..12 {
        tree = tree.file(&format!("part{index}.bin"), 2 * MIB);
    }
    let source = tree.write(&world.path("source"))?;
    let demo = world
        .node("demo")
        .start(["testnet", "demo", &source.display().to_string()])?;
    demo.finish(COMMAND_TIME_MAX)?.ok()?;
    Ok(())
}

#[test]
fn demo_of_a_missing_folder_says_so() -> Result<()> {
    let world = world()?;
    let finished = world
        .node("demo")
        .run(["testnet", "demo", "/no/such/folder"])?
        .code(2)?;
    ensure_says(&finished, &["/no/such/folder"])
}

#[test]
fn a_testnet_ends_with_all_its_nodes() -> Result<()> {
    let world = world()?;
    let folder = world.path("net").display().to_string();
    let mut up = world
        .node("testnet")
        .start(["testnet", "up", "--nodes", "2", "--dir", &folder])?;
    let ready = up.wait_for("that it is up", COMMAND_TIME_MAX, |event| {
        event["nodes"].is_array()
    })?;
    ensure!(
        ready["nodes"].as_array().map(Vec::len) == Some(2),
        "{ready}"
    );
    for node in ready["nodes"].as_array().into_iter().flatten() {
        ensure!(
            node["peer"].is_string() && node["api"].is_string() && node["data_dir"].is_string(),
            "{node}"
        );
    }
    let mut join = world
        .node("testnet")
        .start(["testnet", "join", "--dir", &folder])?;
    let joined = join.wait_event("joined", COMMAND_TIME_MAX)?;
    // The one that joined sees the others.
    let data_dir = text(&joined["node"], "data_dir")?;
    let peers = world
        .node("user")
        .run(["--data-dir", &data_dir, "peers"])?
        .ok()?
        .event("peers")?;
    ensure!(
        peers["peers"]
            .as_array()
            .is_some_and(|peers| !peers.is_empty()),
        "{peers}"
    );
    join.stop(STOP_TIME_MAX)?.ok()?;
    up.signal(opendag_tests::Signal::INT)?;
    up.finish(STOP_TIME_MAX)?.ok()?;
    Ok(())
}
