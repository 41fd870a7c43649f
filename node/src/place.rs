//! What of a version lies on this node and is unchanged, for peers that ask.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opendag_protocol::{
    ManifestId,
    table::{Page, ShardIndex, TableIndex, TableTotals},
};

use tokio::time::Instant;

use crate::store::{Store, StoreError};

/// Versions whose holdings are remembered; one costs a bit for each of its shards.
const REMEMBERED_MAX: usize = 256;

/// For so long an answer is good enough: a peer that asks for a shard that is gone is told so.
const REMEMBERED_FOR: Duration = Duration::from_secs(3);
/// That all is here is true for longer, and takes seconds to find out for a million files: it is remembered for so
/// many times as long as that took.
const REMEMBERED_TIMES: u32 = 30;

/// What is held of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nothing, or the version is unknown.
    Nothing,
    /// All shards.
    Complete,
    /// Some shards, in growing order.
    Some(Arc<Vec<ShardIndex>>),
}

/// Answers what is held; remembers answers for a moment, since many peers ask for one version.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    store: Store,
    /// Until when each answer is good enough.
    remembered: Arc<Mutex<BTreeMap<ManifestId, (Instant, Held)>>>,
}

impl Places {
    /// Over this store.
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            remembered: Arc::default(),
        }
    }

    /// What is held of a version. Safe to drop.
    pub(crate) async fn held(&self, manifest: ManifestId) -> Held {
        let remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&manifest)
            .cloned();
        if let Some((until, held)) = remembered
            && Instant::now() < until
        {
            return held;
        }
        let began = Instant::now();
        let held = self.look(manifest).await.unwrap_or_else(|error| {
            tracing::warn!(%manifest, %error, "cannot tell what is here of a version");
            Held::Nothing
        });
        // Nothing may become something at any moment, and is quickly found out.
        if held == Held::Nothing {
            return held;
        }
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        let long = match held {
            Held::Complete => began.elapsed().saturating_mul(REMEMBERED_TIMES),
            Held::Nothing | Held::Some(_) => Duration::ZERO,
        };
        let until = Instant::now() + long.max(REMEMBERED_FOR);
        remembered.insert(manifest, (until, held.clone()));
        held
    }

    /// What is held has changed.
    pub(crate) fn forget(&self, manifest: &ManifestId) {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(manifest);
    }

    async fn look(&self, manifest: ManifestId) -> Result<Held, StoreError> {
        let placed = !self.store.places_of(&manifest)?.is_empty();
        let Some(record) = self.store.record(&manifest.into())?.filter(|_| placed) else {
            return Ok(Held::Nothing);
        };
        let Some(fields) = record
            .as_manifest()
            .map(|manifest| manifest.fields().clone())
        else {
            return Ok(Held::Nothing);
        };
        let totals = TableTotals {
            files: fields.files,
            bytes: fields.bytes,
        };
        let Some(index) = self.store.blob(&fields.table).await? else {
            return Ok(Held::Nothing);
        };
        let Ok(index) = TableIndex::decode(&index, totals) else {
            return Ok(Held::Nothing);
        };
        let mut held = Vec::new();
        for page_ref in index.pages() {
            let Some(page) = self.store.blob(&page_ref.page()).await? else {
                continue;
            };
            let Ok(page) = Page::decode(&page, page_ref) else {
                continue;
            };
            let store = self.store.clone();
            let here = tokio::task::spawn_blocking(move || {
                let mut here = Vec::new();
                for (shard, entry) in page.shards() {
                    if entry.size() == 0 || store.has_shard(entry.hash())? {
                        here.push(shard);
                    }
                }
                Ok::<_, StoreError>(here)
            });
            held.extend(here.await.unwrap_or_else(|_| Ok(Vec::new()))?);
        }
        let complete = u64::try_from(held.len()).is_ok_and(|held| held == fields.files);
        Ok(match (complete, held.is_empty()) {
            (true, _) => Held::Complete,
            (false, true) => Held::Nothing,
            (false, false) => Held::Some(Arc::new(held)),
        })
    }
}
