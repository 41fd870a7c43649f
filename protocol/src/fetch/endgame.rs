//! What a slow peer still owes is asked of idle ones as well, and who said nothing makes room for who was not asked.

use std::{collections::BTreeSet, time::Duration};

use super::{Fetch, PeerKey, RequestId, Timer, peers::Peer, requests::Request, shards::Slot};
use crate::{time::Time, wire::GroupRange};

/// How often it is looked at.
const TICK: Duration = Duration::from_millis(250);
/// A peer that sent nothing for so long counts as quiet here, before it times out. Longer than
/// this node's own disk usually keeps all waiting.
const QUIET: Duration = Duration::from_millis(2500);
/// Peers that are asked for the same at once: of what they send one copy is of use.
const RIVALS_MAX: usize = 16;
/// What asking twice must save.
const GAIN_MIN: Duration = Duration::from_millis(500);
/// Idle peers that are looked at each time in all: the others have their turn later.
const LOOKS_MAX: usize = 4096;
/// What an unproven peer is expected to need.
const UNPROVEN: Duration = Duration::from_secs(2);

/// A request that is late.
struct Late {
    id: RequestId,
    /// How long it will still take.
    expected: Duration,
    /// Its rivals, all of them quiet.
    given_up: Vec<RequestId>,
    /// As many others are to be asked.
    more: usize,
}

impl Fetch {
    /// Sets the timer if a peer has nothing else to do, or no room to begin, while requests are in flight.
    pub(super) fn watch_endgame(&mut self, now: Time) {
        if self.endgame_at.is_some() || !(self.peers.has_idle() || self.peers.untried() > 0) {
            return;
        }
        // Those with rivals too: if all of them go quiet, more are to be asked.
        let mut requests = self.requests.values();
        if requests.any(|request| !request.left.is_empty()) {
            self.endgame_at = Some(now + TICK);
            self.timers.insert((now + TICK, Timer::Endgame));
        }
    }

    /// Asks others for what is late.
    pub(super) fn endgame(&mut self, now: Time) {
        self.endgame_at = None;
        self.give_up_unproven(now);
        let late: Vec<Late> = self
            .requests
            .iter()
            .filter_map(|(id, request)| self.late(now, *id, request))
            .collect();
        let looks = LOOKS_MAX / late.len().max(1);
        for late in late {
            for rival in late.given_up {
                self.request_timer(now, rival);
            }
            for _ in 0..late.more {
                if !self.ask_twice(now, late.id, late.expected, looks) {
                    break;
                }
            }
        }
    }

    /// Many ids of one liar that say nothing must not be waited for in turn: while peers that were never asked find no
    /// room, those that were asked once and are quiet make it. Next time they get all the patience there is.
    fn give_up_unproven(&mut self, now: Time) {
        if self.shards.is_all_asked() {
            return;
        }
        let unproven = |request: &&Request| {
            let peer = self.peers.get(request.peer);
            peer.is_some_and(|peer| !peer.is_proven() && peer.failures() == 0)
                && self.is_quiet(now, request)
        };
        let quiet: BTreeSet<PeerKey> = self
            .requests
            .values()
            .filter(unproven)
            .map(|request| request.peer)
            .take(self.peers.untried())
            .collect();
        for peer in quiet {
            self.silent(now, peer);
        }
    }

    /// What is to be done about a request that is late. Of rivals the oldest stands for all.
    fn late(&self, now: Time, id: RequestId, request: &Request) -> Option<Late> {
        let is_oldest = request.rivals.first().is_none_or(|rival| id < *rival);
        if request.left.is_empty() || !is_oldest {
            return None;
        }
        let expected = self.expected(now, request)?;
        let mut rivals = request.rivals.iter().filter_map(|id| self.requests.get(id));
        let all_quiet = rivals.all(|rival| self.is_quiet(now, rival));
        if expected <= GAIN_MIN || !all_quiet {
            return None;
        }
        // Twice as many each time: so the one that answers is found soon among however many that do not.
        let rivals = request.rivals.len();
        Some(Late {
            id,
            expected,
            given_up: request.rivals.iter().copied().collect(),
            more: (2 * rivals).clamp(1, RIVALS_MAX - 1),
        })
    }

    fn is_quiet(&self, now: Time, request: &Request) -> bool {
        self.expected(now, request) == Some(Duration::MAX)
    }

    /// How long a request will still take; `Duration::MAX` if its peer went quiet.
    pub(super) fn expected(&self, now: Time, request: &Request) -> Option<Duration> {
        let peer = self.peers.get(request.peer)?;
        let quiet = peer
            .pace
            .delay()
            .unwrap_or_default()
            .saturating_mul(3)
            .max(QUIET);
        if now.since(peer.progress_at) >= quiet {
            return Some(Duration::MAX);
        }
        peer.expected(0)
    }

    /// Asks the best idle peer for what a request still has to bring, if that saves time.
    fn ask_twice(&mut self, now: Time, id: RequestId, expected: Duration, looks: usize) -> bool {
        let candidates = self.peers.turn(looks);
        let Some(request) = self.requests.get(&id) else {
            return false;
        };
        let is_asked = |key: PeerKey| {
            let mut rivals = request.rivals.iter().filter_map(|id| self.requests.get(id));
            request.peer == key || rivals.any(|rival| rival.peer == key)
        };
        let free = self.peers.budget(super::peers::Class::Fast);
        let best = candidates
            .iter()
            .filter_map(|key| Some((*key, self.peers.get(*key)?)))
            .filter(|(key, peer)| peer.resting_until().is_none() && !is_asked(*key))
            .filter_map(|(key, peer)| {
                let (parts, bytes) = self.held_parts(peer, request);
                let span = peer.expected(bytes).unwrap_or(UNPROVEN);
                (!parts.is_empty() && bytes <= free)
                    .then_some(((peer.failures(), !peer.is_proven(), span, key), parts))
            })
            .min_by_key(|(rank, _)| *rank);
        let Some(((_, _, span, key), parts)) = best else {
            return false;
        };
        let saves_time = expected > span.saturating_mul(2).saturating_add(GAIN_MIN);
        if saves_time {
            self.ask_rival(now, id, key, &parts);
        }
        saves_time
    }

    /// Asks a peer for what another request, or a part of it, is late with.
    pub(super) fn ask_rival(
        &mut self,
        now: Time,
        id: RequestId,
        key: PeerKey,
        parts: &[(Slot, GroupRange)],
    ) {
        let request = self.requests.get(&id);
        let mut rivals = request
            .map(|request| request.rivals.clone())
            .unwrap_or_default();
        rivals.insert(id);
        self.send(now, key, parts, rivals);
    }

    /// What of a request's rest a peer claims, and its bytes.
    fn held_parts(&self, peer: &Peer, request: &Request) -> (Vec<(Slot, GroupRange)>, u64) {
        let (mut parts, mut bytes) = (Vec::new(), 0);
        for (slot, left) in &request.left {
            // A part of a small shard waits in memory with the other peer: ask for all of it.
            let all = self.shards.whole(*slot);
            let groups = if self.shards.is_small(*slot) {
                &all
            } else {
                &left.groups
            };
            let groups = self.shards.missing(*slot, groups);
            if parts.len() + groups.len_ranges() <= self.config.request_items_max
                && groups.iter().all(|range| {
                    let pieces = self.shards.pieces_of(*slot, range);
                    peer.claims.has(*slot, pieces)
                })
            {
                bytes += groups.len_bytes(self.shards.size(*slot));
                parts.extend(groups.iter().map(|range| (*slot, range)));
            }
        }
        (parts, bytes)
    }
}
