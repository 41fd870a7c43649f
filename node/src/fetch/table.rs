//! Getting the file table of a version: from the store, or from peers of its swarm.

use std::sync::Arc;

use libp2p::PeerId;
use opendag_protocol::{
    BlobId,
    record::ManifestFields,
    table::{FileEntry, Page, PageRef, ShardIndex, TableChecker, TableIndex, TableTotals},
};
use tokio::task::JoinSet;

use super::{
    FetchError,
    swarm::{News, Swarm},
};
use crate::{
    ask,
    find::Finder,
    net::Net,
    node::Shared,
    resolve::{Version, Wish},
    selection::Selection,
};

/// Pages that are got at once.
const PAGES_AT_ONCE: usize = 4;
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

/// Where descriptions come from: the store, then the peers of a swarm.
pub(crate) struct Describe {
    shared: Arc<Shared>,
    net: Net,
    pub(super) swarm: Swarm,
    /// What the swarm told meanwhile: for the fetch.
    pub(super) news: Vec<News>,
    pub(super) peers: Vec<PeerId>,
}

impl Describe {
    /// Joins the swarm of a version.
    pub(crate) fn join(shared: &Arc<Shared>, net: &Net, version: &Version, wish: &Wish) -> Self {
        let keys = vec![version.id.hash(), version.dataset().hash()];
        let finder = Finder::start(net.clone(), keys, wish.hints.clone());
        let swarm = Swarm::start(shared, net, version.id, finder);
        Self {
            shared: shared.clone(),
            net: net.clone(),
            swarm,
            news: Vec::new(),
            peers: Vec::new(),
        }
    }

    /// The wanted files of a version. Waits for peers as long as some part is missing: the caller
    /// has a deadline.
    pub(crate) async fn wanted(
        &mut self,
        version: &Version,
        selection: &Selection,
    ) -> Result<Vec<Wanted>, FetchError> {
        let fields = version.manifest().fields();
        let index = decode_index(fields, &self.blob(fields.table).await?)?;
        if let Some(card) = fields.card {
            self.blob(card).await?;
        }
        let mut checker = TableChecker::new();
        let mut wanted = Vec::new();
        for pages in selection.pages(&index).chunks(PAGES_AT_ONCE) {
            self.prefetch(pages).await;
            for page_ref in pages {
                let page = self.blob(page_ref.page()).await?;
                let page = Page::decode(&page, page_ref).map_err(FetchError::Page)?;
                checker.push(&page).map_err(FetchError::Siblings)?;
                wanted.extend(selected(&page, selection));
            }
        }
        Ok(wanted)
    }

    /// Gets some pages side by side; what fails is got again one by one.
    async fn prefetch(&self, pages: &[&PageRef]) {
        let mut gets = JoinSet::new();
        for (page, peer) in pages.iter().zip(self.peers.iter().cycle()) {
            let (shared, net, id, peer) =
                (self.shared.clone(), self.net.clone(), page.page(), *peer);
            gets.spawn(async move { get(&shared, &net, peer, id).await });
        }
        while gets.join_next().await.is_some() {}
    }

    async fn blob(&mut self, id: BlobId) -> Result<Vec<u8>, FetchError> {
        if let Some(bytes) = self.shared.store.blob(&id).await? {
            return Ok(bytes.to_vec());
        }
        loop {
            for peer in self.peers.clone() {
                if get(&self.shared, &self.net, peer, id).await
                    && let Some(bytes) = self.shared.store.blob(&id).await?
                {
                    return Ok(bytes.to_vec());
                }
            }
            self.more_peers().await?;
        }
    }

    /// Waits until some peer answered: the caller has a deadline.
    pub(super) async fn some_peer(&mut self) -> Result<(), FetchError> {
        while self.peers.is_empty() {
            self.more_peers().await?;
        }
        Ok(())
    }

    /// Waits until the swarm says something more.
    async fn more_peers(&mut self) -> Result<(), FetchError> {
        let Some(news) = self.swarm.next().await else {
            return Err(FetchError::Cancelled);
        };
        match &news {
            News::Joined(peer) => self.peers.push(*peer),
            News::Left(peer) => self.peers.retain(|known| known != peer),
            News::Nothing(_) | News::Complete(_) | News::Shards { .. } | News::Partial { .. } => {}
        }
        if self.news.len() < NEWS_KEPT_MAX {
            self.news.push(news);
        }
        Ok(())
    }
}

/// Gets a description from a peer into the store, if it is not there.
pub(crate) async fn get(shared: &Shared, net: &Net, peer: PeerId, id: BlobId) -> bool {
    if matches!(shared.store.blob(&id).await, Ok(Some(_))) {
        return true;
    }
    let got = match ask::blob(net, peer, id).await {
        Ok(bytes) => shared
            .store
            .put_blob(bytes)
            .await
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = &got {
        tracing::debug!(%peer, blob = %id, %error, "a peer gave no description");
    }
    got.is_ok()
}

/// The files of a version whose table is here.
pub(crate) async fn local(
    shared: &Shared,
    version: &Version,
    selection: &Selection,
) -> Result<Vec<Wanted>, FetchError> {
    let fields = version.manifest().fields();
    let here = async |id: BlobId| {
        let found = shared.store.blob(&id).await?;
        found.ok_or(FetchError::NoDescription { blob: id })
    };
    let index = decode_index(fields, &here(fields.table).await?)?;
    let mut wanted = Vec::new();
    for page_ref in selection.pages(&index) {
        let page = here(page_ref.page()).await?;
        let page = Page::decode(&page, page_ref).map_err(FetchError::Page)?;
        wanted.extend(selected(&page, selection));
    }
    Ok(wanted)
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
