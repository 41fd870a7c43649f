//! The task that keeps what is followed up to date.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use opendag_protocol::DatasetId;
use tokio::{
    sync::broadcast::error::RecvError,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{Failed, Follow, came, datasets, protect};
use crate::{
    fault::with_causes,
    fetch,
    node::Shared,
    ops::FetchRequest,
    report::Reporter,
    store::CatalogueChange,
    watched::{self, ASK_EVERY, retry_after},
};

/// Datasets that are brought up to date at once: what is fetched unasked leaves room for what the user asks for.
const AT_ONCE: usize = 2;
/// A fetch that finds no source and makes no progress gives up after so long and is tried again later.
const FETCH_WAIT_MS: u64 = 60_000;
/// When nothing is to be tried again.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// What is to be done for a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// Fetch what is known to be new.
    Fetch,
    /// Ask peers first.
    Ask,
}

/// Keeps what is followed up to date, until the node ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut changes = shared.catalogue_changes();
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due: BTreeMap<DatasetId, Due> = BTreeMap::new();
    let mut running: BTreeSet<DatasetId> = BTreeSet::new();
    let mut jobs: JoinSet<(DatasetId, Result<(), String>)> = JoinSet::new();
    loop {
        start(&shared, &mut due, &mut running, &mut jobs);
        tokio::select! {
            change = changes.recv() => match change {
                Ok(CatalogueChange::Dataset(id)) => {
                    if !meaning(&shared, id).is_empty() {
                        due.entry(id).or_insert(Due::Fetch);
                    }
                }
                Ok(CatalogueChange::Statement(_) | CatalogueChange::Forgotten(_)) => {}
                Err(RecvError::Lagged(_)) => add_all(&shared, &mut due, Due::Fetch),
                Err(RecvError::Closed) => return,
            },
            _ = ticks.tick() => add_all(&shared, &mut due, Due::Ask),
            () = shared.follows.changed.notified() => add_all(&shared, &mut due, Due::Ask),
            Some(done) = jobs.join_next() => match done {
                Ok((id, result)) => {
                    running.remove(&id);
                    conclude(&shared, id, result);
                }
                // A panic of one must not end the others; the runtime has reported it.
                Err(_) => running.clear(),
            },
            () = sleep_until(next_try(&shared)) => {
                due.extend(to_try(&shared).into_iter().map(|id| (id, Due::Ask)));
            }
        }
    }
}

/// What is to be tried again now. It is not told twice.
fn to_try(shared: &Shared) -> Vec<DatasetId> {
    let now = Instant::now();
    let mut failed = shared.follows.failed();
    let due = failed.iter_mut().filter(|(_, failed)| failed.again <= now);
    due.map(|(id, failed)| {
        failed.again = now + LONG;
        *id
    })
    .collect()
}

fn next_try(shared: &Shared) -> Instant {
    let failed = shared.follows.failed();
    let next = failed.values().map(|failed| failed.again).min();
    next.unwrap_or_else(|| Instant::now() + LONG)
}

/// What follows this dataset.
fn meaning(shared: &Shared, id: DatasetId) -> Vec<Follow> {
    let lines = shared.follows.lines.get().clone();
    let means = |follow: &Follow| follow.what.means(shared, id).unwrap_or(false);
    lines.into_iter().filter(means).collect()
}

fn add_all(shared: &Arc<Shared>, due: &mut BTreeMap<DatasetId, Due>, what: Due) {
    match protect(shared).and_then(|()| datasets(shared)) {
        Ok(all) => due.extend(all.into_iter().map(|id| (id, what))),
        Err(error) => tracing::warn!(%error, "cannot tell what is followed"),
    }
}

fn start(
    shared: &Arc<Shared>,
    due: &mut BTreeMap<DatasetId, Due>,
    running: &mut BTreeSet<DatasetId>,
    jobs: &mut JoinSet<(DatasetId, Result<(), String>)>,
) {
    while running.len() < AT_ONCE {
        let next = due.iter().find(|(id, _)| !running.contains(id));
        let Some((id, what)) = next.map(|(id, what)| (*id, *what)) else {
            return;
        };
        due.remove(&id);
        running.insert(id);
        let shared = shared.clone();
        jobs.spawn(async move { (id, catch_up(&shared, id, what).await) });
    }
}

fn conclude(shared: &Shared, id: DatasetId, result: Result<(), String>) {
    let mut failed = shared.follows.failed();
    let Err(problem) = result else {
        failed.remove(&id);
        return;
    };
    tracing::info!(dataset = %id, problem, "what is followed is not up to date");
    let before = failed.get(&id).map_or(0, |failed| failed.times);
    let times = before.saturating_add(1);
    let again = Instant::now() + retry_after(times);
    failed.insert(
        id,
        Failed {
            problem,
            times,
            again,
        },
    );
}

/// Brings one dataset up to date for all that follow it.
async fn catch_up(shared: &Arc<Shared>, id: DatasetId, what: Due) -> Result<(), String> {
    let report = Reporter::nobody();
    if let Ok(Some(state)) = shared.store.dataset(&id)
        && let Some(denial) = shared.denial_of_dataset(&state)
    {
        return Err(denial.to_string());
    }
    if what == Due::Ask {
        watched::ask(shared, id).await?;
    }
    for follow in meaning(shared, id) {
        let newest = follow
            .newest(shared, id)
            .map_err(|error| with_causes(&error))?;
        let Some(newest) = newest.filter(|newest| !newest.is_done) else {
            continue;
        };
        let output = follow.target(&newest.name);
        let request = FetchRequest {
            link: id.to_string(),
            mirror: output.is_none(),
            output: output.clone(),
            include: follow.include.clone(),
            exclude: follow.exclude.clone(),
            timeout_ms: Some(FETCH_WAIT_MS),
            ..FetchRequest::default()
        };
        let name = &newest.name;
        let _running = shared
            .running
            .begin(format!("fetch {name}, which is followed"));
        let comes = came::begin(shared, &follow, (id, newest.manifest, output))?;
        let cancel = shared.stop.child_token();
        let fetched = fetch::space::fetch(shared, &request, &report, &cancel).await;
        let fetched = fetched.map_err(|error| with_causes(&error))?;
        comes.end(shared, &fetched).await?;
    }
    Ok(())
}
