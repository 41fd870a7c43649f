//! How much to ask of one peer at a time: a window that follows its measured rate and delay.

use std::time::Duration;

use crate::time::Time;

/// The smallest window.
pub(super) const WINDOW_MIN: u64 = 256 << 10;
/// The window of a peer that has shown nothing yet, unless the configuration says more. What carries the bytes starts slowly, too, and only while there is
/// always something to send; smaller windows keep it from that where a round trip is long.
pub(super) const WINDOW_FIRST: u64 = 512 << 10;
/// How much faster than the bytes arrive a window grows: it triples with each round trip, so that it stays ahead of what
/// carries them, which doubles.
const GROWTH: u64 = 2;
/// The smallest request that is worth a round trip.
const REQUEST_MIN: u64 = 128 << 10;
/// Work that a peer should always have beyond its round trips, so that no hiccup leaves it idle.
const SLACK: Duration = Duration::from_millis(250);
/// A rate is measured over at least this long.
const SAMPLE: Duration = Duration::from_millis(100);

/// Rate, delay and window of one peer.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    window: u64,
    /// At first.
    window_first: u64,
    window_max: u64,
    /// Verified bytes a second, smoothed; `None` until measured.
    rate: Option<u64>,
    /// The shortest time from a request to its first verified bytes.
    delay: Option<Duration>,
    /// Since when bytes are counted; `None` while nothing is asked.
    since: Option<Time>,
    counted: u64,
}

impl Pace {
    pub(super) const fn new(window_first: u64, window_max: u64) -> Self {
        Self {
            window: window_first,
            window_first,
            window_max,
            rate: None,
            delay: None,
            since: None,
            counted: 0,
        }
    }

    /// Bytes that may be in flight.
    pub(super) fn window(&self) -> u64 {
        self.window.min(self.window_max)
    }

    /// Is the peer unproven or so slow that it needs only the smallest window?
    pub(super) const fn is_slow(&self) -> bool {
        self.window <= WINDOW_MIN || (self.rate.is_none() && self.window <= self.window_first)
    }

    /// The size of its next request when `share` is what each active peer could have in flight.
    pub(super) fn request_bytes(&self, share: u64, max: u64) -> u64 {
        (self.window().min(share) / 3).clamp(REQUEST_MIN.min(max), max)
    }

    /// Bytes a second, as measured.
    pub(super) const fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// From a request to its first bytes, as measured.
    pub(super) const fn delay(&self) -> Option<Duration> {
        self.delay
    }

    /// A request is sent.
    pub(super) fn sent(&mut self, now: Time) {
        self.since.get_or_insert(now);
    }

    /// Nothing is in flight any more.
    pub(super) fn idle(&mut self) {
        self.since = None;
        self.counted = 0;
    }

    /// The first bytes of a request arrived after `delay`.
    pub(super) fn answered(&mut self, delay: Duration) {
        self.delay = Some(self.delay.map_or(delay, |known| known.min(delay)));
    }

    /// Bytes arrived and were right.
    pub(super) fn verified(&mut self, now: Time, bytes: u64) {
        self.counted = self.counted.saturating_add(bytes);
        let elapsed = now.since(*self.since.get_or_insert(now));
        if elapsed >= SAMPLE {
            let sample = per_second(self.counted, elapsed);
            // Up fast, so that a growing window shows; down slowly, over hiccups.
            let rate = self.rate.unwrap_or(sample);
            let weight = if sample > rate { 1 } else { 3 };
            let sum = rate.saturating_mul(weight).saturating_add(sample);
            self.rate = Some(sum / (weight + 1));
            self.since = Some(now);
            self.counted = 0;
        }
        // As in slow start: as long as the window is what limits.
        let grown = self.window.saturating_add(bytes.saturating_mul(GROWTH));
        self.window = grown.min(self.target());
    }

    /// The peer failed: start again small.
    pub(super) fn failed(&mut self) {
        self.window = WINDOW_MIN;
        self.delay = None;
        self.idle();
    }

    /// The peer has too much to do: ask for half.
    pub(super) fn busy(&mut self) {
        self.window = (self.window / 2).max(WINDOW_MIN);
    }

    fn target(&self) -> u64 {
        let Some(rate) = self.rate else {
            return self.window_max;
        };
        let span = self
            .delay
            .unwrap_or_default()
            .saturating_mul(2)
            .saturating_add(SLACK);
        let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        (rate.saturating_mul(span_ms) / 1000).clamp(WINDOW_MIN, self.window_max.max(WINDOW_MIN))
    }
}

/// A rate in bytes a second.
fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    let ms = u64::try_from(elapsed.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    bytes.saturating_mul(1000) / ms
}
