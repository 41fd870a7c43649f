//! The peers of a session: what they hold, by their word, and what they did wrong.

use libp2p::PeerId;
use opendag_protocol::{
    fetch::{Holdings, Input, PeerKey},
    table::ShardIndex,
};

use super::Session;
use crate::{
    ask::AskError,
    fetch::{request::TransferError, swarm::News},
    ops::Event,
};

/// What peers did wrong is told so often at most: a liar must not fill the user's terminal.
const BLAMED_MAX: u32 = 32;
impl Session {
    /// Gives the first keys to those that were useful before: of equals the scheduler asks them first.
    pub(super) fn trust(&mut self, news: &[News]) {
        let joined = news.iter().filter_map(|news| match news {
            News::Joined(peer) => Some((self.parts.net.useful_at(peer)?, *peer)),
            _ => None,
        });
        let mut useful: Vec<_> = joined.collect();
        useful.sort_unstable_by(|a, b| b.cmp(a));
        for (_, peer) in useful {
            self.key(peer);
        }
    }

    /// The key of a peer; the same for the whole fetch.
    pub(super) fn key(&mut self, peer: PeerId) -> PeerKey {
        let next = PeerKey(u32::try_from(self.peers.len()).unwrap_or(u32::MAX));
        let key = *self.peers.entry(peer).or_insert(next);
        self.keys.insert(key, peer);
        key
    }

    pub(super) fn news(&mut self, news: News) {
        if self.parts.spans.is_some() {
            self.seen.note(&news);
        }
        let (peer, update) = match news {
            News::Joined(peer) => {
                let peer = self.key(peer);
                self.hopes.joined(peer);
                return self.handle(Input::PeerJoined { peer });
            }
            News::Left(peer) => {
                let peer = self.key(peer);
                self.abort_all(peer);
                self.hopes.left(peer);
                return self.handle(Input::PeerLeft { peer });
            }
            News::Nothing(peer) => (peer, Holdings::Nothing),
            News::Complete(peer) => (peer, Holdings::Complete),
            News::Shards { peer, first, bits } => (peer, Holdings::Shards { first, bits }),
            News::Partial {
                peer,
                shard,
                groups,
            } => (
                peer,
                Holdings::Partial {
                    shard,
                    ranges: groups,
                },
            ),
        };
        let peer = self.key(peer);
        let updates = match &self.parts.spans {
            Some(spans) => spans.translate(&update),
            None => vec![update],
        };
        for update in updates {
            self.handle(Input::Holdings { peer, update });
        }
    }

    pub(super) fn note_failure(&mut self, peer: PeerKey, error: &TransferError) {
        let Some(spans) = self.parts.spans.clone() else {
            if let TransferError::WrongBytes(item) = error {
                self.blame(
                    peer,
                    item.shard,
                    "it sent wrong bytes, and is not asked again",
                );
            }
            return;
        };
        match error {
            TransferError::WrongBytes(item) => {
                self.blame(
                    peer,
                    item.shard,
                    "it sent something else than the chunk map says, and is asked for whole files only",
                );
                spans.accuse(item.shard, peer);
            }
            // Programs that do not know spans reset the stream.
            TransferError::Ask(AskError::Frame(_) | AskError::Refused) => {
                self.hopes.unanswered(peer);
            }
            TransferError::Ask(_) | TransferError::Write(_) => {}
        }
    }

    /// Names a peer and what it did; a peer that does it again and again is not worth more words.
    pub(super) fn blame(&mut self, peer: PeerKey, shard: ShardIndex, reason: &str) {
        self.blamed += 1;
        let Some(id) = self.keys.get(&peer).filter(|_| self.blamed <= BLAMED_MAX) else {
            return;
        };
        let path = match &self.parts.spans {
            Some(spans) => spans.path(shard).map(ToString::to_string),
            None => self.parts.writer.path(shard).map(ToString::to_string),
        };
        self.parts.reporter.tell(Event::BadPeer {
            peer: id.to_string(),
            path: path.unwrap_or_default(),
            reason: reason.to_owned(),
        });
    }
}
