//! `testnet.json`: which testnet runs in a folder, for `join`.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, time::timeout};

use crate::{daemon::NodeInfo, network::Keep};

/// Name of the file.
const FILE_NAME: &str = "testnet.json";
/// A listener of this machine accepts within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A testnet that runs, or ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The network's name.
    pub network: String,
    /// Folder of its nodes.
    pub folder: PathBuf,
    /// What remains when it has ended.
    pub keep: Keep,
    /// Its nodes.
    pub nodes: Vec<NodeInfo>,
}

impl State {
    /// Reads the state of the testnet in `dir`; `None`: there is none.
    ///
    /// # Errors
    /// The file is there and cannot be read or makes no sense.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE_NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let state = serde_json::from_slice(&text);
        state.with_context(|| format!("{} makes no sense: remove it", path.display()))
    }

    /// Writes it into `dir`.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(FILE_NAME);
        let new = dir.join(format!("{FILE_NAME}.new"));
        fs::write(&new, serde_json::to_vec_pretty(self)?)
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes the file from `dir`.
    pub(crate) fn remove(dir: &Path) {
        // Without it, or with a stale one, there is nothing to join.
        drop(fs::remove_file(dir.join(FILE_NAME)));
    }
}

/// Does a node of `state` still listen?
pub async fn is_running(state: &State) -> bool {
    for node in &state.nodes {
        let address = node.api.trim_start_matches("http://");
        if matches!(
            timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await,
            Ok(Ok(_))
        ) {
            return true;
        }
    }
    false
}
