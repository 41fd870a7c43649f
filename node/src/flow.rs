//! A cap on a flow of bytes, shared by all its transfers.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opendag_protocol::{Time, rate::TokenBucket};
use tokio::time::{Instant, sleep};

/// What may pass at once after a pause, as a part of a second.
const BURST_PART: u64 = 4;
/// A burst is never smaller, so that one read fits.
const BURST_BYTES_MIN: u64 = 64 * 1024;

/// A cap in bytes a second, or none. Cheap to clone; clones share the cap.
#[derive(Clone, Debug)]
pub(crate) struct Flow(Option<Arc<Cap>>);

#[derive(Debug)]
struct Cap {
    start: Instant,
    bucket: Mutex<TokenBucket>,
}

impl Flow {
    /// A flow of at most `bytes_per_second`.
    pub(crate) fn new(bytes_per_second: Option<u64>) -> Self {
        Self(bytes_per_second.map(|rate| {
            let burst = (rate / BURST_PART).max(BURST_BYTES_MIN);
            Arc::new(Cap {
                start: Instant::now(),
                bucket: Mutex::new(TokenBucket::new(rate, burst)),
            })
        }))
    }

    /// Waits until `bytes` may pass. Dropping it is safe: what was taken stays taken.
    pub(crate) async fn take(&self, bytes: usize) {
        let Some(cap) = &self.0 else { return };
        let mut left = u64::try_from(bytes).unwrap_or(u64::MAX);
        while left > 0 {
            let step = left.min(BURST_BYTES_MIN);
            match cap.take(step) {
                Ok(()) => left -= step,
                Err(wait) => sleep(wait).await,
            }
        }
    }
}

impl Cap {
    fn take(&self, bytes: u64) -> Result<(), Duration> {
        let now = Time::ZERO + self.start.elapsed();
        self.bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(now, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn p6_a_cap_holds_for_all_that_share_it() {
        let flow = Flow::new(Some(1_000_000));
        let start = Instant::now();
        let other = flow.clone();
        tokio::join!(flow.take(2_000_000), other.take(2_000_000));
        let seconds = start.elapsed().as_secs_f64();
        assert!((3.5..=4.1).contains(&seconds), "{seconds}");
        Flow::new(None).take(usize::MAX).await;
    }
}
