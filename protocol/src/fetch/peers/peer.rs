//! One peer: what it claims, how fast it is, how often it failed.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    fetch::{PeerKey, RequestId, claims::Claims, pace::Pace, progress::PeerBytes},
    time::Time,
};

/// Doublings of patience.
const PATIENCE_MAX: u32 = 3;

/// One peer.
///
/// Invariant: `in_flight` is the sum over its requests of the bytes that they still have to bring.
#[derive(Debug)]
pub(in crate::fetch) struct Peer {
    pub(in crate::fetch) claims: Claims,
    pub(in crate::fetch) pace: Pace,
    pub(in crate::fetch) in_flight: u64,
    pub(in crate::fetch) requests: BTreeSet<RequestId>,
    pub(in crate::fetch) bytes: PeerBytes,
    /// When it was asked while it had no request, or sent something that verified.
    pub(in crate::fetch) progress_at: Time,
    /// When its timer is set for.
    pub(in crate::fetch) timer: Option<Time>,
    pub(super) failures: u32,
    pub(super) resting_until: Option<Time>,
    /// It had nothing that was wanted when it was last looked at.
    pub(super) idle: bool,
    /// Its entry among the ready.
    pub(super) listed: Option<(Class, Rank)>,
    /// What of it is in the sums.
    pub(super) counted: Counted,
}

/// Slow peers, and those that have shown nothing yet, share a part of the budget, so that however
/// many of them there are, fast ones are never held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fetch) enum Class {
    Slow,
    Fast,
}

/// What of a peer is in the sums.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) class: Class,
    pub(super) in_flight: u64,
    /// Is it ready and was never asked?
    pub(super) untried: bool,
}

/// Who goes first: fewer failures in a row, then fewer bytes given, so that equal peers give equal
/// shares.
pub(super) type Rank = (u32, u64, PeerKey);

impl Peer {
    /// One that has just joined, with what is remembered of it.
    pub(super) fn new(now: Time, pace: Pace, failures: u32, bytes: PeerBytes) -> Self {
        Self {
            claims: Claims::default(),
            pace,
            in_flight: 0,
            requests: BTreeSet::new(),
            bytes,
            progress_at: now,
            timer: None,
            failures,
            resting_until: None,
            idle: false,
            listed: None,
            counted: Counted {
                class: Class::Slow,
                in_flight: 0,
                untried: false,
            },
        }
    }

    /// How much patience it gets: a multiple that grows while it fails, so that the slowest of
    /// networks is waited for in the end.
    pub(in crate::fetch) fn patience(&self) -> u32 {
        1 << self.failures.min(PATIENCE_MAX)
    }

    /// Failures in a row.
    pub(in crate::fetch) const fn failures(&self) -> u32 {
        self.failures
    }

    /// Did it ever send what was asked for?
    pub(in crate::fetch) const fn is_proven(&self) -> bool {
        self.bytes.received > 0
    }

    /// May it be asked?
    pub(in crate::fetch) const fn resting_until(&self) -> Option<Time> {
        self.resting_until
    }

    pub(super) fn class(&self) -> Class {
        if self.pace.is_slow() {
            Class::Slow
        } else {
            Class::Fast
        }
    }

    pub(super) fn has_room(&self, request_max: u64) -> bool {
        let window = self.pace.window();
        let request = self.pace.request_bytes(window, request_max);
        self.requests.is_empty() || self.in_flight + request <= window
    }

    /// How long until it would have brought `bytes` more; `None` if it has shown nothing yet.
    pub(in crate::fetch) fn expected(&self, bytes: u64) -> Option<Duration> {
        let rate = self.pace.rate()?.max(1);
        let ms = self.in_flight.saturating_add(bytes).saturating_mul(1000) / rate;
        Some(
            self.pace
                .delay()
                .unwrap_or_default()
                .saturating_add(Duration::from_millis(ms)),
        )
    }
}
