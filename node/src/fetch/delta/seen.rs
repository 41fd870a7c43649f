//! What a swarm told until now, to tell it again to the next session of the same fetch.

use std::collections::BTreeMap;

use libp2p::PeerId;
use opendag_protocol::{fetch::Holdings, table::ShardIndex, wire::GroupRanges};

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

impl Claims {
    fn has(&self, shard: ShardIndex) -> bool {
        self.shards.range(..=shard).any(|(first, bits)| {
            let bit = shard.0 - first.0;
            let byte = usize::try_from(bit / 8).ok().and_then(|at| bits.get(at));
            byte.is_some_and(|byte| (byte >> (bit % 8)) & 1 == 1)
        })
    }
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

    /// Does a peer say that it holds all?
    pub(in crate::fetch) fn is_complete(&self, peer: PeerId) -> bool {
        self.0.get(&peer).is_some_and(|claims| claims.complete)
    }

    /// What peers that do not hold all say of one shard.
    pub(in crate::fetch) fn claims_of(&self, shard: ShardIndex) -> Vec<(PeerId, Holdings)> {
        let mut found = Vec::new();
        for (peer, claims) in &self.0 {
            if claims.has(shard) {
                let (first, bits) = (shard, vec![1]);
                found.push((*peer, Holdings::Shards { first, bits }));
            } else if let Some(groups) = claims.partial.get(&shard) {
                let ranges = groups.clone();
                found.push((*peer, Holdings::Partial { shard, ranges }));
            }
        }
        found
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
