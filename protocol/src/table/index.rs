//! The index: which pages a table has.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{EncodedIndex, ShardIndex, TABLE_VERSION, TableError, TableTotals, entry::present};
use crate::{
    cbor::{self, CborError},
    id::BlobId,
    limits::{DESCRIPTION_BLOB_BYTES_MAX, PAGE_ENTRIES_MAX},
    path::DatasetPath,
};

/// What the index says of a page, in its form on the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PageLine {
    pub(super) first: DatasetPath,
    pub(super) entries: u32,
    pub(super) bytes: u64,
    pub(super) page: BlobId,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub(super) maps: Option<BlobId>,
}

/// The form of the index on the wire.
#[derive(Serialize, Deserialize)]
struct IndexForm {
    r#type: String,
    version: u64,
    pages: Vec<PageLine>,
}

const TYPE: &str = "table";

/// What the index says of a page, and what follows from its place.
#[derive(Clone, Debug)]
pub struct PageRef {
    line: PageLine,
    first_shard: ShardIndex,
    next_first: Option<DatasetPath>,
}

impl PageRef {
    /// The path of its first entry.
    #[must_use]
    pub const fn first(&self) -> &DatasetPath {
        &self.line.first
    }

    /// How many entries it has.
    #[must_use]
    pub const fn entries(&self) -> u32 {
        self.line.entries
    }

    /// Bytes of the files of its entries.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.line.bytes
    }

    /// The blob.
    #[must_use]
    pub const fn page(&self) -> BlobId {
        self.line.page
    }

    /// The blob with the chunk maps of its small files ([`crate::chunkmap::MapPack`]), if there is one.
    #[must_use]
    pub const fn maps(&self) -> Option<BlobId> {
        self.line.maps
    }

    /// Number of the shard of its first entry.
    #[must_use]
    pub const fn first_shard(&self) -> ShardIndex {
        self.first_shard
    }

    /// Numbers of its shards.
    #[must_use]
    pub const fn shards(&self) -> Range<u32> {
        self.first_shard.0..self.first_shard.0.saturating_add(self.line.entries)
    }

    /// The path that the next page begins with; `None` for the last page.
    #[must_use]
    pub const fn next_first(&self) -> Option<&DatasetPath> {
        self.next_first.as_ref()
    }
}

/// The index of a table.
///
/// Invariants: pages are sorted by their first path and hold 1 to [`PAGE_ENTRIES_MAX`] entries each;
/// entries and bytes add up to the totals; every shard has a number of 32 bits. Whether the pages are
/// as it says, [`super::Page::decode`] finds out.
#[derive(Clone, Debug)]
pub struct TableIndex {
    pages: Vec<PageRef>,
    totals: TableTotals,
}

/// Why bytes are not the index of a version's table.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Larger than a description may be.
    #[error("the index of the file table has {bytes} bytes, more than a description may have")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not of the form of an index.
    #[error("the index of the file table is malformed")]
    Form(#[source] CborError),
    /// A format that this program does not know.
    #[error("the file table has version {version}, which needs a newer OpenDAG")]
    Version {
        /// Its version.
        version: u64,
    },
    /// Something else than a table.
    #[error("the blob named as file table is something else")]
    OtherType,
    /// A page begins before or with the one before.
    #[error("the page that begins with \"{first}\" is not in order")]
    NotSorted {
        /// First path of the page.
        first: DatasetPath,
    },
    /// A page without entries, or with too many.
    #[error(
        "the page that begins with \"{first}\" has {entries} entries, not 1 to {PAGE_ENTRIES_MAX}"
    )]
    Entries {
        /// First path of the page.
        first: DatasetPath,
        /// Entries that it is said to have.
        entries: u32,
    },
    /// The pages do not add up to what the manifest says, or to more than there are numbers.
    #[error("the pages of the file table do not add up to {} files and {} bytes", totals.files, totals.bytes)]
    Totals {
        /// What the manifest says.
        totals: TableTotals,
    },
}

impl TableIndex {
    /// Reads an index, whose hash the caller has verified; `totals` is what the manifest says.
    ///
    /// # Errors
    /// If it is malformed, its pages are not in order, or do not add up to `totals`.
    pub fn decode(bytes: &[u8], totals: TableTotals) -> Result<Self, IndexError> {
        if u64::try_from(bytes.len()).is_ok_and(|len| len > DESCRIPTION_BLOB_BYTES_MAX) {
            return Err(IndexError::TooLarge { bytes: bytes.len() });
        }
        let form: IndexForm = cbor::from_slice_canonical(bytes).map_err(IndexError::Form)?;
        if form.r#type != TYPE {
            return Err(IndexError::OtherType);
        }
        if form.version != TABLE_VERSION {
            return Err(IndexError::Version {
                version: form.version,
            });
        }
        let pages = number(form.pages, totals)?;
        Ok(Self { pages, totals })
    }

    /// What its pages add up to.
    #[must_use]
    pub const fn totals(&self) -> TableTotals {
        self.totals
    }

    /// Its pages, in order.
    #[must_use]
    pub fn pages(&self) -> &[PageRef] {
        &self.pages
    }

    /// The pages that can hold paths that begin with `prefix`; all for the empty prefix.
    #[must_use]
    pub fn pages_for(&self, prefix: &str) -> &[PageRef] {
        let first = |page: &PageRef| page.line.first.as_str() <= prefix;
        let start = self.pages.partition_point(first).saturating_sub(1);
        let begins = |page: &PageRef| page.line.first.as_str().starts_with(prefix);
        let end = self
            .pages
            .partition_point(|page| first(page) || begins(page));
        self.pages.get(start..end).unwrap_or_default()
    }

    /// The page that holds the entry of `path`, if the table has one.
    #[must_use]
    pub fn page_of_path(&self, path: &DatasetPath) -> Option<&PageRef> {
        let after = self.pages.partition_point(|page| page.line.first <= *path);
        self.pages.get(after.checked_sub(1)?)
    }

    /// The page that holds the entry of a shard; `None` beyond the last.
    #[must_use]
    pub fn page_of_shard(&self, shard: ShardIndex) -> Option<&PageRef> {
        let after = self.pages.partition_point(|page| page.first_shard <= shard);
        self.pages
            .get(after.checked_sub(1)?)
            .filter(|page| page.shards().contains(&shard.0))
    }

    /// The pages that `other` does not have: all that a comparison needs of this side.
    pub fn pages_not_in<'a>(&'a self, other: &Self) -> impl Iterator<Item = &'a PageRef> + use<'a> {
        let mut known: Vec<BlobId> = other.pages.iter().map(PageRef::page).collect();
        known.sort_unstable();
        self.pages
            .iter()
            .filter(move |page| known.binary_search(&page.page()).is_err())
    }
}

/// Checks the lines of an index and gives numbers to their shards.
fn number(lines: Vec<PageLine>, totals: TableTotals) -> Result<Vec<PageRef>, IndexError> {
    let wrong_totals = || IndexError::Totals { totals };
    let mut pages: Vec<PageRef> = Vec::with_capacity(lines.len());
    let (mut next_shard, mut bytes) = (0_u32, 0_u64);
    for line in lines {
        if !(1..=PAGE_ENTRIES_MAX).contains(&usize::try_from(line.entries).unwrap_or(usize::MAX)) {
            return Err(IndexError::Entries {
                first: line.first,
                entries: line.entries,
            });
        }
        if let Some(last) = pages.last_mut() {
            if last.line.first >= line.first {
                return Err(IndexError::NotSorted { first: line.first });
            }
            last.next_first = Some(line.first.clone());
        }
        let first_shard = ShardIndex(next_shard);
        next_shard = next_shard
            .checked_add(line.entries)
            .ok_or_else(wrong_totals)?;
        bytes = bytes.checked_add(line.bytes).ok_or_else(wrong_totals)?;
        pages.push(PageRef {
            line,
            first_shard,
            next_first: None,
        });
    }
    if (TableTotals {
        files: next_shard.into(),
        bytes,
    }) != totals
    {
        return Err(wrong_totals());
    }
    Ok(pages)
}

/// The index of these pages.
pub(super) fn encode(pages: Vec<PageLine>) -> Result<EncodedIndex, TableError> {
    let form = IndexForm {
        r#type: TYPE.to_owned(),
        version: TABLE_VERSION,
        pages,
    };
    let bytes = cbor::to_vec(&form).map_err(TableError::Encode)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > DESCRIPTION_BLOB_BYTES_MAX) {
        return Err(TableError::TooLarge { bytes: bytes.len() });
    }
    Ok(EncodedIndex::of(bytes))
}
