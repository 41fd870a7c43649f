//! Keeping: hash again what is on disk, rebuild the index.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use opendag_protocol::{DatasetId, RecordId};
use tokio_util::sync::CancellationToken;

use crate::{
    disk::{Confined, DiskError},
    fault::Fault,
    fetch::{
        self, FetchError,
        table::{self, Wanted},
    },
    node::Shared,
    ops::{BadShard, Event, FetchRequest, VerifyRequest},
    report::{Meter, Reporter},
    resolve::{self, Asked, ResolveError},
    retain::QuotaError,
    search::SearchError,
    selection::Selection,
    store::{Digests, HashError, Place, PlaceKind, StoreError},
};

/// A repair that finds no peer gives up after so long: the user asked for a check, not for a download.
const REPAIR_WAIT_MS: u64 = 30_000;

/// Why something could not be kept, checked or let go.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// The link leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The description of a version is not here, or a repair failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A command that needs a link got none.
    #[error("this command needs a link, an id or the name of a dataset")]
    NoLink,
    /// It does not lie here.
    #[error("\"{0}\" does not lie on this node; see `opendag ls`")]
    NotHere(String),
    /// It is being fetched.
    #[error("\"{0}\" is being fetched; stop the fetch first")]
    Running(String),
    /// It is pinned.
    #[error("\"{0}\" is pinned; first: opendag unpin {1}")]
    Pinned(String, RecordId),
    /// It is mirrored, and would come again.
    #[error("\"{0}\" is mirrored and would come again; first: opendag unmirror")]
    Mirrored(String),
    /// The disk budget cannot be told.
    #[error(transparent)]
    Quota(#[from] QuotaError),
    /// The user stopped it.
    #[error("stopped")]
    Cancelled,
    /// A task died.
    #[error("a task stopped unexpectedly")]
    Stopped,
    /// The search index cannot be built.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeepError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Resolve(error) => error.fault(),
            Self::Fetch(error) => error.fault(),
            Self::Quota(error) => error.fault(),
            Self::NoLink
            | Self::NotHere(_)
            | Self::Running(_)
            | Self::Pinned(..)
            | Self::Mirrored(_) => Fault::Input,
            Self::Search(error) => error.fault(),
            Self::Cancelled | Self::Stopped | Self::Store(_) => Fault::Local,
        }
    }
}

/// The places that a link means: of one version, or of all versions of a dataset. Without a link all.
pub(crate) fn places(shared: &Shared, link: Option<&str>) -> Result<Vec<Place>, KeepError> {
    let all = shared.store.places()?;
    let Some(link) = link else { return Ok(all) };
    let wish = Asked::parse(shared, link, Path::new("/"), &[])?.here(shared)?;
    let mut meant = Vec::new();
    for place in all {
        let version = resolve::version(shared, place.manifest)?;
        let dataset = version.map(|version| version.dataset().into());
        if wish.id == place.manifest.into() || Some(wish.id) == dataset {
            meant.push(place);
        }
    }
    if meant.is_empty() {
        Err(KeepError::NotHere(link.to_owned()))
    } else {
        Ok(meant)
    }
}

/// Hashes everything again.
pub(crate) async fn verify(
    shared: &Arc<Shared>,
    request: &VerifyRequest,
    report: &Reporter,
    cancel: &CancellationToken,
) -> Result<Event, KeepError> {
    let mut jobs = Vec::new();
    let mut meant = places(shared, request.link.as_deref())?;
    if request.link.is_none() {
        meant = newest_of_each_folder(shared, meant)?;
    }
    for place in meant {
        let Some(version) = resolve::version(shared, place.manifest)? else {
            continue;
        };
        let selection = Selection::new(&place.include, &place.exclude).map_err(FetchError::from)?;
        let wanted = table::local(shared, &version, &selection).await?;
        jobs.push((place, wanted));
    }
    let files = jobs
        .iter()
        .map(|(_, wanted)| u64::try_from(wanted.len()).unwrap_or(0))
        .sum();
    let bytes = jobs
        .iter()
        .flat_map(|(_, wanted)| wanted)
        .map(|wanted| wanted.entry.size())
        .sum();
    let mut meter = Meter::new(report.clone(), "verify", files, bytes);
    let mut bad = Vec::new();
    for (place, wanted) in jobs {
        let (shared_check, cancel_check) = (shared.clone(), cancel.clone());
        let check = move || {
            let found = check(&shared_check, &place, &wanted, &mut meter, &cancel_check);
            (place, meter, found)
        };
        let (place, meter_back, found) = tokio::task::spawn_blocking(check)
            .await
            .map_err(|_| KeepError::Stopped)?;
        meter = meter_back;
        let mut found = found?;
        if request.repair
            && !found.is_empty()
            && matches!(place.kind, PlaceKind::Fetched | PlaceKind::Mirrored)
        {
            repair(shared, &place, &mut found, report, cancel).await?;
        }
        bad.extend(found);
    }
    meter.tell();
    Ok(Event::Verified {
        shards: meter.now.files,
        bytes: meter.now.bytes,
        bad,
    })
}

/// A folder in which a newer version was published or fetched is that version now: what it replaced of
/// an older one is not damage.
fn newest_of_each_folder(shared: &Shared, places: Vec<Place>) -> Result<Vec<Place>, KeepError> {
    let mut newest: BTreeMap<(PathBuf, DatasetId), (u64, Place)> = BTreeMap::new();
    for place in places {
        let Some(version) = resolve::version(shared, place.manifest)? else {
            continue;
        };
        let sequence = version.manifest().sequence();
        let key = (place.root.clone(), version.dataset());
        if newest.get(&key).is_none_or(|(known, _)| *known < sequence) {
            newest.insert(key, (sequence, place));
        }
    }
    Ok(newest.into_values().map(|(_, place)| place).collect())
}

/// Hashes files of one place, and tells which of them are not as they should be.
pub(crate) async fn check_place(
    shared: &Arc<Shared>,
    place: &Place,
    wanted: &Arc<Vec<Wanted>>,
    (report, cancel): (&Reporter, &CancellationToken),
) -> Result<Vec<BadShard>, KeepError> {
    let files = u64::try_from(wanted.len()).unwrap_or(u64::MAX);
    let bytes = wanted.iter().map(|wanted| wanted.entry.size()).sum();
    let mut meter = Meter::new(report.clone(), "verify", files, bytes);
    let (shared, place) = (shared.clone(), place.clone());
    let (wanted, cancel) = (wanted.clone(), cancel.clone());
    let check = move || check(&shared, &place, &wanted, &mut meter, &cancel);
    tokio::task::spawn_blocking(check)
        .await
        .map_err(|_| KeepError::Stopped)?
}

/// Hashes the files of one place. Blocks.
fn check(
    shared: &Shared,
    place: &Place,
    wanted: &[Wanted],
    meter: &mut Meter,
    cancel: &CancellationToken,
) -> Result<Vec<BadShard>, KeepError> {
    let mut bad = Vec::new();
    let mut confirmed = Vec::new();
    let root = Confined::open(&place.root);
    for wanted in wanted {
        if cancel.is_cancelled() {
            return Err(KeepError::Cancelled);
        }
        let entry = &wanted.entry;
        let file = place.root.join(entry.path().as_str());
        let opened = root.as_ref().map_err(ToString::to_string).and_then(|root| {
            root.open_read(entry.path())
                .map_err(|error| problem(&error))
        });
        let problem = opened.map_or_else(Some, |opened| {
            let outboards = shared.store.outboards();
            match outboards.hash_file(&opened, &file, Digests::Blake3, &mut |bytes| {
                meter.now.bytes += bytes;
                meter.tick();
            }) {
                Ok(hashed) if hashed.hash == entry.hash() => {
                    confirmed.push((wanted, hashed.fingerprint));
                    None
                }
                Ok(_) | Err(HashError::Changed { .. }) => Some("changed".to_owned()),
                Err(HashError::Disk(error)) => Some(format!("unreadable: {error}")),
            }
        });
        meter.now.files += 1;
        if let Some(problem) = problem {
            mark_stale(shared, place, wanted)?;
            bad.push(BadShard {
                manifest: place.manifest,
                path: file,
                problem,
                repaired: false,
            });
        }
    }
    let confirmed = confirmed.into_iter().map(|(wanted, fingerprint)| {
        let (hash, path) = (wanted.entry.hash(), wanted.entry.path());
        (hash, path.clone(), fingerprint)
    });
    shared.store.shards_confirm(place.root_id(), confirmed)?;
    Ok(bad)
}

/// Notes that a file is not the shard any more, so that it is neither served nor announced.
fn mark_stale(shared: &Shared, place: &Place, wanted: &Wanted) -> Result<(), StoreError> {
    let (hash, root) = (wanted.entry.hash(), place.root_id());
    for location in shared.store.shard_find(hash)? {
        if location.root == root && location.path == *wanted.entry.path() {
            shared.store.shard_mark_stale(hash, &location)?;
        }
    }
    Ok(())
}

fn problem(error: &DiskError) -> String {
    if error.is_not_found() {
        "missing".to_owned()
    } else {
        format!("unreadable: {error}")
    }
}

/// Fetches again what is bad, into a place that was fetched.
async fn repair(
    shared: &Arc<Shared>,
    place: &Place,
    bad: &mut [BadShard],
    report: &Reporter,
    cancel: &CancellationToken,
) -> Result<(), KeepError> {
    let request = FetchRequest {
        link: place.manifest.to_string(),
        output: Some(place.root.clone()),
        cwd: place.root.clone(),
        include: place.include.clone(),
        exclude: place.exclude.clone(),
        overwrite: true,
        mirror: place.kind == PlaceKind::Mirrored,
        timeout_ms: Some(REPAIR_WAIT_MS),
        ..FetchRequest::default()
    };
    match fetch::fetch(shared, &request, report, cancel).await {
        Ok(_) => bad.iter_mut().for_each(|bad| bad.repaired = true),
        Err(error) => {
            report
                .warn(format!("Cannot repair {}: {error}", place.root.display()))
                .await;
        }
    }
    Ok(())
}

/// Rebuilds the index.
pub(crate) async fn reindex(shared: &Arc<Shared>) -> Result<Event, KeepError> {
    let store = shared.store.clone();
    tokio::task::spawn_blocking(move || store.reindex())
        .await
        .map_err(|_| KeepError::Stopped)??;
    shared.search.rebuild(shared).await?;
    let (places, datasets) = (shared.store.places()?.len(), shared.store.dataset_count());
    let message =
        format!("the index was rebuilt: {datasets} datasets are known, {places} versions lie here");
    Ok(Event::Changed {
        message,
        freed_bytes: 0,
    })
}
