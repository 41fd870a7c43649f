//! How long the scheduler takes to decide. The only thing here that is measured, not simulated.

use std::time::{Duration, Instant};

/// Buckets for each doubling: what is told is at most an eighth too much.
const FINE: u64 = 8;

/// Times of calls, by how often each was seen.
#[derive(Debug)]
pub(super) struct Watch {
    counts: Vec<u64>,
    total: Duration,
    calls: u64,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            counts: vec![0; 64 * 8],
            total: Duration::ZERO,
            calls: 0,
        }
    }

    /// Calls, and notes how long it took.
    pub(super) fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = call();
        self.note(start.elapsed());
        result
    }

    fn note(&mut self, took: Duration) {
        let bucket = bucket_of(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.total += took;
        self.calls += 1;
    }

    /// The mean, in nanoseconds.
    pub(super) fn mean_ns(&self) -> u64 {
        let total = u64::try_from(self.total.as_nanos()).unwrap_or(u64::MAX);
        total.checked_div(self.calls).unwrap_or(0)
    }

    /// What so many in a thousand do not exceed, in nanoseconds.
    pub(super) fn within_ns(&self, per_mille: u64) -> u64 {
        let enough = self.calls * per_mille / 1000;
        let mut seen = 0;
        for (bucket, count) in (0u64..).zip(&self.counts) {
            seen += count;
            if seen >= enough && *count > 0 {
                return end_of(bucket);
            }
        }
        0
    }
}

/// Numbers below `FINE` have a bucket each, then each doubling has `FINE`.
fn bucket_of(ns: u64) -> usize {
    let Some(doubling) = (ns / FINE).checked_ilog2() else {
        return usize::try_from(ns).unwrap_or(0);
    };
    let bucket = u64::from(doubling) * FINE + (ns >> doubling);
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// The first number beyond a bucket.
fn end_of(bucket: u64) -> u64 {
    if bucket < FINE {
        return bucket + 1;
    }
    let doubling = bucket / FINE - 1;
    (bucket % FINE + FINE + 1) << doubling.min(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_at_most_an_eighth_above_what_is_in_it() {
        for ns in (0..5000).chain([1 << 40, (1 << 50) - 1]) {
            let bucket = u64::try_from(bucket_of(ns)).unwrap();
            let end = end_of(bucket);
            assert!(
                ns < end && end <= ns + ns / 8 + 1,
                "{ns} in {bucket}, which ends at {end}"
            );
        }
    }

    #[test]
    fn the_slowest_of_a_hundred_is_beyond_p99() {
        let mut watch = Watch::new();
        for _ in 0..99 {
            watch.note(Duration::from_nanos(100));
        }
        watch.note(Duration::from_micros(100));
        assert!(watch.within_ns(990) <= 113 && watch.within_ns(1000) >= 100_000);
        assert_eq!(watch.mean_ns(), 1099);
    }
}
