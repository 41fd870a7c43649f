//! A cap on a flow of bytes, shared by all its transfers: by peers, not by streams.

mod turns;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use libp2p::PeerId;
use opendag_protocol::{Time, rate::TokenBucket};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use self::turns::Turns;

/// What may pass at once after a pause, as a part of a second.
const BURST_PART: u64 = 4;
/// A burst is never smaller, so that one read fits.
const BURST_BYTES_MIN: u64 = 64 * 1024;
/// A turn is what passes in this part of a second: the wait for the next is short for many peers, too.
const TURN_PART: u64 = 64;
/// The largest turn: more than that saves no work.
const TURN_BYTES_MAX: u64 = 64 * 1024;
/// The smallest turn: about a packet.
const TURN_BYTES_MIN: u64 = 1024;

/// A cap in bytes a second, or none. Cheap to clone; clones share the cap.
///
/// While more wants to pass than may, each peer gets an equal share of it, however many streams it has;
/// what one does not use goes to the others.
#[derive(Clone, Debug)]
pub(crate) struct Flow(Option<Arc<Cap>>);

#[derive(Debug)]
struct Cap {
    start: Instant,
    turn_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bucket: TokenBucket,
    /// By peer; `None` is this node itself.
    turns: Turns<Option<PeerId>, oneshot::Sender<()>>,
    /// Is there a task that gives turns? There is as long as anybody waits.
    giving: bool,
}

impl Flow {
    /// A flow of at most `bytes_per_second`.
    pub(crate) fn new(bytes_per_second: Option<u64>) -> Self {
        Self(bytes_per_second.map(|rate| {
            let burst = (rate / BURST_PART).max(BURST_BYTES_MIN);
            Arc::new(Cap {
                start: Instant::now(),
                turn_bytes: (rate / TURN_PART).clamp(TURN_BYTES_MIN, TURN_BYTES_MAX),
                state: Mutex::new(State {
                    bucket: TokenBucket::new(rate, burst),
                    turns: Turns::default(),
                    giving: false,
                }),
            })
        }))
    }

    /// Waits until all of `bytes` may pass. Dropping it is safe: what was taken stays taken.
    pub(crate) async fn take(&self, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            left = left.saturating_sub(self.turn(None, left).await);
        }
    }

    /// Waits until some of `bytes` may go to `peer`; answers how many, all if there is no cap. Dropping
    /// it is safe: what was not answered is not taken.
    pub(crate) async fn share(&self, peer: PeerId, bytes: usize) -> usize {
        self.turn(Some(peer), bytes).await
    }

    async fn turn(&self, peer: Option<PeerId>, bytes: usize) -> usize {
        let Some(cap) = &self.0 else { return bytes };
        let turn = bytes.min(usize::try_from(cap.turn_bytes).unwrap_or(usize::MAX));
        let wanted = u64::try_from(turn).unwrap_or(u64::MAX);
        if wanted > 0 {
            // The task that gives turns ends with the runtime only, and so does the caller.
            let _ = Cap::wait(cap, peer, wanted).await;
        }
        turn
    }
}

impl Cap {
    /// Waits in line, also when nobody else does: what a peer was given counts when others come.
    fn wait(this: &Arc<Self>, peer: Option<PeerId>, bytes: u64) -> oneshot::Receiver<()> {
        let (given, turn) = oneshot::channel();
        let mut state = this.state();
        state.turns.wait(peer, bytes, given);
        if !state.giving && state.give(this.now()).is_some() {
            state.giving = true;
            tokio::spawn(Self::give(Arc::clone(this)));
        }
        turn
    }

    /// Gives turns as long as somebody waits.
    async fn give(this: Arc<Self>) {
        while let Some(wait) = this.give_some() {
            sleep(wait).await;
        }
    }

    fn give_some(&self) -> Option<Duration> {
        let mut state = self.state();
        let wait = state.give(self.now());
        state.giving = wait.is_some();
        wait
    }

    fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives all turns that there is room for now; answers when there is more, if anybody waits for it.
    fn give(&mut self, now: Time) -> Option<Duration> {
        loop {
            let bytes = self.turns.next_bytes(|given| !given.is_closed())?;
            if let Err(wait) = self.bucket.take(now, bytes) {
                return Some(wait);
            }
            // A waiter that left just now had its turn.
            let _ = self.turns.take()?.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{task::JoinSet, time::timeout};

    use super::*;

    const RATE: u64 = 1_000_000;

    #[tokio::test(start_paused = true)]
    async fn p6_a_cap_holds_for_all_that_share_it() {
        let flow = Flow::new(Some(RATE));
        let start = Instant::now();
        let other = flow.clone();
        tokio::join!(flow.take(2_000_000), other.take(2_000_000));
        let seconds = start.elapsed().as_secs_f64();
        assert!((3.5..=4.1).contains(&seconds), "{seconds}");
        Flow::new(None).take(usize::MAX).await;
    }

    /// What each peer gets in ten seconds when it has so many streams, each in steps of `step` bytes.
    async fn shares(flow: &Flow, streams: &[usize], step: usize) -> Vec<usize> {
        // What may pass at once goes to who comes first.
        flow.take(usize::try_from(RATE / BURST_PART).unwrap()).await;
        let counts: Vec<_> = streams
            .iter()
            .map(|_| Arc::new(AtomicUsize::new(0)))
            .collect();
        let mut tasks = JoinSet::new();
        for (streams, count) in streams.iter().zip(&counts) {
            let peer = PeerId::random();
            for _ in 0..*streams {
                let (flow, count) = (flow.clone(), Arc::clone(count));
                tasks.spawn(async move {
                    loop {
                        let passed = flow.share(peer, step).await;
                        count.fetch_add(passed, Ordering::Relaxed);
                    }
                });
            }
        }
        let all = async { while tasks.join_next().await.is_some() {} };
        assert!(timeout(Duration::from_secs(10), all).await.is_err());
        counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn p6_a_peer_with_many_streams_gets_the_share_of_one() {
        let got = shares(&Flow::new(Some(RATE)), &[16, 1, 1], 1 << 20).await;
        let total: usize = got.iter().sum();
        assert!(
            (9_900_000..=10_050_000).contains(&total),
            "the cap is used and held: {got:?}"
        );
        for share in &got {
            assert!(share.abs_diff(total / 3) <= total / 100, "{got:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn shares_by_streams_would_not_be_fair() {
        // Negative control: the same streams, each for itself.
        let got = shares(&Flow::new(Some(RATE)), &[1; 18], 1 << 20).await;
        let (greedy, modest) = (got[..16].iter().sum::<usize>(), got[16]);
        assert!(greedy > 10 * modest, "{got:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_does_not_use_goes_to_the_others() {
        let flow = Flow::new(Some(RATE));
        let modest = PeerId::random();
        let (slow, fast) = (flow.clone(), flow.clone());
        let slow = async move {
            for _ in 0..100 {
                let start = Instant::now();
                assert_eq!(slow.share(modest, 1000).await, 1000);
                let waited = start.elapsed();
                assert!(
                    waited < Duration::from_millis(100),
                    "its turn came after {waited:?}"
                );
                sleep(Duration::from_millis(100)).await;
            }
        };
        let (got, ()) = tokio::join!(shares(&fast, &[16], 1 << 20), slow);
        assert!(got[0] >= 9_800_000, "{got:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_bytes_come_soon_however_much_others_want() {
        let flow = Flow::new(Some(RATE));
        let mut tasks = JoinSet::new();
        for _ in 0..40 {
            let (flow, peer) = (flow.clone(), PeerId::random());
            tasks.spawn(async move {
                loop {
                    flow.share(peer, 1 << 20).await;
                }
            });
        }
        sleep(Duration::from_secs(1)).await;
        let start = Instant::now();
        flow.share(PeerId::random(), 1 << 20).await;
        let waited = start.elapsed();
        // At most one turn of each of the others: 40 × 1/64 s.
        assert!(waited <= Duration::from_millis(700), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_takes_nothing() {
        let flow = Flow::new(Some(RATE));
        flow.take(250_000).await;
        let peer = PeerId::random();
        for _ in 0..1000 {
            assert!(
                timeout(Duration::ZERO, flow.share(peer, 16_000))
                    .await
                    .is_err()
            );
        }
        let start = Instant::now();
        flow.take(100_000).await;
        assert!(
            start.elapsed() <= Duration::from_millis(120),
            "{:?}",
            start.elapsed()
        );
    }
}
