//! The only module that touches sled: an index that can be rebuilt from the truth at any time.
//!
//! Every value is `version, payload, CRC-32`. What was written is durable after [`Index::flush`].
//! Source: `specs/storage.md`, section *Index*.

use std::{
    fs::{File, TryLockError},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sled::{Db, IVec, Tree};

use super::segment::Position;
use crate::disk::{self, DiskError, temp_name};

/// Version of the keys and values; another one means: rebuild.
const FORMAT: u8 = 4;
/// Memory for cached pages. With 16 MiB, publishing 50,000 files took 60 MiB more and no less time.
const CACHE_BYTES: u64 = 2 * 1024 * 1024;
/// What is not flushed cannot leave the memory.
const UNFLUSHED_ROWS_MAX: u32 = 8192;
/// How long an index that was closed in this process may take to let go of its file, on a busy machine.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(10);

/// Why the index cannot be read or written. The truth is not in it.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// sled reports an error.
    #[error("the index in {path} cannot be used; rebuild it with: opendag reindex", path = path.display())]
    Sled {
        /// Its folder.
        path: PathBuf,
        /// What sled says.
        #[source]
        source: sled::Error,
    },
    /// A value is damaged.
    #[error("the index in {path} is damaged; rebuild it with: opendag reindex", path = path.display())]
    Damaged {
        /// Its folder.
        path: PathBuf,
    },
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// sled's threads keep the lock of a closed index for a moment, and opening it then would look like damage. No other
/// process has it: the data directory is locked.
fn wait_until_closed(path: &Path) {
    let Ok(file) = File::open(path.join("db")) else {
        return;
    };
    let deadline = Instant::now() + CLOSE_TIME_MAX;
    while matches!(file.try_lock(), Err(TryLockError::WouldBlock)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Is it the database's word for a full disk?
pub(crate) fn index_is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    match error.downcast_ref::<sled::Error>() {
        Some(sled::Error::Io(error)) => disk::is_full(error),
        Some(_) | None => false,
    }
}

/// The tables of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// Record id -> position of its entry in the segments, and its length.
    Records,
    /// Dataset id -> its state.
    Datasets,
    /// Hash of a version, hash of one that was made from it -> nothing.
    Derived,
    /// Name, a slash, dataset id -> nothing.
    Names,
    /// When a head was issued (8 bytes, big-endian), its id -> what it is, and its dataset.
    Heads,
    /// Id of a statement -> what is remembered of it.
    Statements,
    /// Place id -> place.
    Places,
    /// Id of a dataset or version that is pinned -> nothing.
    Pins,
    /// Root id -> absolute path of a folder in which shards lie.
    Roots,
    /// Hash (16 bytes), root id, hash of the path (4 bytes) -> where the shard lies. Only the newest rows, see
    /// [`super::locations`].
    Shards,
}

/// The open index. Clones share it. All functions block.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    path: PathBuf,
    db: Db,
    meta: Tree,
    records: Tree,
    datasets: Tree,
    derived: Tree,
    names: Tree,
    heads: Tree,
    statements: Tree,
    places: Tree,
    pins: Tree,
    roots: Tree,
    shards: Tree,
    incomplete: Arc<AtomicBool>,
}

/// What opening found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It covers the truth up to here.
    CoversUntil(Position),
    /// It is new, of another format, or its last rebuild was cut off.
    Empty,
}

impl Index {
    /// Opens the index, and by `beside` what is rebuilt together with it. One that does not open is moved aside, and an
    /// empty one takes its place.
    pub(crate) fn open<T>(
        path: &Path,
        beside: impl Fn(&Self) -> Result<T, IndexError>,
    ) -> Result<(Self, T, State), IndexError> {
        match Self::try_open(path, &beside) {
            Ok(opened) => Ok(opened),
            Err(error) => {
                tracing::warn!(%error, "the index does not open and is rebuilt");
                let aside = path.with_extension("broken");
                disk::remove_folder(&aside)?;
                if path.exists() && std::fs::rename(path, &aside).is_err() {
                    disk::rename_durable(path, &path.with_extension(temp_name()))?;
                }
                Self::try_open(path, &beside)
            }
        }
    }

    fn try_open<T>(
        path: &Path,
        beside: impl Fn(&Self) -> Result<T, IndexError>,
    ) -> Result<(Self, T, State), IndexError> {
        // sled panics on some kinds of damage; a lost index must not keep the node from starting.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let mut index = Self::open_trees(path)?;
            if index.is_of_another_version()? {
                drop(index);
                disk::remove_folder(path)?;
                index = Self::open_trees(path)?;
            }
            index.check()?;
            let opened = beside(&index)?;
            let state = index.state()?;
            Ok((index, opened, state))
        }));
        opened.map_err(|_| IndexError::Damaged {
            path: path.to_owned(),
        })?
    }

    /// Reads all rows but those of shards, so that damage shows now, when the index can be rebuilt.
    fn check(&self) -> Result<(), IndexError> {
        let tables = [
            Table::Records,
            Table::Datasets,
            Table::Derived,
            Table::Names,
            Table::Heads,
            Table::Statements,
            Table::Places,
            Table::Pins,
            Table::Roots,
        ];
        for table in tables {
            for row in self.rows(table, &[]) {
                row?;
            }
        }
        Ok(())
    }

    /// Was it written by a program with another [`FORMAT`]?
    fn is_of_another_version(&self) -> Result<bool, IndexError> {
        let covers = self.meta.get(b"covers").map_err(|e| self.sled(e))?;
        Ok(covers.is_some_and(|value| {
            let format = value.first();
            format != Some(&FORMAT) && unseal_as(&value, format.copied()).is_some()
        }))
    }

    fn open_trees(path: &Path) -> Result<Self, IndexError> {
        wait_until_closed(path);
        let sled_error = |source| IndexError::Sled {
            path: path.to_owned(),
            source,
        };
        let db = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .mode(sled::Mode::LowSpace)
            .flush_every_ms(None)
            .open()
            .map_err(sled_error)?;
        let tree = |name: &str| db.open_tree(name).map_err(sled_error);
        Ok(Self {
            path: path.to_owned(),
            meta: tree("meta")?,
            records: tree("records")?,
            datasets: tree("datasets")?,
            derived: tree("derived")?,
            names: tree("names")?,
            heads: tree("heads")?,
            statements: tree("statements")?,
            places: tree("places")?,
            pins: tree("pins")?,
            roots: tree("roots")?,
            shards: tree("shards")?,
            incomplete: Arc::default(),
            db,
        })
    }

    fn state(&self) -> Result<State, IndexError> {
        let Some(value) = self.meta.get(b"covers").map_err(|e| self.sled(e))? else {
            return Ok(State::Empty);
        };
        let position = unseal(&value).and_then(|bytes| {
            let (segment, offset) = bytes.split_first_chunk::<4>()?;
            Some(Position {
                segment: u32::from_le_bytes(*segment),
                offset: u64::from_le_bytes(offset.try_into().ok()?),
            })
        });
        Ok(position.map_or(State::Empty, State::CoversUntil))
    }

    /// Notes that something of it is lost: it claims no more that it covers anything, and the next start rebuilds it.
    pub(crate) fn set_incomplete(&self) {
        self.incomplete.store(true, Ordering::Relaxed);
    }

    /// Notes that the truth up to `position` is in the index. Durable after [`Index::flush`].
    pub(crate) fn set_covers(&self, position: Position) -> Result<(), IndexError> {
        if self.incomplete.load(Ordering::Relaxed) {
            self.meta.remove(b"covers").map_err(|e| self.sled(e))?;
            return Ok(());
        }
        let mut bytes = position.segment.to_le_bytes().to_vec();
        bytes.extend_from_slice(&position.offset.to_le_bytes());
        self.meta
            .insert(b"covers", seal(&bytes))
            .map_err(|e| self.sled(e))?;
        Ok(())
    }

    /// Removes everything, for a rebuild.
    pub(crate) fn clear(&self) -> Result<(), IndexError> {
        self.meta.clear().map_err(|e| self.sled(e))?;
        self.flush()?;
        let tables = [
            &self.records,
            &self.datasets,
            &self.derived,
            &self.names,
            &self.heads,
            &self.statements,
            &self.places,
            &self.pins,
            &self.roots,
            &self.shards,
        ];
        for tree in tables {
            tree.clear().map_err(|e| self.sled(e))?;
        }
        self.incomplete.store(false, Ordering::Relaxed);
        self.flush()
    }

    /// Removes the rows of a table.
    pub(crate) fn clear_table(&self, table: Table) -> Result<(), IndexError> {
        self.tree(table).clear().map_err(|e| self.sled(e))
    }

    fn tree(&self, table: Table) -> &Tree {
        match table {
            Table::Records => &self.records,
            Table::Datasets => &self.datasets,
            Table::Derived => &self.derived,
            Table::Names => &self.names,
            Table::Heads => &self.heads,
            Table::Statements => &self.statements,
            Table::Places => &self.places,
            Table::Pins => &self.pins,
            Table::Roots => &self.roots,
            Table::Shards => &self.shards,
        }
    }

    fn sled(&self, source: sled::Error) -> IndexError {
        IndexError::Sled {
            path: self.path.clone(),
            source,
        }
    }

    pub(crate) fn damaged(&self) -> IndexError {
        IndexError::Damaged {
            path: self.path.clone(),
        }
    }

    fn open_value(&self, value: &IVec) -> Result<Vec<u8>, IndexError> {
        unseal(value)
            .map(<[u8]>::to_vec)
            .ok_or_else(|| self.damaged())
    }

    /// The value of a key.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let value = self.tree(table).get(key).map_err(|e| self.sled(e))?;
        value.map(|value| self.open_value(&value)).transpose()
    }

    /// How many rows a table has. Looks at all of them.
    pub(crate) fn count(&self, table: Table) -> usize {
        self.tree(table).len()
    }

    /// Writes a value.
    pub(crate) fn put(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), IndexError> {
        let inserted = self.tree(table).insert(key, seal(value));
        inserted.map(drop).map_err(|e| self.sled(e))
    }

    /// Removes a row.
    pub(crate) fn remove(&self, table: Table, key: &[u8]) -> Result<(), IndexError> {
        let removed = self.tree(table).remove(key);
        removed.map(drop).map_err(|e| self.sled(e))
    }

    /// Does it claim nothing any more, because a part of it is lost?
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete.load(Ordering::Relaxed)
    }

    /// Writes and (with `None`) removes rows one by one: batches of sled's keep their memory.
    pub(crate) fn write_all(
        &self,
        table: Table,
        rows: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), IndexError> {
        let tree = self.tree(table);
        let mut unflushed = 0;
        for (key, value) in rows {
            let written = match value {
                Some(value) => tree.insert(key, seal(&value)),
                None => tree.remove(key),
            };
            written.map_err(|e| self.sled(e))?;
            unflushed += 1;
            if unflushed == UNFLUSHED_ROWS_MAX {
                self.flush()?;
                unflushed = 0;
            }
        }
        Ok(())
    }

    /// All rows whose key begins with `prefix`, in the order of their keys.
    pub(crate) fn rows(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), IndexError>> + '_ {
        self.tree(table).scan_prefix(prefix).map(|row| {
            let (key, value) = row.map_err(|e| self.sled(e))?;
            Ok((key.to_vec(), self.open_value(&value)?))
        })
    }

    /// The keys of a table from one on, in their order, without their values.
    pub(crate) fn keys_from(
        &self,
        table: Table,
        from: &[u8],
    ) -> impl Iterator<Item = Result<IVec, IndexError>> + '_ {
        let keys = self.tree(table).range(from.to_vec()..).keys();
        keys.map(|key| key.map_err(|e| self.sled(e)))
    }

    /// Makes durable what was written.
    pub(crate) fn flush(&self) -> Result<(), IndexError> {
        self.db.flush().map(drop).map_err(|e| self.sled(e))
    }
}

fn seal(payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(payload.len() + 5);
    value.push(FORMAT);
    value.extend_from_slice(payload);
    let crc = crc32fast::hash(&value);
    value.extend_from_slice(&crc.to_le_bytes());
    value
}

fn unseal(value: &[u8]) -> Option<&[u8]> {
    unseal_as(value, Some(FORMAT))
}

fn unseal_as(value: &[u8], wanted: Option<u8>) -> Option<&[u8]> {
    let (body, crc) = value.split_last_chunk::<4>()?;
    let (format, payload) = body.split_first()?;
    (Some(*format) == wanted && crc32fast::hash(body) == u32::from_le_bytes(*crc))
        .then_some(payload)
}

#[cfg(test)]
mod tests;
