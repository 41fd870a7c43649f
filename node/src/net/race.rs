//! Lets TCP try before QUIC when a peer is dialled over both.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use libp2p::PeerId;
use tokio::sync::watch;

/// Entries beyond which dead ones are swept.
const SWEEP_AT: usize = 64;

/// Which peers are being dialled over TCP right now.
///
/// A dial over QUIC waits until all dials over TCP to the same peer have ended, at most for the head
/// start. All dials to a peer are created before the first of them is polled, so the order of the
/// addresses does not matter. A peer with QUIC addresses alone does not wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Race(Arc<Mutex<HashMap<PeerId, Weak<watch::Sender<()>>>>>);

/// Exists as long as a dial over TCP does.
pub(super) type Running = Arc<watch::Sender<()>>;

impl Race {
    /// Notes a dial over TCP, which lasts until the result is dropped.
    pub(super) fn tcp(&self, peer: PeerId) -> Running {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.len() >= SWEEP_AT {
            running.retain(|_, dial| dial.strong_count() > 0);
        }
        if let Some(dial) = running.get(&peer).and_then(Weak::upgrade) {
            return dial;
        }
        let dial = Arc::new(watch::Sender::new(()));
        running.insert(peer, Arc::downgrade(&dial));
        dial
    }

    /// Waits until no dial over TCP to `peer` runs, at most `head_start`. Safe to drop.
    pub(super) async fn tcp_ended(&self, peer: PeerId, head_start: Duration) {
        let ended = {
            let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            running
                .get(&peer)
                .and_then(Weak::upgrade)
                .map(|dial| dial.subscribe())
        };
        if let Some(mut ended) = ended {
            // Nothing is ever sent: an error says that all senders are gone.
            let _ = tokio::time::timeout(head_start, ended.changed()).await;
        }
    }
}
