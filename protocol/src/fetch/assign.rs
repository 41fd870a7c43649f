//! Who is asked for what, whenever there is room.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Fetch, Output, PeerKey, Timer,
    peers::Class,
    shard::{Room, Take},
    shards::Slot,
};
use crate::{time::Time, wire::GroupRange};

/// Idle peers that are looked at with each event, where there are many,
const IDLE_TURN: usize = 4;
/// and so often when nothing happens,
const IDLE_TICK: Duration = Duration::from_millis(5);
/// so many at once: ten thousand within a second.
const IDLE_TICK_TURN: usize = 64;

/// What came of looking for something to ask of a peer.
enum Plan {
    Ask(Vec<(Slot, GroupRange)>),
    TooLarge,
    Nothing,
}

impl Fetch {
    /// Makes requests until there is nothing to ask for, nobody to ask, or no room.
    ///
    /// A peer that is next but finds too little room waits for it, and the others with it: else
    /// small requests would take the room away for ever.
    pub(super) fn fill(&mut self, now: Time) {
        self.see_idle(now);
        let mut slow_is_open = true;
        while self.requests.len() < self.config.requests_max {
            let slow = if slow_is_open {
                self.peers.next(Class::Slow, &mut self.steps)
            } else {
                None
            };
            let class = if slow.is_some() {
                Class::Slow
            } else {
                Class::Fast
            };
            let Some((peer, aim)) = slow.or_else(|| self.peers.next(Class::Fast, &mut self.steps))
            else {
                break;
            };
            let (limit, free) = (self.peers.budget(class), self.peers.budget(Class::Fast));
            let plan = if limit < aim && !self.shards.is_all_asked() {
                Plan::TooLarge
            } else {
                self.plan(peer, aim, limit)
            };
            match plan {
                Plan::Ask(parts) => self.send(now, peer, &parts, BTreeSet::new()),
                Plan::Nothing => self.peers.set_idle(peer),
                Plan::TooLarge if limit < free => slow_is_open = false,
                Plan::TooLarge => break,
            }
        }
        self.watch_endgame(now);
        self.watch_readers(now);
    }

    /// Looks at some of the idle peers if there may be something for them and there is room.
    fn see_idle(&mut self, now: Time) {
        if !self.peers.has_unseen() {
            return;
        }
        if self.shards.is_all_asked() {
            return self.peers.forget_unseen();
        }
        let has_room = self.requests.len() < self.config.requests_max
            && self.peers.budget(Class::Fast) >= self.config.piece_bytes;
        if has_room {
            self.peers.see_some(IDLE_TURN, &mut self.steps);
        }
        if has_room && self.idle_at.is_none() && self.peers.has_unseen() {
            self.idle_at = Some(now + IDLE_TICK);
            self.timers.insert((now + IDLE_TICK, Timer::Idle));
        }
    }

    /// Looks at more of the idle peers when nothing happens.
    pub(super) fn idle_timer(&mut self) {
        self.idle_at = None;
        self.peers.see_some(IDLE_TICK_TURN, &mut self.steps);
    }

    /// Gathers what to ask of a peer: at least one item, up to `aim` bytes.
    fn plan(&mut self, key: PeerKey, aim: u64, limit: u64) -> Plan {
        let Some(peer) = self.peers.get(key) else {
            return Plan::Nothing;
        };
        let (mut parts, mut bytes) = (Vec::new(), 0);
        let mut cursor = self.shards.walk();
        while bytes < aim
            && parts.len() < self.config.request_items_max
            && let Some(slot) = self.shards.next(&mut cursor, &peer.claims, &mut self.steps)
        {
            let room = Room {
                aim: aim - bytes,
                limit: if parts.is_empty() { limit } else { aim - bytes },
                items: self.config.request_items_max - parts.len(),
            };
            match self
                .shards
                .take(slot, peer.claims.limit(slot), room, &mut self.steps)
            {
                Take::Ranges(ranges, more) => {
                    bytes += more;
                    parts.extend(ranges.into_iter().map(|range| (slot, range)));
                    self.shards.follow(&mut cursor);
                }
                Take::Nothing => {}
                Take::TooLarge if parts.is_empty() => return Plan::TooLarge,
                Take::TooLarge => break,
            }
        }
        if parts.is_empty() {
            Plan::Nothing
        } else {
            Plan::Ask(parts)
        }
    }

    /// Tells that a shard is whole.
    pub(super) fn tell_done(&mut self, slot: Slot) {
        self.outputs.push_back(Output::ShardDone {
            shard: self.shards.index(slot),
        });
    }

    /// Tells that all shards are whole, once.
    pub(super) fn tell_completed(&mut self) {
        if !self.completed && !self.config.on_demand && self.shards.done() == self.shards.len() {
            self.completed = true;
            self.outputs.push_back(Output::Completed);
        }
    }

    /// Checks the sums of the invariants; cheap, there are few requests.
    pub(super) fn check(&self) {
        debug_assert!(self.peers.in_flight() <= self.config.in_flight_bytes_max);
        debug_assert_eq!(
            self.peers.in_flight(),
            self.requests
                .values()
                .map(|request| request.left_bytes)
                .sum::<u64>()
        );
        debug_assert!(self.requests.iter().all(|(id, request)| {
            self.peers
                .get(request.peer)
                .is_some_and(|peer| peer.requests.contains(id))
        }));
    }
}
