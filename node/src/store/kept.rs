//! How much a store keeps, counted when somebody asks.

use std::path::Path;

use super::{
    index::Table,
    open::{Store, StoreError},
    removal::Links,
};

/// What a store keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Rows that say where shards lie. One that was replaced counts twice until its runs are merged.
    pub(crate) shards: u64,
    /// Signed records.
    pub(crate) records: u64,
    /// Datasets of which there are records.
    pub(crate) datasets: u64,
    /// Bytes of the segments.
    pub(crate) record_bytes: u64,
    /// Bytes of the description blobs and their database.
    pub(crate) description_bytes: u64,
    /// Damaged things that were moved aside.
    pub(crate) quarantined: u64,
}

impl Store {
    /// Counts what is kept. It takes as long as records and blobs are many: 0.1 s for 100,000. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub(crate) fn kept(&self) -> Result<Kept, StoreError> {
        let inner = &*self.inner;
        let (_, record_bytes) = files(&inner.data_dir.records_path());
        let (quarantined, _) = files(&inner.data_dir.quarantine_path());
        Ok(Kept {
            shards: inner.locations.rows(),
            records: count(inner.index.count(Table::Records)),
            datasets: count(inner.index.count(Table::Datasets)),
            record_bytes,
            description_bytes: inner.blobs.bytes_on_disk(),
            quarantined,
        })
    }

    /// Bytes of what is written here beside the files of versions: records, descriptions, outboards, the index. Blocks.
    pub(crate) fn own_bytes(&self) -> u64 {
        let data_dir = &self.inner.data_dir;
        let folders = [
            data_dir.records_path(),
            data_dir.blobs_path(),
            data_dir.outboards_path(),
            data_dir.index_path(),
            data_dir.hashed_path(),
        ];
        let mut links = Links::default();
        let bytes = folders.iter().map(|folder| links.bytes_below(folder));
        bytes.fold(0, u64::saturating_add)
    }

    /// How many description blobs there are. Dropping the future is safe.
    ///
    /// # Errors
    /// [`StoreError::Blob`].
    pub(crate) async fn description_blobs(&self) -> Result<u64, StoreError> {
        Ok(self.inner.blobs.count().await?)
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// How many files lie in a folder, and their bytes; none if it cannot be read.
fn files(folder: &Path) -> (u64, u64) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    });
    sizes.fold((0, 0), |(count, sum), size| {
        (count + 1, size.saturating_add(sum))
    })
}
