//! Requests in flight: how they are made, and what they bring.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Fetch, Item, Output, PeerKey, RequestId, Timer, shards::Slot};
use crate::{
    time::Time,
    wire::{GroupRange, GroupRanges, groups_in},
};

/// What a request gets beyond the time that its bytes need at the lowest rate.
const DEADLINE_BASE: Duration = Duration::from_secs(15);
/// The lowest rate at which a peer is of use, in bytes a second.
const RATE_MIN: u64 = 4 << 10;

/// A request in flight.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) peer: PeerKey,
    /// What it still has to bring. Empty: all came or is missing, the end has not been told yet.
    pub(super) left: BTreeMap<Slot, Left>,
    pub(super) left_bytes: u64,
    sent_at: Time,
    pub(super) deadline: Time,
    answered: bool,
    /// Did anything come that was of use?
    pub(super) useful: bool,
    /// Other requests for some of the same, each of another peer; all of them name each other.
    pub(super) rivals: BTreeSet<RequestId>,
}

/// What a request still has to bring of one shard.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) groups: GroupRanges,
    /// Bytes received of it so far.
    pub(super) waiting: u64,
}

/// What came of a request at once.
#[derive(Debug)]
struct Arrival {
    came: GroupRanges,
    came_bytes: u64,
    /// Is it all that the request had to bring of the shard?
    whole: bool,
    /// Bytes of the shard that were told before and waited for the rest.
    waited: u64,
    /// Bytes that were received for it now.
    bytes: u64,
}

impl Request {
    /// Takes what arrived out of what is left; `None` if nothing of the shard was.
    fn take(&mut self, slot: Slot, groups: GroupRange, size: u64, bytes: u64) -> Option<Arrival> {
        let left = self.left.get_mut(&slot)?;
        let came = left.groups.intersect(&groups.into());
        left.groups.remove(groups);
        let (whole, waited) = (left.groups.is_empty(), left.waiting);
        left.waiting = waited.saturating_add(bytes);
        if whole {
            self.left.remove(&slot);
        }
        Some(Arrival {
            came_bytes: came.len_bytes(size),
            came,
            whole,
            waited,
            bytes,
        })
    }
}

impl Fetch {
    /// Sends a request, beside its rivals. The ranges are not open and not empty.
    pub(super) fn send(
        &mut self,
        now: Time,
        key: PeerKey,
        parts: &[(Slot, GroupRange)],
        rivals: BTreeSet<RequestId>,
    ) {
        let id = RequestId(self.requests_made);
        self.requests_made += 1;
        let mut left: BTreeMap<Slot, Left> = BTreeMap::new();
        let mut left_bytes = 0;
        for (slot, groups) in parts {
            let bytes = groups.bytes(self.shards.size(*slot));
            left_bytes += bytes.end - bytes.start;
            left.entry(*slot).or_default().groups.insert(*groups);
        }
        let mut deadline = now;
        self.peers.change(key, |peer| {
            if peer.requests.is_empty() {
                peer.progress_at = now;
            }
            peer.requests.insert(id);
            peer.in_flight += left_bytes;
            peer.pace.sent(now);
            let lowest_ms = peer.in_flight.saturating_mul(1000) / RATE_MIN;
            let span = DEADLINE_BASE.saturating_add(Duration::from_millis(lowest_ms));
            deadline = now + span.saturating_mul(peer.patience());
        });
        self.timers.insert((deadline, Timer::Request(id)));
        self.arm(key);
        for rival in &rivals {
            if let Some(rival) = self.requests.get_mut(rival) {
                rival.rivals.insert(id);
            }
        }
        let (peer, sent_at) = (key, now);
        let (answered, useful) = (false, false);
        let request = Request {
            peer,
            left,
            left_bytes,
            sent_at,
            deadline,
            answered,
            useful,
            rivals,
        };
        self.requests.insert(id, request);
        let items = parts.iter().map(|(slot, groups)| Item {
            shard: self.shards.index(*slot),
            groups: *groups,
        });
        self.outputs.push_back(Output::Request {
            request: id,
            peer,
            items: items.collect(),
            deadline,
        });
    }

    /// Part of an item arrived and is right.
    pub(super) fn verified(&mut self, now: Time, id: RequestId, item: Item, bytes: u64) {
        self.received_bytes = self.received_bytes.saturating_add(bytes);
        let Some(slot) = self.shards.slot_of(item.shard) else {
            self.wasted_bytes = self.wasted_bytes.saturating_add(bytes);
            return;
        };
        let size = self.shards.size(slot);
        let request = self.requests.get_mut(&id);
        let arrival = request.and_then(|request| request.take(slot, item.groups, size, bytes));
        // What comes after the end of its request is here all the same.
        let came = arrival
            .as_ref()
            .map_or_else(|| item.groups.into(), |arrival| arrival.came.clone());
        let (new, waits) = if !self.shards.is_small(slot) {
            (
                came.iter()
                    .map(|range| self.shards.received(slot, range))
                    .sum(),
                false,
            )
        } else if arrival.as_ref().map_or_else(
            || came.is_complete(groups_in(size)),
            |arrival| arrival.whole,
        ) {
            (self.shards.received_small(slot), false)
        } else {
            (0, arrival.is_some())
        };
        if new == 0 && !waits {
            let waited = arrival.as_ref().map_or(0, |arrival| arrival.waited);
            self.wasted_bytes = self
                .wasted_bytes
                .saturating_add(bytes.saturating_add(waited));
        }
        if let Some(arrival) = arrival {
            self.credit(now, id, &arrival, new);
        }
        if new > 0 && self.shards.is_done(slot) {
            self.tell_done(slot);
            self.tell_completed();
        }
    }

    /// Notes what a request brought.
    fn credit(&mut self, now: Time, id: RequestId, arrival: &Arrival, new: u64) {
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        request.left_bytes -= arrival.came_bytes;
        request.useful |= new > 0;
        let first = !std::mem::replace(&mut request.answered, true);
        let (peer, delay) = (request.peer, now.since(request.sent_at));
        let rivals = request.rivals.clone();
        let forgiven = arrival.came_bytes > 0 && self.peers.forgive(peer);
        self.peers.change(peer, |peer| {
            peer.in_flight -= arrival.came_bytes;
            peer.bytes.verified += new;
            peer.bytes.received = peer.bytes.received.saturating_add(arrival.bytes);
            if arrival.came_bytes > 0 {
                peer.progress_at = now;
                if first {
                    peer.pace.answered(delay);
                }
                peer.pace.verified(now, arrival.came_bytes);
            }
        });
        if forgiven {
            // Patience is shorter again: look sooner than planned.
            self.arm(peer);
        }
        for rival in rivals {
            self.supersede(rival);
        }
    }

    /// A request goes on, though there is nothing to tell of it yet.
    pub(super) fn alive(&mut self, now: Time, id: RequestId) {
        if let Some(request) = self.requests.get(&id) {
            self.peers
                .change(request.peer, |peer| peer.progress_at = now);
        }
    }
}
