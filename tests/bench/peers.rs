//! The programs that are compared: each can seed a folder and fetch it from its own seed.

pub(crate) mod aria2;
pub(crate) mod libtorrent;
pub(crate) mod limit;
pub(crate) mod opendag;
pub(crate) mod rqbit;
pub(crate) mod rsync;
pub(crate) mod sendme;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;

use crate::process;

/// How long a seed may take until it serves: it may hash everything first.
pub(crate) const SEED_TIME_MAX: Duration = Duration::from_secs(20 * 60);
/// How long a fetch may take.
pub(crate) const FETCH_TIME_MAX: Duration = Duration::from_secs(20 * 60);

/// Where one end of a transfer runs.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// The address that the others reach it by.
    pub(crate) address: String,
    /// A command that the programs are given to, such as `ip netns exec NAME`; may be empty.
    pub(crate) wrapper: Vec<String>,
}

impl Host {
    /// This machine's loopback.
    pub(crate) fn loopback() -> Self {
        Self {
            address: "127.0.0.1".to_owned(),
            wrapper: Vec::new(),
        }
    }

    /// A command that runs there.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        match self.wrapper.split_first() {
            None => Command::new(program),
            Some((wrapper, args)) => {
                let mut command = Command::new(wrapper);
                command.args(args).arg(program);
                command
            }
        }
    }
}

/// One transfer to set up: what, where, from whom to whom.
pub(crate) struct Job<'a> {
    /// The folder that is sent; its last component is its name.
    pub(crate) source: &'a Path,
    /// A folder of its own for state and logs.
    pub(crate) scratch: PathBuf,
    /// Where the seed runs.
    pub(crate) seed: Host,
    /// Where the fetches run.
    pub(crate) fetch: Host,
}

/// A program that moves folders.
pub(crate) trait Peer {
    /// As it is called on the command line and in tables.
    fn name(&self) -> &'static str;

    /// Why it cannot run here; `None` when it can.
    fn missing(&self) -> Option<String>;

    /// How it takes part in comparisons.
    fn role(&self) -> Role {
        Role::Peer
    }

    /// Whether it checks what it receives against a hash that it knew before. A checksum that the sender
    /// gives along with the bytes finds errors of the line, and no lies.
    fn verifies(&self) -> bool {
        true
    }

    /// Whether a fetch that ended with 0 is on disk; the others are synced in measured time.
    fn syncs(&self) -> bool {
        false
    }

    /// Starts a seed and returns when it serves.
    fn seed(&self, job: &Job<'_>) -> Result<Box<dyn Seed>>;
}

/// How a peer takes part in comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// What is built here.
    Subject,
    /// What it is compared with.
    Peer,
    /// What the machine can do: in the table, never in a goal.
    Limit,
}

/// A running seed; it ends when dropped.
pub(crate) trait Seed {
    /// Its processes.
    fn pids(&self) -> Vec<u32>;

    /// The command that fetches everything into the empty folder `target`; `run` numbers the fetches.
    fn fetch(&self, target: &Path, run: usize) -> Result<Fetch>;
}

/// A fetch to run.
pub(crate) struct Fetch {
    /// Its process; its end is the end of the fetch.
    pub(crate) command: Command,
    /// The folder that is equal to the source afterwards.
    pub(crate) result: PathBuf,
}

/// Says which of these programs are not on the search path.
pub(crate) fn need(programs: &[&str]) -> Option<String> {
    let missing = process::missing(programs);
    (!missing.is_empty()).then(|| format!("not on the search path: {}", missing.join(", ")))
}

/// A free port of an address for a server that cannot be asked which one it took.
pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}
