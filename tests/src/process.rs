//! A running process of the built binary: its events, its errors, its memory, its end.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Pid;
pub use rustix::process::Signal;
use serde_json::Value;

use crate::measure;

/// How often a waiting test looks at memory and exit status.
const TICK: Duration = Duration::from_millis(10);
/// Bytes of standard error that are kept: enough for any message, not for a flood.
const STDERR_BYTES_MAX: usize = 256 * 1024;

/// What a process has said so far.
#[derive(Default)]
struct Said {
    /// Lines of standard output.
    lines: Mutex<Vec<String>>,
    /// Rings at each new line.
    more: Condvar,
    /// Standard error, cut at [`STDERR_BYTES_MAX`].
    stderr: Mutex<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that is killed when its owner drops it.
pub struct Running {
    child: Child,
    said: Arc<Said>,
    readers: Vec<thread::JoinHandle<()>>,
    seen: usize,
    name: String,
    peak_bytes: u64,
}

impl Running {
    /// Starts `command` with both outputs read to their end.
    pub fn start(name: &str, mut command: Command) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let said = Arc::new(Said::default());
        let stdout = child.stdout.take().context("standard output is piped")?;
        let stderr = child.stderr.take().context("standard error is piped")?;
        let readers = vec![
            read_lines(stdout, Arc::clone(&said)),
            read_errors(stderr, Arc::clone(&said)),
        ];
        Ok(Self {
            child,
            said,
            readers,
            seen: 0,
            name: name.to_owned(),
            peak_bytes: 0,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next event of the kind `event`, skipping others.
    pub fn wait_event(&mut self, event: &str, within: Duration) -> Result<Value> {
        self.wait_for(event, within, |value| value["event"] == event)
    }

    /// The next event that `wanted` accepts, skipping others; `what` names it in errors.
    pub fn wait_for(
        &mut self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + within;
        loop {
            // Asked before the lines are read: a line that was printed before the end is never missed.
            let ended = self.child.try_wait()?.is_some()
                && self.readers.iter().all(thread::JoinHandle::is_finished);
            self.sample();
            while let Some(value) = self.next_line()? {
                if wanted(&value) {
                    return Ok(value);
                }
            }
            if ended {
                bail!("{} ended before {what}\n{}", self.name, self.transcript());
            }
            if Instant::now() > deadline {
                bail!(
                    "{} did not say {what} within {within:?}\n{}",
                    self.name,
                    self.transcript()
                );
            }
            let lines = lock(&self.said.lines);
            if lines.len() == self.seen {
                drop(self.said.more.wait_timeout(lines, TICK));
            }
        }
    }

    fn next_line(&mut self) -> Result<Option<Value>> {
        let Some(line) = lock(&self.said.lines).get(self.seen).cloned() else {
            return Ok(None);
        };
        self.seen += 1;
        parse(&self.name, &line).map(Some)
    }

    /// Waits for its end by itself; killed and an error when that takes longer than `within`.
    pub fn finish(mut self, within: Duration) -> Result<Finished> {
        let deadline = Instant::now() + within;
        loop {
            self.sample();
            if let Some(status) = self.child.try_wait()? {
                return self.collect(status);
            }
            if Instant::now() > deadline {
                let transcript = self.transcript();
                bail!("{} did not end within {within:?}\n{transcript}", self.name);
            }
            let lines = lock(&self.said.lines);
            drop(self.said.more.wait_timeout(lines, TICK));
        }
    }

    /// `kill -9`, and what it had said until then.
    pub fn kill(mut self) -> Result<Finished> {
        self.sample();
        self.child.kill()?;
        let status = self.child.wait()?;
        self.collect(status)
    }

    /// Sends a signal, such as SIGTERM or SIGSTOP.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("a process id")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// SIGTERM, then the end within `within`.
    pub fn stop(self, within: Duration) -> Result<Finished> {
        self.signal(Signal::TERM)?;
        self.finish(within)
    }

    /// The most memory it was seen to use.
    pub fn peak_bytes(&mut self) -> u64 {
        self.sample();
        self.peak_bytes
    }

    /// What it has written to standard error until now, cut at 256 KiB.
    #[must_use]
    pub fn errors(&self) -> String {
        lock(&self.said.stderr).clone()
    }

    fn sample(&mut self) {
        self.peak_bytes = self.peak_bytes.max(measure::peak_memory(self.child.id()));
    }

    fn transcript(&self) -> String {
        let lines = lock(&self.said.lines);
        let tail = lines.iter().skip(lines.len().saturating_sub(12));
        let stderr = lock(&self.said.stderr);
        format!(
            "-- last output\n{}\n-- errors\n{stderr}",
            tail.cloned().collect::<Vec<_>>().join("\n")
        )
    }

    fn collect(&mut self, status: ExitStatus) -> Result<Finished> {
        for reader in self.readers.drain(..) {
            reader
                .join()
                .map_err(|_| anyhow!("a reader of {} panicked", self.name))?;
        }
        let lines = std::mem::take(&mut *lock(&self.said.lines));
        let stderr = std::mem::take(&mut *lock(&self.said.stderr));
        Ok(Finished {
            name: self.name.clone(),
            code: status.code(),
            lines,
            stderr,
            peak_bytes: self.peak_bytes,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(name: &str, line: &str) -> Result<Value> {
    serde_json::from_str(line)
        .with_context(|| format!("{name} printed a line that is not JSON: {line}"))
}

fn read_lines(from: impl Read + Send + 'static, said: Arc<Said>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            lock(&said.lines).push(line);
            said.more.notify_all();
        }
    })
}

fn read_errors(mut from: impl Read + Send + 'static, said: Arc<Said>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0_u8; 4096];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let mut stderr = lock(&said.stderr);
            if stderr.len() < STDERR_BYTES_MAX {
                stderr.push_str(&String::from_utf8_lossy(
                    buffer.get(..read).unwrap_or_default(),
                ));
            }
        }
    })
}

/// A process that has ended.
#[derive(Debug)]
pub struct Finished {
    name: String,
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Lines of standard output.
    pub lines: Vec<String>,
    /// Standard error.
    pub stderr: String,
    /// The most memory it was seen to use.
    pub peak_bytes: u64,
}

impl Finished {
    /// Itself if it ended with 0.
    pub fn ok(self) -> Result<Self> {
        self.code(0)
    }

    /// Itself if it ended with `code` and did not panic.
    pub fn code(self, code: i32) -> Result<Self> {
        if self.code != Some(code) || self.stderr.contains("panicked at") {
            bail!(
                "{} ended with {:?} instead of {code}\n-- output\n{}\n-- errors\n{}",
                self.name,
                self.code,
                self.tail(),
                self.stderr
            );
        }
        Ok(self)
    }

    fn tail(&self) -> String {
        let from = self.lines.len().saturating_sub(12);
        self.lines.get(from..).unwrap_or_default().join("\n")
    }

    /// All lines as events.
    pub fn events(&self) -> Result<Vec<Value>> {
        self.lines
            .iter()
            .map(|line| parse(&self.name, line))
            .collect()
    }

    /// The last event of the kind `event`.
    pub fn event(&self, event: &str) -> Result<Value> {
        let found = self
            .events()?
            .into_iter()
            .rev()
            .find(|value| value["event"] == event);
        found.with_context(|| {
            format!(
                "{} did not say {event}\n{}\n{}",
                self.name,
                self.tail(),
                self.stderr
            )
        })
    }

    /// Bytes that a fetch had received when it ended or was killed: the most that any event told.
    ///
    /// After a kill it misses what came after the last progress line (at most a second).
    pub fn received_bytes(&self) -> u64 {
        let lines = self
            .lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .filter_map(|value| value["received_bytes"].as_u64())
            .max()
            .unwrap_or(0)
    }
}
