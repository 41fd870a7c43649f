//! Figures of what is kept: versions, shards, records, descriptions, the cache.

use std::sync::Arc;

use super::page::Page;
use crate::{
    node::Shared,
    resolve,
    store::{PlaceKind, StoreError},
};

const KINDS: [PlaceKind; 4] = [
    PlaceKind::Published,
    PlaceKind::Copied,
    PlaceKind::Fetched,
    PlaceKind::Mirrored,
];

/// Looks at the store; what cannot be read is left out, and the log says why.
pub(super) async fn tell(page: &mut Page, shared: &Arc<Shared>) {
    let looked = {
        let shared = shared.clone();
        tokio::task::spawn_blocking(move || look(&shared)).await
    };
    match looked {
        Ok(Ok(figures)) => tell_kept(page, &figures),
        Ok(Err(error)) => tracing::warn!(%error, "the store cannot be measured"),
        Err(error) => tracing::warn!(%error, "the store cannot be measured"),
    }
    let mut group = page.group("opendag_store");
    match shared.store.description_blobs().await {
        Ok(blobs) => group.gauge(
            (
                "description",
                "blobs",
                "Description blobs: file tables, cards, chunk maps",
            ),
            blobs,
        ),
        Err(error) => tracing::warn!(%error, "the store cannot be measured"),
    }
}

/// What is kept.
struct Figures {
    versions: [(PlaceKind, u64); 4],
    version_bytes: u64,
    shards: u64,
    records: u64,
    datasets: u64,
    record_bytes: u64,
    description_bytes: u64,
    quarantined: u64,
    cache: crate::read::CacheUse,
}

fn look(shared: &Arc<Shared>) -> Result<Figures, StoreError> {
    let mut versions = KINDS.map(|kind| (kind, 0));
    let mut version_bytes: u64 = 0;
    for place in shared.store.places()? {
        for (kind, number) in &mut versions {
            *number += u64::from(*kind == place.kind);
        }
        let is_whole = place.include.is_empty() && place.exclude.is_empty();
        if is_whole && let Ok(Some(version)) = resolve::version(shared, place.manifest) {
            version_bytes = version_bytes.saturating_add(version.manifest().fields().bytes);
        }
    }
    let kept = shared.store.kept()?;
    Ok(Figures {
        versions,
        version_bytes,
        shards: kept.shards,
        records: kept.records,
        datasets: kept.datasets,
        record_bytes: kept.record_bytes,
        description_bytes: kept.description_bytes,
        quarantined: kept.quarantined,
        cache: shared.readers.cache_use(),
    })
}

fn tell_kept(page: &mut Page, figures: &Figures) {
    let mut group = page.group("opendag_store");
    group.gauges(
        (
            "kept",
            "versions",
            "Versions that lie in a folder of this machine, by how they came there",
        ),
        figures
            .versions
            .map(|(kind, number)| ([("kind", kind.as_str())], number)),
    );
    group.gauge(
        (
            "located",
            "shards",
            "Files of datasets whose place on this machine is known",
        ),
        figures.shards,
    );
    group.gauges(
        (
            "kept",
            "bytes",
            "Bytes of versions that lie here whole, of description blobs, and of signed records",
        ),
        [
            ([("content", "versions")], figures.version_bytes),
            ([("content", "descriptions")], figures.description_bytes),
            ([("content", "records")], figures.record_bytes),
        ],
    );
    group.gauge(("signed", "records", "Signed records"), figures.records);
    group.gauge(
        ("known", "datasets", "Datasets of which records are here"),
        figures.datasets,
    );
    group.gauge(
        (
            "quarantined",
            "objects",
            "Damaged records and blobs that were moved aside",
        ),
        figures.quarantined,
    );
    let mut group = page.group("opendag_cache");
    group.gauge(
        (
            "used",
            "bytes",
            "Bytes of the cache of files that were read and are not kept",
        ),
        figures.cache.bytes,
    );
    group.gauge(
        ("budget", "bytes", "Bytes that the cache may have"),
        figures.cache.bytes_max,
    );
    group.gauge(
        ("held", "files", "Files of which the cache has a part"),
        figures.cache.files,
    );
}
