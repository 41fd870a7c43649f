//! R2: a hundred readers at once of a gateway that knew nothing before.

use std::{fs, thread, time::Instant};

use anyhow::{Result, anyhow, ensure};
use opendag_tests::{MIB, Tree};

use super::{
    super::{Bench, swarm::Swarm, trees::SEED},
    Gateway,
    client::{Got, get, hash},
};
use crate::{
    peers::{Host, opendag::on},
    process::Watched,
    report::{Report, Row, Run},
    say,
    stats::{Goal, Sense},
    transfer::{lossy, mb},
};

const READERS: usize = 100;
/// Bytes of each of the files.
const FILE_BYTES: u64 = 10 * MIB;
/// Most memory of the gateway, in MiB.
const PEAK_GOAL: f64 = 300.0;

/// Who reads what.
const CASES: &[(&str, usize, bool)] = &[
    ("one file, one seed", 1, false),
    ("each another file, one seed", 1, true),
    ("each another file, three seeds", 3, true),
];

/// R2.
pub(in super::super) fn hundred_readers(bench: &Bench<'_>) -> Result<Report> {
    let bytes = bench.options.scaled(FILE_BYTES);
    let title = format!("{READERS} readers at once of files of {:.1} MB", mb(bytes));
    let mut report = Report::new("R2", title);
    let mut tree = Tree::new(SEED);
    for index in 0..READERS {
        tree = tree.file(&format!("{index:03}.bin"), bytes);
    }
    let source = tree.write(&bench.path("data"))?;
    for (name, seeds, others) in CASES {
        let hosts = vec![Host::loopback(); *seeds];
        let swarm = Swarm::new(bench, &source, &hosts, &[])?;
        let mut row = Row::new(*name);
        for round in 0..bench.options.rounds {
            row.runs.push(one(&swarm, (*others, bytes), round)?);
            say(&format!("  round {}: {name}", round + 1));
        }
        let readers = lossy(u64::try_from(READERS)?);
        report.goals.push(Goal {
            what: format!("readers that were not refused ({name})"),
            sense: Sense::AtLeast,
            goal: readers,
            measured: row.worst("refused").map(|refused| readers - refused),
        });
        report.goals.push(Goal {
            what: format!("peak memory of the gateway in MiB ({name})"),
            sense: Sense::AtMost,
            goal: PEAK_GOAL,
            measured: row.worst("peak_mib"),
        });
        report.rows.push(row);
        drop(swarm);
        fs::remove_dir_all(bench.path("work"))?;
    }
    Ok(report)
}

fn one(swarm: &Swarm, (others, bytes): (bool, u64), round: usize) -> Result<Run> {
    let node = on(
        swarm.world.node(&format!("gateway{round}")),
        &Host::loopback(),
    );
    let seeds: Vec<_> = swarm.seeds.iter().collect();
    let gateway = Gateway::start(&node, &seeds)?;
    let mut watched = Watched::new(vec![gateway.pid()]);
    let names: Vec<String> = (0..READERS)
        .map(|reader| format!("{:03}.bin", if others { reader } else { 0 }))
        .collect();
    let started = Instant::now();
    let got: Vec<Result<Got>> = thread::scope(|scope| {
        let read = |name: &String| {
            let path = format!("/d/{}/{name}", swarm.link);
            let url = gateway.url.clone();
            scope.spawn(move || get(&url, &path, None))
        };
        let readers: Vec<_> = names.iter().map(read).collect();
        let joined = |reader: thread::ScopedJoinHandle<'_, Result<Got>>| {
            reader.join().map_err(|_| anyhow!("a reader panicked"))?
        };
        readers.into_iter().map(joined).collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    let (mut refused, mut read_bytes) = (0, 0);
    for (name, got) in names.iter().zip(got) {
        let got = got?;
        if got.status == 200 {
            ensure!(got.bytes == bytes, "{name} was cut off at {}", got.bytes);
            ensure!(
                got.hash == hash(&swarm.source.join(name))?,
                "{name} has other bytes"
            );
            read_bytes += got.bytes;
        } else {
            refused += 1;
        }
    }
    let used = watched.used();
    let received = gateway.received_bytes()?;
    gateway.daemon.stop()?;
    fs::remove_dir_all(node.data_dir())?;
    Ok(Run::default()
        .with("seconds", seconds)
        .with("MB/s", mb(read_bytes) / seconds)
        .with("refused", lossy(refused))
        .with("received/file", mb(received) / mb(bytes))
        .with("peak_mib", lossy(used.peak_bytes) / lossy(MIB))
        .with("gateway_cpu_s", used.cpu_seconds))
}
