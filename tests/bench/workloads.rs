//! The workloads of the issue, by name.

mod capped;
mod catalogue;
mod link;
mod memory;
mod publish;
mod reads;
mod search;
mod swarm;
mod trees;
mod versions;

use std::{fs, path::PathBuf};

use anyhow::Result;
use tempfile::TempDir;

use crate::{
    options::Options,
    peers::{
        Peer, aria2::Aria2, libtorrent::Libtorrent, limit::Limit, opendag::OpenDag, rqbit::Rqbit,
        rsync::Rsync, sendme::Sendme,
    },
    report::Report,
};

/// What a workload works with.
pub(crate) struct Bench<'a> {
    /// The command line.
    pub(crate) options: &'a Options,
    dir: TempDir,
}

/// How a workload is run.
type Run = fn(&Bench<'_>) -> Result<Report>;

/// All workloads.
const ALL: &[(&str, Run)] = &[
    ("B1", publish::in_place),
    ("B2", trees::one_file),
    ("B3", trees::small_files),
    ("B4", trees::documentation),
    ("B5", capped::three_seeds),
    ("B6", capped::eight_fetchers),
    ("B7", link::lossy_link),
    ("B8", versions::next_version),
    ("B9", memory::many_shards),
    ("R1", reads::against_fetch),
    ("R2", reads::hundred_readers),
    ("R3", reads::round_trips),
    ("R4", reads::first_byte),
    ("R5", reads::one_column),
    ("C1", catalogue::kept_alive),
    ("C2", catalogue::spread),
    ("Q1", search::million),
];

/// Their names.
pub(crate) fn names() -> Vec<&'static str> {
    ALL.iter().map(|(name, _)| *name).collect()
}

/// Workloads of many files. Their folders stay until the end: ext4 does not use an inode again for some minutes after its
/// file was removed, and passes over each such inode one by one, so that whoever makes files next would pay for it.
const MANY_FILES: [&str; 2] = ["B3", "B4"];

/// Runs the workload of this name in a folder that goes away afterwards, or is added to what is `kept`.
pub(crate) fn run(
    name: &str,
    options: &Options,
    kept: &mut Vec<TempDir>,
) -> Result<Option<Report>> {
    let Some((_, run)) = ALL.iter().find(|(known, _)| *known == name) else {
        return Ok(None);
    };
    let dir = tempfile::Builder::new()
        .prefix("opendag-bench-")
        .tempdir_in(&options.folder)?;
    let bench = Bench { options, dir };
    let report = run(&bench);
    if MANY_FILES.contains(&name) {
        kept.push(bench.dir);
    }
    report.map(Some)
}

impl Bench<'_> {
    /// A path in the folder of this workload.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A folder in the folder of this workload.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// The peers that were asked for, the subject first.
    pub(crate) fn peers(&self) -> Vec<Box<dyn Peer>> {
        let all: Vec<Box<dyn Peer>> = vec![
            Box::new(OpenDag {
                binary: self.options.binary.clone(),
            }),
            Box::new(Limit),
            Box::new(Aria2),
            Box::new(Rsync),
            Box::new(Libtorrent),
            Box::new(Rqbit),
            Box::new(Sendme),
        ];
        all.into_iter()
            .filter(|peer| self.options.wants(peer.name()))
            .collect()
    }
}
