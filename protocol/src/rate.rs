//! A token bucket: how many bytes may pass now, and how long to wait for the next.

use std::time::Duration;

use crate::time::Time;

#[cfg(test)]
mod tests;

/// Limits a flow to a rate on average and to a burst at once.
///
/// A take that is larger than the burst is allowed as soon as the bucket is full and leaves a debt
/// that later takes wait for: the average holds for any size. Invariant: the level never exceeds
/// the burst.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate_bytes_per_s: u64,
    burst_bytes: u64,
    /// Thousandths of a byte, so that a millisecond of any rate is a whole number; below zero: debt.
    level: i128,
    at: Time,
}

impl TokenBucket {
    /// A full bucket. A rate or burst of zero counts as one byte: an unlimited flow has no bucket.
    #[must_use]
    pub fn new(rate_bytes_per_s: u64, burst_bytes: u64) -> Self {
        let burst_bytes = burst_bytes.max(1);
        Self {
            rate_bytes_per_s: rate_bytes_per_s.max(1),
            burst_bytes,
            level: milli(burst_bytes),
            at: Time::ZERO,
        }
    }

    /// Takes `bytes` now, or says how long to wait before asking again. A refused take costs nothing.
    ///
    /// # Errors
    /// The time until the same take would be allowed if nobody else takes in between, at least 1 ms.
    pub fn take(&mut self, now: Time, bytes: u64) -> Result<(), Duration> {
        self.refill(now);
        let needed = milli(bytes.min(self.burst_bytes));
        if self.level >= needed {
            self.level -= milli(bytes);
            return Ok(());
        }
        let rate = i128::from(self.rate_bytes_per_s);
        let wait_ms = (needed - self.level + rate - 1) / rate;
        Err(Duration::from_millis(
            u64::try_from(wait_ms).unwrap_or(u64::MAX),
        ))
    }

    /// Changes the rate from now on; what was saved or owed stays.
    pub fn set_rate(&mut self, now: Time, rate_bytes_per_s: u64) {
        self.refill(now);
        self.rate_bytes_per_s = rate_bytes_per_s.max(1);
    }

    fn refill(&mut self, now: Time) {
        let elapsed_ms = now.since(self.at).as_millis();
        self.at = self.at.max(now);
        let earned = i128::try_from(elapsed_ms)
            .unwrap_or(i128::MAX)
            .saturating_mul(i128::from(self.rate_bytes_per_s));
        self.level = self
            .level
            .saturating_add(earned)
            .min(milli(self.burst_bytes));
    }
}

/// Thousandths of bytes.
fn milli(bytes: u64) -> i128 {
    i128::from(bytes) * 1000
}
