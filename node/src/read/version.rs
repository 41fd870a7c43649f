//! One version for readers: its files, and the task that fetches what is not here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opendag_protocol::{
    BlobId, DatasetPath,
    table::{FileEntry, Page, PageRef, ShardIndex, TableIndex, TableTotals},
};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout_at},
};

use super::{Cache, FileReader, ReadFault};
use crate::{
    fetch::{on_demand::OnDemand, table},
    node::Shared,
    resolve::Version,
};

/// How long a description is waited for: clients give up after 10 s.
const DESCRIPTION_MAX: Duration = Duration::from_secs(8);
/// A peer that gave no description is asked again after this.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Clients are told to come again for so long after peers gave anything; then that nobody has it.
const HOPE: Duration = Duration::from_secs(60);
/// Pages that are kept decoded.
const PAGES_MAX: usize = 32;

/// A version that is being read.
#[derive(Debug)]
pub(crate) struct ReadVersion {
    shared: Arc<Shared>,
    cache: Cache,
    version: Version,
    index: OnceCell<TableIndex>,
    pages: Mutex<BTreeMap<BlobId, (Instant, Arc<Page>)>>,
    on_demand: OnceCell<Arc<OnDemand>>,
    /// Held by the one who asks peers for a page: many readers of one page are one question.
    asking: tokio::sync::Mutex<()>,
    /// When peers gave something last.
    moved: Mutex<Instant>,
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
    pub(super) fn new(shared: Arc<Shared>, cache: Cache, version: Version) -> Self {
        Self {
            shared,
            cache,
            version,
            index: OnceCell::new(),
            pages: Mutex::default(),
            on_demand: OnceCell::new(),
            asking: tokio::sync::Mutex::default(),
            moved: Mutex::new(Instant::now()),
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
        let index = self.index().await?;
        let page_ref = index.page_of_path(path).ok_or(ReadFault::NoFile)?;
        let page = self.page(page_ref).await?;
        let (shard, entry) = page.find(path).ok_or(ReadFault::NoFile)?;
        Ok((shard, entry.clone()))
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
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// What a reader is told that waited in vain for `what`.
    pub(super) fn waited(&self, what: &str, waits_for: String) -> ReadFault {
        let moved = *self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = moved.elapsed();
        if waited < HOPE {
            return ReadFault::NotYet { waits_for };
        }
        let what = what.to_owned();
        ReadFault::Nobody {
            what,
            waits_for,
            waited,
        }
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
            self.moved();
            Ok(Arc::new(OnDemand::start(
                &self.shared,
                &net,
                self.version.id,
                keys,
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
        self.index.get_or_try_init(get).await
    }

    /// A page of its table.
    ///
    /// # Errors
    /// As [`ReadVersion::file`].
    pub(crate) async fn page(&self, page_ref: &PageRef) -> Result<Arc<Page>, ReadFault> {
        let (id, now) = (page_ref.page(), Instant::now());
        if let Some(page) = self.page_at_hand(id) {
            return Ok(page);
        }
        let _one = self.asking.lock().await;
        if let Some(page) = self.page_at_hand(id) {
            return Ok(page);
        }
        let bytes = self.blob(id).await?;
        let page = Page::decode(&bytes, page_ref).map_err(|error| ReadFault::failed(&error))?;
        let page = Arc::new(page);
        let mut pages = self.pages();
        if pages.len() >= PAGES_MAX
            && let Some(oldest) = pages
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(id, _)| *id)
        {
            pages.remove(&oldest);
        }
        pages.insert(id, (now, page.clone()));
        Ok(page)
    }

    fn page_at_hand(&self, id: BlobId) -> Option<Arc<Page>> {
        let mut pages = self.pages();
        let (used, page) = pages.get_mut(&id)?;
        *used = Instant::now();
        Some(page.clone())
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, BTreeMap<BlobId, (Instant, Arc<Page>)>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of its description, from the store or from peers.
    ///
    /// # Errors
    /// [`ReadFault::NotYet`] if nobody gives it in time; `Failed`.
    pub(crate) async fn blob(&self, id: BlobId) -> Result<Vec<u8>, ReadFault> {
        let store = &self.shared.store;
        let here = async || {
            store
                .blob(&id)
                .await
                .map_err(|error| ReadFault::failed(&error))
        };
        if let Some(bytes) = here().await? {
            return Ok(bytes.to_vec());
        }
        let deadline = Instant::now() + DESCRIPTION_MAX;
        let net = self
            .shared
            .net()
            .await
            .map_err(|error| ReadFault::failed(&error))?;
        let mut outlook = self.on_demand().await?.outlook();
        let mut asked = Vec::new();
        loop {
            let peers = outlook.borrow_and_update().peers.clone();
            for peer in peers
                .into_iter()
                .filter(|peer| !asked.contains(peer))
                .collect::<Vec<_>>()
            {
                asked.push(peer);
                let get = table::get(&self.shared, &net, peer, id);
                if timeout_at(deadline, get).await == Ok(true)
                    && let Some(bytes) = here().await?
                {
                    return Ok(bytes.to_vec());
                }
            }
            // A peer that was busy may not be so any more.
            let again = deadline.min(Instant::now() + ASK_AGAIN);
            let changed = timeout_at(again, outlook.changed()).await;
            if changed.is_err() {
                asked.clear();
            }
            // Without its task nothing comes any more.
            if Instant::now() >= deadline || matches!(changed, Ok(Err(_))) {
                let waits_for = "a peer that gives the description of this version".to_owned();
                return Err(self.waited("the description of this version", waits_for));
            }
        }
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
