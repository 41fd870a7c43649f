//! Writing segments again without what is needed no more.
//!
//! The new file has the number of the first old one, and takes its name; then the others go. Entries keep
//! their order, since owners must come before what they sign. A crash leaves the old files, or the new
//! one perhaps with some of the old ones behind it, whose entries it then says once more.

use std::{
    fs::File,
    io::{BufWriter, Write},
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use super::{
    ENTRY_HEADER_BYTES, EntryKind, MAGIC, Position, SEGMENT_BYTES_MAX, Segments, encode_entry,
    numbers, scan::walk, segment_path,
};
use crate::disk::{self, Access, DiskError, temp_name};

/// A segment that is full, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) number: u32,
    pub(crate) bytes: u64,
}

/// A new file that is synced and waits for its name.
#[derive(Debug)]
#[must_use = "it has not taken the place of the old ones yet"]
pub(crate) struct Rewritten {
    folder: PathBuf,
    temporary: PathBuf,
    run: RangeInclusive<u32>,
    /// Where entries lay, and where they will.
    pub(crate) moved: Vec<(Position, Position)>,
}

impl Segments {
    /// All segments but the one that is appended to, in order.
    pub(crate) fn closed(&self) -> Result<Vec<Closed>, DiskError> {
        let mut closed = Vec::new();
        for number in numbers(&self.folder)? {
            if number >= self.number {
                continue;
            }
            let path = segment_path(&self.folder, number);
            let metadata = std::fs::metadata(&path).map_err(DiskError::io("look at", &path))?;
            closed.push(Closed {
                number,
                bytes: metadata.len(),
            });
        }
        Ok(closed)
    }

    /// Closes the current segment, unless it is empty.
    pub(crate) fn close_current(&mut self) -> Result<(), DiskError> {
        if self.offset <= u64::try_from(super::SEGMENT_HEADER_BYTES).unwrap_or(0) {
            return Ok(());
        }
        self.sync()?;
        *self = Self::create(&self.folder, self.number.saturating_add(1))?;
        Ok(())
    }

    /// Writes the entries of closed segments that `keep` wants into a new file. `None`, with nothing changed, if
    /// some of their bytes are no entries: what is damaged is for somebody to look at, not to throw away.
    pub(crate) fn rewrite(
        &self,
        run: RangeInclusive<u32>,
        mut keep: impl FnMut(Position, EntryKind) -> bool,
    ) -> Result<Option<Rewritten>, DiskError> {
        let temporary = self.folder.join(temp_name());
        let mut output = Output::create(&temporary)?;
        let numbers = numbers(&self.folder)?;
        let mut moved = Vec::new();
        for segment in numbers.into_iter().filter(|number| run.contains(number)) {
            let path = segment_path(&self.folder, segment);
            let bytes = std::fs::read(&path).map_err(DiskError::io("read", &path))?;
            let mut written = Ok(());
            let whole = walk(&bytes, |offset, kind, payload| {
                let from = Position { segment, offset };
                if written.is_ok() && keep(from, kind) {
                    let offset = output.offset;
                    let to = Position {
                        segment: *run.start(),
                        offset,
                    };
                    written = output.write(kind, payload);
                    moved.push((from, to));
                }
            });
            written?;
            if !whole {
                disk::remove_file(&temporary)?;
                return Ok(None);
            }
        }
        output.finish()?;
        Ok(Some(Rewritten {
            folder: self.folder.clone(),
            temporary,
            run,
            moved,
        }))
    }
}

impl Rewritten {
    /// Takes the place of the old files; durable when it returns.
    pub(crate) fn take_place(&self) -> Result<(), DiskError> {
        let first = *self.run.start();
        disk::rename_durable(&self.temporary, &segment_path(&self.folder, first))?;
        for number in numbers(&self.folder)? {
            if number != first && self.run.contains(&number) {
                disk::remove_file(&segment_path(&self.folder, number))?;
            }
        }
        disk::sync_folder(&self.folder)
    }
}

/// Bytes of a rewritten segment beyond which nothing more should go into it.
pub(crate) const REWRITTEN_BYTES_MAX: u64 = SEGMENT_BYTES_MAX;

/// The new file.
struct Output {
    path: PathBuf,
    file: BufWriter<File>,
    salt: [u8; 16],
    offset: u64,
}

impl Output {
    fn create(path: &Path) -> Result<Self, DiskError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)
            .map_err(|_| DiskError::io("create", path)(std::io::ErrorKind::Other.into()))?;
        let mut file = BufWriter::new(disk::create_new(path, Access::Owner)?);
        let header = [MAGIC.as_slice(), &salt].concat();
        file.write_all(&header)
            .map_err(DiskError::io("write", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            salt,
            offset: u64::try_from(header.len()).unwrap_or(0),
        })
    }

    fn write(&mut self, kind: EntryKind, payload: &[u8]) -> Result<(), DiskError> {
        let entry = encode_entry(&self.salt, kind, payload);
        self.file
            .write_all(&entry)
            .map_err(DiskError::io("write", &self.path))?;
        let bytes = payload.len().saturating_add(ENTRY_HEADER_BYTES);
        self.offset = self
            .offset
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        Ok(())
    }

    fn finish(mut self) -> Result<(), DiskError> {
        self.file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .map_err(DiskError::io("sync", &self.path))
    }
}
