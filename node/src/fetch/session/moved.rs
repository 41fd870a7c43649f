//! What a session moved, and from whom.

use std::sync::atomic::Ordering;

use super::Session;
use crate::ops::PeerShare;

/// What a session moved.
#[derive(Debug, Default)]
pub(in crate::fetch) struct Moved {
    pub(in crate::fetch) received_bytes: u64,
    pub(in crate::fetch) wasted_bytes: u64,
    /// Who gave most comes first.
    pub(in crate::fetch) peers: Vec<PeerShare>,
}

impl Moved {
    /// What two sessions moved.
    pub(in crate::fetch) fn and(mut self, later: Self) -> Self {
        self.received_bytes += later.received_bytes;
        self.wasted_bytes += later.wasted_bytes;
        for share in later.peers {
            match self.peers.iter_mut().find(|known| known.peer == share.peer) {
                Some(known) => known.bytes += share.bytes,
                None => self.peers.push(share),
            }
        }
        sort(&mut self.peers);
        self
    }
}

fn sort(peers: &mut [PeerShare]) {
    peers.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.peer.cmp(&b.peer)));
}

impl Session {
    pub(super) fn moved(&self) -> Moved {
        let received_bytes = self.received.load(Ordering::Relaxed);
        let share = |(key, bytes): (&_, &u64)| {
            let peer = self.keys.get(key)?.to_string();
            Some(PeerShare {
                peer,
                bytes: *bytes,
            })
        };
        let mut peers: Vec<_> = self.shares.iter().filter_map(share).collect();
        sort(&mut peers);
        Moved {
            received_bytes,
            wasted_bytes: received_bytes.saturating_sub(self.useful_bytes),
            peers,
        }
    }
}
