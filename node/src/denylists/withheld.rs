//! What is known here of what is denied: datasets, versions, and blobs that belong to no other version that lies here.
//!
//! A request for a blob names no version, so what is withheld must be known by its hash.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use opendag_protocol::{
    DatasetId, Hash, ManifestId,
    record::Denied,
    table::{FileEntry, Page},
};

use crate::{
    net::Net,
    node::Shared,
    resolve::{self, now},
    store::StoreError,
};

/// What is withheld, and what that was made of.
#[derive(Debug, Default)]
pub(super) struct Withheld(RwLock<Arc<Known>>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    /// All that is denied.
    denied: BTreeSet<Denied>,
    /// The datasets that are denied as a whole.
    datasets: BTreeSet<DatasetId>,
    /// The denied versions.
    versions: BTreeSet<ManifestId>,
    /// The versions that lie here and are not denied.
    others: BTreeSet<ManifestId>,
    /// The first bytes of the blobs' hashes, sorted: a version may have millions, and that another blob begins with the
    /// same eight bytes will not happen by chance.
    blobs: Vec<u64>,
}

impl Withheld {
    pub(super) fn has_blob(&self, hash: &Hash) -> bool {
        self.known().blobs.binary_search(&first_bytes(hash)).is_ok()
    }

    pub(super) fn has_dataset(&self, id: &DatasetId) -> bool {
        self.known().datasets.contains(id)
    }

    pub(super) fn has_version(&self, id: &ManifestId) -> bool {
        self.known().versions.contains(id)
    }

    fn known(&self) -> Arc<Known> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Looks at what is known here, if that or what is denied has changed; answers whether it had.
pub(super) async fn look(shared: &Arc<Shared>) -> Result<bool, StoreError> {
    let withheld = &shared.denylists.withheld;
    let before = withheld.known();
    let denied = shared.denylists.denials().held(now());
    let (datasets, mut versions) = match denied == before.denied {
        true => (before.datasets.clone(), before.versions.clone()),
        false => named(shared, denied.clone()).await?,
    };
    let mut others = BTreeSet::new();
    if !denied.is_empty() {
        for place in shared.store.places()? {
            match resolve::version(shared, place.manifest) {
                Ok(Some(version)) if shared.denial(&version).is_some() => {
                    versions.insert(version.id)
                }
                Ok(Some(version)) => others.insert(version.id),
                Ok(None) | Err(_) => false,
            };
        }
    }
    if denied == before.denied && versions == before.versions && others == before.others {
        return Ok(false);
    }
    // What was let go of, or denied, may have shared blobs with what is denied.
    let blobs = match versions == before.versions && others.is_superset(&before.others) {
        true => {
            let new = others.difference(&before.others);
            without(shared, before.blobs.clone(), new).await?
        }
        false => without(shared, blobs_of(shared, &versions).await?, others.iter()).await?,
    };
    let found = Arc::new(Known {
        denied,
        datasets,
        versions,
        others,
        blobs,
    });
    *withheld.0.write().unwrap_or_else(PoisonError::into_inner) = found.clone();
    for manifest in found.versions.symmetric_difference(&before.versions) {
        shared.places.forget(manifest);
    }
    if let Some(net) = shared.running_net() {
        announce(shared, net, (&before, &found)).await?;
    }
    Ok(true)
}

/// The datasets that these entries deny as a whole, and the versions that they deny, as far as they are known here.
async fn named(
    shared: &Arc<Shared>,
    denied: BTreeSet<Denied>,
) -> Result<(BTreeSet<DatasetId>, BTreeSet<ManifestId>), StoreError> {
    let store = shared.store.clone();
    let look = move || {
        let (mut datasets, mut versions) = (BTreeSet::new(), BTreeSet::new());
        for what in &denied {
            match what {
                Denied::Dataset(id) => datasets.extend(store.dataset(id)?.map(|_| *id)),
                Denied::Manifest(id) => {
                    versions.extend(store.has_record(&(*id).into())?.then_some(*id));
                }
                Denied::Blob(_) | Denied::Publisher(_) => {}
            }
        }
        let is_publisher = |what: &Denied| matches!(what, Denied::Publisher(_));
        if denied.iter().any(is_publisher) {
            for id in store.dataset_ids() {
                let id = id?;
                let state = store.dataset(&id)?;
                let owners = state
                    .iter()
                    .flat_map(|state| state.owners().current().owners());
                if owners
                    .copied()
                    .any(|key| denied.contains(&Denied::Publisher(key)))
                {
                    datasets.insert(id);
                }
            }
        }
        for id in &datasets {
            let state = store.dataset(id)?;
            let known = state.iter().flat_map(|state| state.manifests());
            versions.extend(known.map(|(_, manifest)| manifest));
        }
        Ok((datasets, versions))
    };
    tokio::task::spawn_blocking(look)
        .await
        .map_err(|_| StoreError::Thread)?
}

/// Announces no more what is denied since, and again what is denied no more and lies here.
async fn announce(
    shared: &Shared,
    net: &Net,
    (before, after): (&Known, &Known),
) -> Result<(), StoreError> {
    for manifest in after.versions.difference(&before.versions) {
        net.stop_providing(manifest.hash()).await;
    }
    for dataset in after.datasets.difference(&before.datasets) {
        net.stop_providing(dataset.hash()).await;
    }
    for manifest in before.versions.difference(&after.versions) {
        if after.others.contains(manifest)
            && let Ok(Some(version)) = resolve::version(shared, *manifest)
        {
            net.provide(manifest.hash()).await;
            net.provide(version.dataset().hash()).await;
        }
    }
    Ok(())
}

async fn blobs_of(
    shared: &Shared,
    versions: &BTreeSet<ManifestId>,
) -> Result<Vec<u64>, StoreError> {
    let mut blobs = Vec::new();
    for manifest in versions {
        each_blob(shared, *manifest, |hash| blobs.push(first_bytes(&hash))).await?;
    }
    blobs.sort_unstable();
    blobs.dedup();
    Ok(blobs)
}

/// The blobs that none of these versions has.
async fn without(
    shared: &Shared,
    mut blobs: Vec<u64>,
    versions: impl Iterator<Item = &ManifestId>,
) -> Result<Vec<u64>, StoreError> {
    let mut others = BTreeSet::new();
    if !blobs.is_empty() {
        for manifest in versions {
            let is_too = |hash: Hash| {
                let first = first_bytes(&hash);
                if blobs.binary_search(&first).is_ok() {
                    others.insert(first);
                }
            };
            each_blob(shared, *manifest, is_too).await?;
        }
    }
    blobs.retain(|first| !others.contains(first));
    Ok(blobs)
}

/// All blobs of a version, as far as its table is here.
async fn each_blob(
    shared: &Shared,
    manifest: ManifestId,
    mut tell: impl FnMut(Hash),
) -> Result<(), StoreError> {
    let Ok(Some(version)) = resolve::version(shared, manifest) else {
        return Ok(());
    };
    let fields = version.manifest().fields();
    let described_by = [Some(fields.table), fields.card, fields.croissant];
    for blob in described_by.into_iter().flatten() {
        tell(blob.hash());
    }
    let Ok(index) = shared.store.table(version.manifest()).await else {
        return Ok(());
    };
    for page_ref in index.pages() {
        tell(page_ref.page().hash());
        if let Some(maps) = page_ref.maps() {
            tell(maps.hash());
        }
        let page = shared.store.blob(&page_ref.page()).await?;
        let page = page.and_then(|page| Page::decode(&page, page_ref).ok());
        for entry in page.iter().flat_map(Page::entries) {
            tell(entry.hash());
            if let Some(map) = FileEntry::chunk_map(entry) {
                tell(map.hash());
            }
        }
    }
    Ok(())
}

fn first_bytes(hash: &Hash) -> u64 {
    let (first, _) = hash
        .as_bytes()
        .split_first_chunk()
        .unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*first)
}
