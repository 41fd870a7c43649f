//! What would be freed if places were removed, without removing anything.

use std::{
    collections::{BTreeMap, HashSet},
    os::unix::fs::MetadataExt,
    path::Path,
};

use opendag_protocol::Hash;

use super::{
    open::{Store, StoreError},
    place::{Place, RootId, root_of_key, shard_of_key, shard_prefix},
};

/// What goes with some places, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Files of each place, in their order; 0 where they are the user's, or stay for another place.
    pub files: Vec<u64>,
    /// Outboards of shards that lie nowhere else.
    pub outboards: u64,
    /// Descriptions that no other version needs.
    pub descriptions: u64,
}

impl Store {
    /// Tells what [`Store::remove_place`] for all of these, and [`Store::collect`], would free.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn plan_removal(&self, places: &[Place]) -> Result<Removal, StoreError> {
        let (store, gone) = (self.clone(), places.to_vec());
        let planned = tokio::task::spawn_blocking(move || {
            let mut left = store.places()?;
            left.retain(|place| !gone.iter().any(|gone| gone.key() == place.key()));
            let files = store.files_that_go(&gone, &left);
            let outboards = store.outboards_that_go(&left)?;
            Ok::<_, StoreError>((left, files, outboards))
        });
        let (left, files, outboards) = planned.await.map_err(|_| StoreError::Thread)??;
        let live = self.live_blobs(&left).await?;
        Ok(Removal {
            files,
            outboards,
            descriptions: self.inner.blobs.bytes_without(&live).await?,
        })
    }

    fn files_that_go(&self, gone: &[Place], left: &[Place]) -> Vec<u64> {
        let mut links = Links::default();
        let mut roots = HashSet::new();
        let bytes = |place: &Place| {
            let stays = left.iter().any(|left| left.root == place.root);
            let ours = place.kind.is_ours() && self.is_copy(&place.root);
            match ours && !stays && roots.insert(place.root.clone()) {
                true => links.bytes_below(&place.root),
                false => 0,
            }
        };
        gone.iter().map(bytes).collect()
    }

    fn outboards_that_go(&self, left: &[Place]) -> Result<u64, StoreError> {
        let kept: HashSet<RootId> = left.iter().map(Place::root_id).collect();
        let mut go: BTreeMap<Vec<u8>, Hash> = BTreeMap::new();
        for hash in self.inner.outboards.hashes()? {
            go.insert(shard_prefix(hash), hash);
        }
        self.inner.locations.each(|key, _| {
            if root_of_key(key).is_some_and(|root| kept.contains(&root)) {
                go.remove(shard_of_key(key));
            }
        })?;
        Ok(go.values().fold(0, |sum, hash| {
            sum.saturating_add(self.inner.outboards.bytes_of(*hash))
        }))
    }
}

/// Hard links that were seen: the bytes of a file go with the last of its names.
#[derive(Debug, Default)]
pub(crate) struct Links(BTreeMap<(u64, u64), u64>);

impl Links {
    /// Bytes that go with a folder, after those that were asked for before.
    pub(crate) fn bytes_below(&mut self, folder: &Path) -> u64 {
        let entries = walkdir::WalkDir::new(folder).into_iter();
        let files = entries
            .filter_map(Result::ok)
            .filter_map(|entry| entry.metadata().ok())
            .filter(std::fs::Metadata::is_file);
        let mut bytes = 0_u64;
        for file in files {
            if file.nlink() > 1 {
                let seen = self.0.entry((file.dev(), file.ino())).or_default();
                *seen += 1;
                if *seen < file.nlink() {
                    continue;
                }
            }
            bytes = bytes.saturating_add(file.len());
        }
        bytes
    }
}

#[cfg(test)]
mod tests;
