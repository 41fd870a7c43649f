//! The swarm of one version: finds peers, asks each what it holds, and keeps listening.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use libp2p::PeerId;
use opendag_protocol::{
    ManifestId,
    table::ShardIndex,
    wire::{GroupRanges, HoldingsRequest, HoldingsUpdate},
};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use crate::{
    ask,
    find::Finder,
    frames::{read_frame, write_frame},
    limits::{ANSWER_DEADLINE, FETCH_PEERS_MAX},
    members::Member,
    net::{Net, PeerAddr, StreamProtocol},
    node::Shared,
};

/// News that may wait to be handled: full means that the peers wait.
const NEWS_WAITING_MAX: usize = 256;
/// A peer that failed, or had nothing, is asked again after this at the earliest: it may just have begun
/// to fetch too. How often it is asked in the long run is up to the finder, whose rounds grow apart.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// A peer that gave nothing for so long makes room for one that was tried less often, when there is none: many ids of
/// one liar must not keep the honest out.
const PROVE_WITHIN: Duration = Duration::from_secs(10);
/// That a peer is useful is told so often.
const TELL_USEFUL: Duration = Duration::from_secs(2);
/// A peer that says nothing for so long may have nothing new to say: it is only checked by its transfers.
const SILENCE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A peer that has nothing may have just begun to fetch too, and is listened to for so long.
const NOTHING_MAX: Duration = Duration::from_secs(30);
/// Peers that one peer may name: more than one fetch talks to.
const NAMED_BY_ONE_MAX: usize = 64;
/// Peers that were named and wait to be dialled.
const NAMED_WAITING_MAX: usize = 256;
/// Peers that are dialled at once because others named them: of liars' names most lead nowhere.
const DIALS_MAX: usize = 16;
/// Peers that are remembered while a fetch lasts.
const PEERS_KNOWN_MAX: usize = 1024;

/// What happens in the swarm.
#[derive(Debug)]
pub(super) enum News {
    /// A peer answered.
    Joined(PeerId),
    /// It holds all.
    Complete(PeerId),
    /// It holds these shards: a bitmap from `first` on.
    Shards {
        peer: PeerId,
        first: ShardIndex,
        bits: Vec<u8>,
    },
    /// It holds part of a shard.
    Partial {
        peer: PeerId,
        shard: ShardIndex,
        groups: GroupRanges,
    },
    /// It has nothing of what it said before.
    Nothing(PeerId),
    /// Its stream ended.
    Left(PeerId),
}

impl News {
    /// The peer, if it said that it holds something.
    pub(super) fn holder(&self) -> Option<PeerId> {
        match self {
            Self::Joined(_) | Self::Nothing(_) | Self::Left(_) => None,
            Self::Complete(peer) | Self::Shards { peer, .. } | Self::Partial { peer, .. } => {
                Some(*peer)
            }
        }
    }

    /// Keeps a list of who may give descriptions: peers that hold something, as long as they are here, before those
    /// that may.
    pub(super) fn note_describers(&self, peers: &watch::Sender<Vec<PeerId>>) {
        match self {
            Self::Joined(peer) => drop(peers.send_if_modified(|peers| {
                let is_new = !peers.contains(peer);
                if is_new {
                    peers.insert(0, *peer);
                }
                is_new
            })),
            Self::Left(peer) => peers.send_modify(|peers| peers.retain(|known| known != peer)),
            Self::Nothing(_) | Self::Complete(_) | Self::Shards { .. } | Self::Partial { .. } => {}
        }
    }
}

/// A running swarm. Dropping it ends its tasks.
#[derive(Debug)]
pub(super) struct Swarm {
    news: mpsc::Receiver<News>,
    shared: Arc<Shared>,
    known: mpsc::Sender<Known>,
    /// When peers were told to be useful.
    useful: BTreeMap<PeerId, Instant>,
    _tasks: JoinSet<()>,
}

/// What the fetch knows of a peer.
#[derive(Clone, Copy, Debug)]
enum Known {
    /// It gave something that was verified.
    Useful(PeerId),
    /// It is not to be asked again.
    Banned(PeerId),
}

impl Swarm {
    /// Starts looking for peers that hold `manifest`.
    pub(super) fn start(
        shared: &Arc<Shared>,
        net: &Net,
        manifest: ManifestId,
        finder: Finder,
    ) -> Self {
        let (tell, news) = mpsc::channel(NEWS_WAITING_MAX);
        let (known, told) = mpsc::channel(2 * FETCH_PEERS_MAX);
        let mut tasks = JoinSet::new();
        let gather = Gather {
            shared: shared.clone(),
            net: net.clone(),
            manifest,
            tell,
            active: BTreeMap::new(),
            tries: BTreeMap::new(),
            rest: BTreeMap::new(),
            banned: BTreeSet::new(),
            named: VecDeque::new(),
            dials: JoinSet::new(),
        };
        tasks.spawn(gather.run(finder, told));
        Self {
            news,
            shared: shared.clone(),
            known,
            useful: BTreeMap::new(),
            _tasks: tasks,
        }
    }

    /// The next news. Safe to cancel.
    pub(super) async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// Never ask this peer again.
    pub(super) fn ban(&self, peer: PeerId) {
        self.shared.metrics.transfer.banned();
        // A full queue means that many are banned at once; this one is ignored by the scheduler anyway.
        let _ = self.known.try_send(Known::Banned(peer));
    }

    /// This peer gave something that was verified.
    pub(super) fn is_useful(&mut self, peer: PeerId) {
        let told = self.useful.get(&peer);
        if told.is_some_and(|told| told.elapsed() < TELL_USEFUL) {
            return;
        }
        if self.useful.len() >= PEERS_KNOWN_MAX {
            self.useful.clear();
        }
        self.useful.insert(peer, Instant::now());
        // When that is not heard, the peer may have to make room, and comes back.
        let _ = self.known.try_send(Known::Useful(peer));
    }
}

struct Gather {
    shared: Arc<Shared>,
    net: Net,
    manifest: ManifestId,
    tell: mpsc::Sender<News>,
    active: BTreeMap<PeerId, Active>,
    /// How often peers were listened to.
    tries: BTreeMap<PeerId, u32>,
    rest: BTreeMap<PeerId, Instant>,
    banned: BTreeSet<PeerId>,
    /// Peers that others named, to be dialled.
    named: VecDeque<PeerAddr>,
    dials: JoinSet<Option<PeerId>>,
}

/// A peer that is listened to.
struct Active {
    /// Since when it gave nothing.
    useless_since: Instant,
    task: AbortHandle,
}

impl Gather {
    async fn run(mut self, mut finder: Finder, mut told: mpsc::Receiver<Known>) {
        let mut listeners = JoinSet::new();
        let (met, mut exchanged) = mpsc::channel(NEWS_WAITING_MAX);
        loop {
            tokio::select! {
                Some(peer) = finder.next() => self.candidate(peer, &mut listeners, &met).await,
                Some(named) = exchanged.recv() => {
                    if self.named.len() < NAMED_WAITING_MAX {
                        self.named.push_back(named);
                    }
                }
                Some(dialled) = self.dials.join_next() => {
                    if let Ok(Some(peer)) = dialled {
                        self.candidate(peer, &mut listeners, &met).await;
                    }
                }
                Some(known) = told.recv() => match known {
                    Known::Banned(peer) => { self.banned.insert(peer); }
                    Known::Useful(peer) => {
                        if let Some(active) = self.active.get_mut(&peer) {
                            active.useless_since = Instant::now();
                        }
                    }
                },
                Some(ended) = listeners.join_next() => {
                    // Those that had to make room have left already.
                    if let Ok(peer) = ended {
                        self.left(peer).await;
                    }
                }
                else => return,
            }
            self.dial_named();
        }
    }

    /// Dials peers that others named, a few at a time.
    fn dial_named(&mut self) {
        while self.dials.len() < DIALS_MAX
            && let Some(named) = self.named.pop_front()
        {
            let (net, peer) = (self.net.clone(), named.peer);
            if !self.active.contains_key(&peer)
                && !self.banned.contains(&peer)
                && (self.active.len() < FETCH_PEERS_MAX || self.least_useful(&peer).is_some())
            {
                self.dials
                    .spawn(async move { net.connect(named).await.is_ok().then_some(peer) });
            }
        }
    }

    async fn left(&mut self, peer: PeerId) {
        self.active.remove(&peer);
        self.rest.insert(peer, Instant::now() + ASK_AGAIN);
        let _ = self.tell.send(News::Left(peer)).await;
    }

    /// Who has to make room for this peer: one that gave nothing and was tried more often.
    fn least_useful(&self, than: &PeerId) -> Option<PeerId> {
        let tries = |peer: &PeerId| self.tries.get(peer).copied().unwrap_or_default();
        let useless = self.active.iter().filter(|(peer, active)| {
            active.useless_since.elapsed() >= PROVE_WITHIN && tries(peer) > tries(than)
        });
        let most =
            useless.max_by_key(|(peer, active)| (tries(peer), active.useless_since.elapsed()));
        most.map(|(peer, _)| *peer)
    }

    /// Room for one more, if there is any.
    async fn has_room(&mut self, peer: &PeerId) -> bool {
        if self.active.len() < FETCH_PEERS_MAX {
            return true;
        }
        let Some(least) = self.least_useful(peer) else {
            return false;
        };
        tracing::debug!(peer = %least, "makes room for another peer");
        if let Some(active) = self.active.get(&least) {
            active.task.abort();
        }
        self.left(least).await;
        true
    }

    async fn candidate(
        &mut self,
        peer: PeerId,
        listeners: &mut JoinSet<PeerId>,
        met: &mpsc::Sender<PeerAddr>,
    ) {
        let now = Instant::now();
        if self.rest.len() >= PEERS_KNOWN_MAX || self.tries.len() >= PEERS_KNOWN_MAX {
            self.rest.retain(|_, until| *until > now);
            self.tries.clear();
        }
        let resting = self.rest.get(&peer).is_some_and(|until| *until > now);
        if resting || self.banned.contains(&peer) || self.active.contains_key(&peer) {
            return;
        }
        if !self.has_room(&peer).await {
            return;
        }
        let listener = Listener {
            shared: self.shared.clone(),
            net: self.net.clone(),
            manifest: self.manifest,
            peer,
            tell: self.tell.clone(),
            met: met.clone(),
        };
        let task = listeners.spawn(async move {
            if let Err(error) = listener.listen().await {
                tracing::debug!(%peer, %error, "a peer tells no longer what it holds");
            }
            peer
        });
        let active = Active {
            useless_since: now,
            task,
        };
        self.active.insert(peer, active);
        let tries = self.tries.entry(peer).or_default();
        *tries = tries.saturating_add(1);
    }
}

/// Listens to one peer.
struct Listener {
    shared: Arc<Shared>,
    net: Net,
    manifest: ManifestId,
    peer: PeerId,
    tell: mpsc::Sender<News>,
    /// Where the peers go that this one names.
    met: mpsc::Sender<PeerAddr>,
}

impl Listener {
    async fn listen(&self) -> Result<(), ask::AskError> {
        let peer = self.peer;
        let mut stream = ask::open(&self.net, peer, StreamProtocol::Holdings).await?;
        let request = HoldingsRequest {
            manifest: self.manifest,
        };
        write_frame(&mut stream, &request, ANSWER_DEADLINE)
            .await
            .map_err(ask::AskError::Frame)?;
        let mut joined: Option<Option<Member>> = None;
        let mut named = 0;
        let mut deadline = ANSWER_DEADLINE;
        while let Some(update) = read_frame(&mut stream, deadline)
            .await
            .map_err(ask::AskError::Frame)?
        {
            let news = match update {
                HoldingsUpdate::Nothing => {
                    deadline = NOTHING_MAX;
                    self.send(News::Nothing(peer)).await;
                    continue;
                }
                HoldingsUpdate::Busy => return Err(ask::AskError::Busy),
                HoldingsUpdate::Snapshot => {
                    // Until then it may be waiting for its first bytes.
                    deadline = deadline.max(NOTHING_MAX);
                    continue;
                }
                HoldingsUpdate::Peers(peers) => {
                    for peer in peers.into_iter().take(NAMED_BY_ONE_MAX - named) {
                        named += 1;
                        self.meet(&peer);
                    }
                    continue;
                }
                HoldingsUpdate::Complete => News::Complete(peer),
                HoldingsUpdate::Shards { first, bits } => News::Shards {
                    peer,
                    first,
                    bits: bits.into_vec(),
                },
                HoldingsUpdate::Partial { shard, ranges } => News::Partial {
                    peer,
                    shard,
                    groups: ranges.into_iter().collect(),
                },
            };
            if joined.is_none() {
                joined = Some(self.shared.members.join(self.manifest, peer));
                self.send(News::Joined(peer)).await;
            }
            deadline = SILENCE_MAX;
            self.send(news).await;
        }
        Ok(())
    }

    /// Gets to know a peer that another one named; never waits for it.
    fn meet(&self, named: &opendag_protocol::wire::PeerAddr) {
        if let Some(address) = self.shared.peer_address(named) {
            // When many are waiting already, one less is no loss.
            let _ = self.met.try_send(address);
        }
    }

    async fn send(&self, news: News) {
        // The fetch is over when nobody listens, and this task with it.
        let _ = self.tell.send(news).await;
    }
}
