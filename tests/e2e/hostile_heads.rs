//! S7 and S8: heads that are forged, old, forked or absurd, by gossip and by `sync/1`, to a daemon beside honest ones.

use anyhow::{Context, Result, ensure};
use opendag_tests::hostile::{
    Author, Bare, Conduct, Files, Part, Peer, Teller, Telling, Version, absurdities, forgeries,
    peer_of,
};
use tokio::runtime::Runtime;

use crate::town::{Town, newest, wait_for_newest};

fn files(text: &str) -> Files {
    Files::from([("x".to_owned(), text.as_bytes().to_vec())])
}

/// A town whose victim has a dataset of an author who does what the test wants, and who hears what it passes on.
struct Scene {
    author: Author,
    first: Version,
    second: Version,
    witness: Bare,
    town: Town,
    runtime: Runtime,
}

impl Scene {
    fn new(seed: u8) -> Result<Self> {
        let town = Town::new(seed.into())?;
        let author = Author::new(seed, "handmade")?;
        let first = author.version(0, None, &files("first"))?;
        let second = author.version(1, Some(first.manifest), &files("second"))?;
        let network = town.world.network();
        let peer = Peer::start(network, seed, first.clone().into(), Conduct::Honest)?;
        let (node, output) = (town.victim.node(), town.world.path("first"));
        let dataset = first.dataset.to_string();
        node.fetch(&dataset, &output, &["--peer", peer.address()])?
            .ok()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let witness = Bare::start(&runtime, network, 1, Part::Gossip)?;
        witness.join(town.address()?)?;
        Ok(Self {
            author,
            first,
            second,
            witness,
            town,
            runtime,
        })
    }

    fn dataset(&self) -> String {
        self.first.dataset.to_string()
    }

    /// Somebody who only gossips.
    fn crier(&self, number: u32) -> Result<Bare> {
        let crier = Bare::start(
            &self.runtime,
            self.town.world.network(),
            number,
            Part::Gossip,
        )?;
        crier.join(self.town.address()?)?;
        Ok(crier)
    }

    /// The victim takes this version for the newest of the author.
    fn ensure_newest(&self, version: &Version) -> Result<()> {
        let shown = newest(self.town.victim.node(), &self.dataset())?.context("the dataset")?;
        ensure!(
            shown["manifest"] == version.manifest.to_string(),
            "the victim was led to {shown}"
        );
        Ok(())
    }

    /// Negative control, and the end: the right head is believed and passed on, and the town is as before.
    fn ends_well(mut self) -> Result<()> {
        let head = self.second.records.get(1).context("a head")?.clone();
        let crier = self.crier(99)?;
        crier.say(head.clone())?;
        self.witness.wait_until_heard(&head)?;
        drop(crier);
        let newest = self.second.manifest.to_string();
        // Its version comes from whoever told of it.
        let network = self.town.world.network();
        let all = self.first.clone().and(&self.second);
        let honest = Peer::start(network, 98, all.into(), Conduct::Honest)?;
        let (node, output) = (self.town.victim.node(), self.town.world.path("second"));
        node.fetch(&self.dataset(), &output, &["--peer", honest.address()])?
            .ok()?;
        wait_for_newest(node, &self.dataset(), &newest)?;
        self.town.goes_on()?;
        self.town.ensure_bounded()?;
        self.runtime.shutdown_background();
        Ok(())
    }
}

#[test]
fn p7_s7_forged_heads_in_gossip_are_not_believed_nor_passed_on_and_end_with_a_ban() -> Result<()> {
    let scene = Scene::new(81)?;
    let forged = forgeries(&scene.author, 1, scene.second.manifest)?;
    // Three each, so that each is judged before its sender is thrown out.
    for (number, some) in (10_u32..).zip(forged.chunks(3)) {
        let forger = scene.crier(number)?;
        for forgery in some {
            ensure!(
                forger.say(forgery.bytes.clone())?,
                "{} was not said",
                forgery.name
            );
        }
        if some.len() == 3 {
            let victim = peer_of(&scene.town.address()?.parse()?)?;
            forger.wait_until_thrown_out(&victim)?;
        }
    }
    scene.ensure_newest(&scene.first)?;
    for forgery in &forged {
        ensure!(
            !scene.witness.has_heard(&forgery.bytes),
            "passed on: {}",
            forgery.name
        );
    }
    scene.ends_well()
}

#[test]
fn p7_s7_forged_records_by_sync_are_not_kept_and_end_with_a_ban() -> Result<()> {
    let scene = Scene::new(82)?;
    let forged = forgeries(&scene.author, 1, scene.second.manifest)?;
    let manifest = scene.second.records.get(2).context("a manifest")?;
    let victim = peer_of(&scene.town.address()?.parse()?)?;
    // One that cannot even be read has no id under which it could be offered.
    for (seed, name) in [
        (20, "a signature that does not hold"),
        (21, "signed for another domain"),
        (22, "a key of small order"),
    ] {
        let forgery = forged.iter().find(|forgery| forgery.name == name);
        let head = forgery.context("a forgery")?.bytes.clone();
        let records = vec![manifest.clone(), head];
        let network = scene.town.world.network();
        let teller = Teller::start(network, seed, records, Telling::Offers)?;
        teller.join(scene.town.address()?)?;
        teller.wait_until_given(1)?;
        crate::town::wait_until(crate::town::AGREE_MAX, "the forger is thrown out", || {
            Ok(!teller.is_connected(&victim)?)
        })?;
    }
    // Signed rightly by one without a say: nobody is banned, and nothing is believed.
    let other = forged
        .iter()
        .find(|forgery| forgery.name == "signed by somebody else");
    let records = vec![manifest.clone(), other.context("a forgery")?.bytes.clone()];
    let teller = Teller::start(scene.town.world.network(), 23, records, Telling::Offers)?;
    teller.join(scene.town.address()?)?;
    teller.wait_until_given(2)?;
    scene.ensure_newest(&scene.first)?;
    scene.ends_well()
}

#[test]
fn p7_s8_old_and_absurd_heads_are_ignored_also_after_a_restart() -> Result<()> {
    let mut scene = Scene::new(83)?;
    let third = scene
        .author
        .version(2, Some(scene.second.manifest), &files("third"))?;
    let old = scene.first.records.get(1).context("a head")?.clone();
    let network = scene.town.world.network().to_owned();
    let all = scene.first.clone().and(&scene.second);
    let honest = Peer::start(&network, 84, all.into(), Conduct::Honest)?;
    let output = scene.town.world.path("newer");
    let from = ["--peer", honest.address()];
    let node = scene.town.victim.node().clone();
    node.fetch(&scene.dataset(), &output, &from)?.ok()?;
    scene.ensure_newest(&scene.second)?;
    let mut said = vec![old.clone()];
    let absurd = absurdities(&scene.author, third.manifest, 2)?;
    said.extend(absurd.into_iter().map(|absurd| absurd.bytes));
    for round in 0..2 {
        let crier = scene.crier(30 + round)?;
        for head in &said {
            ensure!(crier.say(head.clone())?);
        }
        let records = said.iter().cloned().chain([third.records[2].clone()]);
        let seed = 32 + u8::try_from(round)?;
        let teller = Teller::start(&network, seed, records.collect(), Telling::Offers)?;
        teller.join(scene.town.address()?)?;
        teller.wait_until_given(1)?;
        scene.ensure_newest(&scene.second)?;
        for head in &said {
            ensure!(
                !scene.witness.has_heard(head),
                "an old or absurd head was passed on"
            );
        }
        // Once more to a process that remembers nothing but what is on its disk.
        if round == 0 {
            scene.town = scene.town.restart()?;
            scene.witness = Bare::start(&scene.runtime, &network, 40, Part::Gossip)?;
            scene.witness.join(scene.town.address()?)?;
        }
    }
    // What was refused does not stand in the way of the next version.
    let all = scene.first.clone().and(&scene.second).and(&third);
    let honest = Peer::start(&network, 85, all.into(), Conduct::Honest)?;
    let from = ["--peer", honest.address()];
    node.fetch(&scene.dataset(), &output, &from)?.ok()?;
    scene.ensure_newest(&third)?;
    scene.town.goes_on()?;
    scene.town.ensure_bounded()
}

#[test]
fn p7_s8_a_fork_that_comes_by_sync_is_kept_passed_on_and_shown() -> Result<()> {
    let scene = Scene::new(86)?;
    let other = scene.author.version(0, None, &files("another first"))?;
    let records = vec![other.records[1].clone(), other.records[2].clone()];
    let network = scene.town.world.network();
    let teller = Teller::start(network, 87, records, Telling::Offers)?;
    teller.join(scene.town.address()?)?;
    teller.wait_until_given(1)?;
    let node = scene.town.victim.node();
    let dataset = scene.dataset();
    let is_shown = |node: &opendag_tests::Node| -> Result<bool> {
        let shown = newest(node, &dataset)?;
        let forks = shown.and_then(|shown| shown["forks"].as_array().map(Vec::len));
        Ok(forks.is_some_and(|forks| forks > 0))
    };
    crate::town::wait_until(crate::town::AGREE_MAX, "the fork is shown", || {
        is_shown(node)
    })?;
    // Who never met the liar sees it, too.
    let publisher = scene.town.publisher.node();
    crate::town::wait_until(crate::town::AGREE_MAX, "the fork is told", || {
        is_shown(publisher)
    })?;
    let town = scene.town.restart()?;
    ensure!(
        is_shown(town.victim.node())?,
        "the proof is gone after a restart"
    );
    Ok(())
}
