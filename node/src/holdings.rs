//! What this node holds of a version: of those that lie here, and of those that are being fetched.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use libp2p::PeerId;
use opendag_protocol::{ManifestId, table::ShardIndex, wire::GroupRanges};
use tokio::sync::watch;

/// Peers of one swarm that are remembered for peer exchange.
const SWARM_PEERS_MAX: usize = 64;

/// The version of the news of a session that has ended.
const ENDED: u64 = u64::MAX;

/// The fetches that run now, by version, so that what they have can be served meanwhile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions(Arc<Mutex<BTreeMap<ManifestId, Arc<Session>>>>);

/// What a running fetch has so far.
///
/// Invariant: a shard in `done` is whole and durable, and never leaves the list.
#[derive(Debug)]
pub(crate) struct Session {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    done: Vec<ShardIndex>,
    partial: BTreeMap<ShardIndex, GroupRanges>,
    peers: BTreeSet<PeerId>,
}

/// What changed since somebody looked last.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Shards that became whole.
    pub(crate) done: Vec<ShardIndex>,
    /// All that is partly here.
    pub(crate) partial: BTreeMap<ShardIndex, GroupRanges>,
    /// Other peers of the swarm.
    pub(crate) peers: BTreeSet<PeerId>,
}

impl Sessions {
    /// The running fetch of a version.
    pub(crate) fn get(&self, manifest: &ManifestId) -> Option<Arc<Session>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(manifest)
            .cloned()
    }

    /// Begins a session, or `None` if that version is being fetched already.
    pub(crate) fn begin(&self, manifest: ManifestId) -> Option<Running> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.contains_key(&manifest) {
            return None;
        }
        let session = Arc::new(Session {
            state: Mutex::default(),
            version: watch::Sender::new(0),
        });
        sessions.insert(manifest, session.clone());
        Some(Running {
            sessions: self.clone(),
            manifest,
            session,
        })
    }

    /// Versions that are being fetched.
    pub(crate) fn running(&self) -> Vec<ManifestId> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .copied()
            .collect()
    }
}

/// A session that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    sessions: Sessions,
    manifest: ManifestId,
    session: Arc<Session>,
}

impl std::ops::Deref for Running {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.sessions
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.manifest);
        self.session.version.send_replace(ENDED);
    }
}

impl Session {
    /// Shards became whole.
    pub(crate) fn done(&self, shards: &[ShardIndex]) {
        self.change(|state| {
            for shard in shards {
                state.partial.remove(shard);
            }
            state.done.extend_from_slice(shards);
        });
    }

    /// A shard is here in part.
    pub(crate) fn partial(&self, shard: ShardIndex, groups: GroupRanges) {
        self.change(|state| {
            state.partial.insert(shard, groups);
        });
    }

    /// A peer is in the swarm too.
    pub(crate) fn peer(&self, peer: PeerId) {
        self.change(|state| {
            if state.peers.len() < SWARM_PEERS_MAX {
                state.peers.insert(peer);
            }
        });
    }

    /// Tells when something changed.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// What changed after the first `seen` whole shards.
    pub(crate) fn news(&self, seen: usize) -> News {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        News {
            done: state.done.get(seen..).unwrap_or_default().to_vec(),
            partial: state.partial.clone(),
            peers: state.peers.clone(),
        }
    }

    /// Has the fetch ended, and so its news?
    pub(crate) fn has_ended(&self) -> bool {
        *self.version.borrow() == ENDED
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.version.send_modify(|version| *version += 1);
    }
}

#[cfg(test)]
mod tests {
    use opendag_protocol::{Hash, wire::GroupRange};

    use super::*;

    #[test]
    fn a_session_tells_each_whole_shard_once_and_ends_with_its_fetch() {
        let sessions = Sessions::default();
        let manifest = ManifestId::from_hash(Hash::of(b"m"));
        let running = sessions.begin(manifest).unwrap();
        assert!(
            sessions.begin(manifest).is_none(),
            "one fetch of a version at a time"
        );
        let mut watch = sessions.get(&manifest).unwrap().watch();
        running.partial(
            ShardIndex(1),
            GroupRange { first: 0, count: 3 }
                .within(3)
                .into_iter()
                .collect(),
        );
        running.done(&[ShardIndex(1), ShardIndex(2)]);
        assert!(watch.has_changed().unwrap());
        watch.mark_unchanged();
        let news = running.news(0);
        assert_eq!(news.done, [ShardIndex(1), ShardIndex(2)]);
        assert!(news.partial.is_empty(), "a whole shard is not partly here");
        assert!(running.news(2).done.is_empty());
        drop(running);
        assert!(sessions.get(&manifest).is_none());
    }
}
