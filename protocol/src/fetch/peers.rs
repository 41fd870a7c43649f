//! The peers of a fetch: what they claim, how much they carry, and who is asked next.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    FetchConfig, Holdings, PeerKey,
    pace::Pace,
    progress::PeerBytes,
    shards::{Shards, Slot},
};
use crate::time::Time;

mod idle;
mod peer;

pub(super) use peer::{Class, Peer};
use peer::{Counted, Rank};

/// How long a peer rests after a failure; twice as long after each further one in a row.
const REST_FIRST: Duration = Duration::from_millis(500);
/// The longest rest: a peer that failed for an hour gets a try a minute.
const REST_MAX: Duration = Duration::from_secs(60);
/// Doublings of rests.
const FAILURES_MAX: u32 = 7;
/// Peers compared for the next request.
const CANDIDATES: usize = 16;

/// What is remembered of a peer that left.
#[derive(Debug, Default)]
struct Past {
    failures: u32,
    banned: bool,
    bytes: PeerBytes,
}

/// The peers of a fetch.
///
/// Invariants: `in_flight`, `slow_in_flight` and `untried` are sums over the peers; a peer is listed as ready
/// exactly if it may be asked, is not idle, and has room for another request.
#[derive(Debug)]
pub(super) struct Peers {
    peers: BTreeMap<PeerKey, Peer>,
    past: BTreeMap<PeerKey, Past>,
    slow: BTreeSet<Rank>,
    fast: BTreeSet<Rank>,
    idle: BTreeSet<PeerKey>,
    /// Idle peers to look at since there is something to ask for again.
    unseen: usize,
    /// Whose turn it is among the idle.
    turn: PeerKey,
    in_flight: u64,
    slow_in_flight: u64,
    active: u64,
    untried: usize,
    complete: usize,
    first_window: u64,
    in_flight_max: u64,
    request_max: u64,
    requests_max: usize,
}

impl Peers {
    pub(super) const fn new(config: &FetchConfig) -> Self {
        Self {
            peers: BTreeMap::new(),
            past: BTreeMap::new(),
            slow: BTreeSet::new(),
            fast: BTreeSet::new(),
            idle: BTreeSet::new(),
            unseen: 0,
            turn: PeerKey(0),
            in_flight: 0,
            slow_in_flight: 0,
            active: 0,
            untried: 0,
            complete: 0,
            first_window: config.first_window_bytes,
            in_flight_max: config.in_flight_bytes_max,
            request_max: config.request_bytes_max,
            requests_max: config.peer_requests_max,
        }
    }

    pub(super) fn get(&self, key: PeerKey) -> Option<&Peer> {
        self.peers.get(&key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerKey, &Peer)> {
        self.peers.iter().map(|(key, peer)| (*key, peer))
    }

    pub(super) const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Peers that owe something.
    pub(super) const fn active(&self) -> u64 {
        self.active
    }

    /// Peers that are ready and were never asked: there was no room.
    pub(super) const fn untried(&self) -> usize {
        self.untried
    }

    /// Peers that hold the whole version, by their own word.
    pub(super) const fn complete(&self) -> usize {
        self.complete
    }

    /// Bytes that each peer gave, those that left included.
    pub(super) fn bytes(&self) -> BTreeMap<PeerKey, PeerBytes> {
        let here = self.peers.iter().map(|(key, peer)| (*key, peer.bytes));
        self.past
            .iter()
            .map(|(key, past)| (*key, past.bytes))
            .chain(here)
            .collect()
    }

    pub(super) fn is_banned(&self, key: PeerKey) -> bool {
        self.past.get(&key).is_some_and(|past| past.banned)
    }

    pub(super) fn join(&mut self, now: Time, key: PeerKey) {
        if self.is_banned(key) || self.peers.contains_key(&key) {
            return;
        }
        let past = self.past.remove(&key).unwrap_or_default();
        let pace = Pace::new(self.first_window, self.in_flight_max);
        let peer = Peer::new(now, pace, past.failures, past.bytes);
        self.peers.insert(key, peer);
        self.update(key);
    }

    /// Takes a peer out; its requests must be closed already.
    pub(super) fn leave(&mut self, key: PeerKey, banned: bool, shards: &mut Shards) {
        self.change(key, |peer| peer.idle = true);
        self.idle.remove(&key);
        let Some(peer) = self.peers.remove(&key) else {
            return;
        };
        self.complete -= usize::from(peer.claims.is_complete());
        peer.claims.withdraw(shards);
        let past = Past {
            failures: peer.failures,
            banned,
            bytes: peer.bytes,
        };
        if banned || past.failures > 0 || past.bytes != PeerBytes::default() {
            self.past.insert(key, past);
        }
    }

    /// Notes what a peer says it holds.
    pub(super) fn claim(&mut self, key: PeerKey, update: &Holdings, shards: &mut Shards) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let claims = &mut peer.claims;
        let mut new = false;
        match update {
            Holdings::Nothing => {
                let claims = std::mem::take(claims);
                self.complete -= usize::from(claims.is_complete());
                claims.withdraw(shards);
            }
            Holdings::Complete => {
                new = claims.complete(shards);
                self.complete += usize::from(new);
            }
            Holdings::Shards { first, bits } => {
                let count = u64::try_from(bits.len())
                    .unwrap_or(u64::MAX)
                    .saturating_mul(8);
                for slot in shards.slots_between(*first, count) {
                    let bit = u64::from(shards.index(slot).0).saturating_sub(u64::from(first.0));
                    new |= bit_of(bits, bit) && claims.whole(slot, shards);
                }
            }
            Holdings::Partial { shard, ranges } => {
                if let Some(slot) = shards.slot_of(*shard) {
                    new = claims.part(slot, ranges, shards);
                }
            }
        }
        // Words that were heard before change nothing.
        self.change(key, |peer| peer.idle &= !new);
    }

    /// A peer lacks a shard that it claimed.
    pub(super) fn deny(&mut self, key: PeerKey, slot: Slot, shards: &mut Shards) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.claims.deny(slot, shards);
        }
    }

    /// Changes a peer and puts it where it belongs among the others.
    pub(super) fn change(&mut self, key: PeerKey, change: impl FnOnce(&mut Peer)) {
        if let Some(peer) = self.peers.get_mut(&key) {
            change(peer);
            self.update(key);
        }
    }

    /// A peer failed: it rests.
    pub(super) fn failed(&mut self, now: Time, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let until = now + REST_FIRST.saturating_mul(1 << peer.failures).min(REST_MAX);
        peer.failures = (peer.failures + 1).min(FAILURES_MAX);
        peer.resting_until = Some(until);
        self.update(key);
    }

    /// This node stood still: nobody is blamed for the time.
    pub(super) fn excuse(&mut self, now: Time) {
        for peer in self.peers.values_mut() {
            peer.progress_at = now;
        }
    }

    /// A peer sent what was asked for: what was before is forgiven. Was there anything?
    pub(super) fn forgive(&mut self, key: PeerKey) -> bool {
        let failures = self
            .peers
            .get_mut(&key)
            .map(|peer| std::mem::take(&mut peer.failures));
        failures.is_some_and(|failures| failures > 0)
    }

    /// Ends a rest that is over.
    pub(super) fn rested(&mut self, now: Time, key: PeerKey) {
        self.change(key, |peer| {
            if peer.resting_until.is_some_and(|until| until <= now) {
                peer.resting_until = None;
            }
        });
    }

    /// Bytes that a peer of this class may ask for now.
    pub(super) fn budget(&self, class: Class) -> u64 {
        let free = self.in_flight_max.saturating_sub(self.in_flight);
        match class {
            Class::Fast => free,
            Class::Slow => free.min((self.in_flight_max / 2).saturating_sub(self.slow_in_flight)),
        }
    }

    /// Who of a class is asked next, and for how many bytes.
    ///
    /// It is who has least in flight, where one that gave more so far counts as
    /// having more: peers with time to spare give equal shares, and none of them stands still.
    pub(super) fn next(&self, class: Class, steps: &mut u64) -> Option<(PeerKey, u64)> {
        let ready = match class {
            Class::Slow => &self.slow,
            Class::Fast => &self.fast,
        };
        let &(failures, given_least, _) = ready.first()?;
        let share = self.in_flight_max / self.active.max(1);
        let advantage_max = share / 4 * 3;
        let key = ready
            .iter()
            .take(CANDIDATES)
            .take_while(|rank| rank.0 == failures)
            .filter_map(|&(_, given, key)| {
                *steps += 1;
                let advantage = (given - given_least).min(advantage_max);
                let peer = self.peers.get(&key)?;
                Some((peer.in_flight + advantage, peer.requests.len(), key))
            })
            .min()?
            .2;
        Some((
            key,
            self.peers
                .get(&key)?
                .pace
                .request_bytes(share, self.request_max),
        ))
    }

    fn update(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let class = peer.class();
        let ready = !peer.idle
            && peer.resting_until.is_none()
            && !peer.claims.is_empty()
            && peer.requests.len() < self.requests_max
            && peer.has_room(self.request_max);
        let counted = Counted {
            class,
            in_flight: peer.in_flight,
            untried: ready && peer.requests.is_empty() && !peer.is_proven() && peer.failures == 0,
        };
        let old = std::mem::replace(&mut peer.counted, counted);
        self.in_flight = self.in_flight - old.in_flight + counted.in_flight;
        self.active = self.active - u64::from(old.in_flight > 0) + u64::from(counted.in_flight > 0);
        self.untried = self.untried - usize::from(old.untried) + usize::from(counted.untried);
        if old.class == Class::Slow {
            self.slow_in_flight -= old.in_flight;
        }
        if class == Class::Slow {
            self.slow_in_flight += counted.in_flight;
        }
        if peer.idle {
            self.idle.insert(key);
        } else {
            self.idle.remove(&key);
        }
        let listed = ready.then_some((class, (peer.failures, peer.bytes.verified, key)));
        let old = std::mem::replace(&mut peer.listed, listed);
        if old == listed {
            return;
        }
        if let Some((class, rank)) = old {
            self.list(class).remove(&rank);
        }
        if let Some((class, rank)) = listed {
            self.list(class).insert(rank);
        }
    }

    const fn list(&mut self, class: Class) -> &mut BTreeSet<Rank> {
        match class {
            Class::Slow => &mut self.slow,
            Class::Fast => &mut self.fast,
        }
    }
}

/// Bit `at` of a bitmap whose bytes begin with the least significant bit.
fn bit_of(bits: &[u8], at: u64) -> bool {
    let byte = usize::try_from(at / 8).ok().and_then(|byte| bits.get(byte));
    byte.is_some_and(|byte| (byte >> (at % 8)) & 1 == 1)
}
