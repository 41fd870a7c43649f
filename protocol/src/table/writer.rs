//! Writing a table, one page at a time.

use super::{
    EncodedIndex, EncodedPage, FileEntry, TableError, TableTotals, ends_page,
    index::{self, PageLine},
};
use crate::{
    cbor,
    chunkmap::{ChunkMap, PackBuilder},
    limits::{DESCRIPTION_BLOB_BYTES_MAX, PAGE_ENTRIES_MAX},
    path::SiblingCheck,
};

/// Makes the blobs of a table from entries that come sorted by path.
///
/// It holds one page of entries with its chunk maps, and a line for each page before. After an error it is of no further use.
#[derive(Debug, Default)]
pub struct TableWriter {
    siblings: SiblingCheck,
    entries: Vec<FileEntry>,
    maps: PackBuilder,
    page_bytes: u64,
    pages: Vec<PageLine>,
    totals: TableTotals,
}

impl TableWriter {
    /// A writer of an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, and returns the page that it completes, if it does.
    ///
    /// # Errors
    /// If the path cannot follow those before it, or there are too many files or bytes.
    pub fn push(&mut self, entry: FileEntry) -> Result<Option<EncodedPage>, TableError> {
        self.add(entry, None)
    }

    /// Adds a small file whose chunk map goes into the pack of its page. A map that does not fit there any
    /// more is left out. Otherwise as [`TableWriter::push`].
    ///
    /// # Errors
    /// As [`TableWriter::push`].
    pub fn push_with_map(
        &mut self,
        entry: FileEntry,
        map: ChunkMap,
    ) -> Result<Option<EncodedPage>, TableError> {
        self.add(entry, Some(map))
    }

    fn add(
        &mut self,
        entry: FileEntry,
        map: Option<ChunkMap>,
    ) -> Result<Option<EncodedPage>, TableError> {
        self.siblings.push(entry.path()).map_err(TableError::Path)?;
        let files = self.totals.files.saturating_add(1);
        if u32::try_from(files).is_err() {
            return Err(TableError::Files {
                path: entry.path().clone(),
            });
        }
        let Some(bytes) = self.totals.bytes.checked_add(entry.size()) else {
            return Err(TableError::Bytes {
                path: entry.path().clone(),
            });
        };
        self.totals = TableTotals { files, bytes };
        // At most the total, which did not overflow.
        self.page_bytes = self.page_bytes.saturating_add(entry.size());
        let ends = ends_page(entry.path());
        self.entries.push(entry);
        self.maps.push(map);
        if ends || self.entries.len() >= PAGE_ENTRIES_MAX {
            self.end_page()
        } else {
            Ok(None)
        }
    }

    /// Ends the table: the last page, if entries are left for one, the index, and what it adds up to.
    ///
    /// # Errors
    /// If the index is larger than a description may be.
    pub fn finish(
        mut self,
    ) -> Result<(Option<EncodedPage>, EncodedIndex, TableTotals), TableError> {
        let page = self.end_page()?;
        let index = index::encode(self.pages)?;
        Ok((page, index, self.totals))
    }

    fn end_page(&mut self) -> Result<Option<EncodedPage>, TableError> {
        let Some(first) = self.entries.first() else {
            return Ok(None);
        };
        let first = first.path().clone();
        let bytes = cbor::to_vec(&self.entries).map_err(TableError::Encode)?;
        if u64::try_from(bytes.len()).is_ok_and(|len| len > DESCRIPTION_BLOB_BYTES_MAX) {
            return Err(TableError::TooLarge { bytes: bytes.len() });
        }
        let maps = self.maps.take().map_err(TableError::Maps)?;
        let page = EncodedPage::new(bytes, maps);
        self.pages.push(PageLine {
            first,
            // A page never has more than PAGE_ENTRIES_MAX.
            entries: u32::try_from(self.entries.len()).unwrap_or(u32::MAX),
            bytes: self.page_bytes,
            page: page.id,
            maps: page.maps.as_ref().map(|maps| maps.id),
        });
        self.entries.clear();
        self.page_bytes = 0;
        Ok(Some(page))
    }
}
