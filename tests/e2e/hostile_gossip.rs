//! S10: gossip without measure.

use anyhow::{Result, ensure};
use opendag_protocol::{Timestamp, limits::HEAD_BYTES_MAX};
use opendag_tests::{
    MIB,
    hostile::{Author, Bare, Files, Part},
    measure,
};
use tokio::runtime::Runtime;

use crate::town::Town;

/// Messages of a flood; `OPENDAG_TEST_FLOOD` sets another number, such as 100,000 for ten seconds of 10,000 a second.
const FLOOD: u32 = 12_000;
/// What a victim's memory may grow by in a flood: queues that are full, and what the allocator keeps.
const GROWTH_BYTES_MAX: u64 = 96 * MIB;
/// Topics that nobody knows.
const TOPICS: usize = 10_000;
/// Heads that a neighbour may get to see of a publisher who signs without end: 16 at once, and one every four seconds.
const HEADS_PASSED_ON_MAX: usize = 40;

fn flood() -> u32 {
    let asked = std::env::var("OPENDAG_TEST_FLOOD").ok();
    asked
        .and_then(|number| number.parse().ok())
        .unwrap_or(FLOOD)
}

/// A town, somebody who hears what the victim passes on, and the attacker.
struct Scene {
    // Dropped first: nobody speaks to daemons that are gone.
    witness: Bare,
    attacker: Bare,
    town: Town,
    runtime: Runtime,
    before: u64,
}

impl Scene {
    fn new(seed: u64, part: Part) -> Result<Self> {
        let town = Town::new(seed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let network = town.world.network();
        let witness = Bare::start(&runtime, network, 1, Part::Gossip)?;
        witness.join(town.address()?)?;
        let attacker = Bare::start(&runtime, network, 2, part)?;
        attacker.join(town.address()?)?;
        let before = measure::memory(town.victim.running.pid());
        Ok(Self {
            witness,
            attacker,
            town,
            runtime,
            before,
        })
    }

    /// The town is as before, and the witness heard nothing but heads.
    fn ends_well(mut self) -> Result<()> {
        self.town.goes_on()?;
        self.town.ensure_bounded()?;
        let after = measure::peak_memory(self.town.victim.running.pid());
        let grown = after.saturating_sub(self.before);
        println!(
            "the victim grew by {} KiB from {} KiB",
            grown / 1024,
            self.before / 1024
        );
        ensure!(
            grown < GROWTH_BYTES_MAX,
            "the victim grew by {} MiB",
            grown / MIB
        );
        for heard in self.witness.all_heard() {
            let is_head = opendag_protocol::admission::head_dataset(&heard).is_some();
            ensure!(
                is_head,
                "the victim passed on {} bytes of junk",
                heard.len()
            );
        }
        self.town.victim.stop()?;
        drop((self.witness, self.attacker));
        self.runtime.shutdown_background();
        Ok(())
    }
}

#[test]
fn p6_s10_junk_by_the_thousand_ends_with_a_ban() -> Result<()> {
    let scene = Scene::new(301, Part::Gossip)?;
    let junk = (0..flood()).map(|number| [&number.to_le_bytes()[..], &[7; 200]].concat());
    scene.attacker.say_all(None, junk.collect())?;
    let victim = opendag_tests::hostile::peer_of(&scene.town.address()?.parse()?)?;
    scene.attacker.wait_until_thrown_out(&victim)?;
    scene.ends_well()
}

#[test]
fn p6_s10_a_message_of_64_kib_and_a_byte_is_not_read() -> Result<()> {
    let scene = Scene::new(302, Part::Gossip)?;
    for bytes in [HEAD_BYTES_MAX + 1, 64 * 1024 + 1, 1024 * 1024] {
        scene.attacker.say(vec![9; bytes])?;
    }
    scene.ends_well()
}

#[test]
fn p6_s10_ten_thousand_topics_are_ignored() -> Result<()> {
    let scene = Scene::new(303, Part::Gossip)?;
    scene.attacker.subscribe_all(TOPICS)?;
    scene.ends_well()
}

#[test]
fn p6_s10_one_body_under_many_ids_is_one_message() -> Result<()> {
    let scene = Scene::new(304, Part::SignedGossip)?;
    let body = Author::new(44, "unknown")?;
    let version = body.version(0, None, &Files::from([("x".to_owned(), b"x".to_vec())]))?;
    let same = version.records[1].clone();
    scene.attacker.say_all(None, vec![same.clone(); 2_000])?;
    ensure!(!scene.witness.has_heard(&same));
    scene.ends_well()
}

#[test]
fn p6_s10_a_publisher_that_signs_without_end_is_passed_on_now_and_then() -> Result<()> {
    let scene = Scene::new(305, Part::Gossip)?;
    let author = Author::new(45, "restless")?;
    let files = Files::from([("x".to_owned(), b"x".to_vec())]);
    let version = author.version(0, None, &files)?;
    let peer = opendag_tests::hostile::Peer::start(
        scene.town.world.network(),
        46,
        version.clone().into(),
        opendag_tests::hostile::Conduct::Honest,
    )?;
    let output = scene.town.world.path("restless");
    let dataset = version.dataset.to_string();
    let node = scene.town.victim.node();
    node.fetch(&dataset, &output, &["--peer", peer.address()])?
        .ok()?;
    let heads = (1..=300).map(|later| {
        let at = Timestamp::from_secs(author.now.as_secs() + later);
        author.head(0, version.manifest, at)
    });
    let heads: Vec<_> = heads.collect::<Result<_>>()?;
    // Slowly enough for the limit of each peer: all of them are good.
    for some in heads.chunks(50) {
        scene.attacker.say_all(None, some.to_vec())?;
        std::thread::sleep(std::time::Duration::from_millis(600));
    }
    let said = |head: &&Vec<u8>| scene.witness.has_heard(head);
    scene.witness.wait_until_heard(&heads[0])?;
    let passed_on = heads.iter().filter(said).count();
    println!("{passed_on} heads of {} were passed on", heads.len());
    ensure!(
        passed_on <= HEADS_PASSED_ON_MAX,
        "{passed_on} heads were passed on"
    );
    scene.ends_well()
}
