//! Finding peers: links, connected peers, LAN and DHT, again and again until somebody stops asking.

use std::{cmp::Reverse, collections::BTreeSet, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use libp2p::{Multiaddr, PeerId};
use opendag_protocol::Hash;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::net::{Net, PeerAddr};

/// Candidates that may wait to be taken: a caller that is slow slows the search, nothing piles up.
const CANDIDATES_WAITING_MAX: usize = 64;
/// How long one look into the DHT may take.
const DHT_LOOK: Duration = Duration::from_secs(20);
/// The pause before the second look; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// A search that goes on for hours must not be a load.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A running search. Dropping it ends it.
///
/// The same peer comes again in each round, so that one that failed gets another chance: the caller
/// knows which it is talking to already. It never ends by itself.
#[derive(Debug)]
pub(crate) struct Finder {
    candidates: mpsc::Receiver<PeerId>,
    /// Cancelled when all ways of finding have been tried once.
    looked: CancellationToken,
    _stop: DropGuard,
}

impl Finder {
    /// Looks for peers that hold any of `keys`; asks `hints` first and all connected peers too.
    pub(crate) fn start(net: Net, keys: Vec<Hash>, hints: Vec<PeerHint>) -> Self {
        let (found, candidates) = mpsc::channel(CANDIDATES_WAITING_MAX);
        let (stop, looked) = (CancellationToken::new(), CancellationToken::new());
        let search = Search {
            net,
            keys,
            hints,
            found,
            looked: looked.clone(),
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(search.run()));
        Self {
            candidates,
            looked,
            _stop: stop.drop_guard(),
        }
    }

    /// The next candidate. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<PeerId> {
        self.candidates.recv().await
    }

    /// Does no candidate wait to be taken?
    pub(crate) fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Cancelled when every named peer has been dialled, every connected one told, and the DHT been asked, once.
    pub(crate) fn looked(&self) -> &CancellationToken {
        &self.looked
    }
}

/// A peer that the user or a link named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerHint(pub(crate) Multiaddr);

/// The peers that a network is connected to: first those that were useful, the last that was so before the others.
pub(crate) async fn connected(net: &Net) -> Vec<PeerId> {
    let peers = net.peers().await.into_iter();
    let mut peers: Vec<PeerId> = peers.map(|peer| peer.peer).collect();
    peers.sort_by_key(|peer| Reverse(net.useful_at(peer)));
    peers
}

struct Search {
    net: Net,
    keys: Vec<Hash>,
    hints: Vec<PeerHint>,
    found: mpsc::Sender<PeerId>,
    looked: CancellationToken,
}

impl Search {
    async fn run(self) {
        let mut pause = PAUSE_MIN;
        loop {
            tokio::join!(self.hinted(), self.connected(), self.announced());
            self.looked.cancel();
            // A peer that connects meanwhile (LAN, gossip) is worth a look at once.
            let next = Instant::now() + pause;
            let mut seen: BTreeSet<PeerId> = connected(&self.net).await.into_iter().collect();
            while Instant::now() < next {
                sleep_until(next.min(Instant::now() + PAUSE_MIN)).await;
                for peer in connected(&self.net).await {
                    if seen.insert(peer) {
                        self.tell(peer).await;
                    }
                }
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn hinted(&self) {
        let mut dials: FuturesUnordered<_> = self
            .hints
            .iter()
            .map(|hint| self.net.dial(hint.0.clone()))
            .collect();
        while let Some(dialled) = dials.next().await {
            match dialled {
                Ok(peer) => self.tell(peer).await,
                Err(error) => tracing::debug!(%error, "cannot reach a peer that was named"),
            }
        }
    }

    async fn connected(&self) {
        for peer in connected(&self.net).await {
            self.tell(peer).await;
        }
    }

    async fn announced(&self) {
        let looks: FuturesUnordered<_> = self.keys.iter().map(|key| self.look(*key)).collect();
        // A look that takes too long has told what it found meanwhile.
        let _ = timeout(DHT_LOOK, looks.collect::<()>()).await;
    }

    async fn look(&self, key: Hash) {
        let mut providers = self.net.find_providers(key).await;
        let mut reaching = FuturesUnordered::new();
        loop {
            tokio::select! {
                provider = providers.recv() => match provider {
                    Some(provider) => reaching.push(self.reach(provider)),
                    None => break,
                },
                Some(()) = reaching.next() => {}
            }
        }
        reaching.collect::<()>().await;
    }

    async fn reach(&self, provider: PeerAddr) {
        let peer = provider.peer;
        if peer == self.net.peer_id() {
            return;
        }
        match self.net.connect(provider).await {
            Ok(()) => self.tell(peer).await,
            Err(error) => tracing::debug!(%peer, %error, "cannot reach a provider"),
        }
    }

    async fn tell(&self, peer: PeerId) {
        // The caller is gone: so is this task, at its next wait.
        let _ = self.found.send(peer).await;
    }
}
