//! The whole story in one go: publish, mirror, fetch from three seeds, lose one of them in the
//! middle, compare.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::{
    command::{Line, PeerBytes, Running},
    compare::{self, Comparison, compare},
    daemon::{NodeInfo, NodeSpec},
    network::{Keep, Testnet, UpOptions, create_private},
    source::Source,
    sweep::Swept,
};

/// Nodes that serve: the publisher and two mirrors.
const SEEDS: u16 = 3;
/// The seed that is killed.
const VICTIM: &str = "node-3";
/// The fetch is slowed down to at least this, so that it has a middle.
const FETCH_TIME_MIN: Duration = Duration::from_secs(8);
/// The slowest that it is slowed down to, in bytes a second: small folders go in one breath.
const FETCH_RATE_MIN: u64 = 16 * 1024;
/// Paths that differ are listed up to so many.
const DIFFERENT_SHOWN: usize = 10;
/// Name of the dataset.
const NAME: &str = "demo";
/// Its licence: what is shown never leaves this machine.
const LICENSE: &str = "LicenseRef-demo";

/// What to show, and where.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// The program to run: `opendag`.
    pub executable: PathBuf,
    /// What is published.
    pub source: Source,
    /// Folder for the nodes' data, on a disk with room for three copies; a new folder in it is
    /// removed in the background afterwards, or kept if a step fails.
    pub dir: PathBuf,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DemoReport {
    /// Files that came and are equal.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Are the trees equal? False also when anything is missing or more.
    pub equal: bool,
    /// Some paths that differ.
    pub different: Vec<PathBuf>,
    /// Bytes that the last node received.
    pub received_bytes: u64,
    /// How much each seed gave to it.
    pub shares: Vec<Share>,
    /// The seed that was killed; `None`: the fetch was over
    /// before it had a middle.
    pub killed: Option<Killed>,
    /// Seconds of publishing.
    pub publish_seconds: f64,
    /// Seconds of mirroring, both mirrors at once.
    pub mirror_seconds: f64,
    /// Seconds of the fetch.
    pub fetch_seconds: f64,
    /// Seconds in all.
    pub seconds: f64,
}

/// A seed that was killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Killed {
    /// Its name in the testnet.
    pub name: String,
    /// How much had come by then, in percent of all bytes.
    pub percent: u64,
}

/// How much a seed gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Its name in the testnet.
    pub name: String,
    /// Its id.
    pub peer: String,
    /// Verified bytes.
    pub bytes: u64,
    /// Of all bytes, rounded down.
    pub percent: u64,
}

/// Plays the story and tells each step through `say`. Dropping the future kills all nodes and removes
/// their data.
///
/// # Errors
/// A step fails. Unequal trees are no error here: see [`DemoReport::equal`].
pub async fn demo(options: DemoOptions, mut say: impl FnMut(&str)) -> Result<DemoReport> {
    create_private(&options.dir)?;
    let folder = tempfile::Builder::new()
        .prefix("demo-")
        .tempdir_in(&options.dir)?
        .keep();
    let swept = Swept::new(folder.clone(), options.executable.clone());
    let played = play(options, &folder, &mut say).await;
    played.map_err(|error| {
        let folder = swept.keep();
        error.context(format!(
            "what there is of it, and the logs, are in {}",
            folder.display()
        ))
    })
}

async fn play(
    options: DemoOptions,
    folder: &Path,
    say: &mut impl FnMut(&str),
) -> Result<DemoReport> {
    let DemoOptions {
        executable, source, ..
    } = options;
    let begun = Instant::now();
    let sizes = compare::files(&source.folder, &source.without)?;
    let bytes: u64 = sizes.values().sum();
    let what = format!("{} in {}", source.what, source.folder.display());
    say(&format!(
        "Data: {what}: {} files, {}",
        sizes.len(),
        size(bytes)
    ));
    drop(sizes);

    let up = UpOptions {
        executable,
        dir: folder.join("net"),
        nodes: SEEDS,
        keep: Keep::Data,
    };
    let mut testnet = Testnet::up(up).await?;
    say(&format!(
        "Started {SEEDS} nodes in the network {}",
        testnet.state().network
    ));

    let (link, publish_seconds) = publish(&testnet, &source, say).await?;
    let mirror_seconds = mirror(&testnet, &link, say).await?;

    let fresh = testnet.spec(SEEDS + 1);
    limit_download(&fresh, bytes)?;
    let output = folder.join("fetched");
    let fetched = fetch(&mut testnet, &fresh, (&link, bytes, &output), say).await?;

    say("Comparing both folders byte by byte");
    let (one, other) = (source.folder.clone(), output.clone());
    let compared = tokio::task::spawn_blocking(move || compare(&one, &other, &source.without));
    let Comparison {
        files,
        bytes,
        mut different,
    } = compared.await??;
    different.truncate(DIFFERENT_SHOWN);
    Ok(DemoReport {
        files,
        bytes,
        equal: different.is_empty(),
        different,
        received_bytes: fetched.received_bytes,
        shares: fetched.shares,
        killed: fetched.killed,
        publish_seconds,
        mirror_seconds,
        fetch_seconds: fetched.seconds,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

async fn publish(
    testnet: &Testnet,
    source: &Source,
    say: &mut impl FnMut(&str),
) -> Result<(String, f64)> {
    say("Publishing it in place on node-1");
    let begun = Instant::now();
    let folder = source
        .folder
        .to_str()
        .context("the folder's path is not UTF-8")?;
    let mut args = vec![
        "publish".to_owned(),
        folder.to_owned(),
        "--name".to_owned(),
        NAME.to_owned(),
        "--license".to_owned(),
        LICENSE.to_owned(),
    ];
    for name in &source.without {
        // A name without a slash would match at any depth.
        args.extend(["--exclude".to_owned(), format!("{name}/**")]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let published = Running::start(&testnet.spec(1), &args)?;
    let (link, files, bytes) = published
        .finish(|line| match line {
            Line::Published { link, files, bytes } => Some((link, files, bytes)),
            _ => None,
        })
        .await?;
    let seconds = begun.elapsed().as_secs_f64();
    say(&format!(
        "Published {files} files, {}, in {seconds:.1} s: {link}",
        size(bytes)
    ));
    Ok((link, seconds))
}

async fn mirror(testnet: &Testnet, link: &str, say: &mut impl FnMut(&str)) -> Result<f64> {
    say("Mirroring it on node-2 and node-3");
    let begun = Instant::now();
    let mirror = |number| async move {
        let mirrored = Running::start(&testnet.spec(number), &["mirror", link])?;
        mirrored
            .finish(|line| matches!(line, Line::Fetched { .. } | Line::Other).then_some(()))
            .await
    };
    tokio::try_join!(mirror(2), mirror(3))?;
    let seconds = begun.elapsed().as_secs_f64();
    say(&format!("Mirrored on both in {seconds:.1} s"));
    Ok(seconds)
}

/// Gives the fresh node a configuration that stretches the fetch, so that a seed can die in the middle.
fn limit_download(spec: &NodeSpec, bytes: u64) -> Result<()> {
    create_private(&spec.data_dir)?;
    let rate = (bytes / FETCH_TIME_MIN.as_secs()).max(FETCH_RATE_MIN);
    let config = format!("download_limit = \"{rate}B\"\n");
    std::fs::write(spec.data_dir.join("config.toml"), config)
        .with_context(|| format!("cannot write the configuration of {}", spec.name))
}

struct Fetched {
    received_bytes: u64,
    shares: Vec<Share>,
    killed: Option<Killed>,
    seconds: f64,
}

async fn fetch(
    testnet: &mut Testnet,
    fresh: &NodeSpec,
    (link, bytes, output): (&str, u64, &Path),
    say: &mut impl FnMut(&str),
) -> Result<Fetched> {
    say(&format!(
        "Fetching it on {}, which is new, from all three",
        fresh.name
    ));
    let begun = Instant::now();
    let seeds: Vec<_> = testnet
        .daemons()
        .iter()
        .map(|daemon| daemon.info().clone())
        .collect();
    let output = output.to_str().context("the target's path is not UTF-8")?;
    let mut args = vec!["fetch", link, "-o", output, "--no-seed", "--timeout", "60s"];
    for seed in &seeds {
        let address = seed.addresses.first();
        args.extend([
            "--peer",
            address.with_context(|| format!("{} has no address", seed.name))?,
        ]);
    }
    let mut fetching = Running::start(fresh, &args)?;
    let mut killed = None;
    let mut result: Option<(u64, Vec<PeerBytes>)> = None;
    while let Some(line) = fetching.next().await? {
        match line {
            Line::Progress { received_bytes }
                if killed.is_none() && (bytes / 4..bytes).contains(&received_bytes) =>
            {
                if let Some(victim) = testnet.take(VICTIM) {
                    victim.kill().await?;
                    let percent = percent(received_bytes, bytes);
                    say(&format!(
                        "Killed {VICTIM} (kill -9) when {percent} % had come"
                    ));
                    let name = VICTIM.to_owned();
                    killed = Some(Killed { name, percent });
                }
            }
            Line::Fetched {
                received_bytes,
                peers,
            } => result = Some((received_bytes, peers)),
            _ => {}
        }
    }
    let Some((received_bytes, peers)) = result else {
        bail!("the fetch ended without its result")
    };
    let seconds = begun.elapsed().as_secs_f64();
    say(&format!(
        "Fetched {} in {seconds:.1} s",
        size(received_bytes)
    ));
    let shares = shares(&seeds, peers);
    Ok(Fetched {
        received_bytes,
        shares,
        killed,
        seconds,
    })
}

fn shares(seeds: &[NodeInfo], peers: Vec<PeerBytes>) -> Vec<Share> {
    let total = peers.iter().map(|peer| peer.bytes).sum();
    let share = |given: PeerBytes| {
        let seed = seeds.iter().find(|seed| seed.peer == given.peer);
        Share {
            name: seed.map_or_else(|| "another".to_owned(), |seed| seed.name.clone()),
            percent: percent(given.bytes, total),
            peer: given.peer,
            bytes: given.bytes,
        }
    };
    let mut shares: Vec<Share> = peers.into_iter().map(share).collect();
    shares.sort_by(|one, other| one.name.cmp(&other.name));
    shares
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

/// Bytes for people, in decimal megabytes above one of them.
fn size(bytes: u64) -> String {
    const MEGABYTE: u64 = 1_000_000;
    if bytes < MEGABYTE {
        return format!("{bytes} bytes");
    }
    format!(
        "{}.{} MB",
        bytes / MEGABYTE,
        bytes % MEGABYTE / (MEGABYTE / 10)
    )
}
