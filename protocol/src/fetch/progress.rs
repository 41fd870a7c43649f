//! How far a fetch is, who gave what, and what it waits for.

use std::collections::BTreeMap;

use super::{Fetch, PeerKey};
use crate::time::Time;

/// How far a fetch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Shards that are here, those that were at the start included.
    pub shards_done: u64,
    /// Shards in all.
    pub shards_total: u64,
    /// Bytes that are here.
    pub bytes_done: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// Bytes received for verified groups, proofs included.
    pub received_bytes: u64,
    /// Those of them that were of no use: here already, or part of a small shard that was never
    /// completed.
    pub wasted_bytes: u64,
    /// Bytes asked for that have not come yet.
    pub in_flight_bytes: u64,
    /// Peers that have been asked for something and owe it.
    pub peers_active: u32,
}

/// What a peer gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerBytes {
    /// Bytes of shards that were new and right.
    pub verified: u64,
    /// Bytes received for verified groups, proofs included.
    pub received: u64,
}

/// What a fetch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no peer that may be asked.
    NoPeers,
    /// No peer has said yet that it holds anything of the version.
    NoHoldings,
    /// Some shards are held by none of the peers here.
    NobodyHolds {
        /// How many shards nobody claims. 0: each is claimed in part, or a claim was false.
        shards: u64,
    },
    /// All peers that could help failed and are tried again later.
    PeersRest {
        /// When the first is tried again.
        until: Time,
    },
    /// Peers were asked and send nothing.
    NoAnswer {
        /// Since when.
        since: Time,
    },
}

/// So long without anything from a peer that was asked is worth a word, in milliseconds.
const QUIET_MS: u128 = 2000;

impl Fetch {
    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            shards_done: u64::try_from(self.shards.done()).unwrap_or(u64::MAX),
            shards_total: u64::try_from(self.shards.len()).unwrap_or(u64::MAX),
            bytes_done: self.shards.bytes_done(),
            bytes_total: self.shards.bytes_total(),
            received_bytes: self.received_bytes,
            wasted_bytes: self.wasted_bytes,
            in_flight_bytes: self.peers.in_flight(),
            peers_active: u32::try_from(self.peers.active()).unwrap_or(u32::MAX),
        }
    }

    /// What each peer gave, those that left or were banned included.
    #[must_use]
    pub fn peer_bytes(&self) -> BTreeMap<PeerKey, PeerBytes> {
        self.peers.bytes()
    }

    /// Is every shard here?
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.completed
    }

    /// What it waits for; `None` if it is complete or something moves.
    #[must_use]
    pub fn stalled(&self, now: Time) -> Option<Why> {
        if self.completed {
            return None;
        }
        let asked = self.peers.iter().filter(|(_, peer)| peer.in_flight > 0);
        if let Some(since) = asked.map(|(_, peer)| peer.progress_at).max() {
            let quiet = now.since(since).as_millis() >= QUIET_MS;
            return quiet.then_some(Why::NoAnswer { since });
        }
        if self.peers.iter().next().is_none() {
            return Some(Why::NoPeers);
        }
        if self.peers.iter().all(|(_, peer)| peer.claims.is_empty()) {
            return Some(Why::NoHoldings);
        }
        let resting = self
            .peers
            .iter()
            .filter(|(_, peer)| !peer.claims.is_empty())
            .filter_map(|(_, peer)| peer.resting_until());
        if let Some(until) = resting.min() {
            return Some(Why::PeersRest { until });
        }
        let unclaimed = self.shards.slots().filter(|slot| {
            !self.shards.is_done(*slot)
                && !self.shards.is_claimed(*slot)
                && self.peers.complete() == 0
        });
        Some(Why::NobodyHolds {
            shards: u64::try_from(unclaimed.count()).unwrap_or(u64::MAX),
        })
    }
}
