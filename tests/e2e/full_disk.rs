//! F4: the disk fills up in the middle of a fetch, and has room again later.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use opendag_tests::{
    MIB, Node, Running, Signal, Tree,
    disk::SmallDisk,
    skipped,
    world::{COMMAND_TIME_MAX, STOP_TIME_MAX, number},
};

use crate::common::{Swarm, ensure_equal, ensure_no_wrong_file, ensure_says};

struct Fixture {
    swarm: Swarm,
    disk: SmallDisk,
    node: Node,
    /// As the fetcher sees it.
    output: PathBuf,
}

impl Fixture {
    /// A seed that takes many seconds, and a target with room for a third more than all of it: when
    /// the disk fills up, the fetch has not ended, however late a busy machine is.
    fn new(test: &str, seed: u64) -> Result<Option<Self>> {
        let tree = Tree::many(seed, 400, 20_000).file("large.bin", 8 * MIB);
        let swarm = Swarm::start(&tree, 1, "2MB")?;
        let folder = swarm.world.path("disk");
        let Some(disk) = SmallDisk::new(&folder, 32 * MIB)? else {
            skipped(test, "only root can mount a disk");
            return Ok(None);
        };
        let wrapper = disk.wrapper();
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let node = swarm.world.node("fetcher").wrapped(&wrapper);
        Ok(Some(Self {
            output: folder.join("fetched"),
            swarm,
            disk,
            node,
        }))
    }

    /// Begins to fetch, fills the disk in the middle, and waits until the fetch says so.
    fn until_paused(&self) -> Result<Running> {
        let options = self.swarm.peers()?;
        let mut fetch = self
            .node
            .start_fetch(&self.swarm.link, &self.output, &options)?;
        fetch.wait_for("a part", COMMAND_TIME_MAX, |event| {
            event["phase"] == "fetch" && event["received_bytes"].as_u64() > Some(2 * MIB)
        })?;
        self.disk.fill()?;
        fetch.wait_for("a pause", COMMAND_TIME_MAX, |event| {
            let what = event["waiting_for"].as_str().unwrap_or_default();
            what.contains("space on the disk of") && what.contains("are needed")
        })?;
        ensure_no_wrong_file(&self.swarm.source, &self.disk.path("fetched"))?;
        Ok(fetch)
    }
}

#[test]
fn p2_p8_a_full_disk_pauses_a_fetch_until_there_is_room() -> Result<()> {
    let test = "p2_p8_a_full_disk_pauses_a_fetch_until_there_is_room";
    let Some(fixture) = Fixture::new(test, 161)? else {
        return Ok(());
    };
    let daemon = fixture.node.daemon::<&str>([])?;
    let fetch = fixture.until_paused()?;
    // The API answers all the same.
    fixture.node.run(["status"])?.ok()?;
    fixture.node.run(["ls"])?.ok()?;
    fixture.disk.free()?;
    let fetched = fetch.finish(COMMAND_TIME_MAX)?.ok()?.event("fetched")?;
    ensure!(number(&fetched, "files")? == 401, "{fetched}");
    ensure_equal(&fixture.swarm.source, &fixture.disk.path("fetched"))?;
    daemon.stop()?.ok().map(drop)
}

#[test]
fn p2_p8_a_fetch_that_waits_for_room_can_be_stopped_and_run_again() -> Result<()> {
    let test = "p2_p8_a_fetch_that_waits_for_room_can_be_stopped_and_run_again";
    let Some(fixture) = Fixture::new(test, 162)? else {
        return Ok(());
    };
    let fetch = fixture.until_paused()?;
    fetch.signal(Signal::INT)?;
    let stopped = fetch.finish(STOP_TIME_MAX)?;
    ensure!(stopped.code == Some(130), "{stopped:?}");
    ensure_says(&stopped, &["run the same command again"])?;
    ensure_no_wrong_file(&fixture.swarm.source, &fixture.disk.path("fetched"))?;
    // From the beginning there is not enough room: that is an error at once.
    let options = fixture.swarm.peers()?;
    let refused = fixture
        .node
        .fetch(&fixture.swarm.link, &fixture.output, &options)?
        .code(1)?;
    ensure_says(&refused, &["free some space"])?;
    fixture.disk.free()?;
    let finished = fixture
        .node
        .fetch(&fixture.swarm.link, &fixture.output, &options)?;
    finished.ok()?;
    ensure_equal(&fixture.swarm.source, &fixture.disk.path("fetched"))
}
