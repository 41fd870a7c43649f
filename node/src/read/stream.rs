//! Reading one file from front to back: what is here at once, the rest as it comes, some of it ahead.

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

use super::{CachedFile, ReadFault, ReadVersion, cache::Interest};
use crate::fetch::on_demand::OnDemand;

/// Bytes that are read and verified at a time, and held for a reader: many of them fit into memory, and
/// each costs little beside its verification.
const STEP_BYTES: u64 = 256 * 1024;
/// The same in chunk groups, and one for a step that begins inside of one.
const STEP_GROUPS: u64 = STEP_BYTES / CHUNK_GROUP_BYTES + 1;
/// A reader that goes on in order has so many bytes on their way ahead of it; at first this many,
const AHEAD_BYTES_MIN: u64 = 1 << 20;
/// and twice as many with each step, up to this.
const AHEAD_BYTES_MAX: u64 = 16 << 20;
/// Numbers of readers, over all versions.
static READERS: AtomicU64 = AtomicU64::new(0);

/// Reads a file of a version. Dropping it ends what was fetched ahead for it.
#[derive(Debug)]
pub(crate) struct FileReader {
    version: Arc<ReadVersion>,
    shard: ShardIndex,
    hash: Hash,
    size: u64,
    remote: Option<Remote>,
    ahead_bytes: u64,
}

/// What a reader has of a file that is not kept here.
#[derive(Debug)]
struct Remote {
    id: u64,
    on_demand: Arc<OnDemand>,
    file: Arc<CachedFile>,
    interest: Interest,
    /// What was told last that is wanted.
    wanted: Option<GroupRange>,
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
            remote: None,
            ahead_bytes: AHEAD_BYTES_MIN,
        }
    }

    /// The bytes of `range`, which lies inside the file, a step at a time.
    ///
    /// The first step waits for `first` at most, each later one for `later`; then [`ReadFault::NotYet`] or
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
            let (step, rest) = split(range);
            match reader.step(step, rest.end, patience).await {
                Ok(bytes) => Some((Ok(bytes), Some((reader, rest, later)))),
                Err(fault) => Some((Err(fault), None)),
            }
        })
    }

    /// One step of a read that goes on to `end`.
    async fn step(
        &mut self,
        step: Range<u64>,
        end: u64,
        patience: Duration,
    ) -> Result<Bytes, ReadFault> {
        let groups = GroupRange::covering(step.start, step.end).ok_or(ReadFault::Failed)?;
        let cut = |bytes: Vec<u8>| {
            let skip = usize::try_from(step.start % CHUNK_GROUP_BYTES).unwrap_or(0);
            let len = usize::try_from(step.end - step.start).unwrap_or(usize::MAX);
            let bytes = Bytes::from(bytes);
            let end = skip.saturating_add(len);
            (end <= bytes.len())
                .then(|| bytes.slice(skip..end))
                .ok_or(ReadFault::Failed)
        };
        if self.remote.is_none() {
            if let Some(bytes) = self.kept(groups).await? {
                return cut(bytes);
            }
            self.remote = Some(self.begin(groups).await?);
        }
        let bytes = self.remote(groups, (step.start, end), patience).await?;
        cut(bytes)
    }

    /// Reads what lies on this node; `None` if it does not, or not unchanged.
    async fn kept(&self, groups: GroupRange) -> Result<Option<Vec<u8>>, ReadFault> {
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
            wanted: None,
            file,
        })
    }

    /// Waits for a step, with some more on its way, and reads it.
    async fn remote(
        &mut self,
        groups: GroupRange,
        (start, end): (u64, u64),
        patience: Duration,
    ) -> Result<Vec<u8>, ReadFault> {
        let Some(remote) = &mut self.remote else {
            return Err(ReadFault::Failed);
        };
        let began = Instant::now();
        let deadline = began + patience;
        let mut changed = remote.file.watch();
        loop {
            let ahead = start.saturating_add(self.ahead_bytes).min(end);
            let window = GroupRange::covering(start, ahead.max(start + 1)).unwrap_or(groups);
            let window =
                GroupRange::between(window.first, window.end().max(groups.end())).unwrap_or(groups);
            remote.want(self.shard, window).await;
            changed.mark_unchanged();
            if remote.file.has(groups) {
                let file = remote.file.clone();
                let read = tokio::task::spawn_blocking(move || file.read(groups));
                let read = read.await.map_err(|error| ReadFault::failed(&error))?;
                match read {
                    Ok(bytes) => {
                        self.version.moved();
                        self.ahead_bytes = (self.ahead_bytes * 2).min(AHEAD_BYTES_MAX);
                        return Ok(bytes);
                    }
                    // Freed or changed in between: it is asked for again.
                    Err(error) => {
                        tracing::debug!(%error, "a part of the cache is read again");
                        remote.wanted = None;
                    }
                }
            }
            if timeout_at(deadline, changed.changed()).await.is_err() {
                let outlook = remote.on_demand.outlook().borrow().clone();
                let waits_for = outlook
                    .waits_for
                    .unwrap_or_else(|| "peers that answer".to_owned());
                let what = format!("the bytes of {} from {start} on", remote.file.hash());
                return Err(self.version.waited(&what, waits_for));
            }
        }
    }
}

impl Remote {
    /// Tells what is wanted now, unless at least half of that was told before: not every step is worth a
    /// word.
    async fn want(&mut self, shard: ShardIndex, window: GroupRange) {
        self.interest.moved(window);
        let is_told = self.wanted.is_some_and(|told| {
            let enough = window
                .end()
                .min(window.first + window.count.div_ceil(2).max(STEP_GROUPS));
            told.first <= window.first && enough <= told.end()
        });
        if !is_told {
            self.wanted = Some(window);
            self.on_demand
                .want(self.id, (shard, &self.file), window)
                .await;
        }
    }
}

/// The next step, up to a multiple of its size, and what remains.
fn split(range: Range<u64>) -> (Range<u64>, Range<u64>) {
    let boundary = (range.start / STEP_BYTES + 1).saturating_mul(STEP_BYTES);
    let middle = boundary.min(range.end);
    (range.start..middle, middle..range.end)
}
