//! Requests in flight: how they are made, progress, and end.

use std::{collections::BTreeMap, time::Duration};

use super::{
    CancelCause, End, Fetch, Item, Output, PeerKey, RequestId, Timer, peers::Peer, shards::Slot,
};
use crate::{
    score::Offence,
    table::ShardIndex,
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
    deadline: Time,
    answered: bool,
    /// Did anything come that was of use?
    useful: bool,
    /// Another request for the same, of another peer.
    pub(super) twin: Option<RequestId>,
}

/// What a request still has to bring of one shard.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) groups: GroupRanges,
    /// Bytes received of it so far.
    waiting: u64,
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
        })
    }
}

impl Fetch {
    /// Sends a request. The ranges are not open and not empty.
    pub(super) fn send(
        &mut self,
        now: Time,
        key: PeerKey,
        parts: &[(Slot, GroupRange)],
        twin: Option<RequestId>,
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
            twin,
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
            self.credit(now, id, &arrival, new, bytes);
        }
        if new > 0 && self.shards.is_done(slot) {
            self.tell_done(slot);
            self.tell_completed();
        }
    }

    /// Notes what a request brought.
    fn credit(&mut self, now: Time, id: RequestId, arrival: &Arrival, new: u64, bytes: u64) {
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        request.left_bytes -= arrival.came_bytes;
        request.useful |= new > 0;
        let first = !std::mem::replace(&mut request.answered, true);
        let (peer, twin, delay) = (request.peer, request.twin, now.since(request.sent_at));
        if arrival.came_bytes > 0 {
            self.peers.forgive(peer);
        }
        self.peers.change(peer, |peer| {
            peer.in_flight -= arrival.came_bytes;
            peer.bytes.verified += new;
            peer.bytes.received = peer.bytes.received.saturating_add(bytes);
            if arrival.came_bytes > 0 {
                peer.progress_at = now;
                if first {
                    peer.pace.answered(delay);
                }
                peer.pace.verified(now, arrival.came_bytes);
            }
        });
        if let Some(twin) = twin {
            self.supersede(twin);
        }
    }

    /// A request goes on, though there is nothing to tell of it yet.
    pub(super) fn alive(&mut self, now: Time, id: RequestId) {
        if let Some(request) = self.requests.get(&id) {
            self.peers
                .change(request.peer, |peer| peer.progress_at = now);
        }
    }

    /// The peer does not hold what it claimed.
    pub(super) fn item_missing(&mut self, now: Time, id: RequestId, shard: ShardIndex) {
        let Some((slot, request)) = self.shards.slot_of(shard).zip(self.requests.get(&id)) else {
            return;
        };
        let (peer, twin) = (request.peer, request.twin);
        if !request.left.contains_key(&slot) {
            return;
        }
        self.peers.deny(peer, slot, &mut self.shards);
        self.peers.change(peer, |peer| peer.progress_at = now);
        self.drop_slot(id, slot, twin);
    }

    /// A request ended.
    pub(super) fn ended(&mut self, now: Time, id: RequestId, end: End) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let peer = request.peer;
        // An answer to nothing of use is a failure: a peer that lacks all that it claimed rests.
        let good = request.useful && request.left.is_empty();
        self.close(id);
        match end {
            End::Done if good => {}
            End::Done | End::Closed => self.fail(now, peer),
            End::Busy => {
                self.peers.change(peer, |peer| peer.pace.busy());
                self.fail(now, peer);
            }
            End::Timeout => self.time_out(now, peer),
            End::WrongBytes => self.ban(peer, Offence::WrongBytes),
        }
    }

    /// A peer cannot be asked any more.
    pub(super) fn peer_left(&mut self, key: PeerKey) {
        for id in self.requests_of(key) {
            self.close(id);
        }
        self.forget(key, false);
    }

    /// Is the peer stalled, or has it rested?
    pub(super) fn peer_timer(&mut self, now: Time, key: PeerKey) {
        self.peers.change(key, |peer| peer.timer = None);
        self.peers.rested(now, key);
        if self.stalls_at(key).is_some_and(|at| at <= now) {
            for id in self.requests_of(key) {
                self.cancel(id, CancelCause::Timeout);
            }
            self.time_out(now, key);
        }
        self.arm(key);
    }

    /// When the peer has stalled unless something comes; `None` if nothing is asked of it.
    fn stalls_at(&self, key: PeerKey) -> Option<Time> {
        let peer = self
            .peers
            .get(key)
            .filter(|peer| !peer.requests.is_empty())?;
        Some(peer.progress_at + self.config.stall.saturating_mul(peer.patience()))
    }

    /// Sets the one timer of a peer, for the end of its rest or of our patience. A timer that is
    /// set for earlier stays: it will look again.
    fn arm(&mut self, key: PeerKey) {
        let resting = self.peers.get(key).and_then(Peer::resting_until);
        let Some(at) = self.stalls_at(key).into_iter().chain(resting).min() else {
            return;
        };
        let mut timers = Vec::new();
        self.peers.change(key, |peer| {
            if peer.timer.is_none_or(|set| at < set) {
                timers.extend(peer.timer.replace(at));
                timers.push(at);
            }
        });
        if let Some(at) = timers.pop() {
            self.timers.insert((at, Timer::Peer(key)));
        }
        for old in timers {
            self.timers.remove(&(old, Timer::Peer(key)));
        }
    }

    /// A request has taken longer than any useful peer would.
    pub(super) fn request_timer(&mut self, now: Time, id: RequestId) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let peer = request.peer;
        self.cancel(id, CancelCause::Timeout);
        self.time_out(now, peer);
    }

    /// Groups that were here are lost.
    pub(super) fn local_lost(&mut self, shard: ShardIndex, groups: GroupRange) {
        let Some(slot) = self.shards.slot_of(shard) else {
            return;
        };
        if self.shards.lose(slot, groups) {
            self.completed = false;
            self.peers.wake(&[slot], &mut self.steps);
        }
    }

    /// Drops a request that another made needless, if that is so.
    fn supersede(&mut self, id: RequestId) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let needless = request
            .left
            .iter()
            .all(|(slot, left)| self.shards.missing(*slot, &left.groups).is_empty());
        if needless {
            self.cancel(id, CancelCause::Superseded);
        }
    }

    fn time_out(&mut self, now: Time, key: PeerKey) {
        self.peers.change(key, |peer| peer.pace.failed());
        self.fail(now, key);
    }

    /// Lets a peer rest.
    fn fail(&mut self, now: Time, key: PeerKey) {
        self.peers.failed(now, key);
        self.arm(key);
    }

    fn ban(&mut self, key: PeerKey, offence: Offence) {
        for id in self.requests_of(key) {
            self.cancel(id, CancelCause::Banned);
        }
        self.forget(key, true);
        self.outputs.push_back(Output::Ban { peer: key, offence });
    }

    fn forget(&mut self, key: PeerKey, banned: bool) {
        if let Some(at) = self.peers.get(key).and_then(|peer| peer.timer) {
            self.timers.remove(&(at, Timer::Peer(key)));
        }
        self.peers.leave(key, banned, &mut self.shards);
    }

    fn requests_of(&self, key: PeerKey) -> Vec<RequestId> {
        self.peers
            .get(key)
            .map(|peer| peer.requests.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Ends a request and tells the caller to drop it.
    fn cancel(&mut self, request: RequestId, cause: CancelCause) {
        self.outputs.push_back(Output::Cancel { request, cause });
        self.close(request);
    }

    /// Ends a request: what it did not bring is wanted again.
    fn close(&mut self, id: RequestId) {
        let Some(request) = self.requests.remove(&id) else {
            return;
        };
        self.timers.remove(&(request.deadline, Timer::Request(id)));
        self.peers.change(request.peer, |peer| {
            peer.in_flight -= request.left_bytes;
            peer.requests.remove(&id);
            if peer.requests.is_empty() {
                peer.pace.idle();
            }
        });
        if let Some(twin) = request.twin.and_then(|twin| self.requests.get_mut(&twin)) {
            twin.twin = None;
        }
        let mut wanted = Vec::new();
        for (slot, left) in &request.left {
            if self.release(*slot, left, request.twin) {
                wanted.push(*slot);
            }
        }
        self.peers.wake(&wanted, &mut self.steps);
    }

    /// Takes a shard out of a request that goes on.
    fn drop_slot(&mut self, id: RequestId, slot: Slot, twin: Option<RequestId>) {
        let size = self.shards.size(slot);
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        let Some(left) = request.left.remove(&slot) else {
            return;
        };
        let bytes = left.groups.len_bytes(size);
        request.left_bytes -= bytes;
        self.peers
            .change(request.peer, |peer| peer.in_flight -= bytes);
        if self.release(slot, &left, twin) {
            self.peers.wake(&[slot], &mut self.steps);
        }
    }

    /// What will not come is wanted again, unless the twin brings it. Is any of it?
    fn release(&mut self, slot: Slot, left: &Left, twin: Option<RequestId>) -> bool {
        if self.shards.is_small(slot) {
            self.wasted_bytes = self.wasted_bytes.saturating_add(left.waiting);
        }
        let twin = twin.and_then(|twin| self.requests.get(&twin));
        let coming = twin
            .and_then(|twin| twin.left.get(&slot))
            .map(|left| &left.groups);
        let mut released = false;
        for range in left.groups.iter() {
            released |= self.shards.release(slot, range, coming);
        }
        released
    }
}
