//! Following: learning of new versions of datasets as they come, and fetching them unasked.
//!
//! What is followed is a file in the data directory, with the versions that came so. The daemon acts, when the
//! catalogue changes and from time to time.

mod came;
mod change;
mod task;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opendag_protocol::{DatasetId, ManifestId};
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, time::Instant};

use self::came::Came;
pub(crate) use self::{
    change::{FollowError, follow, list, unfollow},
    task::run,
};
use crate::{
    node::Shared,
    ops::Watched,
    store::{DataDir, DataDirError, Saved, StoreError},
};

/// Something that is followed, as it is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Follow {
    what: Watched,
    #[serde(default)]
    auto_fetch: bool,
    #[serde(default)]
    output: Option<PathBuf>,
    #[serde(default)]
    keep: Option<u32>,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    came: Vec<Came>,
}

/// The newest version of a dataset that is followed.
#[derive(Clone, Debug)]
struct Newest {
    manifest: ManifestId,
    name: String,
    /// Is nothing left to do for it?
    is_done: bool,
}

/// Why a dataset is not up to date, and when it is tried again.
#[derive(Clone, Debug)]
struct Failed {
    problem: String,
    times: u32,
    again: Instant,
}

/// What a node follows.
#[derive(Debug)]
pub(crate) struct Follows {
    lines: Saved<Vec<Follow>>,
    failed: Mutex<BTreeMap<DatasetId, Failed>>,
    changed: Notify,
}

impl Follows {
    /// What was followed before.
    pub(crate) fn open(data_dir: &DataDir) -> Result<Self, DataDirError> {
        Ok(Self {
            lines: Saved::open(data_dir.follows_path())?,
            failed: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// How much is followed, and how many datasets of it could not be brought up to date at the last try.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.lines.get().len(), self.failed().len())
    }

    fn failed(&self) -> MutexGuard<'_, BTreeMap<DatasetId, Failed>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follow {
    /// The user's folder to which the newest version of a dataset goes; `None`: there is none.
    fn target(&self, name: &str) -> Option<PathBuf> {
        let folder = self.output.as_ref()?;
        Some(match self.what {
            Watched::Dataset(_) => folder.clone(),
            Watched::Publisher(_) => folder.join(name),
        })
    }

    /// The newest version of a dataset. Blocks.
    fn newest(&self, shared: &Shared, id: DatasetId) -> Result<Option<Newest>, StoreError> {
        let Some(state) = shared.store.dataset(&id)? else {
            return Ok(None);
        };
        let Some(manifest) = state.newest_manifest() else {
            return Ok(None);
        };
        let name = state.name().to_owned();
        let target = self.target(&name);
        let came = |came: &Came| came.is_whole_in(manifest, target.as_deref());
        Ok(Some(Newest {
            manifest,
            name,
            is_done: !self.auto_fetch || self.came.iter().any(came),
        }))
    }
}

/// Lets what is followed never make room for others.
fn protect(shared: &Arc<Shared>) -> Result<(), StoreError> {
    shared.store.protect_followed(datasets(shared)?);
    Ok(())
}

/// The datasets that are followed, as far as they are known here. Blocks.
fn datasets(shared: &Shared) -> Result<BTreeSet<DatasetId>, StoreError> {
    let lines = shared.follows.lines.get().clone();
    let mut datasets = BTreeSet::new();
    for follow in &lines {
        datasets.extend(follow.what.datasets(shared)?);
    }
    Ok(datasets)
}
