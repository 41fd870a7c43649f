//! The catalogue: taking in what the network tells of datasets and statements.
//!
//! Heads come by gossip, and by `sync/1` what was missed. A head of an unknown dataset is judged by
//! owner records that its sender is asked for; what does not hold together is not kept. All of it is
//! bounded and limited in rate for each peer and in all, so that a flood of new datasets costs a
//! stranger more than this node (P6). Source: `specs/network.md`, section *Catalogue*.

mod gate;
mod heard;
mod intake;
mod pull;
mod sync;
mod wanted;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opendag_protocol::{RecordId, sync::Items};
use tokio::{sync::mpsc, time::Instant};

use self::{gate::Gate, intake::Job, wanted::Wanted};
pub(crate) use self::{
    heard::listen,
    intake::Intake,
    sync::{Schedule, answer},
};
use crate::{net::Net, node::Shared};

/// Ids of records that were of no use, which are not asked for again; then the list begins anew.
const USELESS_MAX: usize = 65_536;

/// What the parts of the catalogue share.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) intake: Intake,
    jobs: Mutex<Option<mpsc::Receiver<Job>>>,
    gate: Gate,
    wanted: Wanted,
    useless: Mutex<BTreeSet<RecordId>>,
    items: tokio::sync::Mutex<Option<Snapshot>>,
    schedule: Schedule,
}

/// The set that is compared with others, as it was a moment ago.
#[derive(Debug)]
struct Snapshot {
    generation: u64,
    made: Instant,
    /// How long that took.
    took: Duration,
    items: Arc<Items>,
}

impl Default for Catalogue {
    fn default() -> Self {
        let (intake, jobs) = Intake::new();
        Self {
            intake,
            jobs: Mutex::new(Some(jobs)),
            gate: Gate::default(),
            wanted: Wanted::default(),
            useless: Mutex::default(),
            items: tokio::sync::Mutex::default(),
            schedule: Schedule::default(),
        }
    }
}

impl Catalogue {
    /// Notes that a record was of no use: stale, or refused.
    fn is_useless(&self, id: RecordId) {
        let mut useless = lock(&self.useless);
        if useless.len() >= USELESS_MAX {
            useless.clear();
        }
        useless.insert(id);
    }

    /// What is denied here has changed: what is compared, and what is of use, with it.
    pub(crate) async fn forget_comparisons(&self) {
        *self.items.lock().await = None;
        lock(&self.useless).clear();
    }

    fn without_useless(&self, ids: &mut BTreeSet<RecordId>) {
        let useless = lock(&self.useless);
        ids.retain(|id| !useless.contains(id));
    }
}

/// Starts the tasks of the catalogue; a command only hears, a daemon also reconciles.
pub(crate) fn start(shared: &Arc<Shared>, net: &Net) {
    let catalogue = &shared.catalogue;
    if let Some(jobs) = lock(&catalogue.jobs).take() {
        let (stop, store) = (shared.stop.clone(), shared.store.clone());
        let run = intake::run(store, jobs);
        shared.tasks.spawn(stop.run_until_cancelled_owned(run));
    }
    if shared.role == crate::node::Role::Daemon {
        let (stop, run) = (shared.stop.clone(), sync::run(shared.clone(), net.clone()));
        shared.tasks.spawn(stop.run_until_cancelled_owned(run));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
