//! Everything that callers wait for.

use std::{collections::HashMap, time::Duration};

use libp2p::{PeerId, swarm::ConnectionId};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{ConnectError, command::ConnectReply};

/// What ends the waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Waiting {
    /// A confirmed connection to a peer, or the failure of a dial to it.
    Peer(PeerId),
    /// The end of a dial to an address whose peer is not known.
    Connection(ConnectionId),
}

/// Where the answer goes.
#[derive(Debug)]
pub(super) enum Reply {
    /// To somebody who wants a connection.
    Connect {
        reply: ConnectReply,
        /// Has a dial begun with all addresses that the caller gave?
        dialled: bool,
    },
    /// To nobody: the node itself wants the connection.
    Nobody,
}

impl Reply {
    /// Ends the waiting for a connection.
    pub(super) fn connected(self, result: Result<PeerId, ConnectError>) {
        if let Self::Connect { reply, .. } = self {
            let _ = reply.send(result);
        }
    }
}

/// Somebody who waits. Dropping it frees the caller's place.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) reply: Reply,
    pub(super) deadline: Instant,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Entry {
    pub(super) fn new(reply: Reply, span: Duration, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            reply,
            deadline: Instant::now() + span,
            _permit: permit,
        }
    }
}

/// Who waits for what. Bounded by the permits in the entries; every entry ends by its deadline.
#[derive(Debug, Default)]
pub(super) struct Pending(HashMap<Waiting, Vec<Entry>>);

impl Pending {
    pub(super) fn add(&mut self, what: Waiting, entry: Entry) {
        self.0.entry(what).or_default().push(entry);
    }

    /// All who wait for `what`, who wait no more.
    pub(super) fn take(&mut self, what: &Waiting) -> Vec<Entry> {
        self.0.remove(what).unwrap_or_default()
    }

    /// All whose deadline has passed, who wait no more.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<(Waiting, Entry)> {
        let mut expired = Vec::new();
        for (what, entries) in &mut self.0 {
            let late = entries.extract_if(.., |entry| entry.deadline <= now);
            expired.extend(late.map(|entry| (*what, entry)));
        }
        self.0.retain(|_, entries| !entries.is_empty());
        expired
    }
}
