//! One daemon process.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::command::{Line, Lines};

/// A daemon listens within this, also on a busy machine.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// A daemon ends within this after it was told to, or is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(6);
/// How often a running daemon is looked at.
pub(crate) const WATCH_EVERY: Duration = Duration::from_millis(500);
/// Where nodes of a testnet listen: nowhere but on this machine.
const LISTEN: &str = "/ip4/127.0.0.1/tcp/0,/ip4/127.0.0.1/udp/0/quic-v1";
/// Variables of the user's own node that must not reach those of a testnet.
const VARIABLES: [&str; 4] = [
    "OPENDAG_DATA_DIR",
    "OPENDAG_NETWORK",
    "OPENDAG_LISTEN",
    "OPENDAG_CONFIG",
];

/// What a node of a testnet is.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// The program to run: `opendag`.
    pub executable: PathBuf,
    /// Name, such as `node-1`; the log lies beside the data directory under this name.
    pub name: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// The network's name.
    pub network: String,
    /// Addresses to begin with.
    pub bootstrap: Vec<String>,
}

impl NodeSpec {
    /// A command of this node, with its data directory, network and listeners.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command.arg("--json").arg("--data-dir").arg(&self.data_dir);
        command.args(["--network", &self.network, "--listen", LISTEN]);
        command.kill_on_drop(true);
        command
    }

    /// The file that takes standard error.
    pub(crate) fn log(&self) -> Result<File> {
        let path = self.log_path();
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write the log {}", path.display()))
    }

    /// Path of the log.
    pub(crate) fn log_path(&self) -> PathBuf {
        let folder = self.data_dir.parent().unwrap_or_else(|| Path::new("."));
        folder.join(format!("{}.log", self.name))
    }
}

/// What is known of a running node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name in the testnet.
    pub name: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Its process.
    pub pid: u32,
    /// Its id.
    pub peer: String,
    /// Its addresses, with `/p2p/<peer>`.
    pub addresses: Vec<String>,
    /// URL of its API.
    pub api: String,
    /// URL of its gateway.
    pub gateway: String,
}

/// A running daemon; killed when it is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    info: NodeInfo,
}

impl Daemon {
    /// Starts it and waits until it listens. Dropping the future kills it.
    ///
    /// # Errors
    /// It cannot be started, ends early, or is not ready in time; the sentence names its log.
    pub async fn start(spec: &NodeSpec) -> Result<Self> {
        let mut command = spec.command();
        command.args(["daemon", "--stop-with-stdin", "--gateway", "127.0.0.1:0"]);
        for address in &spec.bootstrap {
            command.args(["--bootstrap", address]);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(spec.log()?);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot run {}", spec.executable.display()))?;
        let mut lines = Lines::of(&mut child)?;
        let ready = async {
            loop {
                match lines.next().await? {
                    Some(Line::Ready {
                        peer,
                        addresses,
                        api,
                        gateway,
                    }) => {
                        return Ok((peer, addresses, api, gateway));
                    }
                    Some(Line::Failed { message }) => bail!("{message}"),
                    Some(_) => {}
                    None => bail!("it ended before it was ready"),
                }
            }
        };
        let said = timeout(READY_TIMEOUT, ready)
            .await
            .context("it was not ready in time");
        let log = || {
            format!(
                "{} did not start (its log: {})",
                spec.name,
                spec.log_path().display()
            )
        };
        let (peer, addresses, api, gateway) = said.and_then(|said| said).with_context(log)?;
        // A full pipe would stop the daemon.
        tokio::spawn(lines.drain());
        let info = NodeInfo {
            name: spec.name.clone(),
            data_dir: spec.data_dir.clone(),
            pid: child.id().context("it ended at once").with_context(log)?,
            peer,
            addresses,
            api: api.unwrap_or_default(),
            gateway: gateway.unwrap_or_default(),
        };
        Ok(Self { child, info })
    }

    /// What is known of it.
    #[must_use]
    pub fn info(&self) -> &NodeInfo {
        &self.info
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// The system cannot say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until it ends by itself. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The system cannot say.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        // The child's own `wait` would close its standard input, which stops it.
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            tokio::time::sleep(WATCH_EVERY).await;
        }
    }

    /// `kill -9`, and waits for the end.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(mut self) -> Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("cannot kill {}", self.info.name))
    }

    /// Asks it to end by closing its standard input, and kills it if that takes too long.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        match timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => self.kill().await,
        }
    }
}
