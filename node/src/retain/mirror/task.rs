//! The task that keeps mirrors up to date.

use std::sync::Arc;

use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{MirrorError, pass::Pass};
use crate::{
    fault::with_causes,
    node::Shared,
    ops::Watched,
    report::Reporter,
    store::{CatalogueChange, StoreError},
    watched::{self, ASK_EVERY, retry_after},
};

/// What is known is enough, or peers are asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Nobody,
    Peers,
}

/// Keeps mirrors up to date, until the node ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut changes = shared.catalogue_changes();
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failures = 0_u32;
    let mut again = Instant::now();
    loop {
        let ask = tokio::select! {
            change = changes.recv() => match change {
                Ok(CatalogueChange::Dataset(id)) if means(&shared, id) => Ask::Nobody,
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => Ask::Nobody,
                Err(RecvError::Closed) => return,
            },
            _ = ticks.tick() => Ask::Peers,
            () = shared.mirrors.changed.notified() => Ask::Peers,
            () = sleep_until(again), if failures > 0 => Ask::Peers,
        };
        failures = match pass_all(&shared, ask).await {
            true => 0,
            false => failures.saturating_add(1),
        };
        again = Instant::now() + retry_after(failures);
    }
}

fn means(shared: &Shared, id: opendag_protocol::DatasetId) -> bool {
    let lines = shared.mirrors.lines.get().clone();
    let means = lines.iter().map(|line| line.what.means(shared, id));
    means.filter_map(Result::ok).any(|means| means)
}

/// Passes over all lines; false if one did not come to its end.
async fn pass_all(shared: &Arc<Shared>, ask: Ask) -> bool {
    if let Err(error) = protect(shared) {
        tracing::warn!(%error, "cannot tell what is mirrored");
    }
    let lines = shared.mirrors.lines.get().clone();
    let mut well = true;
    let report = Reporter::nobody();
    for line in lines {
        if let (Ask::Peers, Watched::Dataset(id)) = (ask, line.what) {
            // Without an answer what is known is mirrored.
            let _ = watched::ask(shared, id).await;
        }
        let what = line.what;
        let came = match Pass::new(shared, line, (&report, &shared.stop)) {
            Ok(pass) => Box::pin(pass.run()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &came {
            tracing::info!(problem = with_causes(error), "a mirror is not up to date");
            well = false;
        }
        shared.mirrors.came(what, &came);
    }
    well
}

/// Lets what is mirrored never make room for records of others.
fn protect(shared: &Shared) -> Result<(), StoreError> {
    shared.store.protect_mirrored(super::held(shared)?);
    Ok(())
}

impl super::Mirrors {
    /// Notes how a pass ended.
    pub(super) fn came(&self, what: Watched, came: &Result<(), MirrorError>) {
        let mut problems = self.problems();
        match came {
            Ok(()) => problems.remove(&what),
            Err(error) => problems.insert(what, with_causes(error)),
        };
    }

    /// Why the last pass did not come to its end.
    pub(super) fn problem(&self, what: Watched) -> Option<String> {
        self.problems().get(&what).cloned()
    }
}
