//! The file table: which files a version has.
//!
//! Two levels of blobs: an index that lists pages, and pages of entries sorted by path. Where a page
//! ends depends on the paths alone, so that versions share the pages in which nothing changed.
//! A writer ([`TableWriter`]) holds one page at a time; a reader takes the index ([`TableIndex`]), the
//! pages that it needs ([`Page`]) and checks them beside each other ([`TableChecker`]).
//! Source: `specs/file-table.md`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    cbor::CborError,
    chunkmap::ChunkMapError,
    id::{BlobId, Hash},
    limits::PAGE_BOUNDARY_BITS,
    path::{DatasetPath, SiblingError},
};

mod diff;
mod entry;
mod index;
mod page;
mod writer;

pub use diff::{Change, Moves, changes};
pub use entry::{EntryError, FileEntry, FileFields};
pub use index::{IndexError, PageRef, TableIndex};
pub use page::{Page, PageError, TableChecker};
pub use writer::TableWriter;

/// Version of the format; it stands in the index.
const TABLE_VERSION: u64 = 1;

/// Number of a shard in its version: the position of its entry in the table, from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ShardIndex(pub u32);

impl fmt::Display for ShardIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the entries of a table add up to; the manifest says it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableTotals {
    /// Files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A blob that was just made.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedBlob {
    /// Its id.
    pub id: BlobId,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A page that was just made, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPage {
    /// Its id.
    pub id: BlobId,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The chunk maps of its small files ([`crate::chunkmap::MapPack`]), if any has one.
    pub maps: Option<EncodedBlob>,
}

impl EncodedPage {
    fn new(bytes: Vec<u8>, maps: Option<EncodedBlob>) -> Self {
        let EncodedBlob { id, bytes } = EncodedBlob::of(bytes);
        Self { id, bytes, maps }
    }

    /// The blobs of which it consists: itself and, if there are any, its maps.
    pub fn into_blobs(self) -> impl Iterator<Item = EncodedBlob> {
        let Self { id, bytes, maps } = self;
        std::iter::once(EncodedBlob { id, bytes }).chain(maps)
    }
}

/// An index that was just made.
pub type EncodedIndex = EncodedBlob;

impl EncodedBlob {
    /// A blob of these bytes.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        Self {
            id: BlobId::from_hash(Hash::of(&bytes)),
            bytes,
        }
    }
}

impl fmt::Debug for EncodedBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.id, self.bytes.len())
    }
}

/// Why a table cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A path cannot follow those before it.
    #[error("cannot add a file to the table")]
    Path(#[source] SiblingError),
    /// The sizes add up to more than 2^64-1 bytes.
    #[error("the sizes of the files, with \"{path}\", add up to more than 2^64-1 bytes")]
    Bytes {
        /// The file that was too much.
        path: DatasetPath,
    },
    /// More files than shards can be numbered.
    #[error("\"{path}\" is one file too many: a version has at most 2^32-1")]
    Files {
        /// The file that was too much.
        path: DatasetPath,
    },
    /// The index, or a page, is larger than a description may be.
    #[error("the table's index or a page has {bytes} bytes, more than a description may have")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A blob cannot be encoded.
    #[error("cannot encode the table")]
    Encode(#[source] CborError),
    /// The chunk maps of a page cannot be encoded.
    #[error("cannot encode the chunk maps of a page")]
    Maps(#[source] ChunkMapError),
}

/// Does a page end after the entry of this path, wherever it stands?
///
/// True if the low [`PAGE_BOUNDARY_BITS`] bits of the path's BLAKE3 hash, its first 8 bytes read as a
/// little-endian number, are zero.
fn ends_page(path: &DatasetPath) -> bool {
    let hash = Hash::of(path.as_str().as_bytes());
    let low = hash
        .as_bytes()
        .first_chunk()
        .copied()
        .map_or(0, u64::from_le_bytes);
    low.trailing_zeros() >= PAGE_BOUNDARY_BITS
}

#[cfg(test)]
mod tests;
