//! Reading what a running fetch of the version has, or brings next: nothing is fetched twice.

use std::{sync::Arc, time::Duration};

use opendag_protocol::{Hash, table::ShardIndex, wire::GroupRange};
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

use super::{ReadFault, window::Window};
use crate::{holdings::Session, store::Store};

/// A fetch that does not answer within this prepares still: its reader does not wait for it.
const ANSWER_MAX: Duration = Duration::from_millis(300);

/// A reader of a file that is being fetched.
#[derive(Debug)]
pub(super) struct Joined {
    fetch: Arc<Session>,
    changed: watch::Receiver<u64>,
    /// What the fetch was told last that a reader waits for.
    told: Option<GroupRange>,
}

/// What came of waiting.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The bytes.
    Bytes(Vec<u8>),
    /// The fetch ended: they may be here, or not come from it.
    Ended,
    /// They do not come from this fetch.
    Refused,
    /// Not in time.
    TooLate,
}

impl Joined {
    pub(super) fn new(fetch: Arc<Session>) -> Self {
        Self {
            changed: fetch.watch(),
            fetch,
            told: None,
        }
    }

    /// The fetch.
    pub(super) fn fetch(&self) -> &Arc<Session> {
        &self.fetch
    }

    /// Waits for `step` of a file, with the rest of `window` behind it, and reads it.
    pub(super) async fn read(
        &mut self,
        store: &Store,
        (shard, hash): (ShardIndex, Hash),
        (step, window): (GroupRange, Window),
        deadline: Instant,
    ) -> Result<Outcome, ReadFault> {
        loop {
            self.changed.mark_unchanged();
            if self.fetch.has_ended() {
                return Ok(Outcome::Ended);
            }
            if !window.is_told(self.told) {
                self.told = Some(window.groups());
                let comes = timeout(ANSWER_MAX, self.fetch.hurry(shard, window.groups())).await;
                if comes != Ok(true) && !self.fetch.has(shard, step) {
                    return Ok(match self.fetch.has_ended() {
                        true => Outcome::Ended,
                        false => Outcome::Refused,
                    });
                }
            }
            if self.fetch.has(shard, step) {
                let store = store.clone();
                let read = tokio::task::spawn_blocking(move || store.read_verified(hash, step));
                return match read.await.map_err(|error| ReadFault::failed(&error))? {
                    Ok(bytes) => Ok(Outcome::Bytes(bytes)),
                    Err(error) => {
                        tracing::debug!(%error, "a reader cannot use what a fetch has");
                        Ok(Outcome::Refused)
                    }
                };
            }
            match timeout_at(deadline, self.changed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(Outcome::Ended),
                Err(_) => return Ok(Outcome::TooLate),
            }
        }
    }
}
