//! How many datasets that nobody here has heard of a stranger may introduce, and how often heads are passed on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use libp2p::PeerId;
use opendag_protocol::{DatasetId, Time, rate::TokenBucket};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::lock;

/// Introductions under way: each holds an answer of at most 4 MiB.
const AT_ONCE: usize = 16;
/// Heads that are judged already and wait for the disk.
const TAKING_MAX: usize = 512;
/// Introductions by one peer: so many at once, and so many a second. What is left out comes by `sync/1`.
const PEER_BURST: u64 = 64;
const PEER_PER_SECOND: u64 = 4;
/// Introductions by all peers: each costs some signatures and a few KiB.
const ALL_BURST: u64 = 512;
const ALL_PER_SECOND: u64 = 32;
/// Peers whose rates are remembered.
const PEERS_MAX: usize = 1024;
/// Heads of known datasets that are taken in and passed on: so many at once, and so many a second. Below what a
/// neighbour hears of one peer, so that whoever passes on what strangers say is not taken for a flooder.
const HEADS_BURST: u64 = 512;
const HEADS_PER_SECOND: u64 = 64;
/// Heads of one dataset: so many at once, and one in so many seconds. Its newest comes by `sync/1`.
const DATASET_BURST: u64 = 16;
const DATASET_SECONDS: u64 = 4;
/// Datasets whose rates are remembered; then all begin anew.
const DATASETS_MAX: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct Gate {
    introducing: Arc<Semaphore>,
    taking: Arc<Semaphore>,
    rates: Mutex<Rates>,
    start: Instant,
}

#[derive(Debug)]
struct Rates {
    all: TokenBucket,
    peers: BTreeMap<PeerId, TokenBucket>,
    heads: TokenBucket,
    datasets: BTreeMap<DatasetId, TokenBucket>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            introducing: Arc::new(Semaphore::new(AT_ONCE)),
            taking: Arc::new(Semaphore::new(TAKING_MAX)),
            rates: Mutex::new(Rates {
                all: TokenBucket::new(ALL_PER_SECOND, ALL_BURST),
                peers: BTreeMap::new(),
                heads: TokenBucket::new(HEADS_PER_SECOND, HEADS_BURST),
                datasets: BTreeMap::new(),
            }),
            start: Instant::now(),
        }
    }
}

impl Gate {
    /// May this peer introduce one more dataset now? Held while it is looked into.
    pub(super) fn introduces(&self, peer: PeerId) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.introducing).try_acquire_owned().ok()?;
        let now = self.now();
        lock(&self.rates).allows(peer, now).then_some(permit)
    }

    /// May one more head of a known dataset be taken in and passed on now? Held while it waits for the disk.
    pub(super) fn takes(&self, dataset: DatasetId) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.taking).try_acquire_owned().ok()?;
        let now = self.now();
        lock(&self.rates).takes(dataset, now).then_some(permit)
    }

    fn now(&self) -> Time {
        let elapsed = u64::try_from(self.start.elapsed().as_millis());
        Time::from_millis(elapsed.unwrap_or(u64::MAX))
    }
}

impl Rates {
    fn allows(&mut self, peer: PeerId, now: Time) -> bool {
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&peer) {
            // Whoever comes back has a full bucket again, but the one for all has not.
            self.peers.pop_first();
        }
        let own = self
            .peers
            .entry(peer)
            .or_insert_with(|| TokenBucket::new(PEER_PER_SECOND, PEER_BURST));
        own.take(now, 1).is_ok() && self.all.take(now, 1).is_ok()
    }

    fn takes(&mut self, dataset: DatasetId, now: Time) -> bool {
        if self.datasets.len() >= DATASETS_MAX && !self.datasets.contains_key(&dataset) {
            self.datasets.clear();
        }
        let own = self
            .datasets
            .entry(dataset)
            .or_insert_with(|| TokenBucket::new(1, DATASET_BURST * DATASET_SECONDS));
        own.take(now, DATASET_SECONDS).is_ok() && self.heads.take(now, 1).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use opendag_protocol::Hash;

    use super::*;

    #[test]
    fn p6_introductions_are_limited_for_each_peer_and_in_all() {
        let gate = Gate::default();
        let now = Time::from_millis(1);
        let mut rates = lock(&gate.rates);
        let greedy = PeerId::random();
        let allowed = (0..1000).filter(|_| rates.allows(greedy, now)).count();
        assert_eq!(allowed, 64);
        assert!(
            rates.allows(PeerId::random(), now),
            "others are not in the way"
        );
        let many = (0..600).filter(|_| rates.allows(PeerId::random(), now));
        assert_eq!(many.count(), 512 - 65);
        let later = Time::from_millis(1001);
        let again = (0..1000).filter(|_| rates.allows(greedy, later)).count();
        assert_eq!(again, 4, "so many a second");
        for _ in 0..2 * PEERS_MAX {
            rates.allows(PeerId::random(), later);
        }
        assert_eq!(rates.peers.len(), PEERS_MAX);
    }

    #[test]
    fn p6_heads_are_limited_for_each_dataset_and_in_all() {
        let gate = Gate::default();
        let mut rates = lock(&gate.rates);
        let dataset = |number: u32| DatasetId::from_hash(Hash::of(&number.to_le_bytes()));
        let many = |rates: &mut Rates, at| {
            let now = Time::from_millis(at);
            (0..100).filter(|_| rates.takes(dataset(0), now)).count()
        };
        assert_eq!(many(&mut rates, 1), 16);
        assert_eq!(many(&mut rates, 4001), 1, "one in four seconds");
        let now = Time::from_millis(4001);
        assert!(rates.takes(dataset(1), now), "others are not in the way");
        let all = (2..2000).filter(|number| rates.takes(dataset(*number), now));
        assert_eq!(all.count(), 512 - 2);
        for number in 0..10_000 {
            rates.takes(dataset(number), now);
        }
        assert!(rates.datasets.len() <= DATASETS_MAX);
    }

    #[test]
    fn p6_few_are_looked_into_at_once() {
        let gate = Gate::default();
        let held: Vec<_> = (0..100)
            .filter_map(|_| gate.introduces(PeerId::random()))
            .collect();
        assert_eq!(held.len(), AT_ONCE);
        drop(held);
        assert!(gate.introduces(PeerId::random()).is_some());
    }
}
