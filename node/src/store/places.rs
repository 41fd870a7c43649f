//! Places: which versions are kept where, and freeing what nothing needs any more.

use std::{
    collections::HashSet,
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use opendag_protocol::{
    BlobId, Hash, ManifestId,
    record::Manifest,
    table::{Page, TableIndex, TableTotals},
};

use tokio::sync::OwnedRwLockReadGuard;

use super::{
    catalogue::CatalogueChange,
    index::Table,
    open::{Store, StoreError, lock},
    place::{Place, RootId, place_key},
    removal::Links,
    segment::EntryKind,
};
use crate::disk;

/// Work that adds to a store; see [`Store::work`].
#[derive(Debug)]
#[must_use = "the work ends when this is dropped"]
pub struct Working(#[expect(dead_code, reason = "it is held, not read")] OwnedRwLockReadGuard<()>);

impl Store {
    /// Begins to add what no place refers to yet: hashes, outboards, descriptions. Until the answer is
    /// dropped, nothing is removed as needless. Waits while something is being freed.
    pub async fn work(&self) -> Working {
        Working(Arc::clone(&self.inner.work).read_owned().await)
    }

    /// Gives a folder in which shards are going to lie (an absolute path) its id. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn use_root(&self, path: &Path) -> Result<RootId, StoreError> {
        let id = RootId::of(path);
        self.inner
            .index
            .put(Table::Roots, &id.0, path.as_os_str().as_bytes())?;
        Ok(id)
    }

    /// The path of a folder in which shards lie. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn root_path(&self, id: RootId) -> Result<Option<PathBuf>, StoreError> {
        let path = self.inner.index.get(Table::Roots, &id.0)?;
        Ok(path.map(|path| PathBuf::from(OsString::from_vec(path))))
    }

    /// Notes that a version lies in a folder, or changes what is noted; durable when it returns. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Disk`], `Index`.
    pub fn place(&self, place: &Place) -> Result<(), StoreError> {
        let payload = place
            .encode()
            .ok_or(StoreError::Encode { what: "a place" })?;
        self.journal(EntryKind::Place, &payload)?;
        self.use_root(&place.root)?;
        self.inner
            .index
            .put(Table::Places, &place.key(), &payload)?;
        self.cover()?;
        self.tell_of(&place.manifest)
    }

    /// Pins or unpins a place; durable when it returns. Answers whether there is such a place. Blocks.
    ///
    /// # Errors
    /// As [`Store::place`].
    pub fn set_pinned(
        &self,
        manifest: &ManifestId,
        root: &Path,
        pinned: bool,
    ) -> Result<bool, StoreError> {
        let key = place_key(manifest, root);
        let found = self.inner.index.get(Table::Places, &key)?;
        let Some(mut place) = found.as_deref().and_then(Place::decode) else {
            return Ok(false);
        };
        if place.pinned != pinned {
            place.pinned = pinned;
            self.place(&place)?;
        }
        Ok(true)
    }

    /// All places, grouped by version. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn places(&self) -> Result<Vec<Place>, StoreError> {
        self.places_with(&[])
    }

    /// The places of one version. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn places_of(&self, manifest: &ManifestId) -> Result<Vec<Place>, StoreError> {
        self.places_with(manifest.hash().as_bytes())
    }

    fn places_with(&self, prefix: &[u8]) -> Result<Vec<Place>, StoreError> {
        self.inner
            .index
            .rows(Table::Places, prefix)
            .filter_map(|row| match row {
                Ok((_, value)) => Place::decode(&value).map(Ok),
                Err(error) => Some(Err(error.into())),
            })
            .collect()
    }

    /// Forgets that a version lies in a folder, and frees what nothing else needs: the index rows and outboards
    /// of the folder's shards, the files if they are ours (copied or mirrored), and the version's description.
    /// Files that the user published or fetched stay. Answers the bytes freed.
    ///
    /// Durable when it returns. Dropping the future is safe: [`Store::collect`] frees what is left over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_place(&self, place: &Place) -> Result<u64, StoreError> {
        let store = self.clone();
        let place = place.clone();
        let removed = tokio::task::spawn_blocking(move || {
            store.journal(EntryKind::Unplace, &place.key())?;
            let freed = store.drop_place(&place)?;
            store.tell_of(&place.manifest)?;
            Ok::<_, StoreError>(freed)
        });
        let freed = removed.await.map_err(|_| StoreError::Thread)??;
        Ok(freed.saturating_add(self.collect().await?))
    }

    /// Frees whatever no place needs: rows and outboards of shards, and description blobs. Answers the bytes freed;
    /// nothing is freed while a publish or fetch runs, since no place refers to what it adds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn collect(&self) -> Result<u64, StoreError> {
        let Ok(_alone) = self.inner.work.try_write() else {
            return Ok(0);
        };
        let store = self.clone();
        let collected = tokio::task::spawn_blocking(move || store.collect_shards());
        let freed = collected.await.map_err(|_| StoreError::Thread)??;
        Ok(freed.saturating_add(self.collect_blobs().await?))
    }

    /// Takes a place out of the index and removes what only it needed.
    fn drop_place(&self, place: &Place) -> Result<u64, StoreError> {
        let index = &self.inner.index;
        index.write_all(Table::Places, [(place.key(), None)])?;
        let root = place.root_id();
        let shared = self.places()?.iter().any(|other| other.root == place.root);
        let mut freed = 0;
        if !shared {
            lock(&self.inner.roots).remove(&root);
            self.inner.locations.drop_roots(|found| found == root)?;
            index.write_all(Table::Roots, [(root.0.to_vec(), None)])?;
            self.forget_hashed(root)?;
            if place.kind.is_ours() && self.is_copy(&place.root) {
                freed = Links::default().bytes_below(&place.root);
                disk::remove_folder(&place.root)?;
            }
        }
        self.cover()?;
        Ok(freed)
    }

    /// Is it a folder right in the folder of copies? Nothing else is ever removed with its files.
    pub(crate) fn is_copy(&self, root: &Path) -> bool {
        let copies = self.inner.data_dir.copies_path();
        root.file_name().is_some() && root.parent() == Some(&copies)
    }

    fn collect_outboards(&self) -> Result<u64, StoreError> {
        let mut freed = 0_u64;
        for hash in self.inner.outboards.hashes()? {
            if !self.inner.locations.any(hash, |_| true)? {
                freed = freed.saturating_add(self.inner.outboards.remove(hash)?);
            }
        }
        Ok(freed)
    }

    fn collect_shards(&self) -> Result<u64, StoreError> {
        let kept: HashSet<RootId> = self.places()?.iter().map(Place::root_id).collect();
        self.inner
            .locations
            .drop_roots(|root| !kept.contains(&root))?;
        self.collect_outboards()
    }

    /// Removes the description blobs that no placed version needs.
    async fn collect_blobs(&self) -> Result<u64, StoreError> {
        let before = self.inner.blobs.bytes_on_disk();
        let blobs = &self.inner.blobs;
        let live = async || self.live_blobs(&self.places()?).await;
        blobs.retain(live).await?;
        Ok(before.saturating_sub(blobs.bytes_on_disk()))
    }

    /// Description blobs that must stay for these places.
    pub(super) async fn live_blobs(&self, places: &[Place]) -> Result<HashSet<Hash>, StoreError> {
        let mut live = HashSet::new();
        let mut seen = HashSet::new();
        for place in places {
            if !seen.insert(place.manifest) {
                continue;
            }
            if let Some(record) = self.manifest_of(&place.manifest)?
                && let Some(manifest) = record.as_manifest()
            {
                self.mark(manifest, &mut live).await?;
            }
        }
        Ok(live)
    }

    /// All blobs that describe a version and are here.
    async fn mark(&self, manifest: &Manifest, live: &mut HashSet<Hash>) -> Result<(), StoreError> {
        let named = [
            Some(manifest.table()),
            manifest.card(),
            manifest.croissant(),
        ];
        live.extend(named.into_iter().flatten().map(|blob| blob.hash()));
        let Ok(index) = self.table(manifest).await else {
            return Ok(());
        };
        for page_ref in index.pages() {
            live.insert(page_ref.page().hash());
            live.extend(page_ref.maps().map(|maps| maps.hash()));
            let Some(bytes) = self.blob(&page_ref.page()).await? else {
                continue;
            };
            if let Ok(page) = Page::decode(&bytes, page_ref) {
                let maps = page.entries().iter().filter_map(|entry| entry.chunk_map());
                live.extend(maps.map(|map| map.hash()));
            }
        }
        Ok(())
    }

    /// The index of a version's file table.
    ///
    /// # Errors
    /// [`StoreError::MissingBlob`], `BadTable`, `Blob`.
    pub async fn table(&self, manifest: &Manifest) -> Result<TableIndex, StoreError> {
        let blob = manifest.table();
        let bytes = self.blob(&blob).await?.ok_or(StoreError::MissingBlob {
            manifest: manifest.id(),
            blob,
        })?;
        let totals = TableTotals {
            files: manifest.files(),
            bytes: manifest.bytes(),
        };
        TableIndex::decode(&bytes, totals).map_err(|error| StoreError::BadTable {
            manifest: manifest.id(),
            source: Box::new(error),
        })
    }

    /// Keeps a description blob; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::Blob`].
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<BlobId, StoreError> {
        let ids = self.put_blobs(vec![bytes]).await?;
        ids.first()
            .copied()
            .ok_or(StoreError::Encode { what: "a blob" })
    }

    /// Keeps description blobs; all are durable when it returns. One call for all pages of a table is much faster
    /// than one for each.
    ///
    /// # Errors
    /// [`StoreError::Blob`].
    pub async fn put_blobs(&self, blobs: Vec<Vec<u8>>) -> Result<Vec<BlobId>, StoreError> {
        Ok(self.inner.blobs.put_all(blobs).await?)
    }

    /// Keeps a description blob, durable only after [`Store::sync_blobs`].
    ///
    /// # Errors
    /// [`StoreError::Blob`].
    pub async fn add_blob(&self, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.inner.blobs.add_all(vec![bytes]).await?;
        Ok(())
    }

    /// Makes durable what [`Store::add_blob`] kept.
    ///
    /// # Errors
    /// [`StoreError::Blob`].
    pub async fn sync_blobs(&self) -> Result<(), StoreError> {
        Ok(self.inner.blobs.sync().await?)
    }

    /// A description blob, verified; `None` if it is not here. One that is damaged on disk counts as not here (a copy
    /// lies in the quarantine folder) and is replaced when it is put again.
    ///
    /// # Errors
    /// [`StoreError::Blob`].
    pub async fn blob(&self, id: &BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        match self.inner.blobs.get(*id).await {
            Ok(found) => Ok(found),
            Err(error @ super::blobs::BlobError::Damaged { .. }) => {
                tracing::warn!(%error, "a description has to be fetched again");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Appends to the journal, durably.
    pub(super) fn journal(&self, kind: EntryKind, payload: &[u8]) -> Result<(), StoreError> {
        let mut segments = lock(&self.inner.segments);
        segments.append(kind, payload)?;
        Ok(segments.sync()?)
    }

    /// Tells that what is here of a version's dataset changed.
    fn tell_of(&self, manifest: &ManifestId) -> Result<(), StoreError> {
        let record = self.manifest_of(manifest)?;
        if let Some(dataset) = record.and_then(|record| record.record().dataset_id()) {
            // Nobody may be listening.
            let _ = self.inner.changes.send(CatalogueChange::Dataset(dataset));
        }
        Ok(())
    }

    /// Notes that the index holds all that the segments hold.
    pub(super) fn cover(&self) -> Result<(), StoreError> {
        let segments = lock(&self.inner.segments);
        self.inner.index.set_covers(segments.position())?;
        Ok(self.inner.index.flush()?)
    }
}

#[cfg(test)]
mod tests;
