//! Reading one file from front to back: what is here at once, the rest as it comes, some of it ahead.
//!
//! Each step looks where the next bytes are: on this node, with a running fetch of the version, or with
//! peers, by way of the cache.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use futures::{Stream, stream};
use opendag_protocol::{Hash, limits::CHUNK_GROUP_BYTES, table::ShardIndex, wire::GroupRange};
use tokio::time::{Instant, timeout_at};

use super::{
    CachedFile, ReadFault, ReadVersion,
    cache::Interest,
    joined::{Joined, Outcome},
    window::{Ahead, Window},
};
use crate::{fetch::on_demand::OnDemand, holdings::Session, metrics::ReadFrom};

/// Bytes that are read from the disk and verified at a time, and held for a reader: many of them fit into
/// memory, and each costs little beside its verification.
const STEP_BYTES: u64 = 256 * 1024;
/// Numbers of readers, over all versions.
static READERS: AtomicU64 = AtomicU64::new(0);

/// Reads a file of a version. Dropping it ends what was fetched ahead for it.
#[derive(Debug)]
pub(crate) struct FileReader {
    version: Arc<ReadVersion>,
    shard: ShardIndex,
    hash: Hash,
    size: u64,
    source: Source,
    /// A fetch that does not bring this file.
    refused: Option<Arc<Session>>,
    ahead: Ahead,
}

/// Where the next bytes come from.
#[derive(Debug)]
enum Source {
    /// They may lie on this node.
    Here,
    /// A fetch of the version brings them.
    Fetch(Joined),
    /// Peers give them, for readers alone.
    Peers(Remote),
}

/// What a reader has of a file that is not kept here.
#[derive(Debug)]
struct Remote {
    id: u64,
    on_demand: Arc<OnDemand>,
    file: Arc<CachedFile>,
    interest: Interest,
    /// What was told last that is wanted.
    told: Option<GroupRange>,
}

/// A step of a read that goes on to `end`.
#[derive(Clone, Debug)]
struct Step {
    bytes: Range<u64>,
    groups: GroupRange,
    end: u64,
    began: Instant,
    deadline: Instant,
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.on_demand.leave(self.id);
    }
}

impl FileReader {
    pub(super) fn new(
        version: Arc<ReadVersion>,
        (shard, hash): (ShardIndex, Hash),
        size: u64,
    ) -> Self {
        Self {
            version,
            shard,
            hash,
            size,
            source: Source::Here,
            refused: None,
            ahead: Ahead::default(),
        }
    }

    /// The bytes of `range`, which lies inside the file, as they come, in pieces of any size.
    ///
    /// The first ones are waited for `first` at most, later ones for `later`; then [`ReadFault::NotYet`] or
    /// `Nobody` ends the stream.
    pub(crate) fn read(
        self,
        range: Range<u64>,
        first: Duration,
        later: Duration,
    ) -> impl Stream<Item = Result<Bytes, ReadFault>> + Send {
        stream::unfold(Some((self, range, first)), move |reading| async move {
            let (mut reader, range, patience) =
                reading.filter(|(_, range, _)| !range.is_empty())?;
            match reader.next(&range, patience).await {
                Ok(bytes) => {
                    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    let rest = range.start.saturating_add(len)..range.end;
                    Some((Ok(bytes), Some((reader, rest, later))))
                }
                Err(fault) => Some((Err(fault), None)),
            }
        })
    }

    /// The next bytes of a range, at least one.
    async fn next(&mut self, range: &Range<u64>, patience: Duration) -> Result<Bytes, ReadFault> {
        let step = Step::new(range, patience).ok_or(ReadFault::Failed)?;
        let shared = self.version.shared().clone();
        let gateway = &shared.metrics.gateway;
        let (bytes, from) = loop {
            self.turn_to_fetch(&step);
            match &mut self.source {
                Source::Here => {
                    if let Some(bytes) = self.here(step.groups).await? {
                        let bytes = step.cut(bytes)?;
                        gateway.read(ReadFrom::Store, &bytes);
                        return Ok(bytes);
                    }
                    self.source = match self.fetch() {
                        Some(fetch) => Source::Fetch(Joined::new(fetch)),
                        None => Source::Peers(self.begin(step.groups).await?),
                    };
                }
                Source::Fetch(joined) => {
                    let window = self.ahead.window(step.groups, step.bytes.start, step.end);
                    let waits = gateway.wait_unless(joined.fetch().has(self.shard, step.groups));
                    let of = (self.shard, self.hash);
                    let read = joined.read(&shared.store, of, (step.groups, window), step.deadline);
                    match read.await? {
                        Outcome::Bytes(bytes) => {
                            let at_hand = ReadFrom::Store;
                            break (step.cut(bytes)?, waits.map_or(at_hand, |_| ReadFrom::Peers));
                        }
                        Outcome::Ended => self.source = Source::Here,
                        Outcome::Refused => {
                            self.refused = Some(joined.fetch().clone());
                            self.source = Source::Peers(self.begin(step.groups).await?);
                        }
                        Outcome::TooLate => {
                            let waits_for = "the running fetch of this version".to_owned();
                            return Err(self.waited(&step, waits_for));
                        }
                    }
                }
                Source::Peers(remote) => {
                    let window = self.ahead.window(step.groups, step.bytes.start, step.end);
                    let waits = gateway.wait_unless(remote.has(&step));
                    match remote.read(self.shard, &step, window).await? {
                        Some(bytes) => {
                            break (bytes, waits.map_or(ReadFrom::Cache, |_| ReadFrom::Peers));
                        }
                        None => {
                            let waits_for = remote.on_demand.waits_for();
                            let waits_for = waits_for.unwrap_or_else(|| "peers that answer".into());
                            return Err(self.waited(&step, waits_for));
                        }
                    }
                }
            }
        };
        gateway.read(from, &bytes);
        self.version.moved();
        self.ahead.grow();
        Ok(bytes)
    }

    fn waited(&self, step: &Step, waits_for: String) -> ReadFault {
        let from = step.bytes.start;
        let what = format!("the bytes of {} from {from} on", self.hash);
        self.version.waited(step.began, &what, waits_for)
    }

    /// The running fetch of the version, unless it does not bring this file.
    fn fetch(&self) -> Option<Arc<Session>> {
        let refused = |fetch: &Arc<Session>| {
            self.refused
                .as_ref()
                .is_some_and(|refused| Arc::ptr_eq(refused, fetch))
        };
        self.version.fetch().filter(|fetch| !refused(fetch))
    }

    /// A fetch that began after this reader brings what the cache does not have.
    fn turn_to_fetch(&mut self, step: &Step) {
        if let Source::Peers(remote) = &self.source
            && let Some(fetch) = self.fetch()
            && !remote.has(step)
        {
            self.source = Source::Fetch(Joined::new(fetch));
        }
    }

    /// Reads what lies on this node; `None` if it does not, or not unchanged.
    async fn here(&self, groups: GroupRange) -> Result<Option<Vec<u8>>, ReadFault> {
        let (store, hash) = (self.version.shared().store.clone(), self.hash);
        let read = tokio::task::spawn_blocking(move || {
            let is_here = store.has_shard(hash).unwrap_or(false);
            is_here
                .then(|| store.read_verified(hash, groups).ok())
                .flatten()
        });
        read.await.map_err(|error| ReadFault::failed(&error))
    }

    /// Begins to read what does not lie here.
    async fn begin(&self, groups: GroupRange) -> Result<Remote, ReadFault> {
        let (cache, hash, size) = (self.version.cache().clone(), self.hash, self.size);
        let opened = tokio::task::spawn_blocking(move || cache.open(hash, size));
        let file = opened
            .await
            .map_err(|error| ReadFault::failed(&error))?
            .map_err(|error| ReadFault::failed(&error))?;
        let on_demand = self.version.on_demand().await?.clone();
        Ok(Remote {
            id: READERS.fetch_add(1, Ordering::Relaxed),
            on_demand,
            interest: file.interest(groups),
            told: None,
            file,
        })
    }
}

impl Remote {
    /// Can a step be read at once?
    fn has(&self, step: &Step) -> bool {
        self.file.fresh(&step.bytes).is_some() || self.file.has(step.groups)
    }

    /// Waits for a step, with the rest of the window on its way; `None`: it did not come in time.
    async fn read(
        &mut self,
        shard: ShardIndex,
        step: &Step,
        window: Window,
    ) -> Result<Option<Bytes>, ReadFault> {
        let mut changed = self.file.watch();
        loop {
            self.want(shard, window).await;
            changed.mark_unchanged();
            // What came just now needs no disk, and may reach further than the step.
            if let Some(bytes) = self.file.fresh(&(step.bytes.start..step.end)) {
                return Ok(Some(bytes));
            }
            if self.file.has(step.groups) {
                let (file, groups) = (self.file.clone(), step.groups);
                let read = tokio::task::spawn_blocking(move || file.read(groups));
                match read.await.map_err(|error| ReadFault::failed(&error))? {
                    Ok(bytes) => return step.cut(bytes).map(Some),
                    // Freed or changed in between: it is asked for again.
                    Err(error) => {
                        tracing::debug!(%error, "a part of the cache is read again");
                        self.told = None;
                    }
                }
            }
            if timeout_at(step.deadline, changed.changed()).await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Tells what is wanted now, if not enough of it was told before.
    async fn want(&mut self, shard: ShardIndex, window: Window) {
        self.interest.moved(window.groups());
        if !window.is_told(self.told) {
            self.told = Some(window.groups());
            self.on_demand
                .want(self.id, (shard, &self.file), window.groups())
                .await;
        }
    }
}

impl Step {
    /// The first step of a range, up to a multiple of its size.
    fn new(range: &Range<u64>, patience: Duration) -> Option<Self> {
        let boundary = (range.start / STEP_BYTES + 1).saturating_mul(STEP_BYTES);
        let bytes = range.start..boundary.min(range.end);
        let began = Instant::now();
        Some(Self {
            groups: GroupRange::covering(bytes.start, bytes.end)?,
            bytes,
            end: range.end,
            began,
            deadline: began + patience,
        })
    }

    /// Its bytes out of those of its groups.
    fn cut(&self, groups: Vec<u8>) -> Result<Bytes, ReadFault> {
        let skip = usize::try_from(self.bytes.start % CHUNK_GROUP_BYTES).unwrap_or(0);
        let len = usize::try_from(self.bytes.end - self.bytes.start).unwrap_or(usize::MAX);
        let groups = Bytes::from(groups);
        let end = skip.saturating_add(len);
        (end <= groups.len())
            .then(|| groups.slice(skip..end))
            .ok_or(ReadFault::Failed)
    }
}
