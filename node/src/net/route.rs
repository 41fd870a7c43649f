//! Which of two connections to a peer carries the streams: TCP or QUIC, by what was measured.
//!
//! Near peers are fastest over TCP, which costs the least work. Far ones begin with QUIC, whose
//! congestion control does not mind random loss; that of the system's TCP mostly does. Where what
//! was chosen turns out slow, the other has its turn, and the faster one stays.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use super::transport::Kind;

/// A peer with a longer round trip is far: on a local network it takes less, between cities more.
const FAR: Duration = Duration::from_millis(20);
/// A rate is measured over so long. The first epoch on a connection only warms it up.
const EPOCH: Duration = Duration::from_secs(3);
/// When no stream was opened for so long, the peer had nothing to do: that measures nothing. Longer
/// than the smallest request takes at 64 KiB/s, or the slowest would never be found slow.
const PAUSE: Duration = Duration::from_secs(4);
/// What carries less, in bytes a second, makes the other worth a try.
const SLOW: u64 = 2 * 1024 * 1024;
/// How long a measurement counts, and how long a try is not repeated.
const MEMORY: Duration = Duration::from_secs(60);

/// What a connection carried of late.
#[derive(Clone, Copy, Debug)]
struct Measured {
    rate: u64,
    at: Instant,
}

/// The choice for one peer. It is told of each stream that we open.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    chosen: Option<Kind>,
    /// When the epoch began, and what had been read then.
    began: Option<(Instant, u64)>,
    warm: bool,
    last: Option<Instant>,
    /// Of TCP, of QUIC.
    measured: [Option<Measured>; 2],
    /// When QUIC was dialled beside TCP.
    dialled: Option<Instant>,
}

/// Bytes read so far from the connections of a peer; `None` where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    pub(super) tcp: Option<u64>,
    pub(super) quic: Option<u64>,
}

impl Route {
    /// The kind of connection for a stream that is opened now.
    pub(super) fn choose(
        &mut self,
        now: Instant,
        round_trip: Option<Duration>,
        read: Read,
    ) -> Kind {
        let first = match round_trip {
            Some(time) if time >= FAR => Kind::Quic,
            _ => Kind::Tcp,
        };
        let (Some(tcp), Some(quic)) = (read.tcp, read.quic) else {
            let only = if read.quic.is_some() {
                Kind::Quic
            } else {
                Kind::Tcp
            };
            self.measure(now, only, read.tcp.or(read.quic).unwrap_or(0));
            // Once there are two, the choice is made anew.
            self.chosen = None;
            return only;
        };
        let chosen = *self.chosen.get_or_insert(first);
        let bytes = if chosen == Kind::Quic { quic } else { tcp };
        if self.measure(now, chosen, bytes) {
            self.judge(now, chosen);
        }
        self.chosen.unwrap_or(first)
    }

    /// Should QUIC be dialled beside TCP? Says so at most once a minute.
    pub(super) fn wants_quic(&mut self, now: Instant, round_trip: Option<Duration>) -> bool {
        let far = round_trip.is_some_and(|time| time >= FAR);
        let slow = self.fresh(now, Kind::Tcp).is_some_and(|rate| rate < SLOW);
        let tried = self.dialled.is_some_and(|at| now < at + MEMORY);
        if tried || !(far || slow) {
            return false;
        }
        self.dialled = Some(now);
        true
    }

    /// Ends an epoch if it is time; true if one was measured.
    fn measure(&mut self, now: Instant, kind: Kind, bytes: u64) -> bool {
        let paused = self.last.is_none_or(|last| now > last + PAUSE);
        self.last = Some(now);
        let Some((began, before)) = self.began.filter(|_| !paused) else {
            self.began = Some((now, bytes));
            self.warm = false;
            return false;
        };
        let took = now.saturating_duration_since(began);
        if took < EPOCH {
            return false;
        }
        self.began = Some((now, bytes));
        if !std::mem::replace(&mut self.warm, true) {
            return false;
        }
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = bytes.saturating_sub(before).saturating_mul(1000) / millis;
        *self.slot(kind) = Some(Measured { rate, at: now });
        true
    }

    /// Changes to the other kind if that was faster, or if it may be.
    fn judge(&mut self, now: Instant, chosen: Kind) {
        let other = if chosen == Kind::Quic {
            Kind::Tcp
        } else {
            Kind::Quic
        };
        let rate = self.fresh(now, chosen).unwrap_or(0);
        let change = match self.fresh(now, other) {
            // By a quarter, so that two that are equal do not alternate.
            Some(known) => known > rate.saturating_add(rate / 4),
            None => rate < SLOW,
        };
        if change {
            self.chosen = Some(other);
            self.began = None;
        }
    }

    fn fresh(&self, now: Instant, kind: Kind) -> Option<u64> {
        let [tcp, quic] = self.measured;
        let slot = if kind == Kind::Quic { quic } else { tcp };
        slot.filter(|measured| now < measured.at + MEMORY)
            .map(|measured| measured.rate)
    }

    fn slot(&mut self, kind: Kind) -> &mut Option<Measured> {
        let [tcp, quic] = &mut self.measured;
        if kind == Kind::Quic { quic } else { tcp }
    }
}
