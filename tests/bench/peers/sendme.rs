//! sendme (iroh): QUIC, BLAKE3 verified; no relay, addresses in the ticket.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{Fetch, Host, Job, Peer, SEED_TIME_MAX, Seed, need};
use crate::process::Process;

/// sendme.
pub(crate) struct Sendme;

/// What both ends are told: no relay, an address of this host alone.
fn options(host: &Host) -> Vec<String> {
    let address = format!("{}:0", host.address);
    ["--relay", "disabled", "--no-progress", "--magic-ipv4-addr"]
        .into_iter()
        .chain([address.as_str()])
        .map(str::to_owned)
        .collect()
}

impl Peer for Sendme {
    fn name(&self) -> &'static str {
        "sendme"
    }

    fn missing(&self) -> Option<String> {
        need(&["sendme"])
    }

    fn seed(&self, job: &Job<'_>) -> Result<Box<dyn Seed>> {
        fs::create_dir_all(&job.scratch)?;
        let mut command = job.seed.command("sendme");
        command
            .arg("send")
            .args(options(&job.seed))
            .args(["--ticket-type", "addresses"])
            .arg(job.source)
            // It keeps its store where it is started.
            .current_dir(&job.scratch)
            .env("HOME", &job.scratch);
        let mut process = Process::start("sendme-seed", command, &job.scratch)?;
        let ticket = process.wait_line("its ticket", SEED_TIME_MAX, |line| {
            line.strip_prefix("sendme receive ").map(str::to_owned)
        })?;
        Ok(Box::new(Seeding {
            process,
            ticket,
            name: job.source.file_name().unwrap_or_default().into(),
            home: job.scratch.clone(),
            host: job.fetch.clone(),
        }))
    }
}

struct Seeding {
    process: Process,
    ticket: String,
    name: PathBuf,
    home: PathBuf,
    host: Host,
}

impl Seed for Seeding {
    fn pids(&self) -> Vec<u32> {
        vec![self.process.pid()]
    }

    fn fetch(&self, target: &Path, _run: usize) -> Result<Fetch> {
        let mut command = self.host.command("sendme");
        command
            .arg("receive")
            .args(options(&self.host))
            .arg(&self.ticket)
            .current_dir(target)
            .env("HOME", &self.home);
        Ok(Fetch {
            command,
            result: target.join(&self.name),
        })
    }
}
