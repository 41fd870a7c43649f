//! A run: rows that say where shards lie, sorted by key, in a file that never changes.
//!
//! A run costs 16 bytes of memory for each 4 KiB of rows, and a look-up is a read of 4 KiB. Every byte of it is below
//! a CRC-32. Source: `specs/storage.md`, section *Runs*.

use std::{
    fs::File,
    io::{BufWriter, Write},
    ops::ControlFlow,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    index::IndexError,
    place::{KEY_BYTES, Key, put_varint, take_varint},
};
use crate::disk::{self, Access, DiskError};

mod merge;

pub(crate) use merge::{Source, merge};

/// What a run begins with.
const MAGIC: &[u8; 8] = b"ODRUN01\n";
/// What a run ends with, behind the offset of its list of blocks (8 bytes) and the CRC-32 of both.
const END: &[u8; 8] = b"ODRUNend";
const END_BYTES: usize = 8 + 4 + 8;
/// A block is closed when its rows take so many bytes: what a look-up reads and checks.
const BLOCK_BYTES: usize = 4096;
/// A block in the list: the first bytes of its first key, and where it begins.
const LISTED_BYTES: usize = 16;
/// Behind the list: how many rows there are (8), and the number of the oldest run that this one replaces (4).
const TOTALS_BYTES: usize = 12;

/// A row: its key, and the rest of the location.
pub(crate) type Row = (Key, Box<[u8]>);

/// Rows below a CRC-32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    first: u64,
    offset: u64,
}

/// An open run. All functions block.
#[derive(Debug)]
pub(crate) struct Run {
    file: File,
    path: PathBuf,
    blocks: Vec<Block>,
    end: u64,
    rows: u64,
    replaces: u32,
}

impl Run {
    /// Opens a run. The rows are checked when they are read.
    pub(crate) fn open(path: &Path) -> Result<Self, IndexError> {
        let file = File::open(path).map_err(DiskError::io("open", path))?;
        let len = file.metadata().map_err(DiskError::io("read", path))?.len();
        let damaged = || IndexError::Damaged {
            path: path.to_owned(),
        };
        let read = |offset: u64, len: usize| {
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, offset)
                .map_err(DiskError::io("read", path))?;
            Ok::<_, IndexError>(bytes)
        };
        let tail_at = len.checked_sub(bytes_in(END_BYTES)).ok_or_else(damaged)?;
        let tail = read(tail_at, END_BYTES)?;
        let (end, _) = tail.split_first_chunk::<8>().ok_or_else(damaged)?;
        let end = u64::from_le_bytes(*end);
        let listed = tail_at
            .checked_sub(end)
            .and_then(|len| usize::try_from(len).ok())
            .ok_or_else(damaged)?;
        let list = read(end, listed)?;
        let (blocks, rows, replaces) = parse_list(&list, &tail).ok_or_else(damaged)?;
        if read(0, MAGIC.len())? != MAGIC {
            return Err(damaged());
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            blocks,
            end,
            rows,
            replaces,
        })
    }

    /// How many rows it has.
    pub(crate) const fn len(&self) -> u64 {
        self.rows
    }

    /// The number of the oldest run whose rows are in this one; its own if there is none.
    pub(crate) const fn replaces(&self) -> u32 {
        self.replaces
    }

    /// Makes it durable. One for which this fails must not be used.
    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        self.file
            .sync_all()
            .map_err(DiskError::io("sync", &self.path))
    }

    /// Gives it its final name, durably.
    pub(crate) fn rename(&mut self, to: &Path) -> Result<(), DiskError> {
        disk::rename_durable(&self.path, to)?;
        self.path = to.to_owned();
        Ok(())
    }

    /// Removes its file. Whoever has it open can go on.
    pub(crate) fn remove(&self) -> Result<(), DiskError> {
        disk::remove_file(&self.path).map(drop)
    }

    /// Shows the rows whose keys begin so, in order, until `visit` has enough. A block that is damaged is an error;
    /// what lies behind it is not looked at.
    pub(crate) fn visit(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, IndexError> {
        let wanted = leading(prefix);
        // The block before the first one that begins there may end with it.
        let from = self.blocks.partition_point(|block| block.first < wanted);
        for at in from.saturating_sub(1)..self.blocks.len() {
            if self.blocks.get(at).is_none_or(|block| block.first > wanted) {
                break;
            }
            let block = self.block(at)?;
            let mut rest = block.as_slice();
            while let Some((key, value)) = take_row(&mut rest) {
                if key.starts_with(prefix) && visit(key, value).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// All rows in order. A damaged block is one error; the rows behind it follow.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Result<Row, IndexError>> + '_ {
        let blocks = (0..self.blocks.len()).map(|at| self.block(at));
        blocks.flat_map(|block| match block {
            Ok(block) => Rows::Of { block, at: 0 },
            Err(error) => Rows::Damaged(Some(error)),
        })
    }

    /// Checks up to so many bytes of rows; answers how many were left of that.
    pub(crate) fn check(&self, budget_bytes: u64) -> Result<u64, IndexError> {
        let mut left = budget_bytes;
        for at in 0..self.blocks.len() {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(bytes_in(self.block(at)?.len()));
        }
        Ok(left)
    }

    /// The rows of a block.
    fn block(&self, at: usize) -> Result<Vec<u8>, IndexError> {
        let damaged = || IndexError::Damaged {
            path: self.path.clone(),
        };
        let offset = self.blocks.get(at).ok_or_else(damaged)?.offset;
        let end = self.blocks.get(at + 1).map_or(self.end, |next| next.offset);
        let len = end
            .checked_sub(offset)
            .and_then(|len| usize::try_from(len).ok())
            .ok_or_else(damaged)?;
        let mut bytes = vec![0; len];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(DiskError::io("read", &self.path))?;
        let (rows, crc) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32fast::hash(rows) != u32::from_le_bytes(*crc) {
            return Err(damaged());
        }
        bytes.truncate(bytes.len() - 4);
        Ok(bytes)
    }
}

/// Rows of one block, or why there are none.
enum Rows {
    Of { block: Vec<u8>, at: usize },
    Damaged(Option<IndexError>),
}

impl Iterator for Rows {
    type Item = Result<Row, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Of { block, at } => {
                let mut rest = block.get(*at..)?;
                let (key, value) = take_row(&mut rest)?;
                let row = (*key, value.into());
                *at = block.len() - rest.len();
                Some(Ok(row))
            }
            Self::Damaged(error) => error.take().map(Err),
        }
    }
}

/// Writes a run, row by row in the order of the keys.
#[derive(Debug)]
pub(crate) struct RunWriter {
    file: BufWriter<File>,
    path: PathBuf,
    block: Vec<u8>,
    blocks: Vec<Block>,
    offset: u64,
    rows: u64,
}

impl RunWriter {
    /// Begins a run in a new file.
    pub(crate) fn create(path: &Path) -> Result<Self, DiskError> {
        let mut writer = Self {
            file: BufWriter::with_capacity(
                16 * BLOCK_BYTES,
                disk::create_new(path, Access::Owner)?,
            ),
            path: path.to_owned(),
            block: Vec::with_capacity(2 * BLOCK_BYTES),
            blocks: Vec::new(),
            offset: 0,
            rows: 0,
        };
        writer.write(MAGIC)?;
        Ok(writer)
    }

    /// Adds a row behind all others.
    pub(crate) fn push(&mut self, key: &Key, value: &[u8]) -> Result<(), DiskError> {
        if self.block.is_empty() {
            self.blocks.push(Block {
                first: leading(key),
                offset: self.offset,
            });
        }
        self.block.extend_from_slice(key);
        put_varint(&mut self.block, bytes_in(value.len()));
        self.block.extend_from_slice(value);
        self.rows += 1;
        if self.block.len() >= BLOCK_BYTES {
            self.close_block()?;
        }
        Ok(())
    }

    /// Ends the run. It is not durable yet.
    pub(crate) fn finish(mut self, replaces: u32) -> Result<Run, DiskError> {
        if !self.block.is_empty() {
            self.close_block()?;
        }
        let end = self.offset;
        let mut list = Vec::with_capacity(self.blocks.len() * LISTED_BYTES + TOTALS_BYTES + 8);
        for block in &self.blocks {
            list.extend_from_slice(&block.first.to_be_bytes());
            list.extend_from_slice(&block.offset.to_le_bytes());
        }
        list.extend_from_slice(&self.rows.to_le_bytes());
        list.extend_from_slice(&replaces.to_le_bytes());
        list.extend_from_slice(&end.to_le_bytes());
        let crc = crc32fast::hash(&list);
        self.write(&list)?;
        self.write(&crc.to_le_bytes())?;
        self.write(END)?;
        let file = self
            .file
            .into_inner()
            .map_err(|error| DiskError::io("write", &self.path)(error.into_error()))?;
        self.blocks.shrink_to_fit();
        Ok(Run {
            file,
            path: self.path,
            blocks: self.blocks,
            end,
            rows: self.rows,
            replaces,
        })
    }

    fn close_block(&mut self) -> Result<(), DiskError> {
        let crc = crc32fast::hash(&self.block);
        self.block.extend_from_slice(&crc.to_le_bytes());
        let block = std::mem::take(&mut self.block);
        self.write(&block)?;
        self.block = block;
        self.block.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.file
            .write_all(bytes)
            .map_err(DiskError::io("write", &self.path))?;
        self.offset = self.offset.saturating_add(bytes_in(bytes.len()));
        Ok(())
    }
}

/// The list of blocks, how many rows there are, and the oldest run that is replaced; `None` if it is damaged.
fn parse_list(list: &[u8], tail: &[u8]) -> Option<(Vec<Block>, u64, u32)> {
    let (end, rest) = tail.split_first_chunk::<8>()?;
    let (crc, magic) = rest.split_first_chunk::<4>()?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(list);
    hasher.update(end);
    if magic != END || hasher.finalize() != u32::from_le_bytes(*crc) {
        return None;
    }
    let (listed, totals) = list.split_last_chunk::<TOTALS_BYTES>()?;
    let (rows, replaces) = totals.split_first_chunk::<8>()?;
    let (blocks, rest) = listed.as_chunks::<LISTED_BYTES>();
    let blocks = blocks.iter().map(|block| {
        let (first, offset) = block.split_first_chunk::<8>()?;
        Some(Block {
            first: u64::from_be_bytes(*first),
            offset: u64::from_le_bytes(offset.try_into().ok()?),
        })
    });
    let blocks = blocks.collect::<Option<Vec<_>>>()?;
    rest.is_empty().then_some((
        blocks,
        u64::from_le_bytes(*rows),
        u32::from_le_bytes(replaces.try_into().ok()?),
    ))
}

/// The next row of a block; `None` at its end.
fn take_row<'a>(rest: &mut &'a [u8]) -> Option<(&'a Key, &'a [u8])> {
    let (key, behind) = rest.split_first_chunk::<KEY_BYTES>()?;
    let (len, behind) = take_varint(behind)?;
    let (value, behind) = behind.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = behind;
    Some((key, value))
}

/// The first bytes of a key as a number, in the order of the keys.
fn leading(key: &[u8]) -> u64 {
    u64::from_be_bytes(key.first_chunk().copied().unwrap_or_default())
}

fn bytes_in(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
