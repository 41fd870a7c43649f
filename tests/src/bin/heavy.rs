//! The main job at full size: `cargo run --release -p opendag-tests --bin heavy`.
//!
//! Runs the release build of `opendag` beside it, prints figures, ends with 0 only if every promise
//! about them was kept. `tests/README.md` says what each case needs.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that prints its figures"
)]
#![allow(clippy::indexing_slicing, reason = "JSON values answer with null")]

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use opendag_tests::{
    Daemon, MIB, Tree, World, measure, tree,
    world::{number, text},
};
use serde_json::Value;

/// No step may take longer: 8 GiB at 10 MiB/s and some.
const STEP_TIME_MAX: Duration = Duration::from_secs(20 * 60);
/// The promise about memory.
const MEMORY_BYTES_MAX: u64 = 300 * MIB;
/// What a crash may cost.
const LOST_PER_KILL_MAX: u64 = 16 * MIB;

/// What the command line asks for.
struct Options {
    cases: Vec<String>,
    mebibytes: u64,
    seed: u64,
    folder: PathBuf,
    binary: PathBuf,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let profile = std::env::current_exe()?
            .parent()
            .context("the folder of this program")?
            .to_path_buf();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let mut options = Self {
            cases: Vec::new(),
            mebibytes: 8 * 1024,
            seed: u64::from(now.subsec_nanos()),
            folder: std::env::temp_dir(),
            binary: profile.join("opendag"),
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--mebibytes" => options.mebibytes = value()?.parse()?,
                "--seed" => options.seed = value()?.parse()?,
                "--folder" => options.folder = value()?.into(),
                "--binary" => options.binary = value()?.into(),
                "large" | "docs" | "kills" => options.cases.push(arg),
                _ => bail!(
                    "usage: heavy [large] [docs] [kills] [--mebibytes N] [--seed N] [--folder DIR] [--binary FILE]"
                ),
            }
        }
        if options.cases.is_empty() {
            options.cases = ["large", "docs", "kills"].map(str::to_owned).to_vec();
        }
        ensure!(
            options.binary.is_file(),
            "no {}: `cargo build --release -p opendag` first",
            options.binary.display()
        );
        Ok(options)
    }

    fn world(&self) -> Result<World> {
        World::new_in(&self.binary, &self.folder)
    }
}

fn main() -> ExitCode {
    let result = Options::parse(std::env::args().skip(1)).and_then(|options| {
        println!("seed {} (give it with --seed to repeat)", options.seed);
        options
            .cases
            .iter()
            .try_for_each(|case| run(case, &options).with_context(|| format!("case {case}")))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(case: &str, options: &Options) -> Result<()> {
    println!("\n== {case}");
    let world = options.world()?;
    let large = |mebibytes: u64| Tree::new(options.seed).file("large.bin", mebibytes * MIB);
    match case {
        "large" => {
            let source = large(options.mebibytes).write(&world.path("source"))?;
            three_seeds(&world, &source, 2)
        }
        "docs" => three_seeds(&world, &documentation()?, 10),
        _ => {
            let source = large(options.mebibytes / 2).write(&world.path("source"))?;
            ten_kills(&world, &source, options.seed)
        }
    }
}

/// The documentation that comes with the Rust toolchain.
fn documentation() -> Result<PathBuf> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()?;
    let folder = Path::new(String::from_utf8(output.stdout)?.trim()).join("share/doc/rust/html");
    ensure!(
        folder.is_dir(),
        "no {}: `rustup component add rust-docs` brings it",
        folder.display()
    );
    Ok(folder)
}

/// A version and the daemons that have all of it.
struct Swarm {
    published: Value,
    link: String,
    seeds: Vec<Daemon>,
}

/// Publishes in place and lets `mirrors` more daemons fetch.
fn swarm(world: &World, source: &Path, mirrors: usize, growth_percent_max: u64) -> Result<Swarm> {
    let publisher = world.node("publisher").daemon::<&str>([])?;
    let before = measure::disk_usage(publisher.node().data_dir())?;
    let path = source.display().to_string();
    let published = publisher
        .node()
        .start(["publish", &path, "--name", "data", "--license", "CC0-1.0"])?
        .finish(STEP_TIME_MAX)?
        .ok()?;
    let published = published.event("published")?;
    let bytes = number(&published, "bytes")?;
    let growth = measure::disk_usage(publisher.node().data_dir())?.saturating_sub(before);
    println!(
        "published: {} files, {} MiB, {} s",
        published["files"],
        bytes / MIB,
        published["seconds"]
    );
    println!(
        "data directory grew by {:.2} MiB = {:.2} %",
        mebibytes(growth),
        percent(growth, bytes)
    );
    ensure!(
        growth * 100 < bytes * growth_percent_max,
        "the data directory grew by {growth} bytes"
    );

    let link = text(&published, "link")?;
    let mut seeds = vec![publisher];
    for index in 1..=mirrors {
        let bootstrap = seeds
            .first()
            .context("the publisher")?
            .address()?
            .to_owned();
        let mirror = world
            .node(&format!("mirror{index}"))
            .daemon(["--bootstrap", &bootstrap])?;
        let output = world.path(format!("mirror{index}"));
        let fetched = mirror
            .node()
            .start_fetch(&link, &output, &[])?
            .finish(STEP_TIME_MAX)?
            .ok()?
            .event("fetched")?;
        println!("mirror {index}: {} s", fetched["seconds"]);
        seeds.push(mirror);
    }
    Ok(Swarm {
        published,
        link,
        seeds,
    })
}

fn three_seeds(world: &World, source: &Path, growth_percent_max: u64) -> Result<()> {
    let mut swarm = swarm(world, source, 2, growth_percent_max)?;
    let bytes = number(&swarm.published, "bytes")?;
    let output = world.path("fetched");
    let started = Instant::now();
    let finished = world
        .node("fourth")
        .start_fetch(&swarm.link, &output, &[])?
        .finish(STEP_TIME_MAX)?
        .ok()?;
    let seconds = started.elapsed().as_secs_f64();
    let fetched = finished.event("fetched")?;
    let received = number(&fetched, "received_bytes")?;
    println!(
        "fetched: {seconds:.1} s, {:.1} MiB/s, received {:.4} x the data, wasted {}",
        mebibytes(bytes) / seconds,
        percent(received, bytes) / 100.0,
        fetched["wasted_bytes"]
    );
    for seed in &mut swarm.seeds {
        let given = share(&fetched, &seed.peer);
        println!(
            "seed {}: {:.1} % of the bytes, peak {} MiB",
            seed.peer,
            percent(given, bytes),
            seed.running.peak_bytes() / MIB
        );
        ensure!(given * 100 >= bytes * 15, "a seed gave less than 15 %");
        ensure!(
            seed.running.peak_bytes() < MEMORY_BYTES_MAX,
            "a seed used too much memory"
        );
    }
    println!("fetch: peak {} MiB", finished.peak_bytes / MIB);
    ensure!(
        finished.peak_bytes < MEMORY_BYTES_MAX,
        "the fetch used too much memory"
    );
    ensure!(
        received * 100 <= bytes * 102,
        "more than 1.02 x the data was received"
    );
    ensure_equal(source, &output)
}

fn ten_kills(world: &World, source: &Path, seed: u64) -> Result<()> {
    let swarm = swarm(world, source, 1, 2)?;
    let bytes = number(&swarm.published, "bytes")?;
    let (node, output) = (world.node("fetcher"), world.path("fetched"));
    let sent_before = sent(&swarm.seeds)?;
    let mut moments = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    let mut thresholds: Vec<u64> = (0..10)
        .map(|_| {
            let mut random = [0; 8];
            moments.fill(&mut random);
            u64::from_le_bytes(random) % (bytes / 100 * 95)
        })
        .collect();
    thresholds.sort_unstable();

    let mut received = 0;
    for (index, threshold) in thresholds.iter().enumerate() {
        let mut fetch = node.start_fetch(&swarm.link, &output, &[])?;
        let event = fetch.wait_for("progress", STEP_TIME_MAX, |event| {
            event["phase"] == "fetch" && event["bytes"].as_u64() >= Some(*threshold)
        })?;
        let killed = fetch.kill()?;
        received += killed.received_bytes();
        println!(
            "kill {}: at {} MiB, had received {} MiB",
            index + 1,
            number(&event, "bytes")? / MIB,
            killed.received_bytes() / MIB
        );
    }
    let last = node
        .start_fetch(&swarm.link, &output, &[])?
        .finish(STEP_TIME_MAX)?
        .ok()?;
    received += number(&last.event("fetched")?, "received_bytes")?;
    let over = received.saturating_sub(bytes);
    println!(
        "received {} MiB in all, {:.1} MiB over the data",
        received / MIB,
        mebibytes(over)
    );
    // What seeds sent and a killed process never read is in here too.
    println!(
        "seeds sent {:.1} MiB over the data",
        mebibytes(sent(&swarm.seeds)?.saturating_sub(sent_before + bytes))
    );
    ensure!(
        over <= 10 * LOST_PER_KILL_MAX,
        "a kill cost more than 16 MiB"
    );
    ensure_equal(source, &output)
}

/// Bytes of blobs that these nodes sent since they started.
fn sent(seeds: &[Daemon]) -> Result<u64> {
    let mut sum = 0;
    for seed in seeds {
        let status = seed.node().run(["status"])?.ok()?.event("status")?;
        sum += number(&status["counters"], "sent_bytes")?;
    }
    Ok(sum)
}

fn ensure_equal(left: &Path, right: &Path) -> Result<()> {
    let found = tree::differences(left, right)?;
    ensure!(
        found.is_empty(),
        "{} differences, the first: {:?}",
        found.len(),
        found.first()
    );
    println!("equal byte by byte");
    Ok(())
}

fn share(fetched: &Value, peer: &str) -> u64 {
    let shares = fetched["peers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    shares
        .iter()
        .find(|share| share["peer"] == peer)
        .and_then(|share| share["bytes"].as_u64())
        .unwrap_or(0)
}

fn percent(part: u64, whole: u64) -> f64 {
    mebibytes(part) * 100.0 / mebibytes(whole.max(1))
}

#[allow(clippy::cast_precision_loss, reason = "for printing")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}
