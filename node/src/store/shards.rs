//! Shards: where they lie, and verified reads of them from wherever they lie.

use std::sync::Arc;

use opendag_protocol::{
    BlobId, DatasetPath, Hash,
    limits::DESCRIPTION_BLOB_BYTES_MAX,
    wire::{GroupRange, groups_in},
};
use tokio::sync::broadcast;

use super::{
    bao::BaoError,
    open::{Store, StoreError, lock},
    outboards::OUTBOARD_BYTES_MIN,
    partial::PartialShard,
    place::{Key, RootId, ShardLocation, root_of_key},
    read::{FileFault, Form, ReadError, from_memory, read_file},
    reader::Folder,
};
use crate::disk::{Confined, DiskError, Fingerprint};

/// Folders that are kept open.
const ROOTS_OPEN_MAX: usize = 256;

impl Store {
    /// Notes where shards lie in a folder that [`Store::use_root`] announced; durable when it returns.
    ///
    /// One call for a few thousand files: each call costs a sync. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn shards_put(
        &self,
        root: RootId,
        shards: impl IntoIterator<Item = (Hash, DatasetPath, Fingerprint)>,
    ) -> Result<(), StoreError> {
        self.put_rows(root, shards)?;
        self.flush_rows()
    }

    /// Makes durable what [`Store::put_rows`] wrote. Blocks.
    pub(crate) fn flush_rows(&self) -> Result<(), StoreError> {
        Ok(self.inner.locations.flush()?)
    }

    /// As [`Store::shards_put`], durable only after the next [`Store::flush_rows`].
    pub(crate) fn put_rows(
        &self,
        root: RootId,
        shards: impl IntoIterator<Item = (Hash, DatasetPath, Fingerprint)>,
    ) -> Result<(), StoreError> {
        let rows = shards.into_iter().map(|(hash, path, fingerprint)| {
            let location = ShardLocation {
                root,
                path,
                fingerprint,
                stale: false,
            };
            (hash, location)
        });
        Ok(self.inner.locations.put(rows)?)
    }

    /// Shows the folder, inode and size of each file that is noted. Blocks.
    pub(crate) fn each_file(
        &self,
        mut show: impl FnMut(RootId, u64, u64),
    ) -> Result<(), StoreError> {
        let each = |key: &Key, value: &[u8]| {
            if let (Some(root), Some((inode, size))) =
                (root_of_key(key), ShardLocation::file_of(value))
            {
                show(root, inode, size);
            }
        };
        Ok(self.inner.locations.each(each)?)
    }

    /// Where a shard lies, stale locations included. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn shard_find(&self, hash: Hash) -> Result<Vec<ShardLocation>, StoreError> {
        Ok(self.inner.locations.find(hash)?)
    }

    /// Is the whole shard here, as far as the index knows? Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn has_shard(&self, hash: Hash) -> Result<bool, StoreError> {
        Ok(self.inner.locations.any(hash, ShardLocation::is_fresh)?)
    }

    /// Notes that a file is not the shard any more. Whoever listens to [`Store::stale_shards`] hears of it. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn shard_mark_stale(&self, hash: Hash, location: &ShardLocation) -> Result<(), StoreError> {
        let stale = ShardLocation {
            stale: true,
            ..location.clone()
        };
        self.inner.locations.put([(hash, stale)])?;
        // Nobody may be listening.
        let _ = self.inner.stale.send(hash);
        Ok(())
    }

    /// Notes that files were hashed and are the shards, where the index does not say so already. Answers how many were
    /// news: stale ones are served again. Durable when it returns. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn shards_confirm(
        &self,
        root: RootId,
        shards: impl IntoIterator<Item = (Hash, DatasetPath, Fingerprint)>,
    ) -> Result<usize, StoreError> {
        let mut news = 0;
        for (hash, path, fingerprint) in shards {
            let confirmed = ShardLocation {
                root,
                path,
                fingerprint,
                stale: false,
            };
            if !self.shard_find(hash)?.contains(&confirmed) {
                self.inner.locations.put([(hash, confirmed)])?;
                news += 1;
            }
        }
        if news > 0 {
            self.flush_rows()?;
        }
        Ok(news)
    }

    /// Hashes of shards that were found stale, as it happens.
    #[must_use]
    pub fn stale_shards(&self) -> broadcast::Receiver<Hash> {
        self.inner.stale.subscribe()
    }

    /// Opens the file of a shard and compares its fingerprint; `None` (and the location is marked stale) if it is
    /// not what it was. The bytes are not hashed. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn open_shard(
        &self,
        hash: Hash,
        location: &ShardLocation,
    ) -> Result<Option<std::fs::File>, StoreError> {
        let opened = Folder::default().open(self, location);
        let unchanged = opened
            .filter(|file| Fingerprint::of(file).is_ok_and(|found| found == location.fingerprint));
        if unchanged.is_none() {
            self.shard_mark_stale(hash, location)?;
        }
        Ok(unchanged)
    }

    /// Lets peers and readers read from a shard that is being fetched, until [`Store::remove_partial`].
    pub fn add_partial(&self, partial: &PartialShard) {
        lock(&self.inner.partials)
            .entry(partial.hash())
            .or_default()
            .push(partial.clone());
    }

    /// Ends what [`Store::add_partial`] began.
    pub fn remove_partial(&self, hash: Hash) {
        lock(&self.inner.partials).remove(&hash);
    }

    /// As [`Store::remove_partial`], for one of several partial shards of the same bytes.
    pub(crate) fn drop_partial(&self, partial: &PartialShard) {
        let mut partials = lock(&self.inner.partials);
        if let Some(all) = partials.get_mut(&partial.hash()) {
            all.retain(|one| !one.is_same(partial));
            if all.is_empty() {
                partials.remove(&partial.hash());
            }
        }
    }

    /// Encodes a range of a blob for a peer: its size as `u64` little-endian and the bao response, each byte
    /// verified. Looks at complete shards, at those that wait for their names, at shards that are being fetched, and at
    /// description blobs.
    ///
    /// Locations that turn out wrong are marked stale and passed over. Blocks; must not be called on a thread of
    /// the runtime. `size` is what the caller believes, if anything: another size is `NotFound`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_bao(
        &self,
        hash: Hash,
        size: Option<u64>,
        range: GroupRange,
    ) -> Result<Vec<u8>, ReadError> {
        self.read(&mut Folder::default(), (hash, size), (range, Form::Bao))
    }

    /// The verified plain bytes of a range. As [`Store::read_bao`] otherwise.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_verified(&self, hash: Hash, range: GroupRange) -> Result<Vec<u8>, ReadError> {
        self.read(&mut Folder::default(), (hash, None), (range, Form::Plain))
    }

    pub(super) fn read(
        &self,
        folder: &mut Folder,
        (hash, size): (Hash, Option<u64>),
        wanted: (GroupRange, Form),
    ) -> Result<Vec<u8>, ReadError> {
        let locations = self.shard_find(hash).map_err(|source| ReadError::Index {
            hash,
            source: Box::new(source),
        })?;
        let fits = |location: &&ShardLocation| {
            !location.stale && size.is_none_or(|size| location.fingerprint.size == size)
        };
        for location in locations.iter().filter(fits) {
            match self.read_location(folder, (hash, location), wanted) {
                Ok(bytes) => return Ok(bytes),
                Err(FileFault::OutOfRange) => return Err(ReadError::OutOfRange { hash }),
                Err(fault) => self.blame(hash, location, &fault),
            }
        }
        match self.read_staged(hash, size, wanted) {
            Some(Ok(bytes)) => return Ok(bytes),
            Some(Err(_)) => return Err(ReadError::OutOfRange { hash }),
            None => {}
        }
        if let Some(read) = self.read_partial(hash, wanted) {
            return read;
        }
        self.read_blob(hash, size, wanted)
    }

    fn read_location(
        &self,
        folder: &mut Folder,
        (hash, location): (Hash, &ShardLocation),
        wanted: (GroupRange, Form),
    ) -> Result<Vec<u8>, FileFault> {
        let file = folder.open(self, location).ok_or(FileFault::Changed)?;
        let keys = (hash, &self.inner.outboards);
        read_file(&file, &location.fingerprint, keys, wanted)
    }

    /// What a failed read means for the location.
    fn blame(&self, hash: Hash, location: &ShardLocation, fault: &FileFault) {
        let path = &location.path;
        match fault {
            FileFault::Io(error) => tracing::warn!(%error, %path, "a shard cannot be read"),
            FileFault::Changed => tracing::warn!(%path, "a shard was changed or removed"),
            FileFault::WrongBytes => tracing::warn!(%path, "a shard has wrong bytes"),
            FileFault::Outboard => tracing::warn!(%path, "the outboard of a shard is lost"),
            FileFault::OutOfRange => return,
        }
        if matches!(fault, FileFault::WrongBytes) && location.fingerprint.size > OUTBOARD_BYTES_MIN
        {
            // It may be the outboard that is wrong; hashing the file again makes a new one.
            let _ = self.inner.outboards.remove(hash);
        }
        if let Err(error) = self.shard_mark_stale(hash, location) {
            tracing::error!(%error, "a stale shard cannot be marked");
        }
    }

    fn read_partial(
        &self,
        hash: Hash,
        (range, form): (GroupRange, Form),
    ) -> Option<Result<Vec<u8>, ReadError>> {
        let partials = lock(&self.inner.partials).get(&hash)?.clone();
        partials.into_iter().find_map(|partial| {
            let wanted = range.within(groups_in(partial.size()))?;
            if !partial.have().contains_all(wanted) {
                return None;
            }
            let read = match form {
                Form::Bao => partial.read_bao(range),
                Form::Plain => partial.read_bytes(range),
            };
            read.ok().map(Ok)
        })
    }

    fn read_blob(
        &self,
        hash: Hash,
        size: Option<u64>,
        (range, form): (GroupRange, Form),
    ) -> Result<Vec<u8>, ReadError> {
        let not_found = ReadError::NotFound { hash };
        if size.is_some_and(|size| size > DESCRIPTION_BLOB_BYTES_MAX) {
            return Err(not_found);
        }
        let blob = BlobId::from_hash(hash);
        let found = self.inner.runtime.block_on(self.inner.blobs.get(blob));
        let data = match found {
            Ok(Some(data)) => data,
            Ok(None) => return Err(not_found),
            Err(error) => {
                tracing::warn!(%error, "a description cannot be read");
                return Err(not_found);
            }
        };
        from_memory(data, hash, range, form).map_err(|error| match error {
            BaoError::OutOfRange => ReadError::OutOfRange { hash },
            BaoError::Corrupt => ReadError::NotFound { hash },
            BaoError::Io(source) => {
                ReadError::Disk(DiskError::io("read", self.inner.data_dir.path())(source))
            }
        })
    }

    /// The open folder of shards; `None` if it is not known or cannot be opened.
    pub(crate) fn open_root(&self, id: RootId) -> Option<Arc<Confined>> {
        if let Some(root) = lock(&self.inner.roots).get(&id) {
            return Some(Arc::clone(root));
        }
        let path = self.root_path(id).ok().flatten()?;
        let root = match Confined::open(&path) {
            Ok(root) => Arc::new(root),
            Err(error) => {
                tracing::debug!(%error, "a folder of shards cannot be opened");
                return None;
            }
        };
        let mut roots = lock(&self.inner.roots);
        if roots.len() >= ROOTS_OPEN_MAX {
            roots.clear();
        }
        roots.insert(id, Arc::clone(&root));
        Some(root)
    }
}

#[cfg(test)]
mod tests;
