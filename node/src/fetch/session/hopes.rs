//! Whether anybody is left who may give right spans.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use opendag_protocol::fetch::PeerKey;

/// When no spans come any more and a peer gave wrong ones, or gives none, the rest is soon fetched otherwise.
const PATIENCE: Duration = Duration::from_secs(5);
/// And at once if that goes for all peers that are here. Others may just be joining.
const PATIENCE_WITHOUT_HOPE: Duration = Duration::from_millis(500);
/// So many requests to a peer that ended without any answer tell that it does not know spans. One may have met it in
/// a bad moment.
const UNANSWERED_MAX: u32 = 2;

/// What a session for spans knows of its peers.
#[derive(Debug, Default)]
pub(super) struct Hopes {
    here: BTreeSet<PeerKey>,
    wrong: BTreeSet<PeerKey>,
    unanswered: BTreeMap<PeerKey, u32>,
}

impl Hopes {
    pub(super) fn joined(&mut self, peer: PeerKey) {
        self.here.insert(peer);
    }

    pub(super) fn left(&mut self, peer: PeerKey) {
        self.here.remove(&peer);
    }

    /// It gave something else than a map says.
    pub(super) fn wrong(&mut self, peer: PeerKey) {
        self.wrong.insert(peer);
    }

    /// A request ended without an answer, as with programs that do not know spans.
    pub(super) fn unanswered(&mut self, peer: PeerKey) {
        *self.unanswered.entry(peer).or_default() += 1;
    }

    /// It knows spans.
    pub(super) fn answered(&mut self, peer: PeerKey) {
        self.unanswered.remove(&peer);
    }

    /// How long to wait without anything that moves; `None`: as long as for anything else.
    pub(super) fn patience(&self) -> Option<Duration> {
        let silent = |(_, times): (&PeerKey, &u32)| *times >= UNANSWERED_MAX;
        if self.wrong.is_empty() && !self.unanswered.iter().any(silent) {
            return None;
        }
        let is_hopeless = |peer: &PeerKey| {
            let unanswered = self.unanswered.get(peer).copied().unwrap_or(0);
            self.wrong.contains(peer) || unanswered >= UNANSWERED_MAX
        };
        Some(if self.here.iter().all(is_hopeless) {
            PATIENCE_WITHOUT_HOPE
        } else {
            PATIENCE
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hope_ends_with_the_last_peer_that_may_be_right() {
        let (liar, old, good) = (PeerKey(0), PeerKey(1), PeerKey(2));
        let mut hopes = Hopes::default();
        for peer in [liar, old, good] {
            hopes.joined(peer);
        }
        assert_eq!(hopes.patience(), None);
        hopes.unanswered(old);
        assert_eq!(hopes.patience(), None, "once is no proof");
        hopes.unanswered(old);
        assert_eq!(hopes.patience(), Some(PATIENCE));
        hopes.wrong(liar);
        assert_eq!(hopes.patience(), Some(PATIENCE));
        hopes.left(good);
        assert_eq!(hopes.patience(), Some(PATIENCE_WITHOUT_HOPE));
        // It answers after all.
        hopes.answered(old);
        assert_eq!(hopes.patience(), Some(PATIENCE));
        hopes.left(old);
        hopes.joined(good);
        assert_eq!(hopes.patience(), Some(PATIENCE));
    }
}
