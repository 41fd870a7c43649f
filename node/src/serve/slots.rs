//! Slots for answers: how many streams are served at once, in total and for one peer.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use libp2p::PeerId;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    limits::{
        BLOB_STREAMS_MAX, BLOB_STREAMS_PER_PEER_MAX, BLOB_STREAMS_WAITING_MAX, QUERY_STREAMS_MAX,
        QUERY_STREAMS_PER_PEER_MAX,
    },
    net::StreamProtocol,
};

/// How long a bulk stream waits for its slot before it is told *busy*: less than a fetcher waits for its
/// first bytes.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Bulk streams and questions are counted apart, so that downloads never silence the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Bulk,
    Query,
}

impl Class {
    fn of(protocol: StreamProtocol) -> Self {
        match protocol {
            StreamProtocol::Blobs => Self::Bulk,
            StreamProtocol::Records | StreamProtocol::Sync | StreamProtocol::Holdings => {
                Self::Query
            }
        }
    }
}

/// Answers that run.
#[derive(Debug, Default)]
struct Counts {
    total: usize,
    per_peer: HashMap<PeerId, usize>,
}

impl Counts {
    fn of(&self, peer: PeerId) -> usize {
        self.per_peer.get(&peer).copied().unwrap_or(0)
    }

    fn add(&mut self, peer: PeerId) {
        self.total += 1;
        *self.per_peer.entry(peer).or_default() += 1;
    }

    fn remove(&mut self, peer: PeerId) {
        self.total = self.total.saturating_sub(1);
        match self.per_peer.get_mut(&peer) {
            Some(own) if *own > 1 => *own -= 1,
            Some(_) | None => {
                self.per_peer.remove(&peer);
            }
        }
    }
}

/// A bulk stream that waits for its slot.
#[derive(Debug)]
struct Waiter {
    number: u64,
    given: oneshot::Sender<Slot>,
}

/// Invariants: whoever waits could not run; no peer has a queue without anybody in it.
#[derive(Debug, Default)]
struct State {
    queries: Counts,
    bulk: Counts,
    line: BTreeMap<PeerId, VecDeque<Waiter>>,
    waiting: usize,
    asked: u64,
}

/// What becomes of a stream.
enum Place {
    Now(Slot),
    InLine(oneshot::Receiver<Slot>),
    Busy,
}

/// Counts running answers. Cheap to clone.
///
/// When bulk streams have to wait, the peer with the fewest running goes next, so that none gets more by
/// opening more of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots(Arc<Mutex<State>>);

/// One running answer; dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    class: Class,
    peer: PeerId,
}

/// How many slots are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InUse {
    /// By questions.
    pub(crate) queries: usize,
    /// By bulk.
    pub(crate) bulk: usize,
    /// Bulk streams in line.
    pub(crate) waiting: usize,
}

impl Slots {
    /// A slot for an answer to `peer`, or `None` if it, or all together, have theirs: at once for a
    /// question, after a while in line for bulk. Safe to cancel.
    pub(crate) async fn take(&self, peer: PeerId, protocol: StreamProtocol) -> Option<Slot> {
        match self.place(peer, Class::of(protocol)) {
            Place::Now(slot) => Some(slot),
            Place::InLine(given) => timeout(WAIT_MAX, given).await.ok()?.ok(),
            Place::Busy => None,
        }
    }

    fn place(&self, peer: PeerId, class: Class) -> Place {
        let mut state = self.state();
        match class {
            Class::Query if state.has_room_for_query(peer) => state.queries.add(peer),
            Class::Bulk if state.has_room_for_bulk(peer) => state.bulk.add(peer),
            Class::Bulk => return state.wait(peer).map_or(Place::Busy, Place::InLine),
            Class::Query => return Place::Busy,
        }
        Place::Now(self.slot(peer, class))
    }

    fn slot(&self, peer: PeerId, class: Class) -> Slot {
        Slot {
            slots: self.clone(),
            class,
            peer,
        }
    }

    /// Answers that run now, and streams that wait for a slot.
    pub(crate) fn in_use(&self) -> InUse {
        let state = self.state();
        InUse {
            queries: state.queries.total,
            bulk: state.bulk.total,
            waiting: state.waiting,
        }
    }

    fn free(&self, peer: PeerId, class: Class) {
        let mut state = self.state();
        match class {
            Class::Query => state.queries.remove(peer),
            Class::Bulk => state.bulk.remove(peer),
        }
        let next: Vec<_> = std::iter::from_fn(|| state.next()).collect();
        // A slot that nobody takes any more is freed when it is dropped: not while this is locked.
        drop(state);
        for (peer, given) in next {
            let _ = given.send(self.slot(peer, Class::Bulk));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room_for_query(&self, peer: PeerId) -> bool {
        self.queries.total < QUERY_STREAMS_MAX && self.queries.of(peer) < QUERY_STREAMS_PER_PEER_MAX
    }

    /// Each further slot of a peer needs as many free ones as it has: a few greedy ones that never read
    /// leave room for others.
    fn has_room_for_bulk(&self, peer: PeerId) -> bool {
        let own = self.bulk.of(peer);
        own < BLOB_STREAMS_PER_PEER_MAX && self.bulk.total + own < BLOB_STREAMS_MAX
    }

    /// A place in line. When the line is full, the last of the peer with the most has to go.
    fn wait(&mut self, peer: PeerId) -> Option<oneshot::Receiver<Slot>> {
        self.forget_who_left();
        let own = self.line.get(&peer).map_or(0, VecDeque::len);
        if own + self.bulk.of(peer) >= BLOB_STREAMS_PER_PEER_MAX {
            return None;
        }
        if self.waiting >= BLOB_STREAMS_WAITING_MAX {
            let (most, queue) = self.line.iter_mut().max_by_key(|(_, queue)| queue.len())?;
            if queue.len() <= own + 1 {
                return None;
            }
            let most = *most;
            // It is told *busy*.
            queue.pop_back();
            self.left(most);
        }
        let (given, slot) = oneshot::channel();
        let number = self.asked;
        self.asked += 1;
        self.waiting += 1;
        let queue = self.line.entry(peer).or_default();
        queue.push_back(Waiter { number, given });
        Some(slot)
    }

    fn forget_who_left(&mut self) {
        self.line.retain(|_, queue| {
            queue.retain(|waiter| !waiter.given.is_closed());
            !queue.is_empty()
        });
        self.waiting = self.line.values().map(VecDeque::len).sum();
    }

    /// The next in line that may run: of the peer with the fewest running, who came first.
    fn next(&mut self) -> Option<(PeerId, oneshot::Sender<Slot>)> {
        while let Some(peer) = self.first_in_line() {
            if !self.has_room_for_bulk(peer) {
                return None;
            }
            let waiter = self.line.get_mut(&peer)?.pop_front()?;
            self.left(peer);
            if !waiter.given.is_closed() {
                self.bulk.add(peer);
                return Some((peer, waiter.given));
            }
        }
        None
    }

    fn first_in_line(&self) -> Option<PeerId> {
        let turn = |(peer, queue): (&PeerId, &VecDeque<Waiter>)| {
            let first = queue.front().map_or(u64::MAX, |waiter| waiter.number);
            (self.bulk.of(*peer), first, *peer)
        };
        self.line.iter().map(turn).min().map(|(.., peer)| peer)
    }

    /// One of `peer` is not in line any more.
    fn left(&mut self, peer: PeerId) {
        self.waiting = self.waiting.saturating_sub(1);
        if self.line.get(&peer).is_some_and(VecDeque::is_empty) {
            self.line.remove(&peer);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.free(self.peer, self.class);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// A slot, if there is one without waiting.
    fn now(slots: &Slots, peer: PeerId, protocol: StreamProtocol) -> Option<Slot> {
        slots.take(peer, protocol).now_or_never().flatten()
    }

    fn all(slots: &Slots, peer: PeerId) -> Vec<Slot> {
        std::iter::from_fn(|| now(slots, peer, StreamProtocol::Blobs)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn p6_one_peer_cannot_take_all_slots_and_each_is_given_back() {
        let slots = Slots::default();
        let (greedy, other) = (PeerId::random(), PeerId::random());
        let taken = all(&slots, greedy);
        assert_eq!(taken.len(), BLOB_STREAMS_PER_PEER_MAX);
        assert!(now(&slots, other, StreamProtocol::Blobs).is_some());
        assert!(
            now(&slots, greedy, StreamProtocol::Records).is_some(),
            "questions are counted apart"
        );
        drop(taken);
        assert_eq!(slots.in_use(), InUse::default());
        assert!(now(&slots, greedy, StreamProtocol::Blobs).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn p6_greedy_peers_leave_room_for_others() {
        let slots = Slots::default();
        let held: Vec<_> = (0..5).flat_map(|_| all(&slots, PeerId::random())).collect();
        assert!(held.len() < BLOB_STREAMS_MAX, "{}", held.len());
        assert!(now(&slots, PeerId::random(), StreamProtocol::Blobs).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn in_line_the_peer_with_the_fewest_goes_first() {
        let slots = Slots::default();
        let (greedy, modest) = (PeerId::random(), PeerId::random());
        let mut held = all(&slots, greedy);
        while let Some(slot) = now(&slots, PeerId::random(), StreamProtocol::Blobs) {
            held.push(slot);
        }
        assert_eq!(slots.in_use().bulk, BLOB_STREAMS_MAX);
        held.remove(0);
        let filled = now(&slots, PeerId::random(), StreamProtocol::Blobs).unwrap();
        let mut wants_more = Box::pin(slots.take(greedy, StreamProtocol::Blobs));
        let mut wants_one = Box::pin(slots.take(modest, StreamProtocol::Blobs));
        assert!((&mut wants_more).now_or_never().is_none());
        assert!((&mut wants_one).now_or_never().is_none());
        drop(filled);
        assert!((&mut wants_more).now_or_never().is_none());
        let one = (&mut wants_one).now_or_never().flatten();
        assert!(one.is_some_and(|slot| slot.peer == modest));
    }

    #[tokio::test(start_paused = true)]
    async fn p6_the_line_is_bounded_and_ends_with_busy() {
        let slots = Slots::default();
        let mut held = Vec::new();
        while let Some(slot) = now(&slots, PeerId::random(), StreamProtocol::Blobs) {
            held.push(slot);
        }
        let mut line = Vec::new();
        while slots.state().waiting < BLOB_STREAMS_WAITING_MAX {
            let peer = PeerId::random();
            for _ in 0..BLOB_STREAMS_PER_PEER_MAX {
                let mut wants = Box::pin(slots.take(peer, StreamProtocol::Blobs));
                assert!((&mut wants).now_or_never().is_none());
                line.push(wants);
            }
            let more = slots.take(peer, StreamProtocol::Blobs).now_or_never();
            assert!(more.is_some_and(|slot| slot.is_none()));
        }
        // A newcomer takes the place of the last of one that has many.
        let mut newcomer = Box::pin(slots.take(PeerId::random(), StreamProtocol::Blobs));
        assert!((&mut newcomer).now_or_never().is_none());
        assert_eq!(slots.state().waiting, BLOB_STREAMS_WAITING_MAX);
        let start = tokio::time::Instant::now();
        assert!(newcomer.await.is_none(), "nobody waits for ever");
        assert_eq!(start.elapsed(), WAIT_MAX);
        // Those who waited in vain take nothing when there is room again.
        drop(line);
        drop(held);
        assert_eq!(slots.in_use(), InUse::default());
        assert_eq!(slots.state().waiting, 0);
    }
}
