//! A fetch that moves bytes: prepares the target, runs its sessions, and ends it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use libp2p::PeerId;
use opendag_protocol::fetch::{Fetch, FetchConfig};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    FetchError,
    delta::{Assembly, Delta, Seen},
    local,
    plan::Plan,
    session::{Moved, Parts, Rest, Session},
    swarm::{News, Swarm},
    table::Describe,
    writer::{self, WriteError, Writer},
};
use crate::{
    holdings::{Running, Sharing},
    node::Shared,
    ops::{Event, FetchRequest},
    report::{Meter, Reporter},
    resolve::Version,
};

/// How long a fetch waits without anything moving, unless the user says.
const STALLED_MAX: Duration = Duration::from_secs(10 * 60);

/// A fetch of which all is known.
pub(super) struct Job<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) request: &'a FetchRequest,
    pub(super) version: &'a Version,
    pub(super) output: PathBuf,
    pub(super) report: &'a Reporter,
    pub(super) cancel: &'a CancellationToken,
    pub(super) start: Instant,
}

impl Job<'_> {
    /// Runs it, and answers the event that closes the operation.
    pub(super) async fn run(
        self,
        net: crate::net::Net,
        describe: Describe,
        plan: Plan,
        delta: Option<Delta>,
    ) -> Result<Event, FetchError> {
        let sharing = if self.request.no_seed {
            Sharing::None
        } else {
            Sharing::Seed
        };
        let running = self
            .shared
            .sessions
            .begin(self.version.id, sharing)
            .ok_or(FetchError::Running)?;
        let (files, bytes, missing_bytes) = (plan.files, plan.bytes, plan.missing_bytes);
        let prepared = self.prepare(plan).await?;
        running.done(&prepared.here);
        let mut meter = Meter::new(self.report.clone(), "fetch", files, bytes);
        meter.now.files = u64::try_from(prepared.here.len()).unwrap_or(0);
        meter.now.bytes = bytes - missing_bytes;
        meter.tell();
        if !self.request.no_seed {
            self.shared.announce_fetch(&net, self.version).await;
        }
        let mut moving = Moving {
            job: &self,
            net,
            swarm: describe.swarm,
            news: describe.news,
            running,
            meter,
            writer: prepared.writer.clone(),
            moved: Moved::default(),
            to_fetch_bytes: 0,
        };
        if let Some(delta) = delta {
            moving = moving.assemble(delta, describe.joined).await?;
        }
        let (moved, to_fetch_bytes) = moving.fetch().await?;
        let writer = prepared.writer;
        let copies = prepared.copies;
        let close = move || {
            writer.copy(&copies)?;
            writer.close()?;
            writer.tidy();
            Ok::<_, WriteError>(())
        };
        tokio::task::spawn_blocking(close)
            .await
            .map_err(|_| FetchError::Stopped)??;
        Ok(Event::Fetched {
            manifest: self.version.id,
            dataset: self.version.dataset(),
            output: self.output,
            files,
            bytes,
            received_bytes: moved.received_bytes,
            reused_bytes: bytes - to_fetch_bytes.min(missing_bytes),
            wasted_bytes: moved.wasted_bytes,
            peers: moved.peers,
            newest: self.version.is_newest(),
            head: self.version.head(),
            seconds: self.start.elapsed().as_secs_f64(),
        })
    }

    fn config(&self) -> FetchConfig {
        FetchConfig {
            seed: self.shared.seed(),
            small_shard_bytes: writer::SMALL_BYTES_MAX,
            ..FetchConfig::default()
        }
    }
}

/// A fetch between its sessions.
struct Moving<'a> {
    job: &'a Job<'a>,
    net: crate::net::Net,
    swarm: Swarm,
    news: Vec<News>,
    running: Running,
    meter: Meter,
    writer: Arc<Writer>,
    moved: Moved,
    /// Bytes of the version that come from peers.
    to_fetch_bytes: u64,
}

impl Moving<'_> {
    /// Puts files together from what is here and the spans that are missing.
    async fn assemble(
        mut self,
        mut delta: Delta,
        mut peers: Vec<PeerId>,
    ) -> Result<Self, FetchError> {
        while let Some(found) = delta.next(&peers).await? {
            let (writer, cancel) = (self.writer.clone(), self.job.cancel.clone());
            let begin = move || Assembly::begin(writer, found, &cancel);
            let begun = tokio::task::spawn_blocking(begin).await;
            let begun = begun.map_err(|_| FetchError::Stopped)?;
            if self.job.cancel.is_cancelled() {
                return Err(FetchError::Cancelled);
            }
            let (assembly, placed) = begun?;
            self.running.done(&placed);
            self.meter.now.files += u64::try_from(placed.len()).unwrap_or(0);
            self.meter.now.bytes += assembly.bytes() - assembly.missing_bytes();
            self.meter.tell();
            let assembly = Arc::new(assembly);
            if assembly.missing_bytes() > 0 {
                let fetch = Fetch::new(self.job.config(), assembly.specs());
                let (moving, seen) = self.session(fetch, Some(assembly.clone())).await?;
                self = moving;
                peers = seen.peers();
                self.news = seen.into_news();
                self.to_fetch_bytes += assembly.missing_bytes();
            }
            // These begin anew.
            let given_up = assembly.given_up_bytes();
            self.meter.now.bytes -= given_up.min(self.meter.now.bytes);
            tokio::task::spawn_blocking(move || assembly.close())
                .await
                .map_err(|_| FetchError::Stopped)?;
        }
        self.moved.received_bytes += delta.received_bytes();
        Ok(self)
    }

    /// Fetches the rest in the ordinary way. Answers what was moved in all, and how much had to come from peers.
    async fn fetch(mut self) -> Result<(Moved, u64), FetchError> {
        let (shared, writer) = (self.job.shared.clone(), self.writer.clone());
        let begin = move || local::begin(&shared, &writer);
        let begun = tokio::task::spawn_blocking(begin).await;
        let begun = begun.map_err(|_| FetchError::Stopped)??;
        for spec in &begun.shards {
            self.running.partial(spec.shard, &spec.have);
        }
        self.running.done(&begun.here);
        self.meter.now.files += u64::try_from(begun.here.len()).unwrap_or(0);
        let missing: u64 = begun.shards.iter().map(|spec| spec.size).sum();
        self.meter.now.bytes += missing - begun.to_fetch_bytes.min(missing);
        self.meter.tell();
        self.to_fetch_bytes += begun.to_fetch_bytes;
        let fetch = Fetch::new(self.job.config(), begun.shards);
        let (moving, _) = self.session(fetch, None).await?;
        Ok((moving.moved, moving.to_fetch_bytes))
    }

    async fn session(
        self,
        fetch: Fetch,
        spans: Option<Arc<Assembly>>,
    ) -> Result<(Self, Seen), FetchError> {
        let Self {
            job, net, writer, ..
        } = self;
        let stalled_max = job
            .request
            .timeout_ms
            .map_or(STALLED_MAX, Duration::from_millis);
        let parts = Parts {
            shared: job.shared.clone(),
            net: net.clone(),
            swarm: self.swarm,
            news: self.news,
            fetch,
            writer: writer.clone(),
            spans,
            running: self.running,
            meter: self.meter,
            reporter: job.report.clone(),
            stalled_max,
            cancel: job.cancel.clone(),
        };
        let (moved, rest) = Session::run(parts).await?;
        let Rest {
            swarm,
            seen,
            running,
            meter,
        } = rest;
        let moving = Self {
            job,
            net,
            swarm,
            news: Vec::new(),
            running,
            meter,
            writer,
            moved: self.moved.and(moved),
            to_fetch_bytes: self.to_fetch_bytes,
        };
        Ok((moving, seen))
    }
}
