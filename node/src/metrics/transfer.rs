//! Figures of bytes between peers: what came, what of it was right, what was given.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use opendag_protocol::fetch::End;

use super::{
    count::Count,
    page::{Group, Label},
};
use crate::{
    net::{ByProtocol, NetCounters, StreamProtocol},
    node::Shared,
    serve::InUse,
};

/// What was counted of transfers.
#[derive(Debug, Default)]
pub(crate) struct Transfer {
    requests: Count,
    verified_bytes: Count,
    wasted_bytes: Count,
    failures: Failures,
    banned: Count,
    answers: ByProtocol<Answers>,
}

/// Requests that ended early, by why.
#[derive(Debug, Default)]
struct Failures {
    wrong_bytes: Count,
    timeout: Count,
    busy: Count,
    closed: Count,
    disk: Count,
}

/// Requests of peers.
#[derive(Debug, Default)]
struct Answers {
    whole: Count,
    broken: Count,
    busy: Count,
}

/// How a peer's request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// To its end.
    Whole,
    /// It ended early: the peer left, was too slow, or asked what nobody can understand.
    Broken,
    /// There was no slot.
    Busy,
}

impl Transfer {
    /// A request went out.
    pub(crate) fn asked(&self) {
        self.requests.one();
    }

    /// A request ended early, and this is what the scheduler was told of it.
    pub(crate) fn failed(&self, end: End) {
        let failures = &self.failures;
        match end {
            End::Done => return,
            End::WrongBytes => &failures.wrong_bytes,
            End::Timeout => &failures.timeout,
            End::Busy => &failures.busy,
            End::Closed => &failures.closed,
        }
        .one();
    }

    /// What came could not be written here.
    pub(crate) fn failed_to_write(&self) {
        self.failures.disk.one();
    }

    /// A peer is not asked again.
    pub(crate) fn banned(&self) {
        self.banned.one();
    }

    /// A peer's request was answered.
    pub(crate) fn answered(&self, protocol: StreamProtocol, answer: Answer) {
        let answers = self.answers.of(protocol);
        match answer {
            Answer::Whole => &answers.whole,
            Answer::Broken => &answers.broken,
            Answer::Busy => &answers.busy,
        }
        .one();
    }

    /// A tally of one request.
    pub(crate) fn tally(self: &Arc<Self>) -> Tally {
        Tally {
            transfer: self.clone(),
            received: Arc::default(),
            verified: AtomicU64::new(0),
        }
    }
}

#[cfg(test)]
impl Transfer {
    /// Verified and wasted bytes.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.verified_bytes.get(), self.wasted_bytes.get())
    }
}

/// What one request brought. When it is dropped, what came and was not verified counts as wasted.
#[derive(Debug)]
pub(crate) struct Tally {
    transfer: Arc<Transfer>,
    received: Arc<AtomicU64>,
    verified: AtomicU64,
}

impl Tally {
    /// Counts what is received.
    pub(crate) fn received(&self) -> Arc<AtomicU64> {
        self.received.clone()
    }

    /// So much of it was verified and written, proofs included.
    pub(crate) fn verified(&self, bytes: u64) {
        self.verified.fetch_add(bytes, Ordering::Relaxed);
        self.transfer.verified_bytes.add(bytes);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let received = self.received.load(Ordering::Relaxed);
        let wasted = received.saturating_sub(self.verified.load(Ordering::Relaxed));
        self.transfer.wasted_bytes.add(wasted);
    }
}

pub(super) fn tell(group: &mut Group<'_>, shared: &Shared) {
    let net = shared.running_net().map(|net| net.counters());
    tell_bytes(group, &net.unwrap_or_default());
    let transfer = &*shared.metrics.transfer;
    group.counter(
        (
            "verified",
            "bytes",
            "Bytes of shards from peers that were verified and written, their proofs included",
        ),
        transfer.verified_bytes.get(),
    );
    group.counter(
        (
            "wasted",
            "bytes",
            "Bytes from peers for shards that were of no use: wrong, late, or asked of two",
        ),
        transfer.wasted_bytes.get(),
    );
    group.counter(
        ("sent", "requests", "Requests for parts of shards to peers"),
        transfer.requests.get(),
    );
    let failures = &transfer.failures;
    group.counters(
        (
            "failed",
            "requests",
            "Requests for parts of shards that ended early",
        ),
        [
            ([("reason", "wrong_bytes")], failures.wrong_bytes.get()),
            ([("reason", "timeout")], failures.timeout.get()),
            ([("reason", "busy")], failures.busy.get()),
            ([("reason", "closed")], failures.closed.get()),
            ([("reason", "disk")], failures.disk.get()),
        ],
    );
    group.counter(
        (
            "banned",
            "peers",
            "Peers that gave wrong bytes and were not asked again by a fetch or reader",
        ),
        transfer.banned.get(),
    );
    group.counters(
        (
            "answered",
            "requests",
            "Requests of peers, by how they were answered",
        ),
        StreamProtocol::ALL.into_iter().flat_map(|protocol| {
            let answers = transfer.answers.of(protocol);
            let labels = |outcome| [kind(protocol), ("outcome", outcome)];
            [
                (labels("whole"), answers.whole.get()),
                (labels("broken"), answers.broken.get()),
                (labels("busy"), answers.busy.get()),
            ]
        }),
    );
    group.gauge(
        ("running", "fetches", "Fetches that run"),
        shared.sessions.running().len(),
    );
    tell_slots(group, shared.slots.in_use());
}

fn tell_bytes(group: &mut Group<'_>, net: &NetCounters) {
    let of = |protocol| net.traffic.of(protocol);
    group.counters(
        (
            "received",
            "bytes",
            "Bytes from peers on streams, without what the transports add",
        ),
        StreamProtocol::ALL.map(|protocol| ([kind(protocol)], of(protocol).received_bytes)),
    );
    group.counters(
        (
            "sent",
            "bytes",
            "Bytes to peers on streams, without what the transports add",
        ),
        StreamProtocol::ALL.map(|protocol| ([kind(protocol)], of(protocol).sent_bytes)),
    );
}

fn tell_slots(group: &mut Group<'_>, in_use: InUse) {
    group.gauges(
        (
            "serving",
            "slots",
            "Requests of peers that are being answered",
        ),
        [
            ([("class", "bulk")], in_use.bulk),
            ([("class", "query")], in_use.queries),
        ],
    );
    group.gauge(
        (
            "waiting",
            "requests",
            "Requests of peers for blobs that wait for a slot",
        ),
        in_use.waiting,
    );
}

fn kind(protocol: StreamProtocol) -> Label {
    ("kind", protocol.word())
}
