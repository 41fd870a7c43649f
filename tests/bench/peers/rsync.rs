//! rsync: its daemon, without compression; files are checked by rsync's own checksum as they arrive.

use std::{fs, path::Path, time::Duration};

use anyhow::Result;

use super::{Fetch, Host, Job, Peer, Seed, free_port, need};
use crate::process::Process;

/// rsync over `rsync://`, unencrypted.
pub(crate) struct Rsync;

impl Peer for Rsync {
    fn name(&self) -> &'static str {
        "rsync"
    }

    fn verifies(&self) -> bool {
        false
    }

    fn missing(&self) -> Option<String> {
        need(&["rsync"])
    }

    fn seed(&self, job: &Job<'_>) -> Result<Box<dyn Seed>> {
        fs::create_dir_all(&job.scratch)?;
        let (port, config) = (free_port()?, job.scratch.join("rsyncd.conf"));
        fs::write(
            &config,
            format!(
                "use chroot = no\naddress = {}\nport = {port}\nlog file = {}\n[data]\npath = {}\nread only = yes\n",
                job.seed.address,
                job.scratch.join("rsyncd.log").display(),
                job.source.display()
            ),
        )?;
        let mut command = job.seed.command("rsync");
        command
            .args(["--daemon", "--no-detach", "--config"])
            .arg(&config);
        let process = Process::start("rsync-seed", command, &job.scratch)?;
        wait_port(&job.seed, &job.fetch, port)?;
        Ok(Box::new(Seeding {
            process,
            url: format!("rsync://{}:{port}/data/", job.seed.address),
            host: job.fetch.clone(),
        }))
    }
}

struct Seeding {
    process: Process,
    url: String,
    host: Host,
}

impl Seed for Seeding {
    fn pids(&self) -> Vec<u32> {
        vec![self.process.pid()]
    }

    fn fetch(&self, target: &Path, _run: usize) -> Result<Fetch> {
        let mut command = self.host.command("rsync");
        // Without -t every run sees other times and sizes, as with an empty target anyway.
        command.args(["-rt", "--whole-file", "--no-compress", &self.url]);
        command.arg(target);
        Ok(Fetch {
            command,
            result: target.to_path_buf(),
        })
    }
}

/// Waits until a server listens; in a namespace a helper looks.
pub(crate) fn wait_port(at: &Host, from: &Host, port: u16) -> Result<()> {
    let script = format!(
        "for i in $(seq 500); do (exec 3<>/dev/tcp/{}/{port}) 2>/dev/null && exit 0; sleep 0.02; done; exit 1",
        at.address
    );
    let mut command = from.command("bash");
    command.args(["-c", &script]);
    let logs = tempfile::tempdir()?;
    let mut nobody = crate::process::Watched::new(Vec::new());
    Process::start("wait-port", command, logs.path())?
        .finish(Duration::from_secs(30), &mut nobody)?;
    Ok(())
}
