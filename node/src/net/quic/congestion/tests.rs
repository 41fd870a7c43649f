//! The controller on simulated paths, in virtual time.

use super::*;

const MTU: u64 = 1452;
const SECOND: u64 = 1_000_000;

/// A path: bytes a second, microseconds of round trip, bytes of queue, losses per million.
#[derive(Clone, Copy)]
struct Path {
    rate: u64,
    round_trip: u64,
    queue: u64,
    lost: u64,
}

/// A packet under way, and when the sender learns of its end.
struct Packet {
    sent: u64,
    told: u64,
    lost: bool,
}

/// What came of a transfer that always had something to send.
struct Outcome {
    delivered: u64,
    sent: u64,
}

impl Outcome {
    /// What was delivered, as a part of what the path could carry.
    fn part_of(&self, path: Path, micros: u64) -> f64 {
        bytes(self.delivered) / bytes(path.rate * micros / SECOND)
    }

    fn wasted(&self) -> f64 {
        1.0 - bytes(self.delivered) / bytes(self.sent)
    }
}

/// What a simulated sender asks.
trait Sender {
    fn ack(&mut self, now: Instant, sent: Instant);
    fn end_acks(&mut self, now: Instant);
    fn lose(&mut self, now: Instant, sent: Instant);
    fn window(&self) -> u64;
}

impl Sender for Model {
    fn ack(&mut self, now: Instant, sent: Instant) {
        self.acknowledge(now, sent, MTU, false);
    }

    fn end_acks(&mut self, now: Instant) {
        self.on_end_acks(now, 0, false, None);
    }

    fn lose(&mut self, now: Instant, sent: Instant) {
        self.on_congestion_event(now, sent, false, MTU);
    }

    fn window(&self) -> u64 {
        Controller::window(self)
    }
}

/// The negative control: halves its window at a loss, once a round trip, like Reno.
struct Halving {
    window: u64,
    halved: Option<Instant>,
}

impl Sender for Halving {
    fn ack(&mut self, _: Instant, _: Instant) {
        self.window += match self.halved {
            None => MTU,
            Some(_) => MTU * MTU / self.window,
        };
    }

    fn end_acks(&mut self, _: Instant) {}

    fn lose(&mut self, now: Instant, sent: Instant) {
        if self.halved.is_none_or(|halved| sent > halved) {
            self.window = (self.window / 2).max(2 * MTU);
            self.halved = Some(now);
        }
    }

    fn window(&self) -> u64 {
        self.window
    }
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Sends for so many microseconds what the window and quinn's pacing (five quarters of a window a
/// round trip) allow, over a path that may change with time.
fn run(sender: &mut impl Sender, path: impl Fn(u64) -> Path, from: u64, micros: u64) -> Outcome {
    let epoch = *EPOCH;
    let at = |micros| epoch + Duration::from_micros(micros);
    let mut under_way: VecDeque<Packet> = VecDeque::new();
    let (mut seed, mut in_flight, mut free_at, mut next_send) = (7, 0, 0, 0);
    let (mut delivered, mut sent) = (0, 0);
    for now in (from..from + micros).step_by(100) {
        let path = path(now);
        let mut acked = false;
        while under_way.front().is_some_and(|packet| packet.told <= now) {
            let packet = under_way.pop_front().unwrap();
            in_flight -= MTU;
            if packet.lost {
                sender.lose(at(now), at(packet.sent));
            } else {
                sender.ack(at(now), at(packet.sent));
                delivered += MTU;
                acked = true;
            }
        }
        if acked {
            sender.end_acks(at(now));
        }
        while in_flight + MTU <= sender.window() && next_send <= now {
            free_at = now.max(free_at);
            let full = (free_at - now) * path.rate / SECOND > path.queue;
            if !full {
                free_at += MTU * SECOND / path.rate;
            }
            under_way.push_back(Packet {
                sent: now,
                told: free_at + path.round_trip,
                lost: full || random(&mut seed) % 1_000_000 < path.lost,
            });
            in_flight += MTU;
            sent += MTU;
            // Up to two milliseconds that were missed are caught up.
            let pace = path.round_trip * MTU * 4 / (sender.window() * 5);
            next_send = next_send.max(now.saturating_sub(2000)) + pace;
        }
    }
    Outcome { delivered, sent }
}

static EPOCH: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

fn model() -> Model {
    Model::new(*EPOCH, MTU)
}

/// 200 Mbit/s, 100 ms, a queue of one round trip, one packet in a hundred lost.
const LOSSY: Path = Path {
    rate: 25_000_000,
    round_trip: 100_000,
    queue: 2_500_000,
    lost: 10_000,
};

#[test]
fn random_loss_does_not_slow_it_down() {
    for lost in [0, 1_000, 10_000, 50_000] {
        let path = Path { lost, ..LOSSY };
        let part = run(&mut model(), |_| path, 0, 10 * SECOND).part_of(path, 10 * SECOND);
        assert!(part > 0.85, "{lost}: {part}");
    }
}

#[test]
fn control_halving_at_each_loss_fills_no_lossy_path() {
    let mut halving = Halving {
        window: 32 * MTU,
        halved: None,
    };
    let part = run(&mut halving, |_| LOSSY, 0, 10 * SECOND).part_of(LOSSY, 10 * SECOND);
    assert!(part < 0.1, "{part}");
}

#[test]
fn it_fills_fast_slow_near_and_far_paths() {
    for (rate, round_trip) in [
        (125_000_000, 1_000),
        (1_250_000, 20_000),
        (625_000, 600_000),
        (125_000_000, 150_000),
    ] {
        let path = Path {
            rate,
            round_trip,
            queue: (rate * round_trip / SECOND).max(30_000),
            lost: 1_000,
        };
        let part = run(&mut model(), |_| path, 0, 20 * SECOND).part_of(path, 20 * SECOND);
        assert!(part > 0.8, "{rate} {round_trip}: {part}");
    }
}

#[test]
fn queues_smaller_than_its_surplus_lose_little() {
    // A twentieth of a round trip. What it tries beyond the path is lost; it learns to try less.
    let path = Path {
        queue: 125_000,
        lost: 0,
        ..LOSSY
    };
    let mut model = model();
    run(&mut model, |_| path, 0, 5 * SECOND);
    let outcome = run(&mut model, |_| path, 5 * SECOND, 20 * SECOND);
    assert!(outcome.wasted() < 0.12, "{}", outcome.wasted());
    assert!(outcome.part_of(path, 20 * SECOND) > 0.85);
}

#[test]
fn it_follows_a_path_that_becomes_faster_or_slower() {
    for (rate, queue) in [(50_000_000, 5_000_000), (2_500_000, 250_000)] {
        let after = Path {
            rate,
            queue,
            ..LOSSY
        };
        let mut model = model();
        run(&mut model, |_| LOSSY, 0, 5 * SECOND);
        // A second to learn it: ten rounds.
        run(&mut model, |_| after, 5 * SECOND, 2 * SECOND);
        let outcome = run(&mut model, |_| after, 7 * SECOND, 5 * SECOND);
        let part = outcome.part_of(after, 5 * SECOND);
        assert!(part > 0.8, "{rate}: {part}");
        let most = after.rate * after.round_trip / SECOND * 5 / 2;
        assert!(Sender::window(&model) < most, "{rate}: {}", model.window);
    }
}

#[test]
fn the_window_never_falls_below_its_least() {
    let mut model = model();
    for millis in 0..100 {
        let now = *EPOCH + Duration::from_millis(millis * 100);
        model.on_congestion_event(now, now, true, MTU);
        model.on_end_acks(now, 0, millis % 2 == 0, None);
        assert!(Sender::window(&model) >= WINDOW_MIN * MTU);
    }
}
