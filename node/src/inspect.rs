//! Looking: what is here, what a version is, its history, its files, what changed, whom this node sees.

mod state;

use std::{collections::VecDeque, path::Path, sync::Arc, time::Duration};

use opendag_protocol::{
    RecordId, Timestamp,
    table::{FileEntry, TableIndex},
};
use tokio::time::timeout;

pub(crate) use self::state::{peers, status};
use crate::{
    croissant::{self, Urls},
    fault::Fault,
    fetch::{
        FetchError,
        table::{self, LocalPages, Wanted},
    },
    fork, lineage,
    net::NetError,
    node::Shared,
    ops::{DescribeRequest, Event, FileInfo, LinkRequest, PinnedBy, PlaceInfo, VersionInfo},
    owners::renew,
    read::ReadFault,
    report::Reporter,
    resolve::{self, Asked, ResolveError, Version, Wish, history, now},
    reviews,
    selection::Selection,
    store::{Place, RootId, Store, StoreError},
};

/// How long the network is asked, unless the user says.
pub(crate) const FIND_MAX: Duration = Duration::from_secs(60);
/// A history is asked for older versions so long: without them it is a history all the same.
const OLDER_MAX: Duration = Duration::from_secs(10);
/// Files in one event: a line of JSON stays readable by any tool.
const FILES_PER_EVENT: usize = 1000;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InspectError {
    /// The link leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The description cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A command that needs a link got none.
    #[error("this command needs a link, an id or the name of a dataset")]
    NoLink,
    /// No peer gave the table.
    #[error("no peer gave the file table within {} s; name a peer that has it with --peer", .0.as_secs())]
    NoTable(Duration),
    /// Not the URL of a gateway.
    #[error("\"{0}\" is no URL of a gateway; it looks like http://127.0.0.1:8480")]
    NoUrl(String),
    /// The description of the version cannot be read.
    #[error("the version cannot be described: {0}")]
    Read(#[from] ReadFault),
    /// The network did not start.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl InspectError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Resolve(error) => error.fault(),
            Self::Fetch(error) => error.fault(),
            Self::NoLink | Self::NoUrl(_) => Fault::Input,
            Self::Read(ReadFault::Failed) => Fault::Local,
            Self::Read(ReadFault::Denied(_)) => Fault::Refused,
            Self::Read(_) => Fault::NotFound,
            Self::NoTable(_) => Fault::NotFound,
            Self::Net(_) | Self::Store(_) => Fault::Local,
        }
    }
}

/// The version that a request is about: as it is known here, or found in the network.
pub(crate) async fn version(
    shared: &Arc<Shared>,
    request: &LinkRequest,
    report: &Reporter,
) -> Result<(Version, Wish), InspectError> {
    let text = request.link.as_deref().ok_or(InspectError::NoLink)?;
    let asked = Asked::parse(shared, text, Path::new("/"), &request.peers)?;
    let within = request.timeout_ms.map_or(FIND_MAX, Duration::from_millis);
    let wish = match asked.if_known(shared)? {
        Some(wish) => wish,
        None => {
            let net = shared.net().await?;
            asked.anywhere(shared, &net, within, report).await?
        }
    };
    let known = resolve::local(shared, wish.id)?;
    let denial = match &known {
        Some(known) => shared.denial(known),
        None => shared.denial_of_id(wish.id),
    };
    // Nobody is asked for what is denied; what is known of it can be looked at.
    let ask = (request.newest || !request.peers.is_empty()) && denial.is_none();
    match (known, denial) {
        (Some(known), _) if !ask => return Ok((known, wish)),
        (None, Some(denial)) => return Err(FetchError::Denied(Box::new(denial)).into()),
        (Some(_) | None, _) => {}
    }
    let net = shared.net().await?;
    Ok((
        resolve::resolve(shared, &net, &wish, within, report).await?,
        wish,
    ))
}

/// Everything that lies here and is not denied, newest first.
pub(crate) async fn ls(shared: &Arc<Shared>, request: &LinkRequest) -> Result<Event, InspectError> {
    let only = match &request.link {
        Some(text) => {
            let asked = Asked::parse(shared, text, Path::new("/"), &[])?;
            Some(asked.here(shared)?.id)
        }
        None => None,
    };
    let mut versions = Vec::new();
    let mut manifests: Vec<_> = shared
        .store
        .places()?
        .into_iter()
        .map(|place| place.manifest)
        .collect();
    manifests.sort_unstable();
    manifests.dedup();
    for manifest in manifests {
        let Some(version) = resolve::version(shared, manifest)? else {
            continue;
        };
        let wanted = only.is_none_or(|id| id == manifest.into() || id == version.dataset().into());
        if wanted && shared.denial(&version).is_none() {
            versions.push(info(shared, &version).await?);
        }
    }
    versions.sort_by_key(|version| std::cmp::Reverse((version.created_at, version.sequence)));
    Ok(Event::Versions { versions })
}

/// One version.
pub(crate) async fn show(
    shared: &Arc<Shared>,
    request: &LinkRequest,
    report: &Reporter,
) -> Result<Event, InspectError> {
    let (version, _) = version(shared, request, report).await?;
    let reviews = Some(reviews::of(shared, &version)?);
    let info = info(shared, &version).await?;
    Ok(Event::Versions {
        versions: vec![VersionInfo { reviews, ..info }],
    })
}

/// The versions of a dataset, newest first. Those that are older than what is known here are asked for.
pub(crate) async fn log(
    shared: &Arc<Shared>,
    request: &LinkRequest,
    report: &Reporter,
) -> Result<Event, InspectError> {
    let (meant, wish) = version(shared, request, report).await?;
    let dataset = meant.dataset();
    let newest = resolve::local(shared, dataset.into())?.unwrap_or(meant);
    if shared.denial(&newest).is_none() && history::gap(shared, &newest)?.is_some() {
        let within = request.timeout_ms.map_or(OLDER_MAX, Duration::from_millis);
        let net = shared.net().await?;
        report.waiting("resolve", "older versions").await;
        let whom = (wish.hints, within.min(OLDER_MAX));
        history::learn(shared, &net, &newest, whom, None).await?;
        if history::gap(shared, &newest)?.is_some() {
            let message = "older versions than these are not known here, and no peer gave them";
            report.warn(message.to_owned()).await;
        }
    }
    let state = shared.store.dataset(&dataset)?.unwrap_or(newest.state);
    let mut versions = Vec::new();
    for version in history::known(shared, &state)? {
        versions.push(info(shared, &version).await?);
    }
    Ok(Event::Versions { versions })
}

/// The files of a version, some in each event.
pub(crate) async fn files(
    shared: &Arc<Shared>,
    request: &LinkRequest,
    report: &Reporter,
) -> Result<Event, InspectError> {
    let mut files: VecDeque<_> = wanted(shared, request, report)
        .await?
        .iter()
        .map(|wanted| file_info(&wanted.entry))
        .collect();
    while files.len() > FILES_PER_EVENT {
        let part = files.drain(..FILES_PER_EVENT).collect();
        report.send(Event::Files { files: part }).await;
    }
    Ok(Event::Files {
        files: files.into(),
    })
}

/// The table of a version: from here, or from its swarm.
async fn wanted(
    shared: &Arc<Shared>,
    request: &LinkRequest,
    report: &Reporter,
) -> Result<Vec<Wanted>, InspectError> {
    let (version, wish) = version(shared, request, report).await?;
    warn_if_expired(&version, &wish, report).await;
    let all = Selection::new(&[], &[]).map_err(FetchError::from)?;
    table_of(shared, (&version, &wish), &all, request.timeout_ms).await
}

/// The selected files of a version: by its table here, or from its swarm.
pub(crate) async fn table_of(
    shared: &Arc<Shared>,
    (version, wish): (&Version, &Wish),
    selection: &Selection,
    timeout_ms: Option<u64>,
) -> Result<Vec<Wanted>, InspectError> {
    if let Ok(here) = table::local(shared, version, selection).await {
        return Ok(here);
    }
    if let Some(denial) = shared.denial(version) {
        return Err(FetchError::Denied(Box::new(denial)).into());
    }
    let within = timeout_ms.map_or(FIND_MAX, Duration::from_millis);
    let net = shared.net().await?;
    let mut describe = table::Describe::join(shared, &net, version, wish);
    let wanted = timeout(within, describe.wanted(version, selection)).await;
    Ok(wanted.map_err(|_| InspectError::NoTable(within))??)
}

/// The index of a version's file table, with all of its pages and the card in the store: those that are not
/// here come from its swarm.
pub(crate) async fn described(
    shared: &Arc<Shared>,
    (version, wish): (&Version, &Wish),
    timeout_ms: Option<u64>,
) -> Result<TableIndex, InspectError> {
    let all = Selection::new(&[], &[]).map_err(FetchError::from)?;
    table_of(shared, (version, wish), &all, timeout_ms).await?;
    Ok(shared.store.table(version.manifest()).await?)
}

/// Tells that the owners' word on the newest version has expired, if that is what was asked for.
pub(crate) async fn warn_if_expired(version: &Version, wish: &Wish, report: &Reporter) {
    if wish.id == version.id.into() {
        return;
    }
    if let Some(since) = version.state.head_expired_since(now()) {
        let since = date(since);
        report.warn(format!("the publisher's word that this is the newest version expired on {since}; there may be a newer one")).await;
    }
}

pub(crate) fn file_info(entry: &FileEntry) -> FileInfo {
    FileInfo {
        path: entry.path().to_string(),
        size: entry.size(),
        blake3: entry.hash(),
    }
}

/// The version in the vocabulary of Croissant.
pub(crate) async fn describe(
    shared: &Arc<Shared>,
    request: &DescribeRequest,
    report: &Reporter,
) -> Result<Event, InspectError> {
    let urls = match &request.gateway {
        None => Urls::Beside,
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            Urls::Gateway(url.trim_end_matches('/').to_owned())
        }
        Some(url) => return Err(InspectError::NoUrl(url.clone())),
    };
    let about = LinkRequest {
        link: Some(request.link.clone()),
        peers: request.peers.clone(),
        timeout_ms: request.timeout_ms,
        newest: false,
    };
    let (version, _) = version(shared, &about, report).await?;
    let within = request.timeout_ms.map_or(FIND_MAX, Duration::from_millis);
    let version = shared.readers.open(shared, version).await?;
    let document = croissant::describe(&version, &urls, within).await?;
    if !document.is_final {
        let sentence = "Some files did not come in time: the document says less than it could.";
        report.warn(sentence).await;
    }
    Ok(Event::Described {
        manifest: version.version().id,
        document: document.text,
    })
}

async fn info(shared: &Arc<Shared>, version: &Version) -> Result<VersionInfo, InspectError> {
    let fields = version.manifest().fields();
    let state = &version.state;
    let owners = state.owners().current().fields();
    let newest = version.is_newest();
    let pins = shared.store.pins()?;
    let pinned = match pins.has(version.id.into()) {
        true => Some(PinnedBy::Version),
        false => pins
            .has(version.dataset().into())
            .then_some(PinnedBy::Dataset),
    };
    let mut places = Vec::new();
    for place in shared.store.places_of(&version.id)? {
        let mut place = place_info(shared, version, &place).await?;
        place.pinned |= pinned.is_some();
        places.push(place);
    }
    let id: RecordId = if newest {
        version.dataset().into()
    } else {
        version.id.into()
    };
    Ok(VersionInfo {
        dataset: version.dataset(),
        manifest: version.id,
        name: version.name(),
        sequence: fields.sequence,
        parent: fields.parent,
        label: fields.label.clone(),
        title: fields.title.clone(),
        description: fields.description.clone(),
        license: fields.license.clone(),
        languages: fields.languages.clone(),
        tags: fields.tags.clone(),
        homepage: fields.homepage.clone(),
        created_at: fields.created_at,
        files: fields.files,
        bytes: fields.bytes,
        owners: owners.owners.iter().map(ToString::to_string).collect(),
        threshold: owners.threshold,
        derived_from: fields
            .derived_from
            .iter()
            .map(|from| from.manifest)
            .collect(),
        newest,
        head: version.head(),
        head_expired_since: if newest {
            state.head_expired_since(now())
        } else {
            None
        },
        equivocations: state
            .manifests_at(fields.sequence)
            .filter(|other| *other != version.id)
            .collect(),
        forks: fork::all(shared, state)?,
        license_hints: lineage::hints(shared, fields.license.as_deref(), &fields.derived_from)?,
        pinned,
        reviews: None,
        denied: shared.denial(version).map(|denial| denial.to_string()),
        renewal: match newest {
            true => renew::due(shared, state).unwrap_or_default(),
            false => None,
        },
        places,
        link: shared.link(id, &version.name()).await,
    })
}

async fn place_info(
    shared: &Arc<Shared>,
    version: &Version,
    place: &Place,
) -> Result<PlaceInfo, InspectError> {
    let (mut shards, mut stale) = (0, 0);
    let selection = Selection::new(&place.include, &place.exclude).map_err(FetchError::from)?;
    // Without its table nothing can be said of the files.
    if let Ok(mut pages) = LocalPages::open(shared, version, &selection).await {
        while let Ok(Some(wanted)) = pages.next().await {
            let (store, root) = (shared.store.clone(), place.root_id());
            let count = move || count(&store, root, &wanted);
            let (here, not) = tokio::task::spawn_blocking(count)
                .await
                .map_err(|_| FetchError::Stopped)??;
            shards += here;
            stale += not;
        }
    }
    let (path, kind) = (place.root.clone(), place.kind.as_str().to_owned());
    Ok(PlaceInfo {
        path,
        kind,
        pinned: place.pinned,
        shards,
        stale,
    })
}

/// How many of these files are in a folder as they were, and how many are known not to be. Blocks.
fn count(store: &Store, root: RootId, wanted: &[Wanted]) -> Result<(u64, u64), StoreError> {
    let (mut shards, mut stale) = (0, 0);
    for wanted in wanted {
        let found = store.shard_find(wanted.entry.hash())?;
        let here = found
            .iter()
            .find(|here| here.root == root && here.path == *wanted.entry.path());
        match here {
            Some(here) if here.stale => stale += 1,
            Some(_) => shards += 1,
            None => {}
        }
    }
    Ok((shards, stale))
}

/// A day as `2026-11-22`, in UTC.
pub(crate) fn date(at: Timestamp) -> String {
    let at = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(at.as_secs()));
    let text = at
        .map(|at| humantime::format_rfc3339_seconds(at).to_string())
        .unwrap_or_default();
    text.split('T').next().unwrap_or_default().to_owned()
}
