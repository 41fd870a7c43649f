//! Fetching a version: find its swarm, get its table, see what is here, move the rest, put it in place.
//!
//! The flow: [`crate::resolve`] → [`swarm`] → [`table`] → [`plan`] → [`session`] (with the pure
//! scheduler `opendag_protocol::fetch`) → [`writer`]. Files of which older versions are here go through
//! [`delta`] before. A full disk pauses it: [`space`].

mod delta;
mod local;
pub(crate) mod on_demand;
mod plan;
mod request;
mod session;
pub(crate) mod space;
mod swarm;
pub(crate) mod table;
mod transfer;
mod writer;

use std::{path::PathBuf, sync::Arc, time::Duration};

use libp2p::PeerId;
use opendag_protocol::{
    BlobId,
    fetch::{Fetch, FetchConfig},
    path::SiblingError,
    table::{IndexError, PageError},
};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::writer::WriteError;
use self::{
    delta::{Assembly, Delta, Seen},
    plan::Plan,
    session::{Moved, Parts, Rest, Session},
    swarm::{News, Swarm},
    table::Describe,
    writer::Writer,
};
use crate::{
    fault::Fault,
    holdings::{Running, Sharing},
    keep,
    node::Shared,
    ops::{Event, FetchRequest},
    place::Held,
    report::{Meter, Reporter},
    resolve::{self, ResolveError, Version, Wish},
    selection::{GlobError, Selection},
    store::{StoreError, TargetError},
};

/// How long a link is looked for, and how long a description is waited for, unless the user says.
const FIND_MAX: Duration = Duration::from_secs(60);
/// How long a fetch waits without anything moving, unless the user says.
const STALLED_MAX: Duration = Duration::from_secs(10 * 60);

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The link leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A pattern does not parse.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// Nothing matches.
    #[error(
        "no file of this version matches --include and --exclude; see its files with `opendag show --files`"
    )]
    NothingSelected,
    /// The table breaks its rules.
    #[error("the publisher's file table is refused: {0}")]
    Index(#[source] IndexError),
    /// A page breaks its rules.
    #[error("the publisher's file table is refused: {0}")]
    Page(#[source] PageError),
    /// Two paths exclude each other.
    #[error("the publisher's file table is refused: {0}")]
    Siblings(#[source] SiblingError),
    /// The table is not here, and nobody gave it.
    #[error("nobody gave the description {blob} of this version")]
    NoDescription {
        /// What was looked for.
        blob: BlobId,
    },
    /// No peer has it.
    #[error("no peer gave the file table within {} s (looked at: {looked}); name a peer that has it with --peer, or wait longer with --timeout", .within.as_secs())]
    NoPeers {
        /// For how long.
        within: Duration,
        /// Where.
        looked: String,
    },
    /// Something of the user's is in the way.
    #[error("{path} is there already and is something else; move it away, choose another folder with -o, or replace it with --overwrite", path = path.display())]
    InTheWay {
        /// Which file.
        path: PathBuf,
    },
    /// Not enough space.
    #[error("{path} has {free} bytes free, and this fetch needs {needed} more; free some space, or choose another folder with -o", path = path.display())]
    Space {
        /// Where.
        path: PathBuf,
        /// What is there.
        free: u64,
        /// What is needed.
        needed: u64,
    },
    /// Another fetch of the same version runs in this node.
    #[error("this version is being fetched already; see `opendag status`")]
    Running,
    /// Nothing moved.
    #[error("nothing arrived for {} s: it waits for {why}; what is here stays, run the same command again to go on", .waited.as_secs())]
    Stalled {
        /// For how long.
        waited: Duration,
        /// For what.
        why: String,
    },
    /// The user stopped it.
    #[error("stopped; what is here stays, run the same command again to go on")]
    Cancelled,
    /// Bytes could not be kept.
    #[error("{0}; what is here stays, run the same command again to go on")]
    Write(#[from] WriteError),
    /// The target cannot be used.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network did not start.
    #[error(transparent)]
    Net(#[from] crate::net::NetError),
    /// A task died.
    #[error("a task of the fetch stopped unexpectedly")]
    Stopped,
}

impl FetchError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Resolve(error) => error.fault(),
            Self::Glob(_) | Self::NothingSelected | Self::InTheWay { .. } | Self::Running => {
                Fault::Input
            }
            Self::Index(_) | Self::Page(_) | Self::Siblings(_) => Fault::Refused,
            Self::NoDescription { .. } | Self::NoPeers { .. } | Self::Stalled { .. } => {
                Fault::NotFound
            }
            Self::Space { .. }
            | Self::Cancelled
            | Self::Write(_)
            | Self::Store(_)
            | Self::Net(_)
            | Self::Stopped => Fault::Local,
            Self::Target(TargetError::Busy { .. }) => Fault::Input,
            Self::Target(TargetError::Disk(_)) => Fault::Local,
        }
    }
}

/// Fetches, and answers the event that closes the operation.
pub(crate) async fn fetch(
    shared: &Arc<Shared>,
    request: &FetchRequest,
    report: &Reporter,
    cancel: &CancellationToken,
) -> Result<Event, FetchError> {
    let start = Instant::now();
    let selection = Selection::new(&request.include, &request.exclude)?;
    let within = request.timeout_ms.map_or(FIND_MAX, Duration::from_millis);
    let wish = Wish::parse(shared, &request.link, &request.cwd, &request.peers)?;
    let _working = shared.store.work().await;
    let net = shared.net().await?;
    let version = cancel
        .run_until_cancelled(resolve::resolve(shared, &net, &wish, within, report))
        .await
        .ok_or(FetchError::Cancelled)??;
    warn(&version, report).await;
    if request.mirror
        && let Some(event) = pinned_here(shared, &version, start).await?
    {
        return Ok(event);
    }
    let output = output(shared, request, &version);
    report.waiting("plan", "the file table").await;
    let mut describe = Describe::join(shared, &net, &version, &wish);
    let wanted = cancel
        .run_until_cancelled(timeout(within, describe.wanted(&version, &selection)))
        .await
        .ok_or(FetchError::Cancelled)?;
    let Ok(wanted) = wanted else {
        let looked = format!(
            "{} named peers, {} connected peers",
            wish.hints.len(),
            net.peers().await.len()
        );
        return Err(FetchError::NoPeers { within, looked });
    };
    let wanted = wanted?;
    if wanted.is_empty() && !selection.is_all() {
        return Err(FetchError::NothingSelected);
    }
    let plan = plan::make(shared, &output, wanted, request, report).await?;
    let delta = match request.no_delta {
        true => None,
        false => Delta::look((shared, &net), &version, &plan, cancel).await?,
    };
    if delta.is_some() {
        // Their maps come from peers. Without any, the fetch waits for them all the same, and goes the ordinary way.
        let some_peer = timeout(within, describe.some_peer());
        let waited = cancel.run_until_cancelled(some_peer).await;
        if let Ok(waited) = waited.ok_or(FetchError::Cancelled)? {
            waited?;
        }
    }
    if request.plan {
        return plan_event(shared, &mut describe, &version, (plan, delta), output).await;
    }
    let job = Job {
        shared,
        request,
        version: &version,
        output,
        report,
        cancel,
        start,
    };
    job.run(net, describe, plan, delta).await
}

/// A version that lies here whole needs no second copy: it is pinned where it is.
async fn pinned_here(
    shared: &Shared,
    version: &Version,
    start: Instant,
) -> Result<Option<Event>, FetchError> {
    let place = shared.store.places_of(&version.id)?.into_iter().next();
    let Some(place) = place.filter(|place| place.include.is_empty() && place.exclude.is_empty())
    else {
        return Ok(None);
    };
    if shared.places.held(version.id).await != Held::Complete || !keep::pin(shared, version.id)? {
        return Ok(None);
    }
    let fields = version.manifest().fields();
    Ok(Some(Event::Fetched {
        manifest: version.id,
        dataset: version.dataset(),
        output: place.root,
        files: fields.files,
        bytes: fields.bytes,
        received_bytes: 0,
        reused_bytes: fields.bytes,
        wasted_bytes: 0,
        peers: Vec::new(),
        seconds: start.elapsed().as_secs_f64(),
    }))
}

async fn warn(version: &Version, report: &Reporter) {
    if let Some(since) = version.state.head_expired_since(resolve::now()) {
        let since = crate::inspect::date(since);
        report.warn(format!("the publisher's word that this is the newest version expired on {since}; there may be a newer one")).await;
    }
    let sequence = version.manifest().fields().sequence;
    if version
        .state
        .equivocations()
        .iter()
        .any(|proof| proof.sequence == sequence)
    {
        report.warn(format!("the publisher signed more than one version with the number {sequence}: do not trust it blindly")).await;
    }
}

fn output(shared: &Shared, request: &FetchRequest, version: &Version) -> PathBuf {
    if request.mirror {
        return shared.mirror_folder(version.id);
    }
    let named = || request.cwd.join(version.name());
    request
        .output
        .as_ref()
        .map_or_else(named, |output| request.cwd.join(output))
}

/// How long `--plan` waits for peers to say what they hold.
const PLAN_WAIT: Duration = Duration::from_secs(2);

async fn plan_event(
    shared: &Arc<Shared>,
    describe: &mut Describe,
    version: &Version,
    (plan, delta): (Plan, Option<Delta>),
    output: PathBuf,
) -> Result<Event, FetchError> {
    let mut missing_bytes = plan.missing_bytes;
    for wanted in &plan.fetch {
        if shared.store.has_shard(wanted.entry.hash())? {
            missing_bytes -= wanted.entry.size();
        }
    }
    if let Some(mut delta) = delta {
        missing_bytes -= delta.reusable_bytes(&describe.peers).await?;
    }
    if let Some(target) = &plan.target {
        target.tidy();
    }
    let until = Instant::now() + PLAN_WAIT;
    while let Ok(Some(news)) = tokio::time::timeout_at(until, describe.swarm.next()).await {
        describe.news.push(news);
    }
    let mut peers: Vec<_> = describe
        .news
        .iter()
        .filter_map(swarm::News::holder)
        .map(|peer| peer.to_string())
        .collect();
    peers.sort_unstable();
    peers.dedup();
    Ok(Event::Plan {
        manifest: version.id,
        files: plan.files,
        bytes: plan.bytes,
        reused_bytes: plan.bytes - missing_bytes,
        missing_bytes,
        peers,
        output,
    })
}

struct Job<'a> {
    shared: &'a Arc<Shared>,
    request: &'a FetchRequest,
    version: &'a Version,
    output: PathBuf,
    report: &'a Reporter,
    cancel: &'a CancellationToken,
    start: Instant,
}

impl Job<'_> {
    async fn run(
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
            moving = moving.assemble(delta, describe.peers).await?;
        }
        let (moved, to_fetch_bytes) = moving.fetch().await?;
        self.shared.counters.received(moved.received_bytes);
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
