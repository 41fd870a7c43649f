//! What readers wait for: it is asked for next, and of a second peer where the first is slow.

use std::time::Duration;

use super::{Fetch, RequestId, Timer, requests::Request, shards::Slot};
use crate::{
    table::ShardIndex,
    time::Time,
    wire::{GroupRange, GroupRanges},
};

/// How often it is looked at while a reader waits.
const TICK: Duration = Duration::from_millis(250);
/// What asking twice must save a reader.
const GAIN_MIN: Duration = Duration::from_millis(100);
/// Ranges that are remembered: of more, the oldest are only asked for early.
const READERS_MAX: usize = 256;
/// Peers that are looked at for a second question.
const LOOKS_MAX: usize = 256;
/// What an unproven peer is expected to need.
const UNPROVEN: Duration = Duration::from_secs(1);

impl Fetch {
    /// A reader waits for these groups.
    pub(super) fn prioritise(&mut self, now: Time, shard: ShardIndex, groups: GroupRange) {
        let Some(slot) = self.shards.slot_of(shard) else {
            return;
        };
        let coming = self.coming(slot);
        self.shards.prioritise(slot, groups, &coming);
        if self.config.on_demand {
            self.peers.wake(&[slot], &mut self.steps);
        }
        if self.readers.len() >= READERS_MAX {
            self.readers.pop_front();
        }
        self.readers.push_back((slot, groups));
        self.serve_readers(now);
    }

    /// What requests still have to bring of a shard.
    fn coming(&self, slot: Slot) -> GroupRanges {
        let left = self
            .requests
            .values()
            .filter_map(|request| request.left.get(&slot));
        left.flat_map(|left| left.groups.iter()).collect()
    }

    /// No reader waits for these groups any more.
    pub(super) fn unwanted(&mut self, shard: ShardIndex, groups: GroupRange) {
        let Some(slot) = self.shards.slot_of(shard) else {
            return;
        };
        self.shards.leave(slot, groups);
        self.readers.retain(|reader| *reader != (slot, groups));
    }

    /// Sets the timer if a reader waits for what is on its way.
    pub(super) fn watch_readers(&mut self, now: Time) {
        if self.readers_at.is_none() && !self.readers.is_empty() && !self.requests.is_empty() {
            self.readers_at = Some(now + TICK);
            self.timers.insert((now + TICK, Timer::Readers));
        }
    }

    /// The timer of readers is due.
    pub(super) fn readers_timer(&mut self, now: Time) {
        self.readers_at = None;
        self.serve_readers(now);
    }

    /// Asks a second peer for what a reader waits for where the first is late with it.
    fn serve_readers(&mut self, now: Time) {
        let readers = std::mem::take(&mut self.readers);
        for (slot, groups) in readers {
            let waits = self.shards.whole(slot).intersect(&groups.into());
            if self.shards.missing(slot, &waits).is_empty() {
                continue;
            }
            // Requests share whole pieces: what one does not bring of a piece, the other does.
            let waits = self.shards.widened(slot, &waits);
            self.readers.push_back((slot, groups));
            let asked: Vec<RequestId> = self
                .requests
                .iter()
                .filter(|(_, request)| request.rivals.is_empty() && brings(request, slot, &waits))
                .map(|(id, _)| *id)
                .collect();
            for id in asked {
                self.ask_for_reader(now, id, slot, &waits);
            }
        }
    }

    fn ask_for_reader(&mut self, now: Time, id: RequestId, slot: Slot, waits: &GroupRanges) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let Some(left) = request.left.get(&slot) else {
            return;
        };
        let expected = self.expected(now, request).unwrap_or(UNPROVEN);
        let groups = if self.shards.is_small(slot) {
            self.shards.whole(slot)
        } else {
            self.shards.missing(slot, &left.groups.intersect(waits))
        };
        let bytes = groups.len_bytes(self.shards.size(slot));
        let holds = |range| {
            let pieces = self.shards.pieces_of(slot, range);
            move |peer: &super::peers::Peer| peer.claims.has(slot, pieces.clone())
        };
        let best = self
            .peers
            .iter()
            .take(LOOKS_MAX)
            .filter(|(key, peer)| *key != request.peer && peer.resting_until().is_none())
            .filter(|(_, peer)| groups.iter().all(|range| holds(range)(peer)))
            .map(|(key, peer)| {
                let span = peer.expected(bytes).unwrap_or(UNPROVEN);
                (peer.failures(), span, key)
            })
            .min();
        let is_room = self.requests.len() < self.config.requests_max
            && groups.len_ranges() <= self.config.request_items_max
            && bytes <= self.peers.budget(super::peers::Class::Fast);
        if let Some((_, span, key)) = best
            && is_room
            && !groups.is_empty()
            && expected > span.saturating_mul(2).saturating_add(GAIN_MIN)
        {
            let parts: Vec<_> = groups.iter().map(|range| (slot, range)).collect();
            self.ask_rival(now, id, key, &parts);
        }
    }
}

/// Does a request still have to bring any of these groups?
fn brings(request: &Request, slot: Slot, groups: &GroupRanges) -> bool {
    let left = request.left.get(&slot);
    left.is_some_and(|left| !left.groups.intersect(groups).is_empty())
}
