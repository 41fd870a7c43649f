//! What a swarm told until now, to tell it again to the next session of the same fetch.

use std::collections::BTreeMap;

use libp2p::PeerId;
use opendag_protocol::{table::ShardIndex, wire::GroupRanges};

use crate::fetch::swarm::News;

/// What is known of the peers of a swarm.
#[derive(Debug, Default)]
pub(in crate::fetch) struct Seen(BTreeMap<PeerId, Claims>);

#[derive(Debug, Default)]
struct Claims {
    complete: bool,
    shards: BTreeMap<ShardIndex, Vec<u8>>,
    partial: BTreeMap<ShardIndex, GroupRanges>,
}

impl Seen {
    /// Takes note.
    pub(in crate::fetch) fn note(&mut self, news: &News) {
        match news {
            News::Joined(peer) => drop(self.0.insert(*peer, Claims::default())),
            News::Left(peer) => drop(self.0.remove(peer)),
            News::Nothing(peer) => {
                if let Some(claims) = self.0.get_mut(peer) {
                    *claims = Claims::default();
                }
            }
            News::Complete(peer) => {
                let claims = self.0.entry(*peer).or_default();
                *claims = Claims {
                    complete: true,
                    ..Claims::default()
                };
            }
            News::Shards { peer, first, bits } => {
                let claims = self.0.entry(*peer).or_default();
                let known = claims.shards.entry(*first).or_default();
                if known.len() < bits.len() {
                    known.resize(bits.len(), 0);
                }
                known
                    .iter_mut()
                    .zip(bits)
                    .for_each(|(all, new)| *all |= new);
            }
            News::Partial {
                peer,
                shard,
                groups,
            } => {
                let claims = self.0.entry(*peer).or_default();
                let known = claims.partial.entry(*shard).or_default();
                groups.iter().for_each(|range| known.insert(range));
            }
        }
    }

    /// The peers that answered.
    pub(in crate::fetch) fn peers(&self) -> Vec<PeerId> {
        self.0.keys().copied().collect()
    }

    /// News that say all of it.
    pub(in crate::fetch) fn into_news(self) -> Vec<News> {
        let mut news = Vec::new();
        for (peer, claims) in self.0 {
            news.push(News::Joined(peer));
            if claims.complete {
                news.push(News::Complete(peer));
            }
            let shards = claims.shards.into_iter();
            news.extend(shards.map(|(first, bits)| News::Shards { peer, first, bits }));
            let partial = claims.partial.into_iter();
            news.extend(partial.map(|(shard, groups)| News::Partial {
                peer,
                shard,
                groups,
            }));
        }
        news
    }
}
