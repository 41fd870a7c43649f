//! When which peer is compared with.
//!
//! A peer that connects is due after a moment, so that nodes that meet many at once do not ask all at
//! one time; then each is due about once a minute, more rarely if there are many.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use libp2p::PeerId;
use opendag_protocol::limits::SYNC_DIFFERENCE_MAX;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

use crate::catalogue::lock;

/// Comparisons that this node began, at once; each holds up to 3 MiB.
const OWN_AT_ONCE: usize = 8;
/// Comparisons that strangers began, at once; others are told *busy*.
const ANSWERS_AT_ONCE: usize = 8;
/// One peer may ask so often.
const ANSWERS_APART: Duration = Duration::from_secs(5);
/// A peer that connected is compared with after this and up to as long again.
const FIRST_AFTER: Duration = Duration::from_millis(150);
/// Or after this, if it is the one that begins, and has not begun by then.
const SECOND_AFTER: Duration = Duration::from_secs(2);
/// A peer is compared with again after this and up to half as long again.
const AGAIN_AFTER: Duration = Duration::from_secs(40);
/// After each failure in a row twice as long, so often: whoever does not answer is not to take the turns of others.
const FAILURES_MAX: u32 = 4;
/// With more peers than this each has its turn more rarely.
const PEERS_A_ROUND: u32 = 16;
/// Manifests are asked for so long after their heads: those who told of them get them first.
const MANIFESTS_AFTER: Duration = Duration::from_millis(300);
/// Peers that are asked for the same manifests in a row, each after twice as long as the one before.
const MANIFEST_TRIES: u32 = 8;

/// What to do with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::catalogue) enum Turn {
    /// Compare the catalogue.
    Compare(PeerId),
    /// Ask for manifests that are wanted.
    Manifests(PeerId),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Schedule {
    due: Mutex<Due>,
    changed: Notify,
    own: Arc<Semaphore>,
    answering: Arc<Semaphore>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            due: Mutex::default(),
            changed: Notify::new(),
            own: Arc::new(Semaphore::new(OWN_AT_ONCE)),
            answering: Arc::new(Semaphore::new(ANSWERS_AT_ONCE)),
        }
    }
}

/// Peers are bounded by the limits on connections.
#[derive(Debug, Default)]
struct Due {
    peers: BTreeMap<PeerId, Peer>,
    manifests: Option<Instant>,
    tries: u32,
}

#[derive(Debug)]
struct Peer {
    /// `None` while it is compared with.
    due: Option<Instant>,
    /// When it asked last.
    asked: Option<Instant>,
    /// Comparisons in a row that failed.
    failures: u32,
}

impl Schedule {
    /// A peer connected. Of two nodes one begins; `is_second`: the other has its turn first.
    pub(in crate::catalogue) fn connected(&self, peer: PeerId, is_second: bool) {
        let after = match is_second {
            true => spread(SECOND_AFTER),
            false => spread(FIRST_AFTER),
        };
        lock(&self.due).connected(peer, Instant::now(), after);
        self.changed.notify_one();
    }

    pub(in crate::catalogue) fn disconnected(&self, peer: &PeerId) {
        lock(&self.due).peers.remove(peer);
    }

    /// Some manifest is wanted.
    pub(in crate::catalogue) fn wants(&self) {
        let mut due = lock(&self.due);
        due.tries = 0;
        due.manifests
            .get_or_insert_with(|| Instant::now() + MANIFESTS_AFTER);
        drop(due);
        self.changed.notify_one();
    }

    /// Manifests were asked for; `left`: some are still wanted.
    pub(in crate::catalogue) fn asked_for_manifests(&self, left: bool) {
        let mut due = lock(&self.due);
        due.tries = due.tries.saturating_add(1);
        if left && due.tries < MANIFEST_TRIES {
            let after = MANIFESTS_AFTER * 2_u32.saturating_pow(due.tries);
            due.manifests.get_or_insert_with(|| Instant::now() + after);
        }
    }

    /// Waits for the next turn, and for room for it.
    pub(in crate::catalogue) async fn next(&self) -> Option<(Turn, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.own).acquire_owned().await.ok()?;
        loop {
            let next = lock(&self.due).take(Instant::now());
            match next {
                Ok(turn) => return Some((turn, permit)),
                Err(Some(until)) => {
                    tokio::select! {
                        () = sleep_until(until) => {}
                        () = self.changed.notified() => {}
                    }
                }
                Err(None) => self.changed.notified().await,
            }
        }
    }

    /// A comparison with a peer ended, whoever began it; it found so many records to be lacking, or failed.
    pub(in crate::catalogue) fn ended(&self, peer: PeerId, lacking: Option<usize>) {
        let there_is_more = lacking.is_some_and(|lacking| lacking >= SYNC_DIFFERENCE_MAX);
        let mut due = lock(&self.due);
        let peers = u32::try_from(due.peers.len()).unwrap_or(u32::MAX);
        let after = match there_is_more {
            true => ANSWERS_APART + FIRST_AFTER,
            false => spread(AGAIN_AFTER) * (peers / PEERS_A_ROUND).max(1),
        };
        if let Some(peer) = due.peers.get_mut(&peer) {
            peer.failures = match lacking {
                Some(_) => 0,
                None => (peer.failures + 1).min(FAILURES_MAX),
            };
            peer.due = Some(Instant::now() + after * 2_u32.pow(peer.failures));
        }
        drop(due);
        self.changed.notify_one();
    }

    /// May a peer that asks be answered? Held while it is; it has no other turn before [`Schedule::ended`].
    pub(in crate::catalogue) fn answers(&self, peer: PeerId) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.answering).try_acquire_owned().ok()?;
        lock(&self.due)
            .may_ask(peer, Instant::now())
            .then_some(permit)
    }
}

impl Due {
    fn connected(&mut self, peer: PeerId, now: Instant, after: Duration) {
        self.peers.entry(peer).or_insert(Peer {
            due: Some(now + after),
            asked: None,
            failures: 0,
        });
    }

    /// What is due now, or when something will be.
    fn take(&mut self, now: Instant) -> Result<Turn, Option<Instant>> {
        if self.manifests.is_some_and(|due| due <= now) && !self.peers.is_empty() {
            self.manifests = None;
            let tries = usize::try_from(self.tries).unwrap_or(0);
            let nth = tries % self.peers.len();
            if let Some(peer) = self.peers.keys().nth(nth) {
                return Ok(Turn::Manifests(*peer));
            }
        }
        let first = self
            .peers
            .iter_mut()
            .filter_map(|(id, peer)| Some((peer.due?, id, peer)))
            // Of those that are due, whoever answered last time comes first.
            .min_by_key(|(due, _, peer)| match *due <= now {
                true => (false, peer.failures, *due),
                false => (true, 0, *due),
            });
        match first {
            Some((due, id, peer)) if due <= now => {
                peer.due = None;
                Ok(Turn::Compare(*id))
            }
            first => {
                let peers = first.map(|(due, ..)| due);
                let manifests = self.manifests.filter(|_| peers.is_some());
                Err(peers.into_iter().chain(manifests).min())
            }
        }
    }

    fn may_ask(&mut self, id: PeerId, now: Instant) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else {
            // Its connection was told of a moment later, or an event was dropped.
            self.connected(id, now, FIRST_AFTER);
            return self.may_ask(id, now);
        };
        if peer.asked.is_some_and(|asked| now < asked + ANSWERS_APART) {
            return false;
        }
        peer.asked = Some(now);
        peer.due = None;
        true
    }
}

/// Between `least` and half as much again.
fn spread(least: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness all come at the same time, which they bear.
    let _ = getrandom::fill(&mut random);
    least + least * u32::from(u16::from_le_bytes(random)) / (2 * u32::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_its_turn_when_it_is_due() {
        let (mut due, now) = (Due::default(), Instant::now());
        assert_eq!(due.take(now), Err(None));
        let (a, b) = (PeerId::random(), PeerId::random());
        due.connected(a, now, Duration::from_secs(2));
        due.connected(b, now, Duration::from_secs(1));
        assert_eq!(due.take(now), Err(Some(now + Duration::from_secs(1))));
        let later = now + Duration::from_secs(3);
        assert_eq!(due.take(later), Ok(Turn::Compare(b)));
        assert_eq!(due.take(later), Ok(Turn::Compare(a)));
        assert_eq!(due.take(later), Err(None), "both are under way");
    }

    #[test]
    fn p6_one_peer_may_not_ask_all_the_time() {
        let (mut due, now) = (Due::default(), Instant::now());
        let (a, b) = (PeerId::random(), PeerId::random());
        assert!(due.may_ask(a, now));
        assert!(!due.may_ask(a, now + Duration::from_secs(4)));
        assert!(due.may_ask(b, now), "others may");
        assert!(due.may_ask(a, now + Duration::from_secs(5)));
    }

    #[test]
    fn manifests_are_asked_of_one_peer_after_another() {
        let (mut due, now) = (Due::default(), Instant::now());
        due.manifests = Some(now);
        assert_eq!(due.take(now), Err(None), "there is nobody");
        let peers = [PeerId::random(), PeerId::random()];
        for peer in peers {
            due.connected(peer, now, Duration::from_secs(9));
        }
        let mut asked = Vec::new();
        for tries in 0..2 {
            due.tries = tries;
            due.manifests = Some(now);
            match due.take(now) {
                Ok(Turn::Manifests(peer)) => asked.push(peer),
                other => panic!("{other:?}"),
            }
        }
        asked.sort();
        let mut all = peers;
        all.sort();
        assert_eq!(asked, all);
    }
}
