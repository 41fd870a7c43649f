//! Keeps the index up with the catalogue: one task, which writes in batches and never waits for a search.
//!
//! What the index goes up to stands in it (a position in the segments). When that is not where the segments
//! end, or changes were missed, all known datasets are compared with what they were indexed from, and only
//! those that differ are indexed again. An index that is missing, damaged or of another format is built anew
//! in the same way.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use opendag_protocol::DatasetId;
use tokio::{
    sync::{
        broadcast::{self, error::RecvError, error::TryRecvError},
        mpsc, oneshot,
    },
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    describe::{self, Lies},
    index::{Index, IndexError, Writer, short},
};
use crate::store::{CatalogueChange, Store, StoreError, lock};

/// Changes wait so long for others, unless somebody searches: a commit takes some syncs.
const COMMIT_AFTER: Duration = Duration::from_secs(2);
/// So many datasets are written out without waiting for more.
const BATCH: usize = 4096;
/// A writer that has nothing to write is closed after this: it takes 15 MB.
const IDLE: Duration = Duration::from_secs(20);

/// Why the index does not keep up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    /// It cannot be used, not even when it is built anew.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The records cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is so damaged that reading it fails.
    #[error("the search index is damaged; rebuild it with: opendag reindex")]
    Panicked,
    /// The node ends.
    #[error("this node is stopping")]
    Stopped,
}

/// What somebody wants of the keeper.
pub(super) enum Ask {
    /// The index, with all that is known now.
    Current(oneshot::Sender<Result<Index, Arc<KeeperError>>>),
    /// The same, built anew.
    Anew(oneshot::Sender<Result<Index, Arc<KeeperError>>>),
}

/// The index as it was committed last; for who cannot wait until it has everything.
pub(super) type Committed = Arc<Mutex<Option<Index>>>;

/// What has to be looked at.
#[derive(Debug, PartialEq, Eq)]
enum Behind {
    /// These datasets.
    Some(BTreeSet<DatasetId>),
    /// All.
    All,
    /// All, with an empty index.
    Anew,
}

impl Behind {
    fn note(&mut self, dataset: DatasetId) {
        if let Self::Some(datasets) = self {
            datasets.insert(dataset);
        }
    }

    fn all(&mut self) {
        if let Self::Some(_) = self {
            *self = Self::All;
        }
    }

    fn is_much(&self) -> bool {
        match self {
            Self::Some(datasets) => datasets.len() >= BATCH,
            Self::All | Self::Anew => true,
        }
    }
}

/// Runs until the node stops.
pub(super) async fn run(
    store: Store,
    committed: Committed,
    mut asks: mpsc::Receiver<Ask>,
    stop: CancellationToken,
) {
    let mut work = Work::new(store, committed, stop.clone());
    let mut due = Some(Instant::now());
    loop {
        let mut waiting = Vec::new();
        let wake = due.unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ask = asks.recv() => match ask {
                Some(ask) => waiting.push(ask),
                None => return,
            },
            change = work.changes.recv() => {
                work.note(&change);
                let soon = Instant::now() + COMMIT_AFTER;
                due = Some(due.map_or(soon, |due| due.min(soon)));
                if !work.behind.is_much() {
                    continue;
                }
            }
            () = sleep_until(wake), if due.is_some() => {}
        }
        while let Ok(ask) = asks.try_recv() {
            waiting.push(ask);
        }
        if waiting.iter().any(|ask| matches!(ask, Ask::Anew(_))) {
            work.behind = Behind::Anew;
        }
        let done = tokio::task::spawn_blocking(move || {
            let result = work.catch_up();
            (work, result)
        });
        let Ok((back, result)) = done.await else {
            return;
        };
        work = back;
        due = work.writer.is_some().then(|| Instant::now() + IDLE);
        let result = result.map_err(Arc::new);
        if let Err(error) = &result {
            tracing::warn!(%error, "the search index does not keep up");
        }
        for Ask::Current(answer) | Ask::Anew(answer) in waiting {
            // Whoever asked may not wait any more.
            let _ = answer.send(result.clone());
        }
    }
}

/// What one thread at a time works on.
struct Work {
    store: Store,
    changes: broadcast::Receiver<CatalogueChange>,
    behind: Behind,
    index: Option<Index>,
    writer: Option<Writer>,
    committed: Committed,
    stop: CancellationToken,
}

impl Work {
    fn new(store: Store, committed: Committed, stop: CancellationToken) -> Self {
        Self {
            changes: store.catalogue_changes(),
            store,
            behind: Behind::Some(BTreeSet::new()),
            index: None,
            writer: None,
            committed,
            stop,
        }
    }

    fn note(&mut self, change: &Result<CatalogueChange, RecvError>) {
        match change {
            Ok(CatalogueChange::Dataset(dataset) | CatalogueChange::Forgotten(dataset)) => {
                self.behind.note(*dataset);
            }
            Ok(CatalogueChange::Statement(_)) | Err(RecvError::Closed) => {}
            Err(RecvError::Lagged(_)) => self.behind.all(),
        }
    }

    /// Takes in all that is known by now. What is damaged is built anew, once. Blocks.
    fn catch_up(&mut self) -> Result<Index, KeeperError> {
        match self.guarded() {
            Err(error @ (KeeperError::Index(_) | KeeperError::Panicked)) => {
                tracing::warn!(%error, "the search index is built anew");
                self.behind = Behind::Anew;
                self.guarded()
            }
            result => result,
        }
    }

    fn guarded(&mut self) -> Result<Index, KeeperError> {
        // Some kinds of damage only show when they are stumbled upon.
        let result = catch_unwind(AssertUnwindSafe(|| self.try_catch_up()));
        let result = result.unwrap_or(Err(KeeperError::Panicked));
        if result.is_err() {
            self.behind.all();
            self.writer = None;
            self.index = None;
        }
        result
    }

    fn try_catch_up(&mut self) -> Result<Index, KeeperError> {
        // What comes after this is told of by changes that are looked at later.
        let mark = self.store.records_end();
        loop {
            match self.changes.try_recv() {
                Ok(change) => self.note(&Ok(change)),
                Err(TryRecvError::Lagged(missed)) => self.note(&Err(RecvError::Lagged(missed))),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let index = self.open(&mark)?;
        match &self.behind {
            Behind::Some(datasets) if datasets.is_empty() => {
                // Nothing came since the last time: whatever was to be written has been.
                self.writer = None;
                return Ok(index);
            }
            Behind::Some(datasets) => {
                let datasets: Vec<DatasetId> = datasets.iter().copied().collect();
                self.take_in(&index, &datasets)?;
            }
            Behind::All | Behind::Anew => self.look_at_all(&index)?,
        }
        self.writer(&index)?.commit(&mark)?;
        self.behind = Behind::Some(BTreeSet::new());
        Ok(index)
    }

    /// The index; emptied before, if it is to be built anew.
    fn open(&mut self, mark: &str) -> Result<Index, KeeperError> {
        let path = self.store.data_dir().search_path();
        if self.behind == Behind::Anew {
            self.writer = None;
            self.index = None;
            *lock(&self.committed) = None;
            Index::remove(&path)?;
        }
        if let Some(index) = &self.index {
            return Ok(index.clone());
        }
        let index = Index::open(&path)?;
        if index.mark() != mark {
            self.behind.all();
        }
        *lock(&self.committed) = Some(index.clone());
        self.index = Some(index.clone());
        Ok(index)
    }

    fn writer(&mut self, index: &Index) -> Result<&mut Writer, KeeperError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => index.writer()?,
        };
        Ok(self.writer.insert(writer))
    }

    fn take_in(&mut self, index: &Index, datasets: &[DatasetId]) -> Result<(), KeeperError> {
        let placed = self.store.placed_datasets()?;
        let store = self.store.clone();
        let writer = self.writer(index)?;
        for dataset in datasets {
            if store.dataset(dataset)?.is_none() {
                writer.remove(dataset);
            } else if let Some(entry) = describe::entry(&store, dataset, lies(&placed, dataset))? {
                writer.put(&entry)?;
            }
        }
        Ok(())
    }

    /// Compares all known datasets with what is indexed of them.
    fn look_at_all(&mut self, index: &Index) -> Result<(), KeeperError> {
        let mut stamps = index.stamps()?;
        let placed = self.store.placed_datasets()?;
        let store = self.store.clone();
        let mut differ = Vec::new();
        for dataset in store.dataset_ids() {
            let dataset = dataset?;
            if self.stop.is_cancelled() {
                return Err(KeeperError::Stopped);
            }
            let indexed = stamps.remove(&short(&dataset));
            let state = store.dataset(&dataset)?;
            let lies = lies(&placed, &dataset);
            let is = state.and_then(|state| describe::stamp_of(&state, lies));
            if is.is_some() && is != indexed {
                differ.push(dataset);
            }
            if differ.len() >= BATCH {
                self.take_in(index, &differ)?;
                // No mark: it goes on from here if it is cut off.
                self.writer(index)?.commit("")?;
                differ.clear();
            }
        }
        self.take_in(index, &differ)?;
        if !stamps.is_empty() {
            let gone = index.datasets_of(|short| stamps.contains_key(&short))?;
            let writer = self.writer(index)?;
            gone.iter().for_each(|dataset| writer.remove(dataset));
        }
        Ok(())
    }
}

fn lies(placed: &BTreeSet<DatasetId>, dataset: &DatasetId) -> Lies {
    if placed.contains(dataset) {
        Lies::Here
    } else {
        Lies::Elsewhere
    }
}

#[cfg(test)]
mod tests;
