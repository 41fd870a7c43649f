//! Pages: the entries themselves.

use super::{FileEntry, PageRef, ShardIndex, ends_page};
use crate::{
    cbor::{self, CborError},
    id::{BlobId, Hash},
    limits::{DESCRIPTION_BLOB_BYTES_MAX, PAGE_ENTRIES_MAX},
    path::{DatasetPath, SiblingCheck, SiblingError},
    wire::BoundedVec,
};

/// A page of a table, as its index says it is.
///
/// Invariants: entries are sorted by path and obey [`SiblingCheck`] among each other; the page begins
/// and ends where the format says, and adds up to what the index says.
#[derive(Clone, Debug)]
pub struct Page {
    pub(super) entries: Vec<FileEntry>,
    pub(super) first_shard: ShardIndex,
}

/// Why bytes are not the page that the index names.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Larger than a description may be.
    #[error("page {page} of the file table has {bytes} bytes, more than a description may have")]
    TooLarge {
        /// The page.
        page: BlobId,
        /// Its size.
        bytes: usize,
    },
    /// Other bytes than those that the id names.
    #[error("page {page} of the file table has another hash")]
    Hash {
        /// The page.
        page: BlobId,
    },
    /// Not a list of entries.
    #[error("page {page} of the file table is malformed")]
    Form {
        /// The page.
        page: BlobId,
        /// What is wrong.
        #[source]
        source: CborError,
    },
    /// Paths are out of order or cannot be beside each other.
    #[error("page {page} of the file table has a path that cannot stand there")]
    Path {
        /// The page.
        page: BlobId,
        /// What is wrong.
        #[source]
        source: SiblingError,
    },
    /// First path, number of entries or bytes are not what the index says.
    #[error("page {page} of the file table is not what the index says")]
    NotAsIndexed {
        /// The page.
        page: BlobId,
    },
    /// It ends elsewhere than the format says.
    #[error("page {page} of the file table does not end where it must")]
    Boundary {
        /// The page.
        page: BlobId,
    },
}

impl Page {
    /// Reads the page that the index names.
    ///
    /// # Errors
    /// If it is another blob, malformed, or not what the index says.
    pub fn decode(bytes: &[u8], page_ref: &PageRef) -> Result<Self, PageError> {
        let page = page_ref.page();
        if u64::try_from(bytes.len()).is_ok_and(|len| len > DESCRIPTION_BLOB_BYTES_MAX) {
            return Err(PageError::TooLarge {
                page,
                bytes: bytes.len(),
            });
        }
        if Hash::of(bytes) != page.hash() {
            return Err(PageError::Hash { page });
        }
        let entries: BoundedVec<FileEntry, PAGE_ENTRIES_MAX> =
            cbor::from_slice_canonical(bytes).map_err(|source| PageError::Form { page, source })?;
        let entries = entries.into_vec();
        check_indexed(&entries, page_ref)?;
        let mut siblings = SiblingCheck::new();
        for entry in &entries {
            siblings
                .push(entry.path())
                .map_err(|source| PageError::Path { page, source })?;
        }
        check_boundaries(&entries, page_ref)?;
        Ok(Self {
            entries,
            first_shard: page_ref.first_shard(),
        })
    }

    /// Number of the shard of its first entry.
    #[must_use]
    pub const fn first_shard(&self) -> ShardIndex {
        self.first_shard
    }

    /// Its entries, sorted by path.
    #[must_use]
    pub fn entries(&self) -> &[FileEntry] {
        &self.entries
    }

    /// Its entries.
    #[must_use]
    pub fn into_entries(self) -> Vec<FileEntry> {
        self.entries
    }

    /// Its entries with the numbers of their shards.
    pub fn shards(&self) -> impl Iterator<Item = (ShardIndex, &FileEntry)> {
        (self.first_shard.0..).map(ShardIndex).zip(&self.entries)
    }

    /// The entry of a path.
    #[must_use]
    pub fn find(&self, path: &DatasetPath) -> Option<(ShardIndex, &FileEntry)> {
        let at = self
            .entries
            .binary_search_by(|entry| entry.path().cmp(path))
            .ok()?;
        let shard = self.first_shard.0.checked_add(u32::try_from(at).ok()?)?;
        Some((ShardIndex(shard), self.entries.get(at)?))
    }
}

fn check_indexed(entries: &[FileEntry], page_ref: &PageRef) -> Result<(), PageError> {
    let bytes = entries
        .iter()
        .try_fold(0_u64, |sum, entry| sum.checked_add(entry.size()));
    let is_indexed = entries.first().map(FileEntry::path) == Some(page_ref.first())
        && u32::try_from(entries.len()) == Ok(page_ref.entries())
        && bytes == Some(page_ref.bytes());
    if is_indexed {
        Ok(())
    } else {
        Err(PageError::NotAsIndexed {
            page: page_ref.page(),
        })
    }
}

fn check_boundaries(entries: &[FileEntry], page_ref: &PageRef) -> Result<(), PageError> {
    let Some((last, before)) = entries.split_last() else {
        return Ok(());
    };
    let goes_on = before.iter().any(|entry| ends_page(entry.path()));
    let ends = match page_ref.next_first() {
        None => true,
        Some(next) => {
            last.path() < next && (ends_page(last.path()) || entries.len() == PAGE_ENTRIES_MAX)
        }
    };
    if goes_on || !ends {
        Err(PageError::Boundary {
            page: page_ref.page(),
        })
    } else {
        Ok(())
    }
}

/// Checks pages beside each other, in their order; pages may be left out.
///
/// Whatever is to be written to one place must have passed one checker first: only so no file of one
/// page is a folder in another, and no two names differ only in case.
#[derive(Debug, Default)]
pub struct TableChecker {
    siblings: SiblingCheck,
}

impl TableChecker {
    /// A checker that has seen no page.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next page.
    ///
    /// # Errors
    /// If a path cannot stand beside those of the pages before.
    pub fn push(&mut self, page: &Page) -> Result<(), SiblingError> {
        page.entries
            .iter()
            .try_for_each(|entry| self.siblings.push(entry.path()))
    }
}
