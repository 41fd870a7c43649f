//! Where shards lie: the one table of the index that grows with the number of files.
//!
//! New rows are held in memory. Few of them are saved in the index; many, and what has gathered there, are sorted into
//! a run. Runs of like size are merged, so that a million rows lie in a handful. All of it is made again by
//! `reindex`. Source: `specs/storage.md`, section *Runs*.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use opendag_protocol::Hash;

use super::{
    index::{Index, IndexError, Table},
    place::{Key, RootId, ShardLocation, root_of_key, shard_prefix},
    run::{Row, Run, RunWriter, merge},
};
use crate::disk;

mod state;

use state::{State, bytes, draft_path, mergeable, numbers, run_path};

/// When rows are sorted into a run.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Rows that are saved one by one in the index.
    saved: usize,
    /// Rows in memory that are neither saved nor in a run.
    recent: usize,
}

/// More saved ones would cost as much as sorting all; so many recent ones take about 6 MB.
const LIMITS: Limits = Limits {
    saved: 2048,
    recent: 32 * 1024,
};
/// Bytes of rows that are checked when the index is opened: some hundredths of a second. A row that is damaged behind
/// these counts as absent when it is read, and makes the next start rebuild the index.
const CHECKED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// All rows. Readers wait for nobody but for the moment in which a new run takes the place of others.
#[derive(Debug)]
pub(crate) struct Locations {
    folder: PathBuf,
    index: Index,
    limits: Limits,
    /// Held by whoever changes something, for as long as it takes.
    writer: Mutex<()>,
    state: RwLock<State>,
}

impl Locations {
    /// Opens what lies below `folder`, and what the index has saved.
    pub(crate) fn open(index: &Index, folder: PathBuf) -> Result<Self, IndexError> {
        Self::open_with(index, folder, LIMITS)
    }

    fn open_with(index: &Index, folder: PathBuf, limits: Limits) -> Result<Self, IndexError> {
        disk::create_private_folder(&folder)?;
        disk::remove_temporary_files(&folder)?;
        let mut state = State::default();
        let mut budget = CHECKED_BYTES_MAX;
        let numbers = numbers(&folder)?;
        state.next = numbers.last().map_or(0, |last| last.saturating_add(1));
        let mut replaced = u32::MAX;
        for number in numbers.into_iter().rev() {
            let path = run_path(&folder, number);
            if number >= replaced {
                // A crash came before it was removed.
                disk::remove_file(&path)?;
                continue;
            }
            let run = Run::open(&path)?;
            budget = run.check(budget)?;
            replaced = run.replaces();
            state.runs.push(run);
        }
        state.runs.reverse();
        for row in index.rows(Table::Shards, &[]) {
            let (key, value) = row?;
            let key = Key::try_from(key).map_err(|_| index.damaged())?;
            state.recent.insert(key, value.into());
        }
        state.saved = state.recent.len();
        Ok(Self {
            folder,
            index: index.clone(),
            limits,
            writer: Mutex::new(()),
            state: RwLock::new(state),
        })
    }

    /// How many rows there are, some perhaps counted twice: those that were replaced since runs were merged.
    pub(crate) fn rows(&self) -> u64 {
        let state = self.read();
        let runs = state.drafts.iter().chain(&state.runs).map(Run::len);
        runs.fold(bytes(state.recent.len()), u64::saturating_add)
    }

    /// Adds or replaces rows. They can be found at once, and are durable after [`Locations::flush`].
    pub(crate) fn put(
        &self,
        rows: impl IntoIterator<Item = (Hash, ShardLocation)>,
    ) -> Result<(), IndexError> {
        let writer = self.write();
        for (hash, location) in rows {
            let key = location.key(hash);
            let mut state = self.change();
            state.recent.insert(key, location.encode().into());
            state.unsaved.insert(key);
            let full = state.unsaved.len() >= self.limits.recent;
            drop(state);
            if full {
                self.draft(&writer)?;
            }
        }
        Ok(())
    }

    /// Makes durable what was put, and what was written to the index.
    pub(crate) fn flush(&self) -> Result<(), IndexError> {
        let writer = self.write();
        let state = self.read();
        if state.drafts.is_empty() && state.saved + state.unsaved.len() <= self.limits.saved {
            for key in &state.unsaved {
                if let Some(value) = state.recent.get(key) {
                    self.index.put(Table::Shards, key, value)?;
                }
            }
            drop(state);
            self.index.flush()?;
            let mut state = self.change();
            state.saved += state.unsaved.len();
            state.unsaved.clear();
            return Ok(());
        }
        let new = state
            .drafts
            .iter()
            .map(Run::len)
            .fold(bytes(state.recent.len()), u64::saturating_add);
        let first = mergeable(&state.runs, new);
        drop(state);
        self.settle(&writer, first, |_| true)
    }

    /// Where a shard lies, in the order of the keys.
    pub(crate) fn find(&self, hash: Hash) -> Result<Vec<ShardLocation>, IndexError> {
        let mut found = BTreeMap::<Key, Option<ShardLocation>>::new();
        self.visit(hash, &mut |key, value| {
            found
                .entry(*key)
                .or_insert_with(|| ShardLocation::decode(key, value));
            ControlFlow::Continue(())
        })?;
        Ok(found.into_values().flatten().collect())
    }

    /// Is there a row of the shard for which `accept` answers true? It is given what [`ShardLocation::encode`] made.
    pub(crate) fn any(
        &self,
        hash: Hash,
        accept: impl Fn(&[u8]) -> bool,
    ) -> Result<bool, IndexError> {
        let (mut seen, mut any) = (BTreeSet::new(), false);
        self.visit(hash, &mut |key, value| {
            any = seen.insert(*key) && accept(value);
            if any {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(any)
    }

    /// Shows each row, and what [`ShardLocation::encode`] made.
    pub(crate) fn each(&self, mut show: impl FnMut(&Key, &[u8])) -> Result<(), IndexError> {
        let state = self.read();
        for row in state.all(0) {
            match row {
                Ok((key, value)) => show(&key, &value),
                Err(error) => self.pass_over(error)?,
            }
        }
        Ok(())
    }

    /// Shows all rows of a shard, newer ones before those that they replace.
    fn visit(
        &self,
        hash: Hash,
        visit: &mut dyn FnMut(&Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let prefix = shard_prefix(hash);
        let state = self.read();
        let from = state.recent.range(first_key(&prefix)..);
        for (key, value) in from.take_while(|(key, _)| key.starts_with(&prefix)) {
            if visit(key, value).is_break() {
                return Ok(());
            }
        }
        for run in state.drafts.iter().rev().chain(state.runs.iter().rev()) {
            match run.visit(&prefix, visit) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Ok(()),
                // What it said is lost, but not where else the shard may lie.
                Err(error) => self.pass_over(error)?,
            }
        }
        Ok(())
    }

    /// Removes the rows of folders; durable when it returns.
    pub(crate) fn drop_roots(&self, drops: impl Fn(RootId) -> bool) -> Result<(), IndexError> {
        let writer = self.write();
        let goes = |key: &Key| root_of_key(key).is_none_or(&drops);
        let state = self.read();
        let mut any = false;
        for row in state.all(0) {
            match row {
                Ok((key, _)) if goes(&key) => any = true,
                Ok(_) => continue,
                Err(error) => self.pass_over(error)?,
            }
            if any {
                break;
            }
        }
        drop(state);
        if any {
            self.settle(&writer, 0, |key| !goes(key))?;
        }
        Ok(())
    }

    /// Removes all rows, for a rebuild: the index must not claim any more that it covers something.
    pub(crate) fn clear(&self) -> Result<(), IndexError> {
        let _writer = self.write();
        let mut state = self.change();
        for run in state.drafts.iter().chain(&state.runs) {
            run.remove()?;
        }
        *state = State {
            next: state.next,
            ..State::default()
        };
        Ok(())
    }

    /// Sorts what is in memory into a run that is not durable, and merges it with those of like size.
    fn draft(&self, _writer: &MutexGuard<'_, ()>) -> Result<(), IndexError> {
        let state = self.read();
        let first = mergeable(&state.drafts, bytes(state.recent.len()));
        let drafts = state.drafts.get(first..).unwrap_or_default();
        let rows = merge(state.sources(drafts));
        let draft = self.sort(rows, (&draft_path(&self.folder, state.next), state.next))?;
        drop(state);
        let mut state = self.change();
        for run in state.drafts.drain(first..) {
            run.remove()?;
        }
        state.drafts.push(draft);
        state.next = state.next.saturating_add(1);
        state.recent.clear();
        state.unsaved.clear();
        Ok(())
    }

    /// Makes one durable run of all that is new and of the runs from `first` on, without the rows that are not kept.
    fn settle(
        &self,
        _writer: &MutexGuard<'_, ()>,
        first: usize,
        keeps: impl Fn(&Key) -> bool,
    ) -> Result<(), IndexError> {
        let state = self.read();
        let number = state.next;
        let replaces = state.runs.get(first).map_or(number, Run::replaces);
        let rows = state.all(first).filter(|row| match row {
            Ok((key, _)) => keeps(key),
            Err(_) => true,
        });
        let mut run = self.sort(rows, (&draft_path(&self.folder, number), replaces))?;
        drop(state);
        if let Err(error) = run.sync() {
            // What a failed sync left is not to be believed; all of it is still where it was.
            run.remove()?;
            return Err(error.into());
        }
        run.rename(&run_path(&self.folder, number))?;
        let mut state = self.change();
        state.next = number.saturating_add(1);
        let mut old: Vec<Run> = state.runs.drain(first..).collect();
        old.append(&mut state.drafts);
        state.runs.push(run);
        state.recent.clear();
        state.unsaved.clear();
        let saved = std::mem::take(&mut state.saved);
        drop(state);
        for run in old {
            run.remove()?;
        }
        if saved > 0 {
            self.index.clear_table(Table::Shards)?;
        }
        self.index.flush()
    }

    fn sort(
        &self,
        rows: impl Iterator<Item = Result<Row, IndexError>>,
        (path, replaces): (&Path, u32),
    ) -> Result<Run, IndexError> {
        let mut writer = RunWriter::create(path)?;
        let written = rows.into_iter().try_for_each(|row| match row {
            Ok((key, value)) => Ok(writer.push(&key, &value)?),
            Err(error) => self.pass_over(error),
        });
        let run = written.and_then(|()| Ok(writer.finish(replaces)?));
        if run.is_err() {
            // It may be in the way of what there is room for.
            disk::remove_file(path)?;
        }
        run
    }

    /// Damage costs the rows in it until the next start, which rebuilds the index. Anything else is an error.
    fn pass_over(&self, error: IndexError) -> Result<(), IndexError> {
        if !matches!(error, IndexError::Damaged { .. }) {
            return Err(error);
        }
        tracing::warn!(%error, "some shards are not found until the index is rebuilt, which the next start does");
        self.index.set_incomplete();
        Ok(())
    }

    fn write(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first_key(prefix: &[u8]) -> Key {
    let mut key = Key::default();
    for (to, from) in key.iter_mut().zip(prefix) {
        *to = *from;
    }
    key
}

#[cfg(test)]
mod tests;
