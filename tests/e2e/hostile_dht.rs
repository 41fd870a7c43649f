//! S11 and S12: a DHT full of junk and of liars.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use opendag_protocol::{DatasetId, Hash, ManifestId, limits::SEQUENCE_MAX};
use opendag_tests::{
    Tree,
    hostile::{Author, Bare, Crowd, Files, Part},
    world::text,
};

use crate::{
    common::{ensure_equal, ensure_says},
    town::{AGREE_MAX, Town, counter, ensure_bounded, wait_until},
};

/// Keys that one peer says it provides; `OPENDAG_TEST_FLOOD` sets another number, such as 10,000.
const KEYS: u32 = 2_500;
/// Peers that say that they provide one key: more than are kept.
const PROVIDERS: u32 = 48;
/// Addresses in one record.
const ADDRESSES: u16 = 1000;
/// Ids of one liar: more than a fetch talks to at once. `OPENDAG_TEST_LIARS` sets another number, such as 200.
const LIARS: u32 = 50;
/// How long a fetch may take beside them.
const FETCH_MAX: Duration = Duration::from_secs(100);

fn number(variable: &str, otherwise: u32) -> u32 {
    let asked = std::env::var(variable).ok();
    asked
        .and_then(|number| number.parse().ok())
        .unwrap_or(otherwise)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

#[test]
fn p6_s11_junk_in_the_dht_keeps_nobody_from_announcing() -> Result<()> {
    let mut town = Town::new(501)?;
    let runtime = runtime()?;
    let network = town.world.network().to_owned();
    let flooder = Bare::start(&runtime, &network, 1, Part::Dht)?;
    flooder.join(town.address()?)?;
    let keys = (0..number("OPENDAG_TEST_FLOOD", KEYS)).map(|key| Hash::of(&key.to_le_bytes()));
    flooder.provide(keys.collect())?;
    let boaster = Bare::start(&runtime, &network, 2, Part::Dht)?;
    boaster.join(town.address()?)?;
    let address = |port: u16| format!("/ip4/127.0.0.1/tcp/{port}").parse();
    let addresses = (1..=ADDRESSES).map(address).collect::<Result<_, _>>()?;
    boaster.pretend(addresses)?;
    boaster.provide(vec![Hash::of(b"reached everywhere")])?;
    // A head with the highest number, by somebody who owns another dataset.
    let author = Author::new(52, "squatter")?;
    let files = Files::from([("x".to_owned(), b"x".to_vec())]);
    let version = author.version(0, None, &files)?;
    let head = author.head(SEQUENCE_MAX, version.manifest, author.now)?;
    boaster.put(town.dataset.parse::<DatasetId>()?.hash(), head)?;

    // Meanwhile somebody publishes, and somebody else finds it by its id alone.
    let source = Tree::interesting(502).write(&town.world.path("other-source"))?;
    let other = town
        .world
        .node("other")
        .daemon(["--bootstrap", town.address()?])?;
    let published = other.node().publish(&source, "other")?;
    let fetcher = town.world.node("by-id");
    fetcher.config(&format!("bootstrap = [\"{}\"]\n", town.address()?))?;
    let output = town.world.path("by-id");
    fetcher
        .fetch(&text(&published, "dataset")?, &output, &[])?
        .ok()?;
    ensure_equal(&source, &output)?;
    town.goes_on()?;
    town.ensure_bounded()?;
    runtime.shutdown_background();
    Ok(())
}

#[test]
fn p5_s11_many_providers_of_one_key_do_not_hide_the_one_that_has_it() -> Result<()> {
    let mut town = Town::new(503)?;
    let runtime = runtime()?;
    let network = town.world.network().to_owned();
    // They know the key before who will have it does: that of the next version is a secret, that of the dataset is not.
    let key = town.dataset.parse::<DatasetId>()?.hash();
    let mut liars = Vec::new();
    for liar in 0..PROVIDERS {
        let liar = Bare::start(&runtime, &network, 100 + liar, Part::Dht)?;
        liar.join(town.address()?)?;
        liar.provide(vec![key])?;
        liars.push(liar);
    }
    // A mirror announces what it has only now, and the publisher goes away.
    let mirror = town
        .world
        .node("mirror")
        .daemon(["--bootstrap", town.address()?])?;
    let copy = town.world.path("mirrored");
    mirror.node().fetch(&town.dataset, &copy, &[])?.ok()?;
    let fetcher = town.world.node("by-id");
    fetcher.config(&format!("bootstrap = [\"{}\"]\n", town.address()?))?;
    let output = town.world.path("by-id");
    fetcher.fetch(&town.dataset, &output, &[])?.ok()?;
    ensure_equal(&copy, &output)?;
    town.goes_on()?;
    town.ensure_bounded()?;
    runtime.shutdown_background();
    Ok(())
}

#[test]
fn p5_s12_a_crowd_of_liars_around_a_key_stops_neither_finding_nor_fetching() -> Result<()> {
    let mut town = Town::new(504)?;
    let source = Tree::new(505).file("x", 900_000).file("y/z", 10);
    let source = source.write(&town.world.path("wanted"))?;
    let published = town.publisher.node().publish(&source, "wanted")?;
    let (dataset, manifest) = (text(&published, "dataset")?, text(&published, "manifest")?);
    let keys = [
        dataset.parse::<DatasetId>()?.hash(),
        manifest.parse::<ManifestId>()?.hash(),
    ];
    let liars = number("OPENDAG_TEST_LIARS", LIARS);
    let crowd = Crowd::start(town.world.network(), liars, &keys)?;
    // Whoever knows liars only is told that nobody answered; nothing hangs, and nothing is made up.
    let lost = town.world.node("lost");
    let three = [crowd.address(0)?, crowd.address(1)?, crowd.address(2)?];
    lost.config(&format!("bootstrap = {three:?}\n"))?;
    let wanted = DatasetId::from_hash(Hash::of(b"only honest nodes would know")).to_string();
    let output = town.world.path("lost");
    let denied = lost
        .fetch(&wanted, &output, &["--timeout", "15s"])?
        .code(3)?;
    ensure_says(&denied, &["looked at", "did not answer"])?;
    ensure!(!output.exists(), "something was made up");
    crowd.join(town.address()?)?;
    wait_until(AGREE_MAX, "the crowd is there", || {
        Ok(counter(&town.victim, "peers")? > u64::from(liars))
    })?;
    let limit = format!("{}s", FETCH_MAX.as_secs());
    // Somebody new, who knows the victim only.
    let fetcher = town.world.node("by-id");
    fetcher.config(&format!("bootstrap = [\"{}\"]\n", town.address()?))?;
    let started = Instant::now();
    let output = town.world.path("by-id");
    fetcher
        .fetch(&dataset, &output, &["--timeout", &limit])?
        .ok()?;
    ensure_equal(&source, &output)?;
    println!("somebody new fetched within {:?}", started.elapsed());
    // The one on whom they sit.
    let started = Instant::now();
    let output = town.world.path("by-the-victim");
    let within = ["--timeout", &limit];
    town.victim.node().fetch(&dataset, &output, &within)?.ok()?;
    ensure_equal(&source, &output)?;
    println!("the victim fetched within {:?}", started.elapsed());
    town.goes_on()?;
    town.ensure_bounded()
}

#[test]
fn p7_partitions_that_learned_different_things_agree_when_they_are_joined() -> Result<()> {
    let world = crate::common::world()?;
    let source = Tree::new(506)
        .file("x", 1000)
        .write(&world.path("source"))?;
    let left = world.node("left-0").daemon::<&str>([])?;
    let first = left.node().publish(&source, "left")?;
    let dataset = text(&first, "dataset")?;
    // The right half has seen the first version only, and has a dataset of its own.
    let right = world.node("right-0");
    let copy = world.path("right");
    right
        .fetch(&dataset, &copy, &["--peer", left.address()?])?
        .ok()?;
    let right = right.daemon::<&str>([])?;
    let other = Tree::new(507).file("y", 1000).write(&world.path("other"))?;
    let published = right.node().publish(&other, "right")?;
    let others = text(&published, "dataset")?;
    let mut halves = vec![left, right];
    for name in ["left", "right"] {
        for number in 1..3 {
            let seed = &halves[usize::from(name == "right")];
            let node = world.node(&format!("{name}-{number}"));
            let daemon = node.daemon(["--bootstrap", seed.address()?])?;
            halves.push(daemon);
        }
    }
    std::fs::write(source.join("z"), b"z")?;
    let second = text(&halves[0].node().publish(&source, "left")?, "manifest")?;
    std::fs::write(other.join("z"), b"z")?;
    let newest = text(&halves[1].node().publish(&other, "right")?, "manifest")?;
    // Negative control: the halves know nothing of each other.
    let known = crate::town::newest(halves[1].node(), &dataset)?;
    let known = known.context("the first version")?;
    ensure!(
        known["manifest"] != second.as_str(),
        "there is no partition"
    );
    ensure!(
        counter(&halves[0], "known_datasets")? == 1,
        "there is no partition"
    );
    // A node that knows one of each half heals it.
    let bridge = world.node("bridge");
    let ends = [halves[3].address()?, halves[5].address()?];
    bridge.config(&format!("bootstrap = {ends:?}\n"))?;
    let started = Instant::now();
    halves.push(bridge.daemon::<&str>([])?);
    for daemon in &halves {
        crate::town::wait_for_newest(daemon.node(), &dataset, &second)?;
        crate::town::wait_for_newest(daemon.node(), &others, &newest)?;
    }
    println!("all agree after {:?}", started.elapsed());
    ensure!(
        started.elapsed() < AGREE_MAX,
        "it took {:?}",
        started.elapsed()
    );
    for daemon in &mut halves {
        ensure_bounded(daemon)?;
    }
    Ok(())
}
