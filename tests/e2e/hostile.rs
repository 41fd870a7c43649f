//! Peers that give wrong bytes, no bytes or too many, each beside one honest seed.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use opendag_tests::{
    Daemon, MIB, Tree, World,
    hostile::{Author, Conduct, Greedy, Library, Peer, Version},
    world::{number, text},
};

use crate::common::{ensure_equal, ensure_modest, ensure_no_wrong_file, world};

/// What a liar may cost: one chunk group is rejected, but what it had in flight is lost with it.
const WASTE_PER_LIAR_MAX: u64 = 8 * MIB + 16 * 1024;

/// One version by hand, an honest daemon that has it, and the files to compare with.
struct Scene {
    world: World,
    version: Version,
    source: PathBuf,
    honest: Daemon,
}

impl Scene {
    fn new(seed: u8) -> Result<Self> {
        let world = world()?;
        let mut tree = Tree::new(u64::from(seed))
            .file("large.bin", 20 * MIB + 5)
            .file("medium.bin", MIB + 1);
        for index in 0..40_u64 {
            tree = tree.file(&format!("small/{index}.txt"), index * 700);
        }
        let source = tree.write(&world.path("source"))?;
        let version = Author::new(seed, "handmade")?.version(0, None, &tree.read()?)?;
        // The honest daemon learns all of it from a second implementation that behaves.
        let first = Peer::start(
            world.network(),
            seed,
            Library::from(version.clone()),
            Conduct::Honest,
        )?;
        let honest = world.node("honest").daemon(["--upload-limit", "6MB"])?;
        let copy = world.path("copy");
        honest
            .node()
            .fetch(
                &version.dataset.to_string(),
                &copy,
                &["--peer", first.address()],
            )?
            .ok()?;
        ensure_equal(&source, &copy)?;
        Ok(Self {
            world,
            version,
            source,
            honest,
        })
    }

    /// A liar that claims to have all.
    fn liar(&self, conduct: Conduct) -> Result<Peer> {
        Peer::start(
            self.world.network(),
            200,
            Library::from(self.version.clone()),
            conduct,
        )
    }

    /// A fetch from the honest daemon and a liar ends well; returns its last event and all it said.
    fn fetch_beside(&self, liar: &Peer) -> Result<(serde_json::Value, String)> {
        let output = self.world.path("fetched");
        let options = ["--peer", liar.address(), "--peer", self.honest.address()?];
        let dataset = self.version.dataset.to_string();
        let finished = self
            .world
            .node("fetcher")
            .fetch(&dataset, &output, &options)?
            .ok()?;
        ensure_equal(&self.source, &output)?;
        ensure_modest("a fetch beside a liar", finished.peak_bytes)?;
        // Otherwise nothing was shown.
        ensure!(
            liar.counts().asked() > 0,
            "the liar was never asked for anything"
        );
        Ok((finished.event("fetched")?, finished.lines.join("\n")))
    }

    /// Negative control: with the liar alone there is no end and no file.
    fn fetch_from_alone(&self, liar: &Peer) -> Result<()> {
        let output = self.world.path("alone");
        let options = ["--peer", liar.address(), "--timeout", "4s"];
        let dataset = self.version.dataset.to_string();
        let finished = self
            .world
            .node("alone")
            .fetch(&dataset, &output, &options)?;
        ensure!(matches!(finished.code, Some(1 | 3 | 4)), "{finished:?}");
        ensure_no_wrong_file(&self.source, &output)?;
        ensure!(
            !output.join("large.bin").exists(),
            "a liar alone completed a file"
        );
        Ok(())
    }
}

fn p2_wrong_bytes(seed: u8, conduct: Conduct) -> Result<()> {
    let scene = Scene::new(seed)?;
    let liar = scene.liar(conduct)?;
    let (fetched, said) = scene.fetch_beside(&liar)?;
    let wasted = number(&fetched, "wasted_bytes")?;
    ensure!(
        wasted <= WASTE_PER_LIAR_MAX,
        "{wasted} bytes were wasted on one liar"
    );
    let banned = said
        .lines()
        .any(|line| line.contains("\"bad_peer\"") && line.contains(liar.peer()));
    ensure!(banned, "nothing names the liar {}:\n{said}", liar.peer());
    scene.fetch_from_alone(&scene.liar(conduct)?)
}

#[test]
fn p5_s1_wrong_bytes_at_the_start() -> Result<()> {
    p2_wrong_bytes(111, Conduct::WrongFirst)
}

#[test]
fn p5_s1_wrong_bytes_in_the_middle() -> Result<()> {
    p2_wrong_bytes(112, Conduct::WrongMiddle)
}

#[test]
fn p5_s1_wrong_bytes_at_the_end() -> Result<()> {
    p2_wrong_bytes(113, Conduct::WrongLast)
}

#[test]
fn p5_s1_a_wrong_length() -> Result<()> {
    p2_wrong_bytes(114, Conduct::WrongLength)
}

#[test]
fn p5_s1_the_bytes_of_another_range() -> Result<()> {
    p2_wrong_bytes(115, Conduct::SwappedRanges)
}

#[test]
fn p5_s2_a_peer_that_claims_all_and_has_nothing() -> Result<()> {
    let scene = Scene::new(116)?;
    let liar = scene.liar(Conduct::Nothing)?;
    let (fetched, _) = scene.fetch_beside(&liar)?;
    ensure!(number(&fetched, "wasted_bytes")? < MIB, "{fetched}");
    scene.fetch_from_alone(&liar)
}

#[test]
fn p5_s3_a_peer_that_never_answers() -> Result<()> {
    let scene = Scene::new(117)?;
    let liar = scene.liar(Conduct::Silent)?;
    scene.fetch_beside(&liar)?;
    scene.fetch_from_alone(&liar)
}

#[test]
fn p5_s3_a_peer_that_trickles() -> Result<()> {
    let scene = Scene::new(121)?;
    let liar = scene.liar(Conduct::Trickle)?;
    scene.fetch_beside(&liar)?;
    Ok(())
}

#[test]
fn p6_s6_a_peer_that_asks_for_all_and_reads_nothing_stops_nobody() -> Result<()> {
    let mut scene = Scene::new(122)?;
    let network = scene.world.network();
    let greedy = Greedy::start(network, 201, scene.honest.address()?, &scene.version)?;
    let output = scene.world.path("fetched");
    let options = ["--peer", scene.honest.address()?];
    let dataset = scene.version.dataset.to_string();
    scene
        .world
        .node("fetcher")
        .fetch(&dataset, &output, &options)?
        .ok()?;
    ensure_equal(&scene.source, &output)?;
    ensure!(greedy.held() > 4, "it held only {} streams", greedy.held());
    ensure_modest(
        "a seed beside a greedy peer",
        scene.honest.running.peak_bytes(),
    )?;
    scene.honest.stop()?;
    Ok(())
}

#[test]
fn p5_s3_a_peer_that_stalls_near_the_end() -> Result<()> {
    let scene = Scene::new(118)?;
    let liar = scene.liar(Conduct::StallsNearTheEnd)?;
    scene.fetch_beside(&liar)?;
    Ok(())
}

#[test]
fn p5_s4_a_peer_that_never_stops_sending() -> Result<()> {
    let scene = Scene::new(119)?;
    for conduct in [Conduct::Endless, Conduct::Absurd] {
        let liar = scene.liar(conduct)?;
        let fetched = scene.world.path("fetched");
        if fetched.exists() {
            std::fs::remove_dir_all(&fetched)?;
        }
        scene.fetch_beside(&liar)?;
    }
    Ok(())
}

#[test]
fn an_honest_second_implementation_is_enough() -> Result<()> {
    // Negative control of the whole file: the same actor, when it behaves, is a good source.
    let scene = Scene::new(120)?;
    let peer = scene.liar(Conduct::Honest)?;
    let output = scene.world.path("alone");
    let link = format!("opendag:{}", scene.version.manifest);
    let finished = scene
        .world
        .node("alone")
        .fetch(&link, &output, &["--peer", peer.address()])?
        .ok()?;
    ensure_equal(&scene.source, &output)?;
    ensure!(text(&finished.event("fetched")?, "manifest")? == scene.version.manifest.to_string());
    Ok(())
}
