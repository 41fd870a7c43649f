//! What is denied here is not fetched: not begun, and stopped when it is denied meanwhile.

use std::{pin::pin, sync::Arc};

use opendag_protocol::denial::{Denial, Denials};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{FetchError, table::LocalPages};
use crate::{node::Shared, ops::FetchRequest, resolve::Version, selection::Selection};

/// What is denied here is not fetched, unless the user says that it shall be all the same.
pub(super) fn refuse(request: &FetchRequest, denial: Option<Denial>) -> Result<(), FetchError> {
    match denial.filter(|_| !request.ignore_denylists) {
        Some(denial) => Err(FetchError::Denied(Box::new(denial))),
        None => Ok(()),
    }
}

/// Stops a fetch when what it fetches is denied since it began.
pub(super) struct Stop<'a> {
    shared: &'a Arc<Shared>,
    version: &'a Version,
    selection: &'a Selection,
    changes: watch::Receiver<Arc<Denials>>,
    /// Cancelled then.
    pub(super) stop: CancellationToken,
}

impl<'a> Stop<'a> {
    /// From now on. The fetch also ends with `cancel`.
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        (version, selection): (&'a Version, &'a Selection),
        cancel: &CancellationToken,
    ) -> Self {
        Self {
            shared,
            version,
            selection,
            changes: shared.denylists.changes(),
            stop: cancel.child_token(),
        }
    }

    /// Does the work, which has to end soon when it is cancelled.
    pub(super) async fn unless_denied<T>(
        mut self,
        work: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        let mut work = pin!(work);
        let denial = tokio::select! {
            done = &mut work => return done,
            denial = self.denial() => denial,
        };
        self.stop.cancel();
        // What arrived is made durable, whoever stopped it.
        match work.await {
            Err(FetchError::Cancelled) => Err(FetchError::Denied(Box::new(denial))),
            done => done,
        }
    }

    /// Why it must not be fetched any more, as soon as that is so.
    async fn denial(&mut self) -> Denial {
        loop {
            if self.changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(denial) = self.shared.denial(self.version) {
                return denial;
            }
            match self.denied_file().await {
                Ok(Some(denial)) => return denial,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "cannot look for denied files"),
            }
        }
    }

    async fn denied_file(&self) -> Result<Option<Denial>, FetchError> {
        let mut pages = LocalPages::open(self.shared, self.version, self.selection).await?;
        while let Some(page) = pages.next().await? {
            let denial = self.shared.denial_of_files(&page);
            if denial.is_some() {
                return Ok(denial);
            }
        }
        Ok(None)
    }
}
