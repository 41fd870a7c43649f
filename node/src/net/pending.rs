//! Everything that callers wait for.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use libp2p::{PeerId, kad::QueryId, swarm::ConnectionId};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::Instant,
};

use super::{ConnectError, PeerAddr, command::ConnectReply, limits::HEADS_FOUND_MAX};

/// What ends the waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Waiting {
    /// A confirmed connection to a peer, or the failure of a dial to it.
    Peer(PeerId),
    /// The end of a dial to an address whose peer is not known.
    Connection(ConnectionId),
    /// The end of a query of the DHT.
    Query(QueryId),
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
    /// To somebody who looks for providers: each as it is found; the end is a closed channel.
    Providers {
        found: mpsc::Sender<PeerAddr>,
        /// Those sent already. Bounded by the channel.
        seen: BTreeSet<PeerId>,
    },
    /// To somebody who looks for heads: all at the end, or those found by the deadline.
    Heads {
        /// Distinct and valid.
        found: Vec<Vec<u8>>,
        reply: oneshot::Sender<Vec<Vec<u8>>>,
    },
}

impl Reply {
    /// Ends the waiting for a connection.
    pub(super) fn connected(self, result: Result<PeerId, ConnectError>) {
        if let Self::Connect { reply, .. } = self {
            let _ = reply.send(result);
        }
    }

    /// Ends the waiting with what there is: the query has ended, or the deadline has come.
    pub(super) fn end(self) {
        match self {
            Self::Connect { reply, .. } => {
                let _ = reply.send(Err(ConnectError::Timeout));
            }
            // Dropping the channel tells the caller.
            Self::Providers { .. } => {}
            Self::Heads { found, reply } => {
                let _ = reply.send(found);
            }
        }
    }

    /// Does nobody wait any more?
    fn is_gone(&self) -> bool {
        match self {
            Self::Connect { reply, .. } => reply.is_closed(),
            Self::Providers { found, .. } => found.is_closed(),
            Self::Heads { reply, .. } => reply.is_closed(),
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

    /// Shows the finds of those who look for providers; true if one of them has enough.
    pub(super) fn providers(&mut self, what: &Waiting, peer: &PeerAddr) -> bool {
        let mut enough = false;
        for entry in self.0.get_mut(what).into_iter().flatten() {
            if let Reply::Providers { found, seen } = &mut entry.reply
                && seen.insert(peer.peer)
            {
                // A full channel has more than anybody can use; a closed one has nobody behind it.
                enough |= found.try_send(peer.clone()).is_err();
            }
        }
        enough
    }

    /// Shows a head to those who look for it; true if one of them has enough.
    pub(super) fn heads(&mut self, what: &Waiting, head: &[u8]) -> bool {
        let mut enough = false;
        for entry in self.0.get_mut(what).into_iter().flatten() {
            if let Reply::Heads { found, .. } = &mut entry.reply {
                if !found.iter().any(|known| known == head) {
                    found.push(head.to_vec());
                }
                enough |= found.len() >= HEADS_FOUND_MAX;
            }
        }
        enough
    }

    /// All whose deadline has passed or who are gone, who wait no more.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<(Waiting, Entry)> {
        let mut expired = Vec::new();
        for (what, entries) in &mut self.0 {
            let late =
                entries.extract_if(.., |entry| entry.deadline <= now || entry.reply.is_gone());
            expired.extend(late.map(|entry| (*what, entry)));
        }
        self.0.retain(|_, entries| !entries.is_empty());
        expired
    }
}
