//! Near the end: what a slow peer still owes is asked of an idle one as well.

use std::time::Duration;

use super::{Fetch, PeerKey, RequestId, Timer, peers::Peer, requests::Request, shards::Slot};
use crate::{time::Time, wire::GroupRange};

/// How often it is looked at.
const TICK: Duration = Duration::from_millis(250);
/// A peer that sent nothing for so long counts as stalled here, before it times out. Longer than
/// this node's own disk usually keeps all waiting.
const QUIET: Duration = Duration::from_millis(2500);
/// What asking twice must save.
const GAIN_MIN: Duration = Duration::from_millis(500);
/// Idle peers that are looked at each time in all: the others have their turn later.
const LOOKS_MAX: usize = 4096;
/// What an unproven peer is expected to need.
const UNPROVEN: Duration = Duration::from_secs(2);

impl Fetch {
    /// Sets the timer if a peer has nothing else to do while requests are in flight.
    pub(super) fn watch_endgame(&mut self, now: Time) {
        if self.endgame_at.is_some() || !self.peers.has_idle() {
            return;
        }
        // Those with a double too: if both peers go quiet, a third is to be asked.
        let mut requests = self.requests.values();
        if requests.any(|request| !request.left.is_empty()) {
            self.endgame_at = Some(now + TICK);
            self.timers.insert((now + TICK, Timer::Endgame));
        }
    }

    /// Asks idle peers for what others are late with.
    pub(super) fn endgame(&mut self, now: Time) {
        self.endgame_at = None;
        self.give_up_quiet_twins(now);
        let late: Vec<(RequestId, Duration)> = self
            .requests
            .iter()
            .filter(|(_, request)| request.twin.is_none() && !request.left.is_empty())
            .filter_map(|(id, request)| Some((*id, self.expected(now, request)?)))
            .filter(|(_, expected)| *expected > GAIN_MIN)
            .collect();
        let looks = LOOKS_MAX / late.len().max(1);
        for (id, expected) in late {
            self.ask_twice(now, id, expected, looks);
        }
    }

    /// Drops the second of two requests for the same if both peers went quiet, so that a third peer
    /// can be asked.
    fn give_up_quiet_twins(&mut self, now: Time) {
        let is_quiet = |id: &RequestId| {
            let request = self.requests.get(id);
            request.and_then(|request| self.expected(now, request)) == Some(Duration::MAX)
        };
        let seconds: Vec<RequestId> = self
            .requests
            .iter()
            .filter(|(id, request)| {
                request
                    .twin
                    .is_some_and(|twin| twin < **id && is_quiet(&twin))
            })
            .map(|(id, _)| *id)
            .filter(is_quiet)
            .collect();
        for id in seconds {
            self.request_timer(now, id);
        }
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
    fn ask_twice(&mut self, now: Time, id: RequestId, expected: Duration, looks: usize) {
        let candidates = self.peers.turn(looks);
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let free = self.peers.budget(super::peers::Class::Fast);
        let best = candidates
            .iter()
            .filter_map(|key| Some((*key, self.peers.get(*key)?)))
            .filter(|(key, peer)| *key != request.peer && peer.resting_until().is_none())
            .filter_map(|(key, peer)| {
                let (parts, bytes) = self.held_parts(peer, request);
                let span = peer.expected(bytes).unwrap_or(UNPROVEN);
                (!parts.is_empty() && bytes <= free)
                    .then_some(((peer.failures(), span, key), parts))
            })
            .min_by_key(|(rank, _)| *rank);
        let Some(((_, span, key), parts)) = best else {
            return;
        };
        if expected > span.saturating_mul(2).saturating_add(GAIN_MIN) {
            self.twin(now, id, key, &parts);
        }
    }

    /// Asks a peer for what another request, or a part of it, is late with.
    pub(super) fn twin(
        &mut self,
        now: Time,
        id: RequestId,
        key: PeerKey,
        parts: &[(Slot, GroupRange)],
    ) {
        let twin = RequestId(self.requests_made);
        if let Some(request) = self.requests.get_mut(&id) {
            request.twin = Some(twin);
        }
        self.send(now, key, parts, Some(id));
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
