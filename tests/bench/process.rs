//! A process of a peer: its output in files, what it used, its end.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::usage;

/// How often the end of a process is looked for: the error of a measured time.
const LOOK: Duration = Duration::from_millis(2);
/// How often memory is looked at: the peak of a process only grows, so seldom is enough.
const SAMPLE: Duration = Duration::from_millis(40);
/// Bytes of output that an error quotes.
const QUOTE_BYTES: usize = 2000;

/// A process that is killed with all that it runs when its owner drops it.
pub(crate) struct Process {
    child: Child,
    name: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    /// User and system seconds.
    pub(crate) cpu_seconds: f64,
    /// Most memory.
    pub(crate) peak_bytes: u64,
}

impl Process {
    /// Starts `command` with its outputs in files below `logs`.
    pub(crate) fn start(name: &str, mut command: Command, logs: &Path) -> Result<Self> {
        fs::create_dir_all(logs)?;
        let stdout = logs.join(format!("{name}.out"));
        let stderr = logs.join(format!("{name}.err"));
        command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self {
            child,
            name: name.to_owned(),
            stdout,
            stderr,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first line of either output that `wanted` turns into something.
    pub(crate) fn wait_line<T>(
        &mut self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + within;
        loop {
            let ended = self.ended()?;
            for file in [&self.stdout, &self.stderr] {
                let text = fs::read(file)?;
                let text = String::from_utf8_lossy(&text);
                if let Some(found) = text.lines().find_map(&wanted) {
                    return Ok(found);
                }
            }
            if ended || Instant::now() > deadline {
                bail!("{} did not say {what}\n{}", self.name, self.quote());
            }
            thread::sleep(LOOK * 5);
        }
    }

    /// Whether it has ended; it is not reaped, so that its figures can still be read.
    fn ended(&self) -> Result<bool> {
        let pid = raw(self.child.id()).context("a process id")?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(pid), options)?.is_some())
    }

    /// Waits for its end with 0 and looks meanwhile at its memory and at that of `others`.
    pub(crate) fn finish(mut self, within: Duration, others: &mut Watched) -> Result<Ended> {
        let deadline = Instant::now() + within;
        let (mut peak_bytes, mut sampled) = (0, None::<Instant>);
        while !self.ended()? {
            if sampled.is_none_or(|at| at.elapsed() > SAMPLE) {
                sampled = Some(Instant::now());
                peak_bytes = peak_bytes.max(usage::peak_bytes(&[self.pid()]));
                others.sample();
            }
            if Instant::now() > deadline {
                bail!(
                    "{} did not end within {within:?}\n{}",
                    self.name,
                    self.quote()
                );
            }
            thread::sleep(LOOK);
        }
        let ended_at = Instant::now();
        let cpu_seconds = usage::cpu_seconds(&[self.pid()]);
        let status = self.child.wait()?;
        if !status.success() {
            bail!(
                "{} ended with {:?} {:?}\n{}",
                self.name,
                status.code(),
                status.signal(),
                self.quote()
            );
        }
        Ok(Ended {
            at: ended_at,
            used: Used {
                cpu_seconds,
                peak_bytes,
            },
            stdout: String::from_utf8_lossy(&fs::read(&self.stdout)?).into_owned(),
        })
    }

    fn quote(&self) -> String {
        let tail = |file: &Path| {
            let bytes = fs::read(file).unwrap_or_default();
            let from = bytes.len().saturating_sub(QUOTE_BYTES);
            String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
        };
        format!(
            "-- output\n{}\n-- errors\n{}",
            tail(&self.stdout),
            tail(&self.stderr)
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for pid in usage::tree(&[self.child.id()]) {
            // What has ended by itself cannot be killed.
            let _ = raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
        let _ = self.child.wait();
    }
}

fn raw(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// A process that ended with 0.
pub(crate) struct Ended {
    /// When its end was seen.
    pub(crate) at: Instant,
    /// What it used.
    pub(crate) used: Used,
    /// Its standard output.
    pub(crate) stdout: String,
}

/// Processes that run beside the measured one, from now on.
pub(crate) struct Watched {
    pids: Vec<u32>,
    cpu_before: f64,
    peak_bytes: u64,
}

impl Watched {
    /// Watches these and all that they run.
    pub(crate) fn new(pids: Vec<u32>) -> Self {
        usage::reset_peaks(&pids);
        Self {
            cpu_before: usage::cpu_seconds(&pids),
            pids,
            peak_bytes: 0,
        }
    }

    fn sample(&mut self) {
        self.peak_bytes = self.peak_bytes.max(usage::peak_bytes(&self.pids));
    }

    /// What they used since.
    pub(crate) fn used(&mut self) -> Used {
        self.sample();
        Used {
            cpu_seconds: usage::cpu_seconds(&self.pids) - self.cpu_before,
            peak_bytes: self.peak_bytes,
        }
    }
}

/// The programs of `names` that the search path does not have.
pub(crate) fn missing(names: &[&str]) -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    names
        .iter()
        .filter(|name| !has(name))
        .map(ToString::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_of_an_ended_process_is_counted() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done",
        ]);
        let process = Process::start("burn", command, dir.path())?;
        let ended = process.finish(Duration::from_secs(60), &mut Watched::new(Vec::new()))?;
        assert_eq!(ended.stdout, "done\n");
        assert!(ended.used.cpu_seconds > 0.0);
        Ok(())
    }

    #[test]
    fn a_failure_quotes_what_was_said() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new("sh");
        command.args(["-c", "echo why >&2; exit 3"]);
        let process = Process::start("fail", command, dir.path())?;
        let error = process.finish(Duration::from_secs(60), &mut Watched::new(Vec::new()));
        let error = error.err().context("no error")?.to_string();
        assert!(
            error.contains("Some(3)") && error.contains("why"),
            "{error}"
        );
        Ok(())
    }

    #[test]
    fn a_program_that_nobody_has_is_missing() {
        assert_eq!(missing(&["sh", "no-such-peer"]), ["no-such-peer"]);
    }
}
