//! `search`: datasets that this node knows of, by words and facets.
//!
//! The query is parsed by [`opendag_protocol::search`], found by the [`Index`], and told with what the records
//! say. Nothing is asked of the network.

mod describe;
mod entry;
mod index;
mod keeper;
mod why;
mod words;

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
    time::Duration,
};

use opendag_protocol::{
    http::alias::Alias,
    key::PublicKey,
    search::{Facet, Query, QueryError},
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

pub use self::{
    entry::Entry,
    index::{Hit, Index, IndexError, Writer},
};
use self::{
    keeper::{Ask, Committed, KeeperError},
    why::Words,
};
use crate::{
    fault::{Fault, with_causes},
    node::Shared,
    ops::{Event, FoundInfo, SearchRequest},
    report::Reporter,
    resolve::{self, ResolveError, now},
    store::{DataDirError, StoreError, lock},
};

/// Hits, unless the user says.
const LIMIT: u64 = 20;
/// Hits of one search: what a person or a page can use.
pub(crate) const LIMIT_MAX: u64 = 1000;
/// Hits that can be skipped: the index gathers them all.
pub(crate) const OFFSET_MAX: u64 = 10_000;
/// So long a search waits for the index to have all that is known; then it takes what is there.
const CURRENT_WITHIN: Duration = Duration::from_secs(10);
/// Searches at once: each may keep a core busy.
const SEARCHES_AT_ONCE: usize = 2;
/// Searches that wait for the keeper of the index.
const ASKS_MAX: usize = 64;

/// Why nothing could be searched for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    /// The query does not parse.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A publisher that is neither a key nor an alias.
    #[error(
        "publisher: \"{0}\" is neither the public key of a publisher nor an alias; see: opendag alias list"
    )]
    Publisher(String),
    /// More hits than are given at once.
    #[error(
        "a search gives at most {LIMIT_MAX} hits, behind at most {OFFSET_MAX}; say more of what is looked for"
    )]
    TooFar,
    /// The index was never built, and is not ready yet.
    #[error("the search index is still being built; try again in some seconds")]
    NotReady,
    /// The index fails.
    #[error("{0}")]
    Index(String),
    /// Aliases cannot be read.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The records of a hit cannot be read.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SearchError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Query(_) | Self::Publisher(_) | Self::TooFar => Fault::Input,
            Self::Resolve(error) => error.fault(),
            Self::NotReady | Self::Index(_) | Self::DataDir(_) | Self::Store(_) => Fault::Local,
        }
    }
}

/// The search of a node. Its index is opened by whoever needs it first, beside the start of a daemon.
#[derive(Debug)]
pub(crate) struct Search {
    asks: OnceLock<mpsc::Sender<Ask>>,
    committed: Committed,
    slots: Semaphore,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            asks: OnceLock::new(),
            committed: Committed::default(),
            slots: Semaphore::new(SEARCHES_AT_ONCE),
        }
    }
}

impl Search {
    /// Lets the index follow the catalogue from now on.
    pub(crate) fn start(&self, shared: &Shared) {
        self.keeper(shared);
    }

    fn keeper(&self, shared: &Shared) -> &mpsc::Sender<Ask> {
        self.asks.get_or_init(|| {
            let (sender, asks) = mpsc::channel(ASKS_MAX);
            let (store, committed) = (shared.store.clone(), self.committed.clone());
            let stop = shared.stop.clone();
            shared
                .tasks
                .spawn(keeper::run(store, committed, asks, stop));
            sender
        })
    }

    async fn ask(
        &self,
        shared: &Shared,
        ask: impl FnOnce(oneshot::Sender<Result<Index, Arc<KeeperError>>>) -> Ask,
    ) -> Result<Index, SearchError> {
        let (answer, answered) = oneshot::channel();
        let stopped = || SearchError::Index(KeeperError::Stopped.to_string());
        let keeper = self.keeper(shared);
        keeper.send(ask(answer)).await.map_err(|_| stopped())?;
        let index = answered.await.map_err(|_| stopped())?;
        index.map_err(|error| SearchError::Index(with_causes(&*error)))
    }

    /// Builds the index anew from the records.
    pub(crate) async fn rebuild(&self, shared: &Shared) -> Result<u64, SearchError> {
        let index = self.ask(shared, Ask::Anew).await?;
        Ok(index.datasets())
    }

    /// Looks in the index, in its turn.
    async fn look(
        &self,
        index: Index,
        query: &Query,
        range: Range<usize>,
    ) -> Result<Vec<Hit>, SearchError> {
        // It is never closed.
        let _slot = self.slots.acquire().await;
        let query = query.clone();
        let look = move || index.search(&query, range, now().as_secs());
        tokio::task::spawn_blocking(look)
            .await
            .map_err(|_| SearchError::Index(KeeperError::Panicked.to_string()))?
            .map_err(|error| SearchError::Index(with_causes(&error)))
    }

    /// The index with all that is known now, or, when that takes long, with what it has.
    async fn index(&self, shared: &Shared, report: &Reporter) -> Result<Index, SearchError> {
        match timeout(CURRENT_WITHIN, self.ask(shared, Ask::Current)).await {
            Ok(index) => index,
            Err(_) => {
                let index = lock(&self.committed).clone().ok_or(SearchError::NotReady)?;
                let message = "The search index does not have all datasets yet that are known here; search \
                               again later for more.";
                report.warn(message).await;
                Ok(index)
            }
        }
    }
}

/// Searches.
pub(crate) async fn search(
    shared: &Arc<Shared>,
    request: &SearchRequest,
    report: &Reporter,
) -> Result<Event, SearchError> {
    let mut query: Query = request.query.parse()?;
    query.replace(Facet::Publisher, |text| publisher(shared, text))?;
    let (limit, offset) = (request.limit.unwrap_or(LIMIT), request.offset);
    if limit > LIMIT_MAX || offset > OFFSET_MAX {
        return Err(SearchError::TooFar);
    }
    let index = shared.search.index(shared, report).await?;
    let within = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let (first, end) = (within(offset), within(offset.saturating_add(limit)));
    // One more tells whether there are more.
    let range = first..end.saturating_add(1);
    let found = shared.search.look(index, &query, range.clone()).await;
    let mut hits = match found {
        Ok(hits) => hits,
        // Some kinds of damage only show when they are stumbled upon.
        Err(error) => {
            tracing::warn!(%error, "the search index is built anew");
            let index = shared.search.ask(shared, Ask::Anew).await?;
            shared.search.look(index, &query, range).await?
        }
    };
    let more = hits.len() > within(limit);
    hits.truncate(within(limit));
    let words = Words::of(&query);
    let mut told = 0;
    for (hit, rank) in hits.into_iter().zip(offset.saturating_add(1)..) {
        if let Some(found) = info(shared, &hit, &words, rank).await? {
            report.send(Event::Found(Box::new(found))).await;
            told += 1;
        }
    }
    Ok(Event::Searched { hits: told, more })
}

/// The key that a publisher is meant by.
fn publisher(shared: &Shared, text: &str) -> Result<String, SearchError> {
    let unknown = || SearchError::Publisher(text.chars().take(64).collect());
    if let Ok(key) = text.parse::<PublicKey>() {
        return Ok(key.to_string());
    }
    let alias: Alias = text.parse().map_err(|_| unknown())?;
    let all = shared.data_dir.aliases().all()?;
    let found = all.iter().find(|(name, _)| **name == alias);
    found.map(|(_, key)| key.to_string()).ok_or_else(unknown)
}

/// What is told of a hit; `None` if it is not known any more, or denied on this node.
async fn info(
    shared: &Shared,
    hit: &Hit,
    words: &Words,
    rank: u64,
) -> Result<Option<FoundInfo>, SearchError> {
    let state = shared.store.dataset(&hit.dataset)?;
    let Some(newest) = state.and_then(|state| state.newest_manifest()) else {
        return Ok(None);
    };
    let version = resolve::version(shared, newest)?;
    let Some(version) = version.filter(|version| shared.denial(version).is_none()) else {
        return Ok(None);
    };
    let here = !shared.store.places_of(&newest)?.is_empty();
    let (card, paths) = if here {
        describe::describe(&shared.store, version.manifest()).await?
    } else {
        (None, Vec::new())
    };
    let fields = version.manifest().fields();
    let name = version.name();
    let owners = &version.state.owners().current().fields().owners;
    let mut matched = Vec::new();
    let mut note = |place: &str, is: bool| {
        if is {
            matched.push(place.to_owned());
        }
    };
    let is_in = |text: &Option<String>| text.as_deref().is_some_and(|text| words.are_in(text));
    let path = paths.iter().find(|path| words.are_in(path));
    note("name", words.are_in(&name));
    note("title", is_in(&fields.title));
    note("tags", fields.tags.iter().any(|tag| words.are_in(tag)));
    note("description", is_in(&fields.description));
    note("card", is_in(&card));
    note("path", path.is_some());
    let around = |text: &Option<String>| text.as_deref().and_then(|text| words.around(text));
    let snippet = around(&fields.description)
        .or_else(|| around(&card))
        .or_else(|| path.and_then(|path| words.around(path)));
    Ok(Some(FoundInfo {
        rank,
        score: hit.score,
        dataset: hit.dataset,
        manifest: newest,
        name,
        sequence: fields.sequence,
        label: fields.label.clone(),
        title: fields.title.clone(),
        license: fields.license.clone(),
        languages: fields.languages.clone(),
        tags: fields.tags.clone(),
        updated: fields.created_at,
        files: fields.files,
        bytes: fields.bytes,
        owners: owners.iter().map(ToString::to_string).collect(),
        here,
        matched,
        snippet,
    }))
}
