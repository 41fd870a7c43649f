//! Manifests of newest versions that are not here yet: asked for in batches, of whoever told of the head.

use std::{collections::BTreeSet, sync::Mutex};

use opendag_protocol::RecordId;

use super::lock;

/// Manifests that are wanted; of more the rest comes when somebody here looks at the dataset.
const WANTED_MAX: usize = 65_536;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Wanted(Mutex<BTreeSet<RecordId>>);

impl Wanted {
    pub(super) fn add(&self, manifest: RecordId) {
        let mut wanted = lock(&self.0);
        if wanted.len() < WANTED_MAX {
            wanted.insert(manifest);
        }
    }

    /// Some of them, to ask a peer for.
    pub(super) fn some(&self, max: usize) -> BTreeSet<RecordId> {
        lock(&self.0).iter().take(max).copied().collect()
    }

    /// It is here, or nobody needs it any more.
    pub(super) fn found(&self, manifest: &RecordId) {
        lock(&self.0).remove(manifest);
    }
}
