//! Who of a swarm is listened to: so many at once, the others by turns. Time is an argument.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use libp2p::PeerId;
use tokio::time::Instant;

use crate::limits::FETCH_PEERS_MAX;

/// A peer that left, or had nothing, is listened to again after this at the earliest: it may just have begun
/// to fetch too. How often that happens in the long run is up to the finder, whose rounds grow apart.
const REST: Duration = Duration::from_secs(2);
/// A peer that gave nothing for so long makes room for one that waits: many ids of one liar must not keep the honest
/// out.
const PROVE_WITHIN: Duration = Duration::from_secs(10);
/// Peers that are remembered while a fetch lasts.
const PEERS_KNOWN_MAX: usize = 1024;

/// See the module. When a peer was last useful is told by who calls.
///
/// Invariant: who waits or rests, or is banned, is not here.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Who is listened to, and since when; `None`: it said that it has nothing.
    here: BTreeMap<PeerId, Option<Instant>>,
    waiting: VecDeque<PeerId>,
    rest: BTreeMap<PeerId, Instant>,
    banned: BTreeSet<PeerId>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Listen to this peer.
    Begin(PeerId),
    /// It makes room: listen to it no more.
    End(PeerId),
}

impl Places {
    /// A peer that may hold something. One that was useful before has its turn before strangers.
    pub(super) fn offer(&mut self, now: Instant, peer: PeerId, is_useful: bool) {
        let rests = self.rest.get(&peer).is_some_and(|until| *until > now);
        let knows_it = self.here.contains_key(&peer) || self.waiting.contains(&peer);
        if rests || knows_it || self.banned.contains(&peer) {
            return;
        }
        if is_useful {
            self.waiting.push_front(peer);
        } else if self.waiting.len() < PEERS_KNOWN_MAX {
            self.waiting.push_back(peer);
        }
    }

    /// A peer is listened to no more, whatever the reason.
    pub(super) fn left(&mut self, now: Instant, peer: PeerId) {
        self.here.remove(&peer);
        if self.rest.len() >= PEERS_KNOWN_MAX {
            self.rest.retain(|_, until| *until > now);
        }
        if self.rest.len() < PEERS_KNOWN_MAX {
            self.rest.insert(peer, now + REST);
        }
    }

    /// A peer said that it has nothing: it makes room at once.
    pub(super) fn has_nothing(&mut self, peer: PeerId) {
        if let Some(since) = self.here.get_mut(&peer) {
            *since = None;
        }
    }

    /// A peer said that it has something.
    pub(super) fn has_something(&mut self, now: Instant, peer: PeerId) {
        if let Some(since) = self.here.get_mut(&peer) {
            since.get_or_insert(now);
        }
    }

    /// It is never listened to again. If it is now, its stream tells nothing any more.
    pub(super) fn ban(&mut self, peer: PeerId) {
        self.banned.insert(peer);
        self.waiting.retain(|waiting| *waiting != peer);
    }

    /// Is it listened to, or never to be?
    pub(super) fn is_settled(&self, peer: &PeerId) -> bool {
        self.here.contains_key(peer) || self.banned.contains(peer)
    }

    /// Do so few wait that more are worth looking for?
    pub(super) fn wants_more(&self) -> bool {
        self.here.len() < FETCH_PEERS_MAX || self.waiting.len() < FETCH_PEERS_MAX
    }

    /// What to do next; `None` until something happens, or until [`Places::deadline`].
    pub(super) fn next(
        &mut self,
        now: Instant,
        useful_at: impl Fn(&PeerId) -> Option<Instant>,
    ) -> Option<Turn> {
        self.waiting.front()?;
        if self.here.len() >= FETCH_PEERS_MAX {
            let (due, peer) = self.least_useful(useful_at)?;
            let has_to_go = due.is_none_or(|due| due <= now);
            return has_to_go.then(|| {
                self.left(now, peer);
                Turn::End(peer)
            });
        }
        let peer = self.waiting.pop_front()?;
        self.here.insert(peer, Some(now));
        Some(Turn::Begin(peer))
    }

    /// When somebody has to make room, if nothing happens before. To be asked after [`Places::next`].
    pub(super) fn deadline(
        &self,
        useful_at: impl Fn(&PeerId) -> Option<Instant>,
    ) -> Option<Instant> {
        self.waiting.front()?;
        self.least_useful(useful_at)?.0
    }

    /// Who has to make room first, and when; `None`: at once.
    fn least_useful(
        &self,
        useful_at: impl Fn(&PeerId) -> Option<Instant>,
    ) -> Option<(Option<Instant>, PeerId)> {
        let due = |(peer, since): (&PeerId, &Option<Instant>)| {
            let since = since.map(|since| useful_at(peer).map_or(since, |at| at.max(since)));
            (since.map(|since| since + PROVE_WITHIN), *peer)
        };
        self.here.iter().map(due).min()
    }
}

#[cfg(test)]
mod tests;
