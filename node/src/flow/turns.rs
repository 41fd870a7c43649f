//! Whose turn it is: an equal share of bytes for each peer that waits, however many streams it has.
//!
//! Start-time fair queueing (Goyal, Vin, Cheng 1996). What a peer was given counts from its first turn;
//! who was given least goes next. A peer that comes back does not catch up on what it did not want.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Those who wait for their turn.
///
/// Invariants: a peer is in `ready` exactly if somebody waits for it, and else in `resting` for as long
/// as it was given more than the one whose turn it was last; nobody else is remembered.
#[derive(Debug)]
pub(super) struct Turns<K, W> {
    peers: BTreeMap<K, Peer<W>>,
    ready: BTreeSet<(u64, K)>,
    resting: BTreeSet<(u64, K)>,
    /// What the peer whose turn it was last had been given before.
    level: u64,
}

#[derive(Debug)]
struct Peer<W> {
    /// Bytes that it was given, or that it gave up by not being here.
    given: u64,
    waiting: VecDeque<(u64, W)>,
}

impl<K, W> Default for Turns<K, W> {
    fn default() -> Self {
        Self {
            peers: BTreeMap::new(),
            ready: BTreeSet::new(),
            resting: BTreeSet::new(),
            level: 0,
        }
    }
}

impl<K: Copy + Ord, W> Turns<K, W> {
    /// Somebody waits for `bytes` that go to `peer`.
    pub(super) fn wait(&mut self, peer: K, bytes: u64, waiter: W) {
        let level = self.level;
        let state = self.peers.entry(peer).or_insert_with(|| Peer {
            given: level,
            waiting: VecDeque::new(),
        });
        if state.waiting.is_empty() {
            self.resting.remove(&(state.given, peer));
            state.given = state.given.max(level);
            self.ready.insert((state.given, peer));
        }
        state.waiting.push_back((bytes, waiter));
    }

    /// The bytes of the next turn; those who do not wait any more are forgotten.
    pub(super) fn next_bytes(&mut self, waits: impl Fn(&W) -> bool) -> Option<u64> {
        while let Some((given, peer)) = self.ready.first().copied() {
            let state = self.peers.get_mut(&peer)?;
            while let Some((bytes, waiter)) = state.waiting.front() {
                if waits(waiter) {
                    return Some(*bytes);
                }
                state.waiting.pop_front();
            }
            self.ready.remove(&(given, peer));
            self.resting.insert((given, peer));
        }
        // There is enough for all: what they were given counts no more.
        self.peers.clear();
        self.resting.clear();
        None
    }

    /// Takes the next turn.
    pub(super) fn take(&mut self) -> Option<W> {
        let (given, peer) = self.ready.pop_first()?;
        let state = self.peers.get_mut(&peer)?;
        let (bytes, waiter) = state.waiting.pop_front()?;
        self.level = given;
        state.given = given.saturating_add(bytes);
        let rest = if state.waiting.is_empty() {
            &mut self.resting
        } else {
            &mut self.ready
        };
        rest.insert((state.given, peer));
        self.forget();
        Some(waiter)
    }

    /// Forgets peers that would begin at the level anyway.
    fn forget(&mut self) {
        while let Some((given, peer)) = self.resting.first().copied()
            && given <= self.level
        {
            self.resting.pop_first();
            self.peers.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives turns until `bytes` are given; answers what each peer got. A peer waits again at once.
    fn give(turns: &mut Turns<u8, u8>, bytes: u64) -> BTreeMap<u8, u64> {
        let mut got = BTreeMap::new();
        let mut given = 0;
        while given < bytes {
            let next = turns.next_bytes(|_| true).unwrap();
            let peer = turns.take().unwrap();
            *got.entry(peer).or_default() += next;
            given += next;
            turns.wait(peer, next, peer);
        }
        got
    }

    #[test]
    fn peers_get_equal_bytes_whatever_their_streams_and_sizes() {
        let mut turns = Turns::default();
        for _ in 0..16 {
            turns.wait(1, 64, 1);
        }
        turns.wait(2, 64, 2);
        turns.wait(3, 5, 3);
        let got = give(&mut turns, 60_000);
        for peer in 1..=3 {
            assert!(got[&peer].abs_diff(20_000) <= 64, "{got:?}");
        }
    }

    #[test]
    fn who_was_away_neither_catches_up_nor_pays() {
        let mut turns = Turns::default();
        turns.wait(1, 10, 1);
        give(&mut turns, 10_000);
        turns.wait(2, 10, 2);
        let got = give(&mut turns, 1000);
        assert!(got[&1].abs_diff(got[&2]) <= 10, "{got:?}");
    }

    #[test]
    fn who_always_leaves_after_its_turn_gets_no_more_than_its_share() {
        let mut turns = Turns::default();
        turns.wait(1, 10, 1);
        turns.wait(1, 10, 1);
        let (mut steady, mut fickle) = (0, 0);
        for _ in 0..1000 {
            // It asks only when the other one's turn has come, never with two at a time.
            turns.wait(2, 10, 2);
            for _ in 0..2 {
                match turns.take() {
                    Some(1) => {
                        steady += 1;
                        turns.wait(1, 10, 1);
                    }
                    Some(_) => fickle += 1,
                    None => {}
                }
            }
        }
        assert!(steady >= fickle, "{steady} {fickle}");
    }

    #[test]
    fn p6_nobody_is_remembered_who_does_not_count() {
        let mut turns = Turns::default();
        for peer in 0..=255_u8 {
            turns.wait(peer, 10, peer);
        }
        // Those who gave up are passed over, and nothing is counted for them.
        assert_eq!(turns.next_bytes(|peer| *peer == 255), Some(10));
        assert_eq!(turns.take(), Some(255));
        turns.wait(7, 10, 7);
        assert_eq!(turns.next_bytes(|_| true), Some(10));
        assert_eq!(turns.take(), Some(7));
        assert!(turns.peers.len() <= 2, "{}", turns.peers.len());
        assert_eq!(turns.next_bytes(|_| true), None);
    }
}
