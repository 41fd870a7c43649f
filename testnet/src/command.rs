//! What `opendag --json` prints, and a command that runs to its end.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout},
    time::timeout,
};

use crate::daemon::NodeSpec;

/// A command that says nothing for so long hangs: it reports progress at least once a second.
const SILENCE_MAX: Duration = Duration::from_secs(180);

/// One line of `--json`, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Line {
    Ready {
        peer: String,
        addresses: Vec<String>,
        api: Option<String>,
        gateway: Option<String>,
    },
    Progress {
        received_bytes: u64,
    },
    Published {
        link: String,
        files: u64,
        bytes: u64,
    },
    Fetched {
        received_bytes: u64,
        peers: Vec<PeerBytes>,
    },
    Failed {
        message: String,
    },
    #[serde(other)]
    Other,
}

/// Bytes that a peer gave.
#[derive(Debug, Deserialize)]
pub(crate) struct PeerBytes {
    pub(crate) peer: String,
    pub(crate) bytes: u64,
}

/// The lines of a process.
pub(crate) struct Lines(tokio::io::Lines<BufReader<ChildStdout>>);

impl Lines {
    /// Takes standard output, which must be piped.
    pub(crate) fn of(child: &mut Child) -> Result<Self> {
        let stdout = child
            .stdout
            .take()
            .context("standard output is not piped")?;
        Ok(Self(BufReader::new(stdout).lines()))
    }

    /// The next line; `None` at the end. Dropping it loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>> {
        let Some(line) = self
            .0
            .next_line()
            .await
            .context("cannot read what it says")?
        else {
            return Ok(None);
        };
        let line = serde_json::from_str(&line).with_context(|| format!("it said: {line}"))?;
        Ok(Some(line))
    }

    /// Reads to the end.
    pub(crate) async fn drain(mut self) {
        while matches!(self.0.next_line().await, Ok(Some(_))) {}
    }
}

/// A command of a node that runs; killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    lines: Lines,
    what: String,
}

impl Running {
    /// Starts `opendag <args>` on the data directory of `spec`.
    pub(crate) fn start(spec: &NodeSpec, args: &[&str]) -> Result<Self> {
        let what = format!("opendag {} on {}", args.first().unwrap_or(&""), spec.name);
        let mut command = spec.command();
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(spec.log()?);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {what}"))?;
        let lines = Lines::of(&mut child)?;
        Ok(Self { child, lines, what })
    }

    /// The next line; `None` after a good end. Dropping it loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>> {
        let line = timeout(SILENCE_MAX, self.lines.next()).await;
        let line = line.with_context(|| format!("{} hangs", self.what))??;
        match line {
            Some(Line::Failed { message }) => bail!("{} failed: {message}", self.what),
            Some(line) => Ok(Some(line)),
            None => {
                let status = self.child.wait().await?;
                if status.success() {
                    return Ok(None);
                }
                bail!("{} failed ({status})", self.what)
            }
        }
    }

    /// Runs to the end; returns the last line that `wanted` takes.
    pub(crate) async fn finish<T>(mut self, wanted: impl Fn(Line) -> Option<T>) -> Result<T> {
        let mut found = None;
        while let Some(line) = self.next().await? {
            found = wanted(line).or(found);
        }
        found.with_context(|| format!("{} ended without its result", self.what))
    }
}
