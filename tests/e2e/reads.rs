//! What readers of a gateway move over the network, and what they share with a fetch of the same version.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use opendag_tests::{
    Daemon, MIB, Tree,
    http::{Answer, request},
    link::{Link, Quality},
    skipped,
    world::{number, text},
};

use crate::common::{Swarm, ensure_equal, world};

/// What may come beside the bytes that are asked for: proofs, and pieces that are asked for as wholes.
const PROOFS: f64 = 1.03;
/// How long something that must happen is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// One file of a swarm, and a gateway that knows its seeds.
struct Scene {
    swarm: Swarm,
    gateway: Daemon,
    url: String,
    path: String,
    original: Vec<u8>,
}

impl Scene {
    fn new(seed: u64, bytes: u64, rate: &str, config: &str) -> Result<Self> {
        let tree = Tree::new(seed).file("large.bin", bytes);
        let swarm = Swarm::start(&tree, 1, rate)?;
        let node = swarm.world.node("gateway");
        node.config(config)?;
        let args = [
            "--gateway",
            "127.0.0.1:0",
            "--bootstrap",
            swarm.seeds[0].address()?,
        ];
        let gateway = node.daemon(args)?;
        Ok(Self {
            url: text(&gateway.ready, "gateway")?,
            path: format!("/d/{}/large.bin", text(&swarm.published, "dataset")?),
            original: fs::read(swarm.source.join("large.bin"))?,
            gateway,
            swarm,
        })
    }

    /// Reads a range, and sees that it is right.
    fn read(&self, from: u64, to: u64) -> Result<()> {
        let answer = get(&self.url, &self.path, from, to)?;
        ensure!(answer.status == 206, "{}", answer.head);
        let (from, to) = (usize::try_from(from)?, usize::try_from(to)?);
        ensure!(answer.body == self.original[from..to], "other bytes came");
        Ok(())
    }

    fn received(&self) -> Result<u64> {
        let status = self.gateway.node().run(["status"])?.ok()?.event("status")?;
        let received = status["counters"]["received_bytes"].as_u64();
        received.context("a count of received bytes")
    }

    /// What was received when nothing more comes.
    fn received_in_the_end(&self) -> Result<u64> {
        let deadline = Instant::now() + PATIENCE;
        let mut before = self.received()?;
        loop {
            // Twice as long as the count may be late.
            thread::sleep(Duration::from_millis(600));
            let now = self.received()?;
            if now == before {
                return Ok(now);
            }
            ensure!(Instant::now() < deadline, "more and more comes: {now}");
            before = now;
        }
    }
}

fn get(url: &str, path: &str, from: u64, to: u64) -> Result<Answer> {
    let range = format!("bytes={from}-{}", to - 1);
    request(url, "GET", path, &[("Range", &range)], "")
}

#[allow(clippy::cast_precision_loss, reason = "sizes of a test")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[test]
fn a_fetch_receives_only_what_readers_did_not_and_readers_go_on_from_its_target() -> Result<()> {
    let mut scene = Scene::new(171, 24 * MIB + 5, "200MB", "")?;
    let size = 24 * MIB + 5;
    scene.read(0, 12 * MIB)?;
    let dataset = text(&scene.swarm.published, "dataset")?;
    let output = scene.swarm.world.path("fetched");
    let fetched = scene.gateway.node().fetch(&dataset, &output, &[])?.ok()?;
    let fetched = fetched.event("fetched")?;
    ensure_equal(&scene.swarm.source, &output)?;
    let received = share(number(&fetched, "received_bytes")?, size - 12 * MIB);
    ensure!(
        (0.9..PROOFS).contains(&received),
        "it received {received} of the other half"
    );

    // Nobody else is needed any more, nor is the cache.
    scene.swarm.seeds.remove(0).stop()?;
    fs::remove_dir_all(scene.gateway.node().data_dir().join("cache"))?;
    scene.read(0, size)
}

#[test]
fn a_reader_of_what_is_being_fetched_is_served_first_and_nothing_comes_twice() -> Result<()> {
    let size = 32 * MIB;
    let scene = Scene::new(172, size, "4MB", "")?;
    let dataset = text(&scene.swarm.published, "dataset")?;
    let output = scene.swarm.world.path("fetched");
    let node = scene.gateway.node();
    let mut fetch = node.start_fetch(&dataset, &output, &[])?;
    let began = |event: &serde_json::Value| event["received_bytes"].as_u64() > Some(MIB);
    fetch.wait_for("that it receives", PATIENCE, began)?;
    // Three places that the fetch would come to at the end of its 8 s at the earliest, each of them.
    for at in [31 * MIB, 16 * MIB, 8 * MIB] {
        scene.read(at, at + MIB)?;
    }
    let read = Instant::now();
    let fetched = fetch.finish(PATIENCE)?.ok()?.event("fetched")?;
    ensure!(
        read.elapsed() > Duration::from_secs(1),
        "the readers waited for all of it"
    );
    ensure_equal(&scene.swarm.source, &output)?;
    let fetched = share(number(&fetched, "received_bytes")?, size);
    let all = share(scene.received_in_the_end()?, size);
    ensure!(fetched <= all && all < PROOFS, "{fetched} and {all} came");
    ensure!(
        fetched > 0.99,
        "readers got {} beside the fetch",
        all - fetched
    );
    Ok(())
}

#[test]
fn many_readers_of_one_range_are_one_fetch() -> Result<()> {
    let scene = Scene::new(173, 16 * MIB, "50MB", "")?;
    thread::scope(|scope| {
        let read = |_| scope.spawn(|| scene.read(5 * MIB, 9 * MIB));
        let readers: Vec<_> = (0..30).map(read).collect();
        let mut results = readers.into_iter().map(|reader| reader.join());
        results.try_for_each(|read| read.map_err(|_| anyhow!("a reader panicked"))?)
    })?;
    let received = share(scene.received_in_the_end()?, 4 * MIB);
    ensure!(
        (0.99..1.1).contains(&received),
        "{received} of the range came"
    );
    Ok(())
}

#[test]
fn what_a_reader_left_unread_does_not_come() -> Result<()> {
    let size = 64 * MIB;
    let scene = Scene::new(174, size, "8MB", "")?;
    let address = scene.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    let head = format!("GET {} HTTP/1.1\r\nHost: {address}\r\n\r\n", scene.path);
    stream.write_all(head.as_bytes())?;
    let mut some = vec![0; 512 * 1024];
    stream.read_exact(&mut some)?;
    drop(stream);
    let received = scene.received_in_the_end()?;
    // Its window was small, and what is on its way still comes.
    ensure!(received > MIB / 2 && received < 16 * MIB, "{received} came");
    Ok(())
}

#[test]
fn readers_need_no_room_in_the_cache() -> Result<()> {
    let scene = Scene::new(175, 24 * MIB, "200MB", "cache_limit = \"1B\"\n")?;
    thread::scope(|scope| {
        let read = |reader: u64| {
            let from = reader * 2 * MIB;
            let scene = &scene;
            scope.spawn(move || scene.read(from, from + 8 * MIB))
        };
        let readers: Vec<_> = (0..8).map(read).collect();
        let mut results = readers.into_iter().map(|reader| reader.join());
        results.try_for_each(|read| read.map_err(|_| anyhow!("a reader panicked"))?)
    })?;
    // Nothing is kept, so it comes again.
    let before = scene.received_in_the_end()?;
    scene.read(20 * MIB, 22 * MIB)?;
    scene.read(0, MIB)?;
    ensure!(scene.received_in_the_end()? >= before + MIB, "it was kept");
    Ok(())
}

/// Each way.
const FAR: Duration = Duration::from_millis(250);

#[test]
fn a_cold_range_of_a_known_version_costs_three_round_trips() -> Result<()> {
    let test = "a_cold_range_of_a_known_version_costs_three_round_trips";
    let link = match Link::new(&Quality::new(1_000_000_000, FAR), 1) {
        Ok(link) => link,
        Err(reason) => {
            skipped(
                test,
                &format!("no namespaces with TUN devices here: {reason:#}"),
            );
            return Ok(());
        }
    };
    let world = world()?;
    let source = Tree::new(176)
        .file("large.bin", 16 * MIB)
        .write(&world.path("source"))?;
    let at = |name: &str, host: usize| {
        let listen = format!("/ip4/{}/tcp/0", Link::address(host));
        let node = world.node(name).in_namespace(link.namespace(host));
        node.listening(&listen)
    };
    let seed = at("seed", 1).daemon::<&str>([])?;
    let published = seed.node().publish(&source, "data")?;
    let node = at("gateway", 0);
    let gateway = || -> Result<Daemon> {
        let daemon = node.daemon(["--gateway", "127.0.0.1:0", "--bootstrap", seed.address()?])?;
        let deadline = Instant::now() + PATIENCE;
        while !node
            .run(["peers"])?
            .ok()?
            .lines
            .concat()
            .contains(&seed.peer)
        {
            ensure!(Instant::now() < deadline, "the seed is not reached");
        }
        Ok(daemon)
    };
    // The client runs where the gateway does.
    let read = |daemon: &Daemon, from: u64| -> Result<f64> {
        let path = format!("/d/{}/large.bin", text(&published, "manifest")?);
        let url = format!("{}{path}", text(&daemon.ready, "gateway")?);
        let range = format!("{from}-{}", from + 8191);
        let mut curl = Command::new("ip");
        curl.args([
            "netns",
            "exec",
            link.namespace(0),
            "curl",
            "-sS",
            "-f",
            "-r",
            &range,
            &url,
        ]);
        let began = Instant::now();
        let output = curl.output()?;
        let took = began.elapsed().as_secs_f64() / (2.0 * FAR.as_secs_f64());
        let from = usize::try_from(from)?;
        let right = &fs::read(source.join("large.bin"))?[from..from + 8192];
        ensure!(
            output.status.success() && output.stdout == right,
            "{output:?}"
        );
        Ok(took)
    };
    let first = gateway()?;
    read(&first, 0)?;
    first.stop()?;
    // Known, but nobody was asked yet what he holds; then only for bytes.
    let again = gateway()?;
    let (cold, next) = (read(&again, 5 * MIB)?, read(&again, 9 * MIB)?);
    ensure!(cold < 3.5, "{cold} round trips");
    ensure!(next < 2.5, "{next} round trips");
    Ok(())
}
