//! Rebuilding the index from the segments, the descriptions and a look at the files.

use std::{
    collections::{BTreeMap, HashSet},
    sync::atomic::Ordering,
};

use opendag_protocol::{Hash, table::Page};

use super::{
    hash::{Digests, HashError},
    index::Table,
    open::{Store, StoreError, lock},
    outboards::OUTBOARD_BYTES_MIN,
    place::{Place, place_key},
    replay::Replay,
    segment::{EntryKind, Position, Segments, scan},
};
use crate::disk::{Confined, DiskError, Fingerprint};

/// What the journal of places leads to: key -> place, or `None` if it was removed.
type Places = BTreeMap<Vec<u8>, Option<Place>>;
/// What the journal of pins leads to: id -> is it pinned?
type Pinned = BTreeMap<Vec<u8>, bool>;

impl Store {
    /// Rebuilds the whole index. Reads all segments and descriptions, and looks at each file of each place;
    /// files are hashed only if their outboard is lost. Blocks, for minutes with millions of files; must not be
    /// called on a thread of the runtime.
    ///
    /// # Errors
    /// [`StoreError`]; the next start begins again.
    pub fn reindex(&self) -> Result<(), StoreError> {
        let segments = lock(&self.inner.segments);
        self.inner.index.clear()?;
        self.inner.locations.clear()?;
        self.load_statements()?;
        self.inner.live.store(0, Ordering::Relaxed);
        self.replay_locked(&segments, Position::default())
    }

    /// Applies what stands in the segments behind `from`.
    pub(crate) fn replay(&self, from: Position) -> Result<(), StoreError> {
        self.replay_locked(&lock(&self.inner.segments), from)
    }

    fn replay_locked(&self, segments: &Segments, from: Position) -> Result<(), StoreError> {
        let mut replay = Replay::default();
        let mut places = Places::new();
        let mut pinned = Pinned::new();
        let mut unreadable: Option<StoreError> = None;
        let data_dir = &self.inner.data_dir;
        let quarantine = data_dir.quarantine_path();
        let scanned = scan(
            &data_dir.records_path(),
            &quarantine,
            from,
            |position, kind, payload| match kind {
                EntryKind::Record => {
                    if unreadable.is_none() {
                        unreadable = self.replay_record(&mut replay, position, payload).err();
                    }
                }
                EntryKind::Place => {
                    if let Some(place) = Place::decode(payload) {
                        places.insert(place_key(&place.manifest, &place.root), Some(place));
                    }
                }
                EntryKind::Unplace => {
                    places.insert(payload.to_vec(), None);
                }
                EntryKind::Pin | EntryKind::Unpin => {
                    pinned.insert(payload.to_vec(), kind == EntryKind::Pin);
                }
                EntryKind::Other(kind) => {
                    tracing::debug!(kind, "an entry of a later version is passed over");
                }
            },
        )?;
        if let Some(error) = unreadable {
            return Err(error);
        }
        self.report(&scanned.damages);
        replay.write(self)?;
        self.write_places(&places)?;
        self.write_pins(pinned)?;
        for place in places.values().flatten() {
            if let Err(error) = self.index_place(place) {
                let root = place.root.display();
                tracing::warn!(%error, %root, "the shards of a version are not indexed");
            }
        }
        self.inner.locations.flush()?;
        self.inner.index.set_covers(segments.position())?;
        Ok(self.inner.index.flush()?)
    }

    fn replay_record(
        &self,
        replay: &mut Replay,
        position: Position,
        payload: &[u8],
    ) -> Result<(), StoreError> {
        replay.take(self, position, payload)?;
        if replay.is_full() {
            std::mem::take(replay).write(self)?;
        }
        Ok(())
    }

    fn report(&self, found: &[super::segment::Damage]) {
        let mut damages = lock(&self.inner.damages);
        for damage in found {
            if !damages.contains(damage) {
                tracing::warn!(
                    path = %damage.path.display(),
                    offset = damage.offset,
                    bytes = damage.len_bytes,
                    "a segment is damaged; the rest of it was read",
                );
                damages.push(damage.clone());
            }
        }
    }

    fn write_places(&self, places: &Places) -> Result<(), StoreError> {
        let rows = places.iter().map(|(key, place)| {
            let value = place.as_ref().and_then(Place::encode);
            (key.clone(), value)
        });
        self.inner.index.write_all(Table::Places, rows)?;
        for place in places.values().flatten() {
            self.use_root(&place.root)?;
        }
        Ok(())
    }

    /// Notes all shards of a place whose files are there and have the right size. That they have the right
    /// bytes shows when they are read.
    fn index_place(&self, place: &Place) -> Result<(), StoreError> {
        let Some(record) = self.manifest_of(&place.manifest)? else {
            return Ok(());
        };
        let Some(manifest) = record.as_manifest() else {
            return Ok(());
        };
        let root = Confined::open(&place.root)?;
        let runtime = &self.inner.runtime;
        let table = runtime.block_on(self.table(manifest))?;
        let outboards: HashSet<Hash> = self.inner.outboards.hashes()?.into_iter().collect();
        for page_ref in table.pages() {
            let Some(bytes) = runtime.block_on(self.blob(&page_ref.page()))? else {
                continue;
            };
            let page = Page::decode(&bytes, page_ref).map_err(|error| StoreError::BadTable {
                manifest: place.manifest,
                source: Box::new(error),
            })?;
            let mut rows = Vec::with_capacity(page.entries().len());
            for entry in page.entries() {
                let known = (entry.hash(), entry.size());
                let outboard = outboards.contains(&entry.hash());
                if let Some(found) = self.look_at(&root, entry.path(), known, outboard)? {
                    rows.push((entry.hash(), entry.path().clone(), found));
                }
            }
            self.put_rows(place.root_id(), rows)?;
        }
        Ok(())
    }

    /// The fingerprint of a file that can be the shard.
    fn look_at(
        &self,
        root: &Confined,
        path: &opendag_protocol::DatasetPath,
        (hash, size): (Hash, u64),
        outboard: bool,
    ) -> Result<Option<Fingerprint>, StoreError> {
        let Ok(file) = root.open_read(path) else {
            return Ok(None);
        };
        let shown = root.path().join(path.as_str());
        let found = Fingerprint::of(&file).map_err(DiskError::io("look at", &shown))?;
        if found.size != size {
            return Ok(None);
        }
        if outboard || size <= OUTBOARD_BYTES_MIN {
            return Ok(Some(found));
        }
        let outboards = &self.inner.outboards;
        match outboards.hash_file(&file, &shown, Digests::Blake3, &mut |_| {}) {
            Ok(hashed) => Ok((hashed.hash == hash).then_some(hashed.fingerprint)),
            Err(HashError::Changed { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
