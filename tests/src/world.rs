//! Nodes of one test: a temporary folder, a network name of its own, real processes.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Finished, Running};

/// How long a command may take before the test fails: far more than any needs.
pub const COMMAND_TIME_MAX: Duration = Duration::from_secs(120);
/// How long a daemon may take until it listens.
pub const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a daemon may take to end after SIGTERM. It gives itself 5 s (F13 of the fault list); a
/// machine that is busy with other tests may stand still meanwhile.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(20);

/// Distinguishes the worlds of one process.
static WORLDS: AtomicU32 = AtomicU32::new(0);

/// A folder and a network that nothing else uses.
pub struct World {
    dir: TempDir,
    binary: PathBuf,
    network: String,
}

impl World {
    /// A new world whose nodes run `binary`.
    pub fn new(binary: impl Into<PathBuf>) -> Result<Self> {
        Self::new_in(binary, &std::env::temp_dir())
    }

    /// As [`World::new`], with its folder below `parent`.
    pub fn new_in(binary: impl Into<PathBuf>, parent: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("opendag-test-")
            .tempdir_in(parent)?;
        let network = format!(
            "test-{}-{}",
            std::process::id(),
            WORLDS.fetch_add(1, Ordering::Relaxed)
        );
        Ok(Self {
            dir,
            binary: binary.into(),
            network,
        })
    }

    /// A path inside the world.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its network's name.
    #[must_use]
    pub fn network(&self) -> &str {
        &self.network
    }

    /// A node with an own, still missing data directory.
    #[must_use]
    pub fn node(&self, name: &str) -> Node {
        Node {
            name: name.to_owned(),
            binary: self.binary.clone(),
            data_dir: self.path(format!("{name}.data")),
            home: self.path("home"),
            cwd: self.dir.path().to_path_buf(),
            network: self.network.clone(),
            listen: "/ip4/127.0.0.1/tcp/0".to_owned(),
            wrapper: Vec::new(),
            user: None,
        }
    }

    /// A node run by a user that the machine does not know; `None` unless this user is root.
    pub fn stranger(&self, name: &str) -> Result<Option<Node>> {
        let home = self.path(format!("{name}.home"));
        fs::create_dir_all(&home)?;
        if chown(&home, Some(STRANGER), Some(STRANGER)).is_err() {
            return Ok(None);
        }
        // The build folder may lie where only its owner may look.
        let binary = self.path("opendag-for-strangers");
        fs::copy(&self.binary, &binary)?;
        fs::set_permissions(self.dir.path(), PermissionsExt::from_mode(0o755))?;
        fs::set_permissions(&binary, PermissionsExt::from_mode(0o755))?;
        let node = Node {
            data_dir: home.join("data"),
            cwd: home.clone(),
            home,
            user: Some(STRANGER),
            binary,
            ..self.node(name)
        };
        Ok(Some(node))
    }
}

/// A user id that no system gives to anybody.
const STRANGER: u32 = 54_321;

/// A data directory and how to run commands on it.
#[derive(Clone, Debug)]
pub struct Node {
    name: String,
    binary: PathBuf,
    data_dir: PathBuf,
    home: PathBuf,
    cwd: PathBuf,
    network: String,
    listen: String,
    wrapper: Vec<String>,
    user: Option<u32>,
}

impl Node {
    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Listens on `addresses` instead (comma-separated).
    #[must_use]
    pub fn listening(mut self, addresses: &str) -> Self {
        addresses.clone_into(&mut self.listen);
        self
    }

    /// Runs inside a network namespace.
    #[must_use]
    pub fn in_namespace(self, namespace: &str) -> Self {
        self.wrapped(&["ip", "netns", "exec", namespace])
    }

    /// Runs as the last argument of another command.
    #[must_use]
    pub fn wrapped(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(ToString::to_string).collect();
        self
    }

    /// Runs in another folder.
    #[must_use]
    pub fn inside(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.cwd);
        self
    }

    /// Runs another binary, such as `node`.
    #[must_use]
    pub fn with_binary(mut self, binary: impl Into<PathBuf>) -> Self {
        self.binary = binary.into();
        self
    }

    /// Writes its `config.toml`.
    pub fn config(&self, text: &str) -> Result<&Self> {
        fs::create_dir_all(&self.data_dir)?;
        fs::set_permissions(&self.data_dir, PermissionsExt::from_mode(0o700))?;
        fs::write(self.data_dir.join("config.toml"), text)?;
        Ok(self)
    }

    /// The command, with nothing inherited but the search path.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = match self.wrapper.split_first() {
            None => Command::new(&self.binary),
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args).arg(&self.binary);
                command
            }
        };
        command.args(args).current_dir(&self.cwd).env_clear();
        for name in ["PATH", "LLVM_PROFILE_FILE", "RUST_LOG", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
            .env("HOME", &self.home)
            .env("OPENDAG_DATA_DIR", &self.data_dir);
        command
            .env("OPENDAG_NETWORK", &self.network)
            .env("OPENDAG_LISTEN", &self.listen);
        command
    }

    /// Starts a command with `--json`.
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Running> {
        let mut command = self.command(["--json"]);
        let mut name = self.name.clone();
        for arg in args {
            command.arg(&arg);
            name = format!("{name} {}", arg.as_ref().to_string_lossy());
        }
        Running::start(&name, command)
    }

    /// Runs a command with `--json` to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Finished> {
        self.start(args)?.finish(COMMAND_TIME_MAX)
    }

    /// Starts its daemon and waits until it listens.
    pub fn daemon<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Daemon> {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        let mut running = self.start(std::iter::once("daemon".into()).chain(args))?;
        let ready = running.wait_event("ready", START_TIME_MAX)?;
        let addresses = ready["addresses"]
            .as_array()
            .context("addresses of a daemon")?;
        Ok(Daemon {
            node: self.clone(),
            running,
            peer: text(&ready, "peer")?,
            addresses: addresses
                .iter()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect(),
            ready,
        })
    }

    /// Publishes a folder under a name, for any use, and returns the `published` event.
    pub fn publish(&self, path: &Path, name: &str) -> Result<Value> {
        let path = path.as_os_str();
        self.run([
            OsStr::new("publish"),
            path,
            OsStr::new("--name"),
            OsStr::new(name),
            OsStr::new("--license"),
            OsStr::new("CC0-1.0"),
        ])?
        .ok()?
        .event("published")
    }

    /// Starts a fetch into a folder.
    pub fn start_fetch(&self, link: &str, output: &Path, more: &[&str]) -> Result<Running> {
        let mut args = vec![
            OsStr::new("fetch"),
            OsStr::new(link),
            OsStr::new("-o"),
            output.as_os_str(),
        ];
        args.extend(more.iter().map(OsStr::new));
        self.start(args)
    }

    /// Fetches into a folder.
    pub fn fetch(&self, link: &str, output: &Path, more: &[&str]) -> Result<Finished> {
        self.start_fetch(link, output, more)?
            .finish(COMMAND_TIME_MAX)
    }
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    node: Node,
    /// The process.
    pub running: Running,
    /// Its peer id.
    pub peer: String,
    /// Its addresses, with `/p2p/…`.
    pub addresses: Vec<String>,
    /// What it said when it was ready.
    pub ready: Value,
}

impl Daemon {
    /// Its node: commands run through the daemon.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its first address.
    pub fn address(&self) -> Result<&str> {
        Ok(self
            .addresses
            .first()
            .context("a daemon that listens has an address")?)
    }

    /// SIGTERM; an error unless it ends with 0 in time.
    pub fn stop(self) -> Result<Finished> {
        self.running.stop(STOP_TIME_MAX)?.ok()
    }

    /// `kill -9`.
    pub fn kill(self) -> Result<Finished> {
        self.running.kill()
    }
}

/// A text field of an event.
pub fn text(event: &Value, field: &str) -> Result<String> {
    Ok(event[field]
        .as_str()
        .with_context(|| format!("no text {field} in {event}"))?
        .to_owned())
}

/// A number field of an event.
pub fn number(event: &Value, field: &str) -> Result<u64> {
    event[field]
        .as_u64()
        .with_context(|| format!("no number {field} in {event}"))
}
