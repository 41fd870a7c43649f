//! How much may be in flight on a QUIC connection: what the path carries, not what it loses.
//!
//! Cubic and Reno take each loss for a full queue: with one packet in a hundred lost at random and
//! 100 ms of round trip they send 1 to 2 Mbit/s, however fast the path is. This controller, like
//! BBR, measures the path instead: the largest rate of delivery of the last rounds and the shortest
//! round trip of the last seconds; their product is what fits into the path. It keeps a little more
//! than that in flight, so that a path that became faster shows. Loss counts only when a round loses
//! more than links do at random: then the queues are smaller than that little more.

#[cfg(test)]
mod tests;

use std::{
    any::Any,
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;

/// What may be in flight before anything is known, in packets.
const WINDOW_FIRST: u64 = 32;
/// What may be in flight at least, in packets.
const WINDOW_MIN: u64 = 4;
/// Rounds over which the largest rate counts.
const RATE_ROUNDS: usize = 10;
/// In flight while the rate still doubles, in bandwidth-delay products.
const GAIN_START: f64 = 2.2;
/// In flight afterwards, at most and at least.
const GAIN_MAX: f64 = 1.5;
const GAIN_MIN: f64 = 1.1;
/// In flight while the shortest round trip is measured anew.
const GAIN_PROBE: f64 = 0.5;
/// A round that loses a larger part meets queues that are full.
const LOSS_MAX: f64 = 0.10;
/// A round in which the rate grew by less than this factor did not grow.
const GROWTH: f64 = 1.25;
/// Rounds without growth after which the path is taken for full.
const ROUNDS_FULL: u32 = 3;
/// How long the shortest round trip counts.
const ROUND_TRIP_AGE: Duration = Duration::from_secs(10);
/// How long it is measured anew.
const PROBE_TIME: Duration = Duration::from_millis(200);
/// Shorter round trips are mostly what the two processes take to be scheduled.
const ROUND_TRIP_MIN: Duration = Duration::from_millis(5);

/// Makes a [`Model`] for each path.
#[derive(Debug)]
pub(super) struct Factory;

impl ControllerFactory for Factory {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        Box::new(Model::new(now, u64::from(mtu)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// The rate still grows: double what is in flight each round.
    Start { best: f64, rounds_flat: u32 },
    /// The path is full.
    Cruise,
    /// Little is in flight until then, and the shortest round trip meanwhile.
    Probe {
        until: Instant,
        shortest: Option<Duration>,
    },
}

/// What was sent in about one round trip, and what became of it.
#[derive(Clone, Debug)]
struct Round {
    began: Instant,
    acked: u64,
    lost: u64,
    /// Was there ever nothing to send? Then the rate says little.
    idle: bool,
    /// A packet of this round is acknowledged.
    over: bool,
    /// The most that came with one acknowledgement.
    burst: u64,
    /// Since the last acknowledgement.
    batch: u64,
}

impl Round {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            acked: 0,
            lost: 0,
            idle: false,
            over: false,
            burst: 0,
            batch: 0,
        }
    }
}

/// See the module. Invariant: the window is at least [`WINDOW_MIN`] packets.
#[derive(Clone, Debug)]
struct Model {
    mtu: u64,
    window: u64,
    gain: f64,
    phase: Phase,
    round: Round,
    /// Rates of the last rounds, in bytes a second.
    rates: VecDeque<f64>,
    /// The shortest round trip, and when it was seen.
    shortest: Option<(Duration, Instant)>,
    burst: u64,
}

impl Model {
    fn new(now: Instant, mtu: u64) -> Self {
        Self {
            mtu,
            window: WINDOW_FIRST * mtu,
            gain: GAIN_MAX,
            phase: Phase::Start {
                best: 0.0,
                rounds_flat: 0,
            },
            round: Round::new(now),
            rates: VecDeque::new(),
            shortest: None,
            burst: 0,
        }
    }

    fn rate(&self) -> f64 {
        self.rates.iter().copied().fold(0.0, f64::max)
    }

    /// So many bandwidth-delay products, if they are known.
    fn product(&self, gain: f64) -> Option<u64> {
        let (shortest, _) = self.shortest?;
        let rate = self.rate();
        let bytes = gain * rate * shortest.max(ROUND_TRIP_MIN).as_secs_f64();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float that is too large becomes the largest integer"
        )]
        let bytes = bytes as u64;
        (rate > 0.0).then_some(bytes)
    }

    fn see_round_trip(&mut self, now: Instant, sample: Duration) {
        if let Phase::Probe { shortest, .. } = &mut self.phase {
            *shortest = Some(shortest.map_or(sample, |known| known.min(sample)));
        }
        if self.shortest.is_none_or(|(known, _)| sample <= known) {
            self.shortest = Some((sample, now));
        }
    }

    /// So many bytes that were `sent` then have arrived.
    fn acknowledge(&mut self, now: Instant, sent: Instant, bytes: u64, idle: bool) {
        self.see_round_trip(now, now.saturating_duration_since(sent));
        self.round.acked += bytes;
        self.round.batch += bytes;
        self.round.idle |= idle;
        self.round.over |= sent >= self.round.began;
    }

    /// A round is over: what did it show?
    fn end_round(&mut self, now: Instant) {
        let round = std::mem::replace(&mut self.round, Round::new(now));
        self.burst = round.burst.max(self.burst / 2);
        let seconds = now.saturating_duration_since(round.began).as_secs_f64();
        let rate = bytes(round.acked) / seconds.max(1e-6);
        if round.idle && rate <= self.rate() {
            return;
        }
        let lost = bytes(round.lost) / bytes(round.lost + round.acked).max(1.0);
        if lost > LOSS_MAX {
            self.gain = (self.gain - 0.1).max(GAIN_MIN);
        } else {
            self.gain = (self.gain + 0.02).min(GAIN_MAX);
        }
        // While little is in flight, the rate says nothing about the path.
        if matches!(self.phase, Phase::Probe { .. }) {
            return;
        }
        if self.rates.len() >= RATE_ROUNDS {
            self.rates.pop_front();
        }
        self.rates.push_back(rate);
        if let Phase::Start { best, rounds_flat } = &mut self.phase {
            if rate >= *best * GROWTH {
                (*best, *rounds_flat) = (rate, 0);
            } else {
                *rounds_flat += 1;
                if *rounds_flat >= ROUNDS_FULL || lost > LOSS_MAX {
                    self.phase = Phase::Cruise;
                }
            }
        }
    }

    /// Begins or ends the measurement of the shortest round trip.
    fn turn(&mut self, now: Instant) {
        match self.phase {
            Phase::Cruise => {
                let Some((known, seen)) = self.shortest else {
                    return;
                };
                if now.saturating_duration_since(seen) > ROUND_TRIP_AGE {
                    self.phase = Phase::Probe {
                        until: now + PROBE_TIME.max(known * 2),
                        shortest: None,
                    };
                }
            }
            Phase::Probe { until, shortest } if now >= until => {
                if let Some(shortest) = shortest {
                    self.shortest = Some((shortest, now));
                }
                self.phase = Phase::Cruise;
            }
            Phase::Probe { .. } | Phase::Start { .. } => {}
        }
    }

    /// Moves the window to where it belongs; up not faster than acknowledgements come.
    fn adjust(&mut self, acked: u64, idle: bool) {
        let grown = self.window.saturating_add(acked);
        self.window = match self.phase {
            // What was not used does not show that more would fit.
            Phase::Start { .. } if idle => self.window,
            Phase::Start { .. } => match self.product(GAIN_START) {
                Some(most) => grown.min(most).max(self.window),
                None => grown,
            },
            Phase::Cruise => match self.product(self.gain) {
                Some(most) => grown.min(most.saturating_add(self.burst)),
                None => grown,
            },
            Phase::Probe { .. } => self.product(GAIN_PROBE).unwrap_or(self.window),
        }
        .max(WINDOW_MIN * self.mtu);
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "rates need no more than 52 bits"
)]
fn bytes(bytes: u64) -> f64 {
    bytes as f64
}

impl Controller for Model {
    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, idle: bool, _: &RttEstimator) {
        self.acknowledge(now, sent, bytes, idle);
    }

    fn on_end_acks(&mut self, now: Instant, _: u64, idle: bool, _: Option<u64>) {
        let acked = std::mem::take(&mut self.round.batch);
        self.round.burst = self.round.burst.max(acked);
        if self.round.over {
            self.end_round(now);
        }
        self.turn(now);
        self.adjust(acked, idle);
    }

    fn on_congestion_event(&mut self, now: Instant, _: Instant, persistent: bool, lost: u64) {
        self.round.lost += lost;
        if persistent {
            // Nothing came through for long: what was known of the path is no longer true.
            let mtu = self.mtu;
            *self = Self::new(now, mtu);
            self.window = WINDOW_MIN * mtu;
        }
    }

    fn on_mtu_update(&mut self, mtu: u16) {
        self.mtu = u64::from(mtu);
        self.window = self.window.max(WINDOW_MIN * self.mtu);
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        WINDOW_FIRST * self.mtu
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
