//! What there is of rows, and how runs are named and chosen.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::super::{
    index::IndexError,
    place::Key,
    run::{Row, Run, Source, merge},
};
use crate::disk::{self, DiskError};

/// Of rows with the same key the newest counts: `recent`, then `drafts` and `runs` from their ends.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) recent: BTreeMap<Key, Box<[u8]>>,
    /// Those of `recent` that are not in the index.
    pub(super) unsaved: BTreeSet<Key>,
    /// Rows in the index, at most.
    pub(super) saved: usize,
    /// Runs that a crash may take.
    pub(super) drafts: Vec<Run>,
    /// Durable ones.
    pub(super) runs: Vec<Run>,
    /// The number of the next run.
    pub(super) next: u32,
}

impl State {
    /// What is in memory and in these runs.
    pub(super) fn sources<'a>(&'a self, runs: &'a [Run]) -> Vec<Source<'a>> {
        let recent = self
            .recent
            .iter()
            .map(|(key, value)| Ok((*key, value.clone())));
        let mut sources: Vec<Source<'a>> = vec![Box::new(recent)];
        sources.extend(
            runs.iter()
                .rev()
                .map(|run| Box::new(run.rows()) as Source<'a>),
        );
        sources
    }

    /// The rows of all that is not durable, and of the durable runs from `first` on.
    pub(super) fn all(&self, first: usize) -> impl Iterator<Item = Result<Row, IndexError>> + '_ {
        let mut sources = self.sources(&self.drafts);
        let runs = self.runs.get(first..).unwrap_or_default();
        sources.extend(
            runs.iter()
                .rev()
                .map(|run| Box::new(run.rows()) as Source<'_>),
        );
        merge(sources)
    }
}

/// The first of the runs with which so many new rows should be merged: those up to twice as long as all that is newer.
/// So there are as many runs as the number of rows has digits in binary, at most.
pub(super) fn mergeable(runs: &[Run], new_rows: u64) -> usize {
    let mut rows = new_rows;
    let newer = runs.iter().rev().take_while(|run| {
        let like = run.len() <= rows.saturating_mul(2);
        rows = rows.saturating_add(run.len());
        like
    });
    runs.len() - newer.count()
}

pub(super) fn bytes(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

pub(super) fn run_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.run"))
}

pub(super) fn draft_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{}{number:08}", disk::TEMP_PREFIX))
}

/// The numbers of the durable runs, oldest first.
pub(super) fn numbers(folder: &Path) -> Result<Vec<u32>, DiskError> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DiskError::io("read", folder))? {
        let name = entry.map_err(DiskError::io("read", folder))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".run"));
        numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
