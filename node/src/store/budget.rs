//! What records of strangers may take, and what goes when there is no room.
//!
//! Never forgotten: what has a place or is pinned, what somebody here owns, what is followed. Of the rest the dataset whose head is
//! oldest goes first, unless it was used since the start. What was forgotten is unknown as if it had never been
//! heard of, its newest head included.

use std::collections::BTreeSet;

use opendag_protocol::{DatasetId, ManifestId, catalogue::DatasetState, key::PublicKey};

use super::{
    catalogue::{CatalogueChange, HeadKind},
    open::{Store, StoreError, lock},
};

/// Datasets that were used since the start and are remembered; then the list begins anew.
const USED_MAX: usize = 4096;
/// Datasets that are forgotten before others get a turn to write.
const AT_ONCE: usize = 256;
/// Of the limit, in percent: where room is made, and down to where, so that it is made rarely. The rest is for what is
/// needed no more and waits to be compacted.
const FULL_PERCENT: u64 = 75;
const ROOM_PERCENT: u64 = 70;

/// What is never forgotten, beside what has a place or is pinned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Protected {
    /// Keys of somebody here.
    owners: BTreeSet<PublicKey>,
    followed: BTreeSet<DatasetId>,
    mirrored: BTreeSet<DatasetId>,
    used: BTreeSet<DatasetId>,
}

impl Protected {
    fn holds(&self, state: &DatasetState) -> bool {
        let id = state.dataset_id();
        let owners = state.owners().current().owners();
        self.followed.contains(&id)
            || self.mirrored.contains(&id)
            || self.used.contains(&id)
            || owners.iter().any(|owner| self.owners.contains(owner))
    }
}

impl Store {
    /// Never forgets datasets that these keys own.
    pub fn protect_owned_by(&self, owners: BTreeSet<PublicKey>) {
        lock(&self.inner.protected).owners = owners;
    }

    /// Never forgets these datasets, in place of those that were named before.
    pub fn protect_followed(&self, datasets: BTreeSet<DatasetId>) {
        lock(&self.inner.protected).followed = datasets;
    }

    /// Never forgets these datasets either, in place of those that were named before.
    pub(crate) fn protect_mirrored(&self, datasets: BTreeSet<DatasetId>) {
        lock(&self.inner.protected).mirrored = datasets;
    }

    /// Notes that somebody here looked at a dataset: it goes after those that nobody did.
    pub fn mark_used(&self, dataset: DatasetId) {
        let used = &mut lock(&self.inner.protected).used;
        if used.len() >= USED_MAX {
            used.clear();
        }
        used.insert(dataset);
    }

    /// Bytes of records that are needed, and how many there may be.
    #[must_use]
    pub fn catalogue_bytes(&self) -> (u64, u64) {
        (self.live_bytes(), self.inner.limit)
    }

    /// Forgets datasets, and compacts segments, until the records here keep to their limit, on disk too. To be called
    /// after records were taken in; does nothing while there is room. Answers how many datasets were forgotten.
    /// Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn make_room(&self) -> Result<usize, StoreError> {
        let percent = |percent| self.inner.limit / 100 * percent;
        let mut forgotten = 0;
        if self.live_bytes() > percent(FULL_PERCENT) {
            forgotten = self.forget_until(percent(ROOM_PERCENT))?;
            tracing::debug!(forgotten, "datasets made room for others");
        }
        self.compact()?;
        Ok(forgotten)
    }

    fn forget_until(&self, bytes: u64) -> Result<usize, StoreError> {
        let kept = self.kept_datasets()?;
        let mut candidates = Vec::new();
        for row in self.head_rows() {
            let row = row?;
            if row.kind != HeadKind::Proof && !kept.contains(&row.dataset) {
                candidates.push(row.dataset);
            }
        }
        let mut forgotten = 0;
        for some in candidates.chunks(AT_ONCE) {
            if self.live_bytes() <= bytes {
                break;
            }
            forgotten += self.forget_some(some, bytes)?;
        }
        Ok(forgotten)
    }

    /// Forgets these datasets, but for the protected ones, until there is room.
    fn forget_some(&self, datasets: &[DatasetId], bytes: u64) -> Result<usize, StoreError> {
        let segments = lock(&self.inner.segments);
        let protected = lock(&self.inner.protected).clone();
        let mut forgotten = Vec::new();
        for dataset in datasets {
            if self.live_bytes() <= bytes {
                break;
            }
            let Some(state) = self.dataset(dataset)? else {
                continue;
            };
            if !protected.holds(&state) {
                self.forget_dataset(&state)?;
                forgotten.push(*dataset);
            }
        }
        self.inner.index.flush()?;
        drop(segments);
        self.inner.generation_moves();
        for dataset in &forgotten {
            // Nobody may be listening.
            let _ = self
                .inner
                .changes
                .send(CatalogueChange::Forgotten(*dataset));
        }
        Ok(forgotten.len())
    }

    /// Datasets that are pinned, or of which some version is pinned or has a place.
    fn kept_datasets(&self) -> Result<BTreeSet<DatasetId>, StoreError> {
        let mut kept = self.placed_datasets()?;
        for pinned in self.pins()?.iter() {
            // What it is shows only if its record is here.
            kept.insert(DatasetId::from(pinned));
            kept.extend(self.dataset_of(&pinned.into())?);
        }
        Ok(kept)
    }

    /// Datasets of which some version has a place here.
    pub(crate) fn placed_datasets(&self) -> Result<BTreeSet<DatasetId>, StoreError> {
        let places = self.places()?.into_iter();
        let manifests: BTreeSet<_> = places.map(|place| place.manifest).collect();
        let mut datasets = BTreeSet::new();
        for manifest in manifests {
            datasets.extend(self.dataset_of(&manifest)?);
        }
        Ok(datasets)
    }

    fn dataset_of(&self, manifest: &ManifestId) -> Result<Option<DatasetId>, StoreError> {
        let record = self.envelope(&(*manifest).into())?;
        Ok(record.and_then(|(_, record)| record.dataset_id()))
    }
}

#[cfg(test)]
mod tests;
