//! Peers that had nothing that was wanted, and when they are looked at again.

use super::{Peer, Peers};
use crate::fetch::{PeerKey, shards::Slot};

/// Idle peers up to which all are looked at whenever there is something to ask for again.
const IDLE_SEEN: usize = 64;

impl Peers {
    /// Peers that had nothing that was wanted.
    pub(in crate::fetch) fn idle(&self) -> impl Iterator<Item = (PeerKey, &Peer)> {
        self.idle
            .iter()
            .filter_map(|key| Some((*key, self.peers.get(key)?)))
    }

    pub(in crate::fetch) fn has_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    /// These shards have something to ask for again: who claims any of them is not idle. Where many
    /// are idle they are looked at later, some at a time.
    pub(in crate::fetch) fn wake(&mut self, slots: &[Slot], steps: &mut u64) {
        if slots.is_empty() {
            return;
        }
        if self.idle.len() > IDLE_SEEN {
            self.unseen = self.idle.len();
            return;
        }
        let woken: Vec<PeerKey> = self
            .idle()
            .filter(|(_, peer)| {
                slots.iter().any(|slot| {
                    *steps += 1;
                    peer.claims.has_any(*slot)
                })
            })
            .map(|(key, _)| key)
            .collect();
        for key in woken {
            self.change(key, |peer| peer.idle = false);
        }
    }

    /// Are there idle peers that were not looked at since there is something to ask for again?
    pub(in crate::fetch) const fn has_unseen(&self) -> bool {
        self.unseen > 0
    }

    /// Looks at some of those: they are not idle until they had nothing that is wanted.
    pub(in crate::fetch) fn see_some(&mut self, count: usize, steps: &mut u64) {
        for key in self.turn(self.unseen.min(count)) {
            *steps += 1;
            self.unseen -= 1;
            self.change(key, |peer| peer.idle = false);
        }
        self.unseen = self.unseen.min(self.idle.len());
    }

    /// The next so many idle peers; each gets its turn.
    pub(in crate::fetch) fn turn(&mut self, count: usize) -> Vec<PeerKey> {
        let behind = self.idle.range(self.turn..);
        let keys = behind.chain(self.idle.range(..self.turn));
        let keys: Vec<PeerKey> = keys.copied().take(count).collect();
        self.turn = keys
            .last()
            .map_or(self.turn, |key| PeerKey(key.0.saturating_add(1)));
        keys
    }

    /// There is nothing to ask for: nobody needs to be looked at.
    pub(in crate::fetch) const fn forget_unseen(&mut self) {
        self.unseen = 0;
    }

    /// A peer had nothing that is wanted: it is not asked until that changes.
    pub(in crate::fetch) fn set_idle(&mut self, key: PeerKey) {
        self.change(key, |peer| peer.idle = true);
    }
}
