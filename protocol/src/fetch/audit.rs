//! The invariants of the whole machine, checked at once: for simulations, fuzzing and tests.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{Fetch, PeerKey, RequestId, Timer, shards::Slot};
use crate::{table::ShardIndex, wire::GroupRanges};

/// An invariant that does not hold: a defect of the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// More is in flight than may be, or the sums do not agree.
    #[error("the account of bytes in flight is wrong")]
    InFlight,
    /// Some of a shard is missing, not wanted, and in no request.
    #[error("some of {0} is missing and nobody is asked")]
    Forgotten(ShardIndex),
    /// What is here or in a request is wanted as well, or not in the queue where it belongs.
    #[error("the account of what is wanted of {0} is wrong")]
    Wanted(ShardIndex),
    /// The sums of what is here do not agree.
    #[error("the account of what is here is wrong")]
    Done,
    /// A peer that owes something, or rests, has no timer, or one that is too late.
    #[error("nothing wakes up for {0:?}")]
    PeerTimer(PeerKey),
    /// A request has no timer.
    #[error("nothing ends {0:?}")]
    RequestTimer(RequestId),
}

impl Fetch {
    /// Checks all invariants. Looks at every shard and peer: too slow for each step of a large fetch.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn audit(&self) -> Result<(), Broken> {
        self.audit_timers()?;
        let in_flight = self.requests.values().map(|request| request.left_bytes);
        if self.peers.in_flight() > self.config.in_flight_bytes_max
            || self.peers.in_flight() != in_flight.sum::<u64>()
        {
            return Err(Broken::InFlight);
        }
        let mut asked: BTreeMap<Slot, GroupRanges> = BTreeMap::new();
        for (slot, left) in self.requests.values().flat_map(|request| &request.left) {
            asked.entry(*slot).or_default().insert_all(&left.groups);
        }
        let (mut bytes, mut done) = (0u64, 0);
        for slot in self.shards.slots() {
            let index = self.shards.index(slot);
            let size = self.shards.size(slot);
            let wanted = self.shards.wanted(slot).ok_or(Broken::Wanted(index))?;
            let asked = asked.remove(&slot).unwrap_or_default();
            let missing = self.shards.missing(slot, &self.shards.whole(slot));
            let mut forgotten = missing.intersect(&self.shards.demanded(slot));
            if self.shards.is_small(slot) {
                bytes += if self.shards.is_done(slot) { size } else { 0 };
                // It is asked for as a whole; what of it waits in memory is covered too.
                if !asked.is_empty() || !wanted.is_empty() {
                    forgotten = GroupRanges::new();
                }
            } else {
                bytes += size - missing.len_bytes(size);
                forgotten.remove_all(&wanted);
                forgotten.remove_all(&asked);
            }
            if !forgotten.is_empty() {
                return Err(Broken::Forgotten(index));
            }
            done += usize::from(self.shards.is_done(slot));
        }
        if bytes != self.shards.bytes_done() || done != self.shards.done() {
            return Err(Broken::Done);
        }
        Ok(())
    }

    fn audit_timers(&self) -> Result<(), Broken> {
        for (key, peer) in self.peers.iter() {
            let due = self.stalls_at(key).into_iter().chain(peer.resting_until());
            let set = |at| self.timers.contains(&(at, Timer::Peer(key)));
            let in_time = |due| peer.timer.is_some_and(|at| at <= due && set(at));
            if !due.min().is_none_or(in_time) {
                return Err(Broken::PeerTimer(key));
            }
        }
        for (id, request) in &self.requests {
            if !self
                .timers
                .contains(&(request.deadline, Timer::Request(*id)))
            {
                return Err(Broken::RequestTimer(*id));
            }
        }
        Ok(())
    }
}
