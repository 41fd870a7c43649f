//! When others are asked for a description as well. Time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::FETCH_PEERS_MAX;

/// A peer that does not give a description within this is not the only one that is asked for it.
pub(super) const LATE: Duration = Duration::from_secs(1);
/// When those that are asked gave less than so much in so long, as many others are asked: many ids of one liar who gives
/// nothing must not be waited for one after the other.
const SILENCE: Duration = Duration::from_millis(1500);
const SILENCE_BYTES: u64 = 8 * 1024;
/// Up to so many: all that one fetch talks to.
const DESCRIBERS_MAX: usize = FETCH_PEERS_MAX;
/// When all peers failed, they are asked again after this.
const AGAIN: Duration = Duration::from_millis(500);

/// Waits for one description. What peers do meanwhile, but for giving bytes, does not make it wait longer.
#[derive(Debug)]
pub(super) struct Patience {
    /// When another peer is asked as well,
    late: Duration,
    /// and how many at once, as long as they give something.
    at_once: usize,
    since: Instant,
    /// Bytes that had come at `since`.
    seen: u64,
}

/// What is to be done at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Ask so many others.
    More(usize),
    /// Ask those again who had it not, or were busy.
    Again,
    /// Nothing: what is asked comes.
    Nothing,
}

impl Patience {
    pub(super) const fn new(now: Instant, late: Duration, at_once: usize) -> Self {
        Self {
            late,
            at_once,
            since: now,
            seen: 0,
        }
    }

    /// A peer was asked.
    pub(super) const fn begin(&mut self, now: Instant) {
        self.since = now;
    }

    /// When something is due while so many are asked; `None`: never.
    pub(super) fn deadline(&self, asking: usize) -> Option<Instant> {
        let after = match asking {
            0 => AGAIN,
            some if some < self.at_once => self.late,
            some if some < DESCRIBERS_MAX => SILENCE,
            _ => return None,
        };
        Some(self.since + after)
    }

    /// What is due at the deadline, when so many are asked and `moved` bytes came from them in all.
    pub(super) const fn due(&mut self, now: Instant, asking: usize, moved: u64) -> Due {
        self.since = now;
        if asking == 0 {
            self.seen = 0;
            return Due::Again;
        }
        let few = moved < self.seen.saturating_add(SILENCE_BYTES);
        self.seen = moved;
        let room = DESCRIBERS_MAX.saturating_sub(asking);
        match (asking < self.at_once, few) {
            (true, _) => Due::More(1),
            (false, true) if asking < room => Due::More(asking),
            (false, true) => Due::More(room),
            (false, false) => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests;
