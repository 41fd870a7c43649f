//! Fetching a version: find its swarm, get its table, see what is here, move the rest, put it in place.
//!
//! The flow: [`crate::resolve`] → [`swarm`] → [`table`] → [`plan`] → [`session`] (with the pure
//! scheduler `opendag_protocol::fetch`) → [`writer`]. Files of which older versions are here go through
//! [`delta`] before. A full disk pauses it: [`space`].

mod delta;
mod denied;
mod error;
mod job;
mod links;
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

use std::{path::PathBuf, pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::error::{FetchError, Forked};
use self::{
    delta::Delta,
    job::Job,
    plan::Plan,
    table::{Describe, Wanted},
};
use crate::{
    fork, inspect,
    net::Net,
    node::Shared,
    ops::{Event, FetchRequest},
    place::Held,
    report::Reporter,
    resolve::{Asked, ResolveError, Search, Version, Wish},
    retain,
    selection::Selection,
};

/// How long a link is looked for, and how long a description is waited for, unless the user says.
const FIND_MAX: Duration = Duration::from_secs(60);

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
    let asked = Asked::parse(shared, &request.link, &request.cwd, &request.peers)?;
    let _working = shared.store.work().await;
    let net = shared.net().await?;
    let wish = cancel.run_until_cancelled(asked.anywhere(shared, &net, within, report));
    let wish = wish.await.ok_or(FetchError::Cancelled)??;
    denied::refuse(request, shared.denial_of_id(wish.id))?;
    let found = cancel.run_until_cancelled(find(shared, &net, &wish, (within, report)));
    let (mut search, mut version) = found.await.ok_or(FetchError::Cancelled)??;
    denied::refuse(request, shared.denial(&version))?;
    if request.mirror && !request.for_mirror {
        let newest = cancel.run_until_cancelled(search.newest(version));
        version = newest.await.ok_or(FetchError::Cancelled)??;
        denied::refuse(request, shared.denial(&version))?;
        refuse_fork(shared, request, &wish, &version)?;
        if let Some(event) = kept_here(shared, &version, start).await? {
            return Ok(event);
        }
    }
    report.waiting("plan", "the file table").await;
    let found = (search, version);
    let table = Box::pin(described(shared, &wish, found, (within, &selection)));
    let described = cancel.run_until_cancelled(table).await;
    let Described {
        version,
        mut describe,
        wanted,
    } = described.ok_or(FetchError::Cancelled)??;
    let denied = denied::Stop::new(shared, (&version, &selection), cancel);
    let stop = denied.stop.clone();
    denied::refuse(request, shared.denial_of_any(&version, &wanted))?;
    refuse_fork(shared, request, &wish, &version)?;
    warn(&version, &wish, report).await;
    // What the plan refers to is durable before anything refers to it.
    let kept = describe.keep();
    if wanted.is_empty() && !selection.is_all() {
        return Err(FetchError::NothingSelected);
    }
    let output = output(shared, request, &version);
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
        cancel: &stop,
        start,
    };
    kept.await.map_err(|_| FetchError::Stopped)??;
    let admitted = retain::admit(shared, plan.needs(&job.output, request)).await?;
    let run = Box::pin(job.run(net, describe, plan, delta));
    let done = match request.ignore_denylists {
        true => run.await,
        false => denied.unless_denied(run).await,
    };
    drop(admitted);
    retain::settle(shared).await;
    // What came although it is denied is not given to others.
    if request.ignore_denylists {
        shared.heed().await?;
    }
    done
}

/// Waits for a moment; `None`: for ever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Looks for a version of which somebody tells.
async fn find(
    shared: &Arc<Shared>,
    net: &Net,
    wish: &Wish,
    (within, report): (Duration, &Reporter),
) -> Result<(Search, Version), FetchError> {
    let mut search = Search::start(shared, net, wish, within, report).await?;
    let version = search.found().await?;
    Ok((search, version))
}

/// A version and its table.
struct Described {
    version: Version,
    describe: Describe,
    wanted: Vec<Wanted>,
}

/// Gets the table while others are still asked for a newer version, and begins again if there is one.
async fn described(
    shared: &Arc<Shared>,
    wish: &Wish,
    (mut search, mut version): (Search, Version),
    (within, selection): (Duration, &Selection),
) -> Result<Described, FetchError> {
    loop {
        let mut describe = Describe::join(shared, search.net(), &version, wish);
        describe.try_first(search.answered());
        let wanted = timeout(within, describe.wanted(&version, selection));
        match Box::pin(unless_newer(wanted, search.newer(version.id))).await? {
            Err(newer) => version = newer,
            Ok(Ok(wanted)) => {
                return Ok(Described {
                    version,
                    describe,
                    wanted: wanted?,
                });
            }
            Ok(Err(_)) => {
                let (hints, peers) = (wish.hints.len(), search.net().peers().await.len());
                let looked = format!("{hints} named peers, {peers} connected peers");
                return Err(FetchError::NoPeers { within, looked });
            }
        }
    }
}

/// What `work` answers when there is no newer version, or the newer one as soon as there is.
async fn unless_newer<T>(
    work: impl Future<Output = T>,
    newer: impl Future<Output = Result<Option<Version>, ResolveError>>,
) -> Result<Result<T, Version>, ResolveError> {
    let (mut work, mut newer) = (pin!(work), pin!(newer));
    let done = tokio::select! {
        done = &mut work => done,
        newer = &mut newer => return Ok(match newer? {
            Some(newer) => Err(newer),
            None => Ok(work.await),
        }),
    };
    Ok(newer.await?.map_or(Ok(done), Err))
}

/// A version that lies here whole needs no second copy: it is kept where it is.
async fn kept_here(
    shared: &Shared,
    version: &Version,
    start: Instant,
) -> Result<Option<Event>, FetchError> {
    let place = shared.store.places_of(&version.id)?.into_iter().next();
    let Some(place) = place.filter(|place| place.include.is_empty() && place.exclude.is_empty())
    else {
        return Ok(None);
    };
    if shared.places.held(version.id).await != Held::Complete
        || !retain::keep_places(shared, version.id)?
    {
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
        newest: version.is_newest(),
        head: version.head(),
        seconds: start.elapsed().as_secs_f64(),
    }))
}

/// Of two versions that the owners signed as the same, none is taken for the newest without being asked for.
fn refuse_fork(
    shared: &Shared,
    request: &FetchRequest,
    wish: &Wish,
    version: &Version,
) -> Result<(), FetchError> {
    if request.accept_fork || wish.id == version.id.into() {
        return Ok(());
    }
    match fork::open(shared, &version.state)? {
        Some(fork) => Err(FetchError::Forked(Box::new(Forked {
            name: version.name(),
            fork,
        }))),
        None => Ok(()),
    }
}

async fn warn(version: &Version, wish: &Wish, report: &Reporter) {
    inspect::warn_if_expired(version, wish, report).await;
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
        missing_bytes -= delta.reusable_bytes(&describe.joined).await?;
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
