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
    node::Shared,
    ops::Watched,
    store::{DataDir, DataDirError, Saved, StoreError},
};

/// Something that is mirrored, as it is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    what: Watched,
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
    lines: Saved<Vec<Line>>,
    /// Why the last pass of a line did not come to its end.
    problems: Mutex<BTreeMap<Watched, String>>,
    /// One pass after the other.
    turn: tokio::sync::Mutex<()>,
    changed: Notify,
}

impl Mirrors {
    /// What was mirrored before.
    pub(crate) fn open(data_dir: &DataDir) -> Result<Self, DataDirError> {
        Ok(Self {
            lines: Saved::open(data_dir.mirrors_path())?,
            problems: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn problems(&self) -> MutexGuard<'_, BTreeMap<Watched, String>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which of these datasets mirrors hold. Blocks.
pub(super) fn held_of(
    shared: &Shared,
    datasets: impl Iterator<Item = DatasetId>,
) -> Result<BTreeSet<DatasetId>, StoreError> {
    let lines = shared.mirrors.lines.get().clone();
    let mut held = BTreeSet::new();
    if lines.is_empty() {
        return Ok(held);
    }
    for id in datasets.collect::<BTreeSet<_>>() {
        for line in &lines {
            if line.what.means(shared, id)? {
                held.insert(id);
            }
        }
    }
    Ok(held)
}

/// The datasets that mirrors hold. Blocks.
fn held(shared: &Shared) -> Result<BTreeSet<DatasetId>, StoreError> {
    let lines = shared.mirrors.lines.get().clone();
    let mut held = BTreeSet::new();
    for line in &lines {
        held.extend(line.what.datasets(shared)?);
    }
    Ok(held)
}
