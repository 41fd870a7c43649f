//! C1: many datasets kept alive by one node. C2: how fast a new head is known everywhere.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use opendag_node::{
    net::{Inbound, Multiaddr, Net, NetConfig, NetCounters, NetEvent, Verdict},
    store::{DataDir, Place, PlaceKind, Store},
};
use opendag_tests::{Daemon, World, catalogue::Heard};
use tokio::sync::mpsc;

use super::Bench;
use crate::{
    report::{Report, Row, Run},
    say,
    stats::{Goal, Sense},
    transfer::lossy,
    usage,
};

/// Nodes of the DHT beside the one that announces.
const OTHERS: usize = 9;
/// How long the node is watched at a time: first while everything is announced, then while that goes on more slowly.
const WATCHED: Duration = Duration::from_secs(170);
/// So many times.
const WATCHES: [&str; 2] = ["at first", "afterwards"];
/// Nodes that each new node of C2 connects to.
const DIALS: usize = 4;
/// Heads that are sent one after another.
const HEADS: usize = 10;
/// Heads before those, while the meshes form.
const WARMING: usize = 3;
/// No head takes longer.
const HEAD_MAX: Duration = Duration::from_secs(30);
/// Bytes in the mebibyte of the figures.
const MIB: f64 = 1024.0 * 1024.0;

/// C1.
pub(super) fn kept_alive(bench: &Bench<'_>) -> Result<Report> {
    let datasets = bench.options.scaled(10_000);
    let mut report = Report::new("C1", format!("{datasets} datasets announced by one node"));
    let world = World::new_in(&bench.options.binary, &bench.path(""))?;
    let announcing = world.node("announcing");
    place_all(&announcing, datasets)?;
    say("  records written, starting");
    let first = world.node("other-0").daemon::<&str>([])?;
    let address = first.address()?.to_owned();
    let mut others = vec![first];
    for number in 1..OTHERS {
        let node = world.node(&format!("other-{number}"));
        others.push(node.daemon(["--bootstrap", &address])?);
    }
    let daemon = announcing.daemon(["--bootstrap", &address])?;
    let pid = daemon.running.pid();
    for name in WATCHES {
        let before = usage::cpu_seconds(&[pid]);
        let announced = counter(&daemon, "dht_announced")?;
        let gossiped = counter(&daemon, "heads_gossiped")?;
        thread::sleep(WATCHED);
        let hours = WATCHED.as_secs_f64() / 3600.0;
        let cpu = usage::cpu_seconds(&[pid]) - before;
        let told = counter(&daemon, "dht_announced")? - announced;
        let gossiped = counter(&daemon, "heads_gossiped")? - gossiped;
        let run = Run::default()
            .with("cpu_percent", cpu / WATCHED.as_secs_f64() * 100.0)
            .with("resident_mib", lossy(usage::resident_bytes(pid)) / MIB)
            .with("dht_announced_per_hour", told / hours)
            .with("heads_gossiped_per_hour", gossiped / hours);
        say(&format!("  {name}: {run:?}"));
        report.rows.push(Row {
            name: name.to_owned(),
            runs: vec![run],
        });
    }
    report.goals.push(Goal {
        what: "CPU of the announcing node in percent of a core, while it announces all".to_owned(),
        sense: Sense::AtMost,
        goal: 5.0,
        measured: report.median("afterwards", "cpu_percent"),
    });
    report.notes.push(
        "Watched from its start, the first announcements included, which take an hour and a half; afterwards each \
         dataset costs three announcements in twelve hours."
            .to_owned(),
    );
    Ok(report)
}

fn counter(daemon: &Daemon, name: &str) -> Result<f64> {
    let status = daemon.node().run(["status"])?.ok()?.event("status")?;
    let found = status.pointer(&format!("/counters/{name}"));
    found
        .and_then(serde_json::Value::as_f64)
        .with_context(|| format!("the counter {name}"))
}

/// Writes records and places as if so many datasets had been published here.
fn place_all(node: &opendag_tests::Node, datasets: u64) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    fs::create_dir_all(node.data_dir().with_extension("files"))?;
    let root = node.data_dir().with_extension("files");
    runtime.block_on(async {
        let store = Store::open(&DataDir::open(node.data_dir())?).await?;
        let writing = store.clone();
        let written = tokio::task::spawn_blocking(move || -> Result<()> {
            for number in 0..u32::try_from(datasets)? {
                let heard = Heard::new(number, 24 * 60 * 60)?;
                for taken in writing.apply_all(&heard.records(), opendag_tests::catalogue::now())? {
                    taken?;
                }
                writing.place(&Place {
                    manifest: heard.manifest.id().into(),
                    root: root.clone(),
                    kind: PlaceKind::Published,
                    pinned: true,
                    include: Vec::new(),
                    exclude: Vec::new(),
                })?;
            }
            Ok(())
        });
        written.await??;
        store.shutdown().await?;
        Ok(())
    })
}

/// C2.
pub(super) fn spread(bench: &Bench<'_>) -> Result<Report> {
    let nodes = usize::try_from(bench.options.scaled(200))?.max(10);
    let mut report = Report::new(
        "C2",
        format!("a new head among {nodes} nodes in one process"),
    );
    let runtime = tokio::runtime::Runtime::new()?;
    let mut row = Row::new("gossip");
    let spread = runtime.block_on(spread_among(nodes))?;
    for (number, time) in spread.times.into_iter().enumerate() {
        say(&format!(
            "  head {}: {:.3} s",
            number + 1,
            time.as_secs_f64()
        ));
        row.runs
            .push(Run::default().with("known_by_99_percent_s", time.as_secs_f64()));
    }
    let copies = lossy(spread.copies) / lossy(spread.messages.max(1));
    say(&format!(
        "  {copies:.2} copies of each message came to each node"
    ));
    for run in &mut row.runs {
        *run = std::mem::take(run).with("copies_of_each_message", copies);
    }
    report.rows.push(row);
    report.goals.push(Goal {
        what: "seconds until 99 % of the nodes know a new head".to_owned(),
        sense: Sense::AtMost,
        goal: 2.0,
        measured: report.median("gossip", "known_by_99_percent_s"),
    });
    report
        .notes
        .push("Each node verifies the signature of the head before it passes it on.".to_owned());
    Ok(report)
}

/// What C2 gives.
struct Spread {
    times: Vec<Duration>,
    /// Messages that nodes saw for the first time, and with all copies.
    messages: u64,
    copies: u64,
}

async fn spread_among(nodes: usize) -> Result<Spread> {
    let (heard, mut hearing) = mpsc::channel(nodes * (HEADS + WARMING));
    let mut nets: Vec<Net> = Vec::new();
    let mut addresses: Vec<Multiaddr> = Vec::new();
    for number in 0..nodes {
        let (net, inbound) = Net::start(config(number)?).await?;
        for dial in 0..DIALS.min(number) {
            // Spread over all that are there, the same each time.
            let other = (number * 7919 + dial * 104_729) % number;
            if let Some(address) = addresses.get(other) {
                net.dial(address.clone()).await?;
            }
        }
        addresses.push(
            net.listen_addrs()
                .await
                .first()
                .context("an address")?
                .clone(),
        );
        tokio::spawn(verify(net.clone(), inbound, heard.clone()));
        nets.push(net);
    }
    say("  all nodes are connected");
    let first = nets.first().context("a node")?;
    let mut times = Vec::new();
    for head in 0..HEADS + WARMING {
        let bytes = Heard::new(u32::try_from(head)?, 60)?.head.bytes().to_vec();
        let start = Instant::now();
        first.gossip_head(bytes.clone()).await;
        let mut count = 1;
        let enough = nodes * 99 / 100;
        while count < enough {
            let next = tokio::time::timeout(HEAD_MAX, hearing.recv()).await;
            match next {
                Ok(Some(message)) => count += usize::from(message == bytes),
                _ => break,
            }
        }
        if head >= WARMING {
            ensure!(
                count >= enough,
                "only {count} nodes of {nodes} know the head"
            );
            times.push(start.elapsed());
        }
    }
    let counted = |of: fn(&NetCounters) -> u64| nets.iter().map(|net| of(&net.counters())).sum();
    let spread = Spread {
        times,
        messages: counted(|counters| counters.gossip_received),
        copies: counted(|counters| counters.gossip_copies),
    };
    for net in nets {
        net.shutdown().await;
    }
    Ok(spread)
}

fn config(number: usize) -> Result<NetConfig> {
    let mut seed = [1; 32];
    for (to, from) in seed.iter_mut().zip(number.to_le_bytes()) {
        *to = from;
    }
    Ok(NetConfig {
        keypair_seed: seed,
        network: "spread".to_owned(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
        bootstrap: Vec::new(),
        dht: false,
        dht_server: false,
        mdns: false,
        validate_head: std::sync::Arc::new(|_, _| None),
        denies_key: std::sync::Arc::new(|_| false),
    })
}

/// Verifies each head as a node does that knows its owners.
async fn verify(net: Net, mut inbound: Inbound, heard: mpsc::Sender<Vec<u8>>) {
    while let Some(event) = inbound.events.recv().await {
        if let NetEvent::Gossip { id, bytes, .. } = event {
            let verdict = match opendag_protocol::record::SignedRecord::decode(&bytes) {
                Ok(_) => Verdict::Accept,
                Err(_) => Verdict::Reject,
            };
            net.verdict(id, verdict).await;
            // The measurement may have ended.
            let _ = heard.send(bytes).await;
        }
    }
}
