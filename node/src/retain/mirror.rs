//! Mirroring: having the versions of a dataset, or of all datasets of a publisher, for others to fetch, as far as
//! there is room.
//!
//! What is mirrored is a file in the data directory. How far that is, the places say. The daemon acts when the
//! catalogue changes and from time to time.

mod change;
mod pass;
mod task;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use opendag_protocol::DatasetId;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

pub(crate) use self::{
    change::{MirrorError, list, mirror, unmirror},
    task::run,
};
use crate::{
    disk::{self, Access, DiskError},
    node::Shared,
    ops::Mirrored,
    store::{DataDir, StoreError},
};

/// Something that is mirrored, as it is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    what: Mirrored,
    /// Bytes that its versions may take.
    #[serde(default)]
    budget: Option<u64>,
    /// Versions of each dataset, the newest ones.
    #[serde(default)]
    keep: Option<u32>,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
}

/// What a node mirrors.
#[derive(Debug)]
pub(crate) struct Mirrors {
    path: PathBuf,
    lines: Mutex<Vec<Line>>,
    /// Why the last pass of a line did not come to its end.
    problems: Mutex<BTreeMap<Mirrored, String>>,
    /// One pass after the other.
    turn: tokio::sync::Mutex<()>,
    changed: Notify,
}

impl Mirrors {
    /// What was mirrored before.
    pub(crate) fn open(data_dir: &DataDir) -> Result<Self, DiskError> {
        let path = data_dir.mirrors_path();
        let lines = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                DiskError::io("understand", &path)(std::io::Error::other(error))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(DiskError::io("read", &path)(error)),
        };
        Ok(Self {
            path,
            lines: Mutex::new(lines),
            problems: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn problems(&self) -> MutexGuard<'_, BTreeMap<Mirrored, String>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is mirrored; durable when it returns.
    fn change(&self, change: impl FnOnce(&mut Vec<Line>)) -> Result<(), DiskError> {
        let mut lines = self.lines();
        let mut changed = lines.clone();
        change(&mut changed);
        let bytes = serde_json::to_vec_pretty(&changed)
            .map_err(|error| DiskError::io("write", &self.path)(std::io::Error::other(error)))?;
        disk::write_durable(&self.path, &bytes, Access::Owner)?;
        *lines = changed;
        drop(lines);
        self.changed.notify_one();
        Ok(())
    }
}

impl Line {
    /// The datasets that it means, as far as they are known here; one that is named is always meant. Blocks.
    fn datasets(&self, shared: &Shared) -> Result<BTreeSet<DatasetId>, StoreError> {
        let key = match self.what {
            Mirrored::Dataset(id) => return Ok(BTreeSet::from([id])),
            Mirrored::Publisher(key) => key,
        };
        let mut theirs = BTreeSet::new();
        for id in shared.store.dataset_ids() {
            let id = id?;
            let state = shared.store.dataset(&id)?;
            if state.is_some_and(|state| state.owners().is_vouched_by(&key)) {
                theirs.insert(id);
            }
        }
        Ok(theirs)
    }

    /// Does it mean this dataset? Blocks.
    fn means(&self, shared: &Shared, id: DatasetId) -> Result<bool, StoreError> {
        Ok(match self.what {
            Mirrored::Dataset(dataset) => dataset == id,
            Mirrored::Publisher(key) => {
                let state = shared.store.dataset(&id)?;
                state.is_some_and(|state| state.owners().is_vouched_by(&key))
            }
        })
    }
}

/// Which of these datasets mirrors hold. Blocks.
pub(super) fn held_of(
    shared: &Shared,
    datasets: impl Iterator<Item = DatasetId>,
) -> Result<BTreeSet<DatasetId>, StoreError> {
    let lines = shared.mirrors.lines().clone();
    let mut held = BTreeSet::new();
    if lines.is_empty() {
        return Ok(held);
    }
    for id in datasets.collect::<BTreeSet<_>>() {
        for line in &lines {
            if line.means(shared, id)? {
                held.insert(id);
            }
        }
    }
    Ok(held)
}

/// The datasets that mirrors hold. Blocks.
fn held(shared: &Shared) -> Result<BTreeSet<DatasetId>, StoreError> {
    let lines = shared.mirrors.lines().clone();
    let mut held = BTreeSet::new();
    for line in &lines {
        held.extend(line.datasets(shared)?);
    }
    Ok(held)
}
