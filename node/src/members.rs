//! Who is in which swarm with this node, for peer exchange.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::PeerId;
use opendag_protocol::ManifestId;
use tokio::sync::watch;

/// Peers of one swarm that are remembered at once: more than anybody is told of.
const SWARM_PEERS_MAX: usize = 256;

/// The peers that have a stream of holdings with this node, in either direction, by version. So a peer
/// is forgotten with its stream, and there are no more of them than streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members(Arc<Mutex<BTreeMap<ManifestId, Swarm>>>);

/// The peers of one version. Invariant: no swarm without peers.
#[derive(Debug)]
struct Swarm {
    /// With the number of their streams.
    peers: BTreeMap<PeerId, usize>,
    /// Rings when a peer joined.
    joined: watch::Sender<()>,
}

/// A peer is in a swarm until this is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    members: Members,
    manifest: ManifestId,
    peer: PeerId,
    joined: watch::Receiver<()>,
}

impl Members {
    /// A stream of `peer` about a version begins; `None` if the swarm is full.
    pub(crate) fn join(&self, manifest: ManifestId, peer: PeerId) -> Option<Member> {
        let mut swarms = self.lock();
        let swarm = swarms.entry(manifest).or_insert_with(|| Swarm {
            peers: BTreeMap::new(),
            joined: watch::Sender::new(()),
        });
        if swarm.peers.len() >= SWARM_PEERS_MAX && !swarm.peers.contains_key(&peer) {
            return None;
        }
        let joined = swarm.joined.subscribe();
        let streams = swarm.peers.entry(peer).or_default();
        *streams += 1;
        if *streams == 1 {
            swarm.joined.send_replace(());
        }
        Some(Member {
            members: self.clone(),
            manifest,
            peer,
            joined,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ManifestId, Swarm>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// The other peers of the swarm.
    pub(crate) fn others(&self) -> Vec<PeerId> {
        let swarms = self.members.lock();
        let peers = swarms.get(&self.manifest).map(|swarm| swarm.peers.keys());
        let others = peers.into_iter().flatten().copied();
        others.filter(|peer| *peer != self.peer).collect()
    }

    /// Tells when somebody joined. Safe to cancel.
    pub(crate) async fn joined(&mut self) {
        // The swarm lives at least as long as this member of it.
        let _ = self.joined.changed().await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut swarms = self.members.lock();
        let Some(swarm) = swarms.get_mut(&self.manifest) else {
            return;
        };
        match swarm.peers.get_mut(&self.peer) {
            Some(streams) if *streams > 1 => *streams -= 1,
            Some(_) | None => {
                swarm.peers.remove(&self.peer);
            }
        }
        if swarm.peers.is_empty() {
            swarms.remove(&self.manifest);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use opendag_protocol::Hash;

    use super::*;

    #[test]
    fn members_of_a_swarm_know_of_each_other_while_their_streams_live() {
        let members = Members::default();
        let version = ManifestId::from_hash(Hash::of(b"a"));
        let other = ManifestId::from_hash(Hash::of(b"b"));
        let [a, b, c] = [(); 3].map(|()| PeerId::random());
        let mut first = members.join(version, a).unwrap();
        let elsewhere = members.join(other, c).unwrap();
        let _ = first.joined().now_or_never();
        let again = members.join(version, a).unwrap();
        assert!(
            first.joined().now_or_never().is_none(),
            "it knows of itself already"
        );
        let second = members.join(version, b).unwrap();
        assert!(first.joined().now_or_never().is_some());
        assert_eq!((first.others(), second.others()), (vec![b], vec![a]));
        assert!(elsewhere.others().is_empty());
        drop(first);
        assert_eq!(second.others(), [a], "it has another stream");
        drop((again, second, elsewhere));
        assert!(members.lock().is_empty());
    }

    #[test]
    fn p6_a_swarm_is_bounded() {
        let members = Members::default();
        let version = ManifestId::from_hash(Hash::of(b"a"));
        let join = |_| members.join(version, PeerId::random());
        let joined: Vec<_> = (0..SWARM_PEERS_MAX + 9).filter_map(join).collect();
        assert_eq!(joined.len(), SWARM_PEERS_MAX);
    }
}
