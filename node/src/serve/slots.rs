//! Slots for answers: how many streams are served at once, in total and for one peer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use libp2p::PeerId;

use crate::{
    limits::{
        BLOB_STREAMS_MAX, BLOB_STREAMS_PER_PEER_MAX, QUERY_STREAMS_MAX, QUERY_STREAMS_PER_PEER_MAX,
    },
    net::StreamProtocol,
};

/// Bulk streams and questions are counted apart, so that downloads never silence the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Class {
    Bulk,
    Query,
}

impl Class {
    fn of(protocol: StreamProtocol) -> Self {
        match protocol {
            StreamProtocol::Blobs => Self::Bulk,
            StreamProtocol::Records | StreamProtocol::Holdings => Self::Query,
        }
    }

    fn limits(self) -> (usize, usize) {
        match self {
            Self::Bulk => (BLOB_STREAMS_MAX, BLOB_STREAMS_PER_PEER_MAX),
            Self::Query => (QUERY_STREAMS_MAX, QUERY_STREAMS_PER_PEER_MAX),
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    total: HashMap<Class, usize>,
    per_peer: HashMap<(Class, PeerId), usize>,
}

/// Counts running answers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots(Arc<Mutex<Counts>>);

/// One running answer; dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    class: Class,
    peer: PeerId,
}

impl Slots {
    /// A slot for an answer to `peer`, or `None` if it, or all together, have theirs.
    pub(crate) fn take(&self, peer: PeerId, protocol: StreamProtocol) -> Option<Slot> {
        let class = Class::of(protocol);
        let (total_max, per_peer_max) = class.limits();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total = counts.total.get(&class).copied().unwrap_or(0);
        let own = counts.per_peer.get(&(class, peer)).copied().unwrap_or(0);
        if total >= total_max || own >= per_peer_max {
            return None;
        }
        counts.total.insert(class, total + 1);
        counts.per_peer.insert((class, peer), own + 1);
        Some(Slot {
            slots: self.clone(),
            class,
            peer,
        })
    }

    /// Answers that run now.
    pub(crate) fn running(&self) -> usize {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .total
            .values()
            .sum()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(total) = counts.total.get_mut(&self.class) {
            *total = total.saturating_sub(1);
        }
        let key = (self.class, self.peer);
        match counts.per_peer.get_mut(&key) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                counts.per_peer.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p6_one_peer_cannot_take_all_slots_and_each_is_given_back() {
        let slots = Slots::default();
        let (greedy, other) = (PeerId::random(), PeerId::random());
        let taken: Vec<_> =
            std::iter::from_fn(|| slots.take(greedy, StreamProtocol::Blobs)).collect();
        assert_eq!(taken.len(), BLOB_STREAMS_PER_PEER_MAX);
        assert!(slots.take(other, StreamProtocol::Blobs).is_some());
        assert!(
            slots.take(greedy, StreamProtocol::Records).is_some(),
            "questions are counted apart"
        );
        drop(taken);
        assert_eq!(slots.running(), 0);
        assert!(slots.take(greedy, StreamProtocol::Blobs).is_some());
    }
}
