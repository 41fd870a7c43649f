//! What a peer did wrong, and what follows from it.
//!
//! Proof of malice (wrong bytes, a forged record) bans at once. What also happens to honest peers on
//! bad networks adds points that time takes away again, and timeouts alone never ban.

use std::time::Duration;

use crate::time::Time;

#[cfg(test)]
mod tests;

/// What a peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// It sent bytes that do not have the hash that was asked for.
    WrongBytes,
    /// It sent a record whose signature or form is not valid.
    ForgedRecord,
    /// It claimed to hold what it then did not have.
    FalseClaim,
    /// It did not answer in time.
    Timeout,
    /// It sent more than it may.
    Flood,
    /// It broke a rule of a protocol.
    Protocol,
}

/// How to treat a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As any other.
    Fine,
    /// Ask others first.
    Deprioritise,
    /// Refuse it until then.
    Ban {
        /// The end of the ban.
        until: Time,
    },
}

/// Points at which a peer is asked last.
const DEPRIORITISE_POINTS: u64 = 30;
/// Points at which a peer is banned.
const BAN_POINTS: u64 = 100;
/// Timeouts add no points beyond this: a bad network is not malice.
const TIMEOUT_POINTS_MAX: u64 = 60;
/// One point is forgiven in this time.
const FORGIVE_POINT: Duration = Duration::from_secs(10);
/// The first ban; each later one is twice as long.
const BAN_FIRST: Duration = Duration::from_secs(60 * 60);
/// The longest ban: a reinstalled or repaired node gets another chance.
const BAN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Offence {
    /// What it costs.
    const fn points(self) -> u64 {
        match self {
            Self::WrongBytes | Self::ForgedRecord => BAN_POINTS,
            Self::Flood => 25,
            Self::Protocol => 20,
            Self::FalseClaim => 10,
            Self::Timeout => 5,
        }
    }
}

/// The record of one peer.
///
/// Invariant: points are below `BAN_POINTS` whenever no ban runs.
#[derive(Clone, Debug, Default)]
pub struct Score {
    points: u64,
    /// Points are counted up to here.
    at: Time,
    bans: u32,
    banned_until: Option<Time>,
}

impl Score {
    /// A peer of whom nothing bad is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes an offence and says what follows. During a ban nothing is added.
    pub fn record(&mut self, now: Time, offence: Offence) -> Verdict {
        self.decay(now);
        if self.banned_until.is_some() {
            return self.verdict(now);
        }
        let points = self.points.saturating_add(offence.points());
        self.points = match offence {
            Offence::Timeout => points.min(TIMEOUT_POINTS_MAX.max(self.points)),
            Offence::WrongBytes
            | Offence::ForgedRecord
            | Offence::FalseClaim
            | Offence::Flood
            | Offence::Protocol => points,
        };
        if self.points >= BAN_POINTS {
            let length = BAN_FIRST
                .saturating_mul(1 << self.bans.min(16))
                .min(BAN_MAX);
            self.bans = self.bans.saturating_add(1);
            self.banned_until = Some(now + length);
            self.points = 0;
        }
        self.verdict(now)
    }

    /// How to treat the peer now. After a ban it is asked last for a while only by new offences.
    #[must_use]
    pub fn verdict(&self, now: Time) -> Verdict {
        match self.banned_until {
            Some(until) if now < until => Verdict::Ban { until },
            _ if self.points_at(now) >= DEPRIORITISE_POINTS => Verdict::Deprioritise,
            _ => Verdict::Fine,
        }
    }

    /// Is there nothing left to remember, so that the entry can go?
    #[must_use]
    pub fn is_clean(&self, now: Time) -> bool {
        self.points_at(now) == 0 && self.bans == 0
    }

    fn points_at(&self, now: Time) -> u64 {
        let forgiven = now.since(self.at).as_millis() / FORGIVE_POINT.as_millis();
        self.points
            .saturating_sub(u64::try_from(forgiven).unwrap_or(u64::MAX))
    }

    /// Takes away what time has forgiven; the rest of a point's time is kept for the next.
    fn decay(&mut self, now: Time) {
        if self.banned_until.is_some_and(|until| now >= until) {
            self.banned_until = None;
        }
        let whole = now.since(self.at).as_millis() / FORGIVE_POINT.as_millis();
        self.points = self.points_at(now);
        let whole = u32::try_from(whole).unwrap_or(u32::MAX);
        self.at = if self.points == 0 {
            self.at.max(now)
        } else {
            self.at + FORGIVE_POINT.saturating_mul(whole)
        };
    }
}
