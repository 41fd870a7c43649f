//! When peers last gave something that was verified: they are asked before those of whom nothing is known, so that a
//! crowd of strangers does not stand between this node and those that served it before.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use libp2p::PeerId;
use tokio::time::Instant;

use super::limits::USEFUL_PEERS_MAX;

/// What is remembered of useful peers, for as long as the network runs.
#[derive(Debug, Default)]
pub(super) struct Useful(Mutex<BTreeMap<PeerId, Instant>>);

impl Useful {
    /// Notes that a peer was useful. Of too many the one that was so the longest ago is forgotten.
    pub(super) fn note(&self, now: Instant, peer: PeerId) {
        let mut peers = self.lock();
        peers.insert(peer, now);
        if peers.len() > USEFUL_PEERS_MAX {
            let oldest = peers.iter().min_by_key(|(_, at)| **at);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                peers.remove(&oldest);
            }
        }
    }

    pub(super) fn at(&self, peer: &PeerId) -> Option<Instant> {
        self.lock().get(peer).copied()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn of_many_useful_peers_the_newest_are_remembered() {
        let (useful, start) = (Useful::default(), Instant::now());
        let peers: Vec<PeerId> = (0..=USEFUL_PEERS_MAX).map(|_| PeerId::random()).collect();
        let mut now = start;
        for peer in &peers {
            useful.note(now, *peer);
            now += Duration::from_millis(1);
            // The first one is useful all the time.
            useful.note(now, peers[0]);
        }
        assert_eq!(useful.at(&peers[0]), Some(now));
        assert_eq!(useful.at(&peers[1]), None);
        assert!(peers[2..].iter().all(|peer| useful.at(peer).is_some()));
    }
}
