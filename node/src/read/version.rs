//! One version for readers: its files, and the task that fetches what is not here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use libp2p::PeerId;
use opendag_protocol::{
    BlobId, DatasetPath,
    table::{FileEntry, Page, PageRef, ShardIndex, TableIndex, TableTotals},
};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

use super::{Cache, FileReader, ReadFault, hope::Hope};
use crate::{fetch::on_demand::OnDemand, find, holdings::Session, node::Shared, resolve::Version};

/// How long a description is waited for: clients give up after 10 s.
const DESCRIPTION_MAX: Duration = Duration::from_secs(8);
/// Peers that are asked for a description before anybody said what it holds.
const ASKED_FIRST: usize = 8;
/// Pages that are kept decoded.
const PAGES_MAX: usize = 32;

/// A page that is here, or that one of those who want it asks for.
type PageCell = Arc<OnceCell<Arc<Page>>>;

/// A version that is being read.
#[derive(Debug)]
pub(crate) struct ReadVersion {
    shared: Arc<Shared>,
    cache: Cache,
    version: Version,
    index: OnceCell<TableIndex>,
    pages: Mutex<BTreeMap<BlobId, (Instant, PageCell)>>,
    on_demand: OnceCell<Arc<OnDemand>>,
    /// Peers that told of it.
    told: Vec<PeerId>,
    /// Whether what is waited for may come yet.
    hope: Mutex<Hope>,
}

/// What lies below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// A file.
    File(ShardIndex, FileEntry),
    /// What several paths begin with, the delimiter included.
    Prefix(String),
}

impl ReadVersion {
    /// Peers in `told` are asked first.
    pub(super) fn new(
        shared: Arc<Shared>,
        cache: Cache,
        (version, told): (Version, Vec<PeerId>),
    ) -> Self {
        Self {
            shared,
            cache,
            version,
            index: OnceCell::new(),
            pages: Mutex::default(),
            on_demand: OnceCell::new(),
            told,
            hope: Mutex::new(Hope::new(Instant::now())),
        }
    }

    /// Its records.
    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// The file at a path.
    ///
    /// # Errors
    /// [`ReadFault::NoFile`]; `NotYet` if the description does not come in time; `Failed`.
    pub(crate) async fn file(
        &self,
        path: &DatasetPath,
    ) -> Result<(ShardIndex, FileEntry), ReadFault> {
        let find = async {
            let index = self.index().await?;
            let page_ref = index.page_of_path(path).ok_or(ReadFault::NoFile)?;
            let page = self.page(page_ref).await?;
            let (shard, entry) = page.find(path).ok_or(ReadFault::NoFile)?;
            self.check(entry)?;
            Ok((shard, entry.clone()))
        };
        self.described(find).await
    }

    /// What `get` gives in the time in which clients wait, however many parts of the description it needs and
    /// whoever else asks for them before.
    async fn described<T>(
        &self,
        get: impl Future<Output = Result<T, ReadFault>>,
    ) -> Result<T, ReadFault> {
        let began = Instant::now();
        let get = timeout(DESCRIPTION_MAX, Box::pin(get)).await;
        get.unwrap_or_else(|_| {
            let waits_for = "a peer that gives the description of this version".to_owned();
            Err(self.waited(began, "the description of this version", waits_for))
        })
    }

    /// Checks that a file is not denied on this node.
    ///
    /// # Errors
    /// [`ReadFault::Denied`].
    pub(crate) fn check(&self, entry: &FileEntry) -> Result<(), ReadFault> {
        match self.shared.denial_of_blob(entry.hash()) {
            Some(denial) => Err(ReadFault::Denied(denial.to_string())),
            None => Ok(()),
        }
    }

    /// At most `limit` files whose paths begin with `prefix`, behind `after`, in the order of their bytes.
    /// With a delimiter, those that have it behind the prefix are gathered up to there.
    ///
    /// # Errors
    /// As [`ReadVersion::file`]; a prefix that no path has is no error.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, ReadFault> {
        // What was gathered ends behind all that begins with it.
        let gathered =
            delimiter.and_then(|delimiter| after.filter(|after| after.ends_with(delimiter)));
        let end = gathered.map(|gathered| format!("{gathered}\u{10ffff}"));
        let mut end = end.unwrap_or_else(|| after.unwrap_or_default().to_owned());
        let mut listed: Vec<Listed> = Vec::new();
        for page_ref in self.index().await?.pages_for(prefix) {
            if page_ref
                .next_first()
                .is_some_and(|next| *next.as_str() <= *end)
            {
                continue;
            }
            let page = self.page(page_ref).await?;
            for (shard, entry) in page.shards() {
                let Some(rest) = entry.path().as_str().strip_prefix(prefix) else {
                    continue;
                };
                let parts =
                    delimiter.and_then(|delimiter| Some((delimiter, rest.split_once(delimiter)?)));
                let found = match parts {
                    Some((delimiter, (name, _))) => {
                        Listed::Prefix(format!("{prefix}{name}{delimiter}"))
                    }
                    None => Listed::File(shard, entry.clone()),
                };
                let is_behind = after.is_none_or(|after| found.path() > after);
                if !is_behind
                    || listed
                        .last()
                        .is_some_and(|last| last.path() == found.path())
                {
                    continue;
                }
                if listed.len() == limit {
                    return Ok(listed);
                }
                if let Listed::Prefix(gathered) = &found {
                    // Pages with nothing else are not read: a folder may have millions of files.
                    end = format!("{gathered}\u{10ffff}");
                }
                listed.push(found);
            }
        }
        Ok(listed)
    }

    /// A reader of a file.
    pub(crate) fn reader(self: &Arc<Self>, shard: ShardIndex, entry: &FileEntry) -> FileReader {
        FileReader::new(self.clone(), (shard, entry.hash()), entry.size())
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Peers gave something.
    pub(super) fn moved(&self) {
        self.hope().moved(Instant::now());
    }

    /// What a reader is told that waited in vain for `what` from `began` on.
    pub(super) fn waited(&self, began: Instant, what: &str, waits_for: String) -> ReadFault {
        let ago = self.hope().missed(Instant::now(), began);
        ReadFault::waited(ago, what, waits_for)
    }

    fn hope(&self) -> MutexGuard<'_, Hope> {
        self.hope.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What fetches for readers; begins with the first who needs it.
    pub(super) async fn on_demand(&self) -> Result<&Arc<OnDemand>, ReadFault> {
        let start = async || {
            let net = self
                .shared
                .net()
                .await
                .map_err(|error| ReadFault::failed(&error))?;
            let keys = vec![self.version.id.hash(), self.version.dataset().hash()];
            let mut peers = self.told.clone();
            let known = find::connected(&net).await.into_iter();
            peers.extend(known.filter(|peer| !self.told.contains(peer)));
            peers.truncate(ASKED_FIRST);
            self.moved();
            Ok(Arc::new(OnDemand::start(
                &self.shared,
                &net,
                self.version.id,
                (keys, peers),
            )))
        };
        self.on_demand.get_or_try_init(start).await
    }

    /// The index of its table.
    pub(crate) async fn index(&self) -> Result<&TableIndex, ReadFault> {
        let get = async || {
            let fields = self.version.manifest().fields();
            let totals = TableTotals {
                files: fields.files,
                bytes: fields.bytes,
            };
            let bytes = self.blob(fields.table).await?;
            TableIndex::decode(&bytes, totals).map_err(|error| ReadFault::failed(&error))
        };
        self.described(self.index.get_or_try_init(get)).await
    }

    /// A page of its table.
    ///
    /// # Errors
    /// As [`ReadVersion::file`].
    pub(crate) async fn page(&self, page_ref: &PageRef) -> Result<Arc<Page>, ReadFault> {
        let id = page_ref.page();
        let get = async || {
            let bytes = self.blob(id).await?;
            let page = Page::decode(&bytes, page_ref).map_err(|error| ReadFault::failed(&error))?;
            Ok(Arc::new(page))
        };
        // Many readers of one page are one question.
        let page = self.page_cell(id);
        let page = self.described(page.get_or_try_init(get)).await;
        page.cloned()
    }

    fn page_cell(&self, id: BlobId) -> PageCell {
        let now = Instant::now();
        let mut pages = self.pages();
        if pages.len() >= PAGES_MAX
            && !pages.contains_key(&id)
            && let Some(oldest) = pages
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(id, _)| *id)
        {
            pages.remove(&oldest);
        }
        let (used, page) = pages
            .entry(id)
            .or_insert_with(|| (now, PageCell::default()));
        *used = now;
        page.clone()
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<BlobId, (Instant, PageCell)>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of its description, from the store or from peers.
    ///
    /// # Errors
    /// [`ReadFault::NotYet`] if nobody gives it in time; `Failed`.
    pub(crate) async fn blob(&self, id: BlobId) -> Result<Vec<u8>, ReadFault> {
        let here = self.shared.store.blob(&id).await;
        if let Some(bytes) = here.map_err(|error| ReadFault::failed(&error))? {
            return Ok(bytes);
        }
        let descriptions = self.on_demand().await?.descriptions();
        let get = async {
            let bytes = descriptions.blob(id, 0).await;
            bytes.map_err(|error| ReadFault::failed(&error))
        };
        let bytes = self.described(get).await?;
        self.moved();
        Ok(bytes)
    }

    /// Gets what every reader needs, if anything of it is not here.
    pub(super) async fn prepare(&self) {
        // Who reads asks again, and is told what is missing.
        let _ = tokio::join!(self.index(), self.on_demand());
    }

    /// The running fetch of this version, if it gives what it has.
    pub(super) fn fetch(&self) -> Option<Arc<Session>> {
        self.shared.sessions.fetch_of(&self.version.id)
    }
}

impl Listed {
    /// Its path, or what paths begin with.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::File(_, entry) => entry.path().as_str(),
            Self::Prefix(prefix) => prefix,
        }
    }
}
