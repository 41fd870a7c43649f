//! rqbit (BitTorrent): TCP, every piece checked by its SHA-1; no DHT, trackers, UPnP or local discovery.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use walkdir::WalkDir;

use super::{Fetch, Host, Job, Peer, SEED_TIME_MAX, Seed, free_port, need, rsync::wait_port};
use crate::process::{Process, Watched};

/// rqbit.
pub(crate) struct Rqbit;

/// What both ends are told.
fn options(host: &Host) -> Vec<String> {
    let fixed = "--disable-dht --disable-dht-persistence --disable-upnp-port-forward \
        --disable-trackers --disable-lsd --ipv4-only --listen-ip";
    fixed
        .split_ascii_whitespace()
        .chain([host.address.as_str()])
        .map(str::to_owned)
        .collect()
}

impl Peer for Rqbit {
    fn name(&self) -> &'static str {
        "rqbit"
    }

    fn missing(&self) -> Option<String> {
        need(&["rqbit", "curl"])
    }

    fn seed(&self, job: &Job<'_>) -> Result<Box<dyn Seed>> {
        fs::create_dir_all(&job.scratch)?;
        let (port, api) = (free_port()?, format!("127.0.0.1:{}", free_port()?));
        let mut command = job.seed.command("rqbit");
        command
            .args(options(&job.seed))
            .args(["--listen-port", &port.to_string()])
            .args(["--http-api-listen-addr", &api])
            .arg("share")
            .arg(job.source)
            .env("HOME", &job.scratch);
        let mut process = Process::start("rqbit-seed", command, &job.scratch)?;
        process.wait_line("that it has everything", SEED_TIME_MAX, |line| {
            line.contains("Initial check results").then_some(())
        })?;
        wait_port(&job.seed, &job.fetch, port)?;
        let torrent = job.scratch.join("data.torrent");
        let mut command = job.seed.command("curl");
        command
            .args(["-sS", "--fail", "-o"])
            .arg(&torrent)
            .arg(format!("http://{api}/torrents/0/metadata"));
        Process::start("rqbit-torrent", command, &job.scratch)?
            .finish(SEED_TIME_MAX, &mut Watched::new(Vec::new()))?;
        Ok(Box::new(Seeding {
            process,
            torrent,
            folder: several(job.source).then(|| job.source.file_name().unwrap_or_default().into()),
            peer: format!("{}:{port}", job.seed.address),
            home: job.scratch.clone(),
            host: job.fetch.clone(),
        }))
    }
}

/// Whether a folder has more than one file.
fn several(folder: &Path) -> bool {
    let entries = WalkDir::new(folder).into_iter().filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_type().is_file())
        .nth(1)
        .is_some()
}

struct Seeding {
    process: Process,
    torrent: PathBuf,
    /// The folder that it makes in the target for a torrent of several files.
    folder: Option<PathBuf>,
    peer: String,
    home: PathBuf,
    host: Host,
}

impl Seed for Seeding {
    fn pids(&self) -> Vec<u32> {
        vec![self.process.pid()]
    }

    fn fetch(&self, target: &Path, _run: usize) -> Result<Fetch> {
        let mut command = self.host.command("rqbit");
        command
            .args(options(&self.host))
            .args(["download", "--disable-http-api", "--exit-on-finish", "-o"])
            .arg(target)
            .args(["--initial-peers", &self.peer])
            .arg(&self.torrent)
            .env("HOME", &self.home);
        Ok(Fetch {
            command,
            result: match &self.folder {
                Some(folder) => target.join(folder),
                None => target.to_path_buf(),
            },
        })
    }
}
