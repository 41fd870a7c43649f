//! libtorrent through its Python binding: TCP, unencrypted, every piece checked by its SHA-1.

use std::{fs, path::Path, path::PathBuf, process::Command};

use anyhow::{Result, ensure};

use super::{Fetch, Host, Job, Peer, SEED_TIME_MAX, Seed, need};
use crate::process::Process;

/// The driver, written into the scratch folder.
const DRIVER: &str = include_str!("torrent_driver.py");

/// libtorrent 2.
pub(crate) struct Libtorrent;

impl Peer for Libtorrent {
    fn name(&self) -> &'static str {
        "libtorrent"
    }

    fn missing(&self) -> Option<String> {
        need(&["python3"]).or_else(|| {
            let imported = Command::new("python3")
                .args(["-c", "import libtorrent; libtorrent.load_torrent_file"])
                .output();
            let found = imported.is_ok_and(|output| output.status.success());
            (!found).then(|| "python3 has no module libtorrent of version 2".to_owned())
        })
    }

    fn seed(&self, job: &Job<'_>) -> Result<Box<dyn Seed>> {
        fs::create_dir_all(&job.scratch)?;
        let driver = job.scratch.join("torrent_driver.py");
        fs::write(&driver, DRIVER)?;
        let torrent = job.scratch.join("data.torrent");
        let made = Command::new("python3")
            .arg(&driver)
            .arg("make")
            .arg(job.source)
            .arg(&torrent)
            .arg("v1")
            .output()?;
        ensure!(
            made.status.success(),
            "libtorrent made no torrent: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut command = job.seed.command("python3");
        command.arg(&driver).arg("seed").arg(job.source);
        command.arg(&torrent).arg(&job.seed.address);
        let mut process = Process::start("libtorrent-seed", command, &job.scratch)?;
        let port = process.wait_line("its port", SEED_TIME_MAX, |line| {
            line.strip_prefix("port ")?.parse::<u16>().ok()
        })?;
        Ok(Box::new(Seeding {
            process,
            driver,
            torrent,
            name: job.source.file_name().unwrap_or_default().into(),
            peer: format!("{}:{port}", job.seed.address),
            host: job.fetch.clone(),
        }))
    }
}

struct Seeding {
    process: Process,
    driver: PathBuf,
    torrent: PathBuf,
    name: PathBuf,
    peer: String,
    host: Host,
}

impl Seed for Seeding {
    fn pids(&self) -> Vec<u32> {
        vec![self.process.pid()]
    }

    fn fetch(&self, target: &Path, _run: usize) -> Result<Fetch> {
        let mut command = self.host.command("python3");
        command.arg(&self.driver).arg("fetch").arg(target);
        command.arg(&self.torrent);
        command.arg(&self.host.address).arg(&self.peer);
        Ok(Fetch {
            command,
            result: target.join(&self.name),
        })
    }
}
