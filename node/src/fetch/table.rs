//! Getting the file table of a version: from the store, or from peers of its swarm.

mod asked;
mod patience;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use libp2p::PeerId;
use opendag_protocol::{
    BlobId,
    record::ManifestFields,
    table::{FileEntry, Page, PageRef, ShardIndex, TableChecker, TableIndex, TableTotals},
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use self::{
    asked::Asked,
    patience::{Due, LATE, Patience},
};
use super::{
    FetchError,
    swarm::{News, Swarm},
    until,
};
use crate::{
    find::Finder,
    net::Net,
    node::Shared,
    resolve::{Version, Wish},
    selection::Selection,
    store::{Store, StoreError},
};

/// Pages that are got at once: about 2 MiB, a round trip's worth on most links.
const PAGES_AT_ONCE: usize = 8;
/// When another peer is asked as well for a description that a reader waits for,
const READER_LATE: Duration = Duration::from_millis(250);
/// and how many are asked for it at once.
const READER_AT_ONCE: usize = 3;
/// News of the swarm that are kept while the table is got; the rest waits in the swarm's queue.
const NEWS_KEPT_MAX: usize = 4096;

/// A file that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Its number in the version.
    pub(crate) shard: ShardIndex,
    /// Its entry in the table.
    pub(crate) entry: FileEntry,
}

/// Gets descriptions: from the store, then from whoever told of the version, then from the peers of its swarm.
pub(crate) struct Describe {
    source: Source,
    peers: watch::Sender<Vec<PeerId>>,
    pub(super) swarm: Swarm,
    /// What the swarm told meanwhile: for the fetch.
    pub(super) news: Vec<News>,
    /// Peers of the swarm that hold something.
    pub(super) joined: Vec<PeerId>,
}

impl Describe {
    /// Joins the swarm of a version.
    pub(crate) fn join(shared: &Arc<Shared>, net: &Net, version: &Version, wish: &Wish) -> Self {
        let keys = vec![version.id.hash(), version.dataset().hash()];
        let finder = Finder::start(net.clone(), keys, wish.hints.clone());
        let swarm = Swarm::start(shared, net, version.id, finder);
        let (peers, known) = watch::channel(Vec::new());
        Self {
            source: Source {
                shared: shared.clone(),
                net: net.clone(),
                peers: known,
                added: Arc::default(),
                late: LATE,
                at_once: 2,
                received: Arc::default(),
            },
            peers,
            swarm,
            news: Vec::new(),
            joined: Vec::new(),
        }
    }

    /// Asks these before anybody of the swarm has said what it holds.
    pub(super) fn try_first(&self, peers: &[PeerId]) {
        self.peers.send_replace(peers.to_vec());
    }

    /// The wanted files of a version. Waits for peers as long as some part is missing: the caller
    /// has a deadline.
    pub(crate) async fn wanted(
        &mut self,
        version: &Version,
        selection: &Selection,
    ) -> Result<Vec<Wanted>, FetchError> {
        let source = self.source.clone();
        let fields = version.manifest().fields();
        self.noting(source.wanted(fields, selection)).await
    }

    /// The index of a version's table. Waits as [`Describe::wanted`] does.
    pub(crate) async fn index(&mut self, version: &Version) -> Result<TableIndex, FetchError> {
        let source = self.source.clone();
        let fields = version.manifest().fields();
        self.noting(source.index(fields)).await
    }

    /// The entries of some pages, in order. Waits as [`Describe::wanted`] does.
    pub(crate) async fn entries(
        &mut self,
        pages: &[&PageRef],
    ) -> Result<Vec<FileEntry>, FetchError> {
        let source = self.source.clone();
        let all = Selection::new(&[], &[])?;
        let wanted = self.noting(source.files(pages, &all)).await?;
        Ok(wanted.into_iter().map(|wanted| wanted.entry).collect())
    }

    /// Bytes of descriptions that came from peers.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.source.received.load(Ordering::Relaxed)
    }

    /// Does some work while the swarm's news are noted.
    async fn noting<T>(
        &mut self,
        work: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                news = self.swarm.next(), if self.news.len() < NEWS_KEPT_MAX => self.note(news)?,
            }
        }
    }

    /// Makes durable what was got.
    pub(super) fn keep(&self) -> JoinHandle<Result<(), StoreError>> {
        let source = self.source.clone();
        tokio::spawn(async move {
            if source.added.load(Ordering::Relaxed) {
                source.shared.store.sync_blobs().await?;
            }
            Ok(())
        })
    }

    /// Waits until some peer of the swarm answered: the caller has a deadline.
    pub(super) async fn some_peer(&mut self) -> Result<(), FetchError> {
        while self.joined.is_empty() {
            let news = self.swarm.next().await;
            self.note(news)?;
        }
        Ok(())
    }

    fn note(&mut self, news: Option<News>) -> Result<(), FetchError> {
        let news = news.ok_or(FetchError::Cancelled)?;
        news.note_describers(&self.peers);
        match &news {
            News::Joined(peer) => self.joined.push(*peer),
            News::Left(peer) => self.joined.retain(|known| known != peer),
            News::Nothing(_) | News::Complete(_) | News::Shards { .. } | News::Partial { .. } => {}
        }
        if self.news.len() < NEWS_KEPT_MAX {
            self.news.push(news);
        }
        Ok(())
    }
}

/// Where descriptions come from.
#[derive(Clone)]
pub(crate) struct Source {
    shared: Arc<Shared>,
    net: Net,
    peers: watch::Receiver<Vec<PeerId>>,
    /// Was anything kept that is not durable yet?
    added: Arc<AtomicBool>,
    /// When another peer is asked as well,
    late: Duration,
    /// and how many at once at most.
    at_once: usize,
    /// Bytes that came from peers.
    received: Arc<AtomicU64>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// For who waits for an answer: other peers are asked soon as well.
    pub(crate) fn for_readers(
        shared: &Arc<Shared>,
        net: &Net,
        peers: watch::Receiver<Vec<PeerId>>,
    ) -> Self {
        Self {
            shared: shared.clone(),
            net: net.clone(),
            peers,
            added: Arc::default(),
            late: READER_LATE,
            at_once: READER_AT_ONCE,
            received: Arc::default(),
        }
    }

    async fn wanted(
        &self,
        fields: &ManifestFields,
        selection: &Selection,
    ) -> Result<Vec<Wanted>, FetchError> {
        let card = async {
            match fields.card {
                Some(card) => self.clone().blob(card, 0).await.map(drop),
                None => Ok(()),
            }
        };
        let table = async {
            let index = self.index(fields).await?;
            self.files(&selection.pages(&index), selection).await
        };
        Ok(tokio::try_join!(table, card)?.0)
    }

    async fn index(&self, fields: &ManifestFields) -> Result<TableIndex, FetchError> {
        decode_index(fields, &self.clone().blob(fields.table, 0).await?)
    }

    async fn files(
        &self,
        pages: &[&PageRef],
        selection: &Selection,
    ) -> Result<Vec<Wanted>, FetchError> {
        let ids: Vec<(usize, BlobId)> = pages.iter().map(|page| page.page()).enumerate().collect();
        let source = self.clone();
        let get = move |(turn, id)| source.clone().blob(id, turn);
        let mut got = pin!(stream::iter(ids).map(get).buffered(PAGES_AT_ONCE));
        let mut checker = TableChecker::new();
        let mut wanted = Vec::new();
        for page_ref in pages {
            let Some(page) = got.next().await else { break };
            let page = Page::decode(&page?, page_ref).map_err(FetchError::Page)?;
            checker.push(&page).map_err(FetchError::Siblings)?;
            wanted.extend(selected(&page, selection));
        }
        Ok(wanted)
    }

    /// A description, kept in the store, durable or not. One peer after the other is asked, and others too when an
    /// answer takes long; `turn` says with whom to begin. Waits for peers: the caller has a deadline.
    pub(crate) async fn blob(mut self, id: BlobId, turn: usize) -> Result<Vec<u8>, FetchError> {
        if let Some(bytes) = self.shared.store.blob(&id).await? {
            return Ok(bytes);
        }
        let mut asked = Asked::new(self.net.clone(), id);
        // How many others are to be asked, as soon as they are told of.
        let mut more: usize = 0;
        let mut patience = Patience::new(Instant::now(), self.late, self.at_once);
        loop {
            while (more > 0 || asked.open() == 0)
                && let Some(peer) = self.next(&asked, turn)
            {
                asked.ask(peer);
                more = more.saturating_sub(1);
                patience.begin(Instant::now());
            }
            // Others may be told of at any time, but not for ever: those that are asked may fail.
            let is_set = more == 0 || asked.open() == 0;
            let deadline = patience.deadline(asked.open()).filter(|_| is_set);
            tokio::select! {
                Some((peer, answer)) = asked.answer() => match answer {
                    Ok(bytes) => {
                        self.net.note_useful(peer);
                        self.added.store(true, Ordering::Relaxed);
                        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                        self.received.fetch_add(len, Ordering::Relaxed);
                        self.shared.store.add_blob(bytes.clone()).await?;
                        return Ok(bytes);
                    }
                    Err(error) => {
                        tracing::debug!(%peer, blob = %id, %error, "a peer gave no description");
                    }
                },
                changed = self.peers.changed() => {
                    changed.map_err(|_| FetchError::Cancelled)?;
                    asked.keep(&self.peers.borrow_and_update());
                }
                () = until(deadline) => {
                    match patience.due(Instant::now(), asked.open(), asked.received()) {
                        Due::More(count) => more = count,
                        Due::Again => asked.forget(),
                        Due::Nothing => {}
                    }
                }
            }
        }
    }

    /// Whom to ask next: of those that were useful before, else of all, whose turn it is.
    fn next(&self, asked: &Asked, turn: usize) -> Option<PeerId> {
        let peers = self.peers.borrow();
        let (useful, others): (Vec<PeerId>, Vec<PeerId>) = peers
            .iter()
            .partition(|peer| self.net.useful_at(peer).is_some());
        [useful, others].iter().find_map(|peers| {
            let from = turn.checked_rem(peers.len()).unwrap_or(0);
            let mut turns = peers.iter().cycle().skip(from).take(peers.len());
            turns.find(|peer| !asked.contains(peer)).copied()
        })
    }
}

/// The files of a version whose table is here.
pub(crate) async fn local(
    shared: &Shared,
    version: &Version,
    selection: &Selection,
) -> Result<Vec<Wanted>, FetchError> {
    let mut pages = LocalPages::open(shared, version, selection).await?;
    let mut wanted = Vec::new();
    while let Some(page) = pages.next().await? {
        wanted.extend(page);
    }
    Ok(wanted)
}

/// The index of a version's table, if it is here.
pub(crate) async fn local_index(
    shared: &Shared,
    version: &Version,
) -> Result<TableIndex, FetchError> {
    let fields = version.manifest().fields();
    decode_index(fields, &here(&shared.store, fields.table).await?)
}

/// The entries of some pages, in order, if those are here.
pub(crate) async fn local_entries(
    shared: &Shared,
    pages: &[&PageRef],
) -> Result<Vec<FileEntry>, FetchError> {
    let mut entries = Vec::new();
    for page_ref in pages {
        let page = here(&shared.store, page_ref.page()).await?;
        let page = Page::decode(&page, page_ref).map_err(FetchError::Page)?;
        entries.extend(page.shards().map(|(_, entry)| entry.without_remarks()));
    }
    Ok(entries)
}

/// The files of a version whose table is here, page by page: a million at once take 250 MB.
pub(crate) struct LocalPages<'a> {
    store: &'a Store,
    selection: &'a Selection,
    pages: std::vec::IntoIter<PageRef>,
}

impl<'a> LocalPages<'a> {
    /// Begins at the first page that can hold a wanted file.
    pub(crate) async fn open(
        shared: &'a Shared,
        version: &Version,
        selection: &'a Selection,
    ) -> Result<Self, FetchError> {
        let store = &shared.store;
        let fields = version.manifest().fields();
        let index = decode_index(fields, &here(store, fields.table).await?)?;
        let pages: Vec<_> = selection.pages(&index).into_iter().cloned().collect();
        Ok(Self {
            store,
            selection,
            pages: pages.into_iter(),
        })
    }

    /// The wanted files of the next page; `None` behind the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Wanted>>, FetchError> {
        let Some(page_ref) = self.pages.next() else {
            return Ok(None);
        };
        let page = here(self.store, page_ref.page()).await?;
        let page = Page::decode(&page, &page_ref).map_err(FetchError::Page)?;
        Ok(Some(selected(&page, self.selection).collect()))
    }
}

async fn here(store: &Store, id: BlobId) -> Result<Vec<u8>, FetchError> {
    let found = store.blob(&id).await?;
    found.ok_or(FetchError::NoDescription { blob: id })
}

fn decode_index(fields: &ManifestFields, bytes: &[u8]) -> Result<TableIndex, FetchError> {
    let totals = TableTotals {
        files: fields.files,
        bytes: fields.bytes,
    };
    TableIndex::decode(bytes, totals).map_err(FetchError::Index)
}

fn selected<'a>(page: &'a Page, selection: &'a Selection) -> impl Iterator<Item = Wanted> + 'a {
    let wants = |(_, entry): &(ShardIndex, &FileEntry)| selection.wants(entry.path());
    page.shards().filter(wants).map(|(shard, entry)| Wanted {
        shard,
        entry: entry.without_remarks(),
    })
}
