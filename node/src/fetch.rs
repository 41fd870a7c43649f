//! Fetching a version: find its swarm, get its table, see what is here, move the rest, put it in place.
//!
//! The flow: [`crate::resolve`] → [`swarm`] → [`table`] → [`plan`] → [`session`] (with the pure
//! scheduler `opendag_protocol::fetch`) → [`writer`].

mod local;
mod plan;
mod session;
mod swarm;
pub(crate) mod table;
mod transfer;
mod writer;

use std::{path::PathBuf, sync::Arc, time::Duration};

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
    plan::Plan,
    session::{Parts, Session},
    table::Describe,
};
use crate::{
    fault::Fault,
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
    if request.plan {
        if let Some(target) = &plan.target {
            target.tidy();
        }
        return Ok(plan_event(&mut describe, &version, plan, output).await);
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
    job.run(net, describe, plan).await
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
    describe: &mut Describe,
    version: &Version,
    plan: Plan,
    output: PathBuf,
) -> Event {
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
    Event::Plan {
        manifest: version.id,
        files: plan.files,
        bytes: plan.bytes,
        reused_bytes: plan.bytes - plan.missing_bytes,
        missing_bytes: plan.missing_bytes,
        peers,
        output,
    }
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
    ) -> Result<Event, FetchError> {
        let running = self
            .shared
            .sessions
            .begin(self.version.id)
            .ok_or(FetchError::Running)?;
        let (files, bytes, missing_bytes) = (plan.files, plan.bytes, plan.missing_bytes);
        let prepared = self.prepare(plan).await?;
        running.done(&prepared.here);
        let reused_bytes = bytes - prepared.to_fetch_bytes.min(missing_bytes);
        let mut meter = Meter::new(self.report.clone(), "fetch", files, bytes);
        meter.now.files = u64::try_from(prepared.here.len()).unwrap_or(0);
        meter.now.bytes = reused_bytes;
        meter.tell();
        if !self.request.no_seed {
            self.shared.announce_fetch(&net, self.version).await;
        }
        let config = FetchConfig {
            seed: self.shared.seed(),
            small_shard_bytes: writer::SMALL_BYTES_MAX,
            ..FetchConfig::default()
        };
        let fetch = Fetch::new(config, prepared.shards);
        let parts = Parts {
            shared: self.shared.clone(),
            net,
            swarm: describe.swarm,
            news: describe.news,
            fetch,
            writer: prepared.writer.clone(),
            running,
            meter,
            reporter: self.report.clone(),
            stalled_max: self
                .request
                .timeout_ms
                .map_or(STALLED_MAX, Duration::from_millis),
            cancel: self.cancel.clone(),
        };
        let moved = Session::run(parts).await?;
        self.shared.counters.received(moved.received_bytes);
        let writer = prepared.writer;
        let copies = prepared.copies;
        let close = move || writer.copy(&copies).map(|()| writer.tidy());
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
            reused_bytes,
            wasted_bytes: moved.wasted_bytes,
            peers: moved.peers,
            seconds: self.start.elapsed().as_secs_f64(),
        })
    }
}
