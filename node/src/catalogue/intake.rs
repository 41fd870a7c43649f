//! Taking records in by batches: what comes at one time costs one sync of the disk together.

use opendag_protocol::{catalogue::Applied, record::SignedRecord};
use tokio::sync::{mpsc, oneshot};

use crate::{
    resolve::now,
    store::{Store, StoreError},
};

/// Bundles of records that wait; further callers wait, too.
const WAITING_MAX: usize = 256;
/// Records of one batch: a few MiB, and less than a second.
const BATCH_MAX: usize = 1024;

/// What became of each record.
pub(crate) type Taken = Vec<Result<Applied, StoreError>>;

/// Records that belong together, in the order in which they are judged.
#[derive(Debug)]
pub(crate) struct Job {
    records: Vec<SignedRecord>,
    reply: oneshot::Sender<Taken>,
}

/// The way in.
#[derive(Clone, Debug)]
pub(crate) struct Intake(mpsc::Sender<Job>);

impl Intake {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Job>) {
        let (sender, jobs) = mpsc::channel(WAITING_MAX);
        (Self(sender), jobs)
    }

    /// Takes records in, in this order; what became of each, when it is durable. `None` if the store failed: then
    /// nothing is acknowledged. Dropping it is safe: the records are taken in all the same.
    pub(crate) async fn take(&self, records: Vec<SignedRecord>) -> Option<Taken> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Job { records, reply }).await.ok()?;
        answer.await.ok()
    }
}

/// Works until nobody is left who could send.
pub(crate) async fn run(store: Store, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.recv().await {
        let mut count = first.records.len();
        let mut batch = vec![first];
        while count < BATCH_MAX
            && let Ok(next) = jobs.try_recv()
        {
            count += next.records.len();
            batch.push(next);
        }
        let store = store.clone();
        let taken = tokio::task::spawn_blocking(move || take(&store, batch));
        if taken.await.is_err() {
            tracing::error!("a thread that takes records in ended early");
        }
    }
}

/// Without an answer the replies say that the store failed.
fn take(store: &Store, batch: Vec<Job>) {
    let all: Vec<SignedRecord> = batch
        .iter()
        .flat_map(|job| job.records.iter().cloned())
        .collect();
    match store.apply_all(&all, now()) {
        Ok(taken) => {
            let mut taken = taken.into_iter();
            for job in batch {
                let of_job = taken.by_ref().take(job.records.len()).collect();
                // Whoever asked may be gone.
                let _ = job.reply.send(of_job);
            }
        }
        Err(error) => tracing::warn!(%error, "records that the network told were not kept"),
    }
    if let Err(error) = store.make_room() {
        tracing::warn!(%error, "the records here cannot be kept to their limit");
    }
}
