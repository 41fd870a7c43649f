//! How requests end: in good and bad ways, by time-outs, and with their peers.

use std::collections::BTreeSet;

use super::{
    CancelCause, End, Fetch, Output, PeerKey, RequestId, Timer, peers::Peer, requests::Left,
    shards::Slot,
};
use crate::{
    score::Offence,
    table::ShardIndex,
    time::Time,
    wire::{GroupRange, GroupRanges},
};

impl Fetch {
    /// The peer does not hold what it claimed.
    pub(super) fn item_missing(&mut self, now: Time, id: RequestId, shard: ShardIndex) {
        let Some((slot, request)) = self.shards.slot_of(shard).zip(self.requests.get(&id)) else {
            return;
        };
        let peer = request.peer;
        if !request.left.contains_key(&slot) {
            return;
        }
        self.peers.deny(peer, slot, &mut self.shards);
        self.peers.change(peer, |peer| peer.progress_at = now);
        self.drop_slot(id, slot);
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
            self.silent(now, key);
        }
        self.arm(key);
    }

    /// A peer loses its requests for having said nothing.
    pub(super) fn silent(&mut self, now: Time, key: PeerKey) {
        for id in self.requests_of(key) {
            self.cancel(id, CancelCause::Timeout);
        }
        self.time_out(now, key);
    }

    /// When the peer has stalled unless something comes; `None` if nothing is asked of it.
    pub(super) fn stalls_at(&self, key: PeerKey) -> Option<Time> {
        let peer = self
            .peers
            .get(key)
            .filter(|peer| !peer.requests.is_empty())?;
        Some(peer.progress_at + self.config.stall.saturating_mul(peer.patience()))
    }

    /// Sets the one timer of a peer, for the end of its rest or of our patience. A timer that is
    /// set for earlier stays: it will look again.
    pub(super) fn arm(&mut self, key: PeerKey) {
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
    pub(super) fn supersede(&mut self, id: RequestId) {
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
        for rival in &request.rivals {
            if let Some(rival) = self.requests.get_mut(rival) {
                rival.rivals.remove(&id);
            }
        }
        let mut wanted = Vec::new();
        for (slot, left) in &request.left {
            if self.release(*slot, left, &request.rivals) {
                wanted.push(*slot);
            }
        }
        self.peers.wake(&wanted, &mut self.steps);
    }

    /// Takes a shard out of a request that goes on.
    fn drop_slot(&mut self, id: RequestId, slot: Slot) {
        let size = self.shards.size(slot);
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        let Some(left) = request.left.remove(&slot) else {
            return;
        };
        let bytes = left.groups.len_bytes(size);
        request.left_bytes -= bytes;
        let (peer, rivals) = (request.peer, request.rivals.clone());
        self.peers.change(peer, |peer| peer.in_flight -= bytes);
        if self.release(slot, &left, &rivals) {
            self.peers.wake(&[slot], &mut self.steps);
        }
    }

    /// What will not come is wanted again, unless a rival brings it. Is any of it?
    fn release(&mut self, slot: Slot, left: &Left, rivals: &BTreeSet<RequestId>) -> bool {
        if self.shards.is_small(slot) {
            self.wasted_bytes = self.wasted_bytes.saturating_add(left.waiting);
        }
        let mut coming = GroupRanges::new();
        for rival in rivals {
            let rival = self.requests.get(rival);
            if let Some(left) = rival.and_then(|rival| rival.left.get(&slot)) {
                coming.insert_all(&left.groups);
            }
        }
        let mut released = false;
        for range in left.groups.iter() {
            released |= self.shards.release(slot, range, &coming);
        }
        released
    }
}
