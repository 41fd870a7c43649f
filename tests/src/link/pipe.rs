//! One direction of a link: a rate, a queue before it, a delay behind it, and accidents.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Counts, Quality};

/// How often an empty pipe looks whether the link is gone.
const STOP_TICK: Duration = Duration::from_millis(100);
/// Packets that are due within this time go now: shorter sleeps are not kept by the kernel.
const SLEEP_MIN: Duration = Duration::from_micros(60);

/// See the module.
pub(super) struct Pipe {
    quality: Quality,
    state: Mutex<State>,
    filled: Condvar,
}

struct State {
    random: u64,
    /// When the last bit of what was taken in so far leaves the queue.
    free_at: Instant,
    /// What is under way, by time of arrival; the number keeps equal times apart and in order.
    under_way: BTreeMap<(Instant, u64), Vec<u8>>,
    number: u64,
    counts: Counts,
}

impl Pipe {
    pub(super) fn new(quality: &Quality, seed: u64) -> Self {
        Self {
            quality: *quality,
            state: Mutex::new(State {
                random: seed,
                free_at: Instant::now(),
                under_way: BTreeMap::new(),
                number: 0,
                counts: Counts::default(),
            }),
            filled: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Takes a packet in, or drops it if the queue is full.
    pub(super) fn push(&self, packet: &[u8]) {
        let (now, quality) = (Instant::now(), &self.quality);
        let mut state = self.lock();
        let starts = state.free_at.max(now);
        let waiting = starts - now;
        if waiting > self.time_of(quality.queue_bytes()) {
            state.counts.dropped += 1;
            return;
        }
        let length = u64::try_from(packet.len()).unwrap_or(u64::MAX);
        state.free_at = starts + self.time_of(length);
        // Lost behind the queue, so that it has taken its time on the wire.
        if state.happens(quality.lost_per_million) {
            state.counts.lost += 1;
            return;
        }
        let mut due = state.free_at + quality.delay;
        if state.happens(quality.late_per_million) {
            due += quality.delay.mul_f64(state.fraction());
        }
        let copies = 1 + u64::from(state.happens(quality.doubled_per_million));
        for _ in 0..copies {
            state.number += 1;
            let key = (due, state.number);
            state.under_way.insert(key, packet.to_vec());
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Hands each packet to `deliver` when it is due, until `stop` is set.
    pub(super) fn run(&self, stop: &AtomicBool, deliver: impl Fn(&[u8])) {
        let mut state = self.lock();
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let due = state.under_way.first_key_value().map(|((due, _), _)| *due);
            match due.map(|due| due.saturating_duration_since(now)) {
                Some(wait) if wait < SLEEP_MIN => {
                    let Some((_, packet)) = state.under_way.pop_first() else {
                        continue;
                    };
                    state.counts.delivered += 1;
                    state.counts.delivered_bytes += u64::try_from(packet.len()).unwrap_or(0);
                    drop(state);
                    deliver(&packet);
                    state = self.lock();
                }
                wait => {
                    // A packet that comes in meanwhile may be due before those that wait.
                    let wait = wait.map_or(STOP_TICK, |wait| wait.min(STOP_TICK));
                    let woken = self.filled.wait_timeout(state, wait);
                    state = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// How long so many bytes take on the wire.
    fn time_of(&self, bytes: u64) -> Duration {
        let nanos =
            u128::from(bytes) * 8 * 1_000_000_000 / u128::from(self.quality.rate_bits.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl State {
    /// Splitmix64: short, and good enough for accidents.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn happens(&mut self, per_million: u32) -> bool {
        self.next() % 1_000_000 < u64::from(per_million)
    }

    /// A number from 0 to 1.
    fn fraction(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }
}
