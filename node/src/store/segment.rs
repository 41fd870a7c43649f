//! Append-only segments: signed records and the journal of places, the truth on disk.
//!
//! A segment is a file of entries; each entry carries its length and a CRC-32 that is salted with a secret of its
//! segment, so that nothing inside a stranger's record can pass for an entry. Source: `specs/storage.md`,
//! section *Segments*.

use std::{
    fs::File,
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::disk::{self, Access, DiskError};

mod rewrite;
mod scan;

pub(crate) use rewrite::{Closed, REWRITTEN_BYTES_MAX, Rewritten};
pub(crate) use scan::scan;

/// First bytes of a segment; a salt of 16 bytes follows.
const MAGIC: &[u8; 16] = b"opendag/segment1";
/// Bytes before the first entry.
const SEGMENT_HEADER_BYTES: usize = 32;
/// First bytes of an entry; kind, length and CRC follow.
const ENTRY_MAGIC: &[u8; 4] = b"ODe1";
/// Magic, kind (1), length (4), CRC-32 (4).
pub(crate) const ENTRY_HEADER_BYTES: usize = 13;
/// The longest payload: a record of the largest size, with room to spare.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// A segment that is longer is closed, so that one can be held in memory while it is scanned.
const SEGMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A signed record as received.
    Record,
    /// A place was added or changed.
    Place,
    /// A place was removed.
    Unplace,
    /// A dataset or version was pinned.
    Pin,
    /// It is pinned no longer.
    Unpin,
    /// Something of a later version: kept, not understood.
    Other(u8),
}

impl EntryKind {
    const fn to_byte(self) -> u8 {
        match self {
            Self::Record => 1,
            Self::Place => 2,
            Self::Unplace => 3,
            Self::Pin => 4,
            Self::Unpin => 5,
            Self::Other(byte) => byte,
        }
    }

    const fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Record,
            2 => Self::Place,
            3 => Self::Unplace,
            4 => Self::Pin,
            5 => Self::Unpin,
            other => Self::Other(other),
        }
    }
}

/// A position in the segments: everything before it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
}

/// Bytes of a segment that are no entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment's file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// How many bytes.
    pub len_bytes: u64,
    /// Where a copy of them lies.
    pub copy: PathBuf,
}

/// A CRC-32 over salt, kind, length and payload.
fn checksum(salt: &[u8], kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(salt);
    hasher.update(&[kind]);
    hasher.update(
        &u64::try_from(payload.len())
            .unwrap_or(u64::MAX)
            .to_le_bytes(),
    );
    hasher.update(payload);
    hasher.finalize()
}

/// The segments of a data directory, open for appending. One writer; blocks.
///
/// Invariant: `offset` is the length of the current segment, and everything before `durable` was synced.
#[derive(Debug)]
pub(crate) struct Segments {
    folder: PathBuf,
    number: u32,
    file: File,
    salt: [u8; 16],
    offset: u64,
    durable: u64,
}

impl Segments {
    /// Opens the segments of a folder for appending. A torn tail of the last one is cut off (after a copy of it was
    /// laid into `quarantine`).
    pub(crate) fn open(folder: &Path, quarantine: &Path) -> Result<(Self, Vec<Damage>), DiskError> {
        disk::create_private_folder(folder)?;
        disk::remove_temporary_files(folder)?;
        let Some(number) = numbers(folder)?.last().copied() else {
            return Ok((Self::create(folder, 1)?, Vec::new()));
        };
        let scanned = scan(
            folder,
            quarantine,
            Position {
                segment: number,
                offset: 0,
            },
            |_, _, _| (),
        )?;
        let path = segment_path(folder, number);
        let Some(salt) = scanned.salt else {
            // Not even its header is whole: the next segment takes over.
            return Ok((
                Self::create(folder, number.saturating_add(1))?,
                scanned.damages,
            ));
        };
        let file = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(DiskError::io("open", &path))?;
        let offset = scanned.end.offset;
        if scanned.tail_bytes > 0 {
            file.set_len(offset)
                .and_then(|()| file.sync_all())
                .map_err(DiskError::io("write", &path))?;
        }
        let segments = Self {
            folder: folder.to_owned(),
            number,
            file,
            salt,
            offset,
            durable: offset,
        };
        Ok((segments, scanned.damages))
    }

    fn create(folder: &Path, number: u32) -> Result<Self, DiskError> {
        let path = segment_path(folder, number);
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)
            .map_err(|_| DiskError::io("create", &path)(std::io::ErrorKind::Other.into()))?;
        // A header that is torn by a crash must not be found under the segment's name.
        disk::write_durable(&path, &[MAGIC.as_slice(), &salt].concat(), Access::Owner)?;
        let file = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(DiskError::io("open", &path))?;
        let offset = u64::try_from(SEGMENT_HEADER_BYTES).unwrap_or(0);
        Ok(Self {
            folder: folder.to_owned(),
            number,
            file,
            salt,
            offset,
            durable: offset,
        })
    }

    /// The end of what was appended.
    pub(crate) const fn position(&self) -> Position {
        Position {
            segment: self.number,
            offset: self.offset,
        }
    }

    /// Appends an entry and answers where it begins. Durable after [`Segments::sync`].
    pub(crate) fn append(
        &mut self,
        kind: EntryKind,
        payload: &[u8],
    ) -> Result<Position, DiskError> {
        let path = segment_path(&self.folder, self.number);
        let len = u32::try_from(payload.len())
            .ok()
            .filter(|_| payload.len() <= PAYLOAD_BYTES_MAX)
            .ok_or_else(|| {
                DiskError::io("append to", &path)(std::io::ErrorKind::FileTooLarge.into())
            })?;
        if self.offset >= SEGMENT_BYTES_MAX {
            self.sync()?;
            *self = Self::create(&self.folder, self.number.saturating_add(1))?;
        }
        let path = segment_path(&self.folder, self.number);
        let entry = encode_entry(&self.salt, kind, payload);
        let position = self.position();
        if let Err(error) = self.file.write_all_at(&entry, self.offset) {
            // What was written of it is overwritten by the next one, or cut off as a torn tail.
            let _ = self.file.set_len(self.offset);
            return Err(DiskError::io("append to", &path)(error));
        }
        self.offset += u64::from(len) + u64::try_from(ENTRY_HEADER_BYTES).unwrap_or(0);
        Ok(position)
    }

    /// Makes durable what was appended.
    ///
    /// After a failure nothing since the last success can be believed: it is cut off, and a new segment begins.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        if self.durable == self.offset {
            return Ok(());
        }
        let path = segment_path(&self.folder, self.number);
        if let Err(error) = self.file.sync_data() {
            let _ = self.file.set_len(self.durable);
            self.offset = self.durable;
            *self = Self::create(&self.folder, self.number.saturating_add(1))?;
            return Err(DiskError::io("sync", &path)(error));
        }
        self.durable = self.offset;
        Ok(())
    }
}

/// An entry; `payload` is at most [`PAYLOAD_BYTES_MAX`].
fn encode_entry(salt: &[u8; 16], kind: EntryKind, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut entry = Vec::with_capacity(ENTRY_HEADER_BYTES + payload.len());
    entry.extend_from_slice(ENTRY_MAGIC);
    entry.push(kind.to_byte());
    entry.extend_from_slice(&len.to_le_bytes());
    entry.extend_from_slice(&checksum(salt, kind.to_byte(), payload).to_le_bytes());
    entry.extend_from_slice(payload);
    entry
}

/// Reads one entry; `None` if it is not there or damaged.
pub(crate) fn read_entry(
    folder: &Path,
    at: Position,
) -> Result<Option<(EntryKind, Vec<u8>)>, DiskError> {
    let path = segment_path(folder, at.segment);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DiskError::io("open", &path)(error)),
    };
    let mut salt = [0; 16];
    let mut header = [0; ENTRY_HEADER_BYTES];
    let salt_at = u64::try_from(MAGIC.len()).unwrap_or(0);
    if file.read_exact_at(&mut salt, salt_at).is_err()
        || file.read_exact_at(&mut header, at.offset).is_err()
    {
        return Ok(None);
    }
    let Some(len) = scan::payload_len(&header) else {
        return Ok(None);
    };
    let mut entry = header.to_vec();
    entry.resize(ENTRY_HEADER_BYTES + len, 0);
    if file.read_exact_at(&mut entry, at.offset).is_err() {
        return Ok(None);
    }
    Ok(scan::parse(&salt, &entry).map(|(kind, payload)| (kind, payload.to_vec())))
}

fn segment_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.seg"))
}

/// The numbers of all segments, in order.
fn numbers(folder: &Path) -> Result<Vec<u32>, DiskError> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DiskError::io("read", folder))? {
        let name = entry.map_err(DiskError::io("read", folder))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        if let Some(Ok(number)) = number.map(str::parse) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Lays a copy of damaged bytes into the quarantine folder, once.
fn copy_damage(quarantine: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, DiskError> {
    let path = quarantine.join(name);
    if !path.exists() {
        disk::create_private_folder(quarantine)?;
        let mut file = disk::create_new(&path, Access::Owner)?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(DiskError::io("write", &path))?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests;
