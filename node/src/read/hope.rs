//! How long readers of a version are told that what they wait for may come yet.

use std::time::Duration;

use tokio::time::Instant;

/// Who comes back within this goes on waiting: clients pause for up to 10 s between their tries.
const COMES_BACK: Duration = Duration::from_secs(20);

/// Since when peers gave nothing although somebody waited.
#[derive(Debug)]
pub(super) struct Hope {
    since: Instant,
    missed: Instant,
}

impl Hope {
    /// Peers have not been asked for anything yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            missed: now,
        }
    }

    /// Peers gave something.
    pub(super) fn moved(&mut self, now: Instant) {
        self.since = now;
    }

    /// Somebody waited in vain from `began` on. Answers for how long peers gave nothing: while nobody waits they are
    /// asked for nothing, and that they give nothing says nothing.
    pub(super) fn missed(&mut self, now: Instant, began: Instant) -> Duration {
        let last = self.since.max(self.missed);
        if began.saturating_duration_since(last) > COMES_BACK {
            self.since = began;
        }
        self.missed = now;
        now.saturating_duration_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_idle_hour_is_not_held_against_peers() {
        let start = Instant::now();
        let mut hope = Hope::new(start);
        hope.moved(start + 5 * SECOND);
        let began = start + 3600 * SECOND;
        assert_eq!(hope.missed(began + 8 * SECOND, began), 8 * SECOND);
    }

    #[test]
    fn tries_one_after_another_are_one_wait() {
        let start = Instant::now();
        let mut hope = Hope::new(start);
        for tries in 0..7 {
            let began = start + tries * 10 * SECOND;
            let now = began + 8 * SECOND;
            assert_eq!(hope.missed(now, began), now - start);
        }
        hope.moved(start + 90 * SECOND);
        let began = start + 91 * SECOND;
        assert_eq!(hope.missed(began + SECOND, began), 2 * SECOND);
    }
}
