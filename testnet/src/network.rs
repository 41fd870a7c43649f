//! A network of daemons.

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::{
    daemon::{Daemon, NodeInfo, NodeSpec, WATCH_EVERY},
    state::{self, State},
    sweep::Swept,
};

/// How to start a network.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The program to run: `opendag`.
    pub executable: PathBuf,
    /// Folder of the network.
    pub dir: PathBuf,
    /// How many nodes.
    pub nodes: u16,
    /// What remains when it has ended.
    pub keep: Keep,
}

/// A running network. Dropping it kills the nodes.
#[derive(Debug)]
pub struct Testnet {
    daemons: Vec<Daemon>,
    executable: PathBuf,
    dir: PathBuf,
    folder: PathBuf,
    // Behind the daemons: they are killed before their folder is removed.
    swept: Option<Swept>,
    network: String,
}

impl Testnet {
    /// Starts all nodes and waits until they listen. The first is known to the others. Dropping the
    /// future kills what was started.
    ///
    /// # Errors
    /// A network runs in that folder already, or a node does not start.
    pub async fn up(options: UpOptions) -> Result<Self> {
        let UpOptions {
            executable,
            dir,
            nodes,
            keep,
        } = options;
        create_private(&dir)?;
        if let Some(state) = State::read(&dir)? {
            if state::is_running(&state).await {
                bail!(
                    "a testnet runs in {} already: use `testnet join`, or name another folder with --dir",
                    dir.display()
                );
            }
            // It was killed, and could not remove what it does not keep.
            if state.keep == Keep::Nothing && state.folder.parent() == Some(&*dir) {
                drop(Swept::new(state.folder, executable.clone()));
            }
        }
        let network = format!(
            "testnet-{:016x}",
            RandomState::new().hash_one(std::process::id())
        );
        let folder = dir.join(&network);
        create_private(&folder)?;
        let swept = (keep == Keep::Nothing).then(|| Swept::new(folder.clone(), executable.clone()));
        let daemons = Vec::new();
        let mut testnet = Self {
            daemons,
            executable,
            dir,
            folder,
            swept,
            network,
        };
        match testnet.start(nodes).await {
            Ok(()) => Ok(testnet),
            Err(error) => {
                // The logs say why.
                testnet.swept.take().map(Swept::keep);
                Err(error)
            }
        }
    }

    async fn start(&mut self, nodes: u16) -> Result<()> {
        self.daemons.push(Daemon::start(&self.spec(1)).await?);
        let mut starting = JoinSet::new();
        for number in 2..=nodes {
            let spec = self.spec(number);
            starting.spawn(async move { Daemon::start(&spec).await });
        }
        while let Some(started) = starting.join_next().await {
            self.daemons.push(started??);
        }
        self.daemons.sort_by_key(|daemon| {
            let name = daemon.info().name.clone();
            (name.len(), name)
        });
        self.state().write(&self.dir)
    }

    /// What node `number` would be; its bootstraps are the nodes that run.
    pub(crate) fn spec(&self, number: u16) -> NodeSpec {
        let name = format!("node-{number}");
        NodeSpec {
            executable: self.executable.clone(),
            data_dir: self.folder.join(&name),
            name,
            network: self.network.clone(),
            bootstrap: self
                .daemons
                .first()
                .and_then(first_address)
                .into_iter()
                .collect(),
        }
    }

    /// Its folder, name and nodes.
    #[must_use]
    pub fn state(&self) -> State {
        let nodes = self
            .daemons
            .iter()
            .map(|daemon| daemon.info().clone())
            .collect();
        State {
            network: self.network.clone(),
            folder: self.folder.clone(),
            keep: if self.swept.is_some() {
                Keep::Nothing
            } else {
                Keep::Data
            },
            nodes,
        }
    }

    /// Its daemons.
    #[must_use]
    pub fn daemons(&self) -> &[Daemon] {
        &self.daemons
    }

    /// Takes a daemon out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Daemon> {
        let index = self
            .daemons
            .iter()
            .position(|daemon| daemon.info().name == name)?;
        Some(self.daemons.remove(index))
    }

    /// Waits until a node ends by itself; takes it out and returns what it was. Dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// The system cannot say.
    pub async fn watch(&mut self) -> Result<NodeInfo> {
        loop {
            let mut ended = None;
            for daemon in &mut self.daemons {
                if daemon.ended()?.is_some() {
                    ended = Some(daemon.info().name.clone());
                }
            }
            if let Some(daemon) = ended.and_then(|name| self.take(&name)) {
                return Ok(daemon.info().clone());
            }
            tokio::time::sleep(WATCH_EVERY).await;
        }
    }

    /// Stops all nodes in order. Their data remains as [`UpOptions::keep`] says; what is not kept is
    /// removed in the background.
    ///
    /// # Errors
    /// A node cannot be killed.
    pub async fn down(self) -> Result<()> {
        let mut stopping = JoinSet::new();
        for daemon in self.daemons {
            stopping.spawn(daemon.stop());
        }
        while let Some(stopped) = stopping.join_next().await {
            stopped??;
        }
        State::remove(&self.dir);
        Ok(())
    }
}

/// What remains of a network that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The data of its nodes.
    Data,
    /// Nothing.
    Nothing,
}

fn first_address(daemon: &Daemon) -> Option<String> {
    daemon.info().addresses.first().cloned()
}

/// Starts one more node in the network that runs in `dir`. It is not in the network's state: it ends
/// with the process that started it.
///
/// # Errors
/// No network runs there, or the node does not start.
pub async fn join(executable: PathBuf, dir: &Path) -> Result<Daemon> {
    let state = State::read(dir)?;
    let Some(state) = state else {
        bail!(
            "no testnet runs in {}: start one with `testnet up`",
            dir.display()
        )
    };
    if !state::is_running(&state).await {
        bail!(
            "the testnet in {} has ended: start one with `testnet up`",
            dir.display()
        );
    }
    let bootstrap = state
        .nodes
        .iter()
        .filter_map(|node| node.addresses.first().cloned())
        .collect();
    let name = free_name(&state.folder)?;
    let data_dir = state.folder.join(&name);
    let spec = NodeSpec {
        executable,
        name,
        data_dir,
        network: state.network,
        bootstrap,
    };
    Daemon::start(&spec).await
}

/// Takes a name that no node has, by creating its data directory.
fn free_name(folder: &Path) -> Result<String> {
    for number in 1..=u16::MAX {
        let name = format!("joined-{number}");
        match fs::DirBuilder::new().mode(0o700).create(folder.join(&name)) {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot write to {}", folder.display()));
            }
        }
    }
    bail!(
        "too many nodes have joined the testnet in {}",
        folder.display()
    )
}

pub(crate) fn create_private(dir: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot create {}", dir.display()))
}
