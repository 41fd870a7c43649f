//! The swarm of one version: finds peers, asks each what it holds, and keeps listening.

mod places;

use std::{
    collections::{BTreeMap, VecDeque},
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

use self::places::{Places, Turn};
use super::until;
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
    net: Net,
    /// Peers that are not to be asked again.
    banned: mpsc::Sender<PeerId>,
    _tasks: JoinSet<()>,
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
        let (banned, bans) = mpsc::channel(FETCH_PEERS_MAX);
        let mut tasks = JoinSet::new();
        let gather = Gather {
            shared: shared.clone(),
            net: net.clone(),
            manifest,
            tell,
            places: Places::default(),
            listening: BTreeMap::new(),
            named: VecDeque::new(),
            dials: JoinSet::new(),
        };
        tasks.spawn(gather.run(finder, bans));
        Self {
            news,
            shared: shared.clone(),
            net: net.clone(),
            banned,
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
        let _ = self.banned.try_send(peer);
    }

    /// This peer gave something that was verified.
    pub(super) fn is_useful(&self, peer: PeerId) {
        self.net.note_useful(peer);
    }
}

struct Gather {
    shared: Arc<Shared>,
    net: Net,
    manifest: ManifestId,
    tell: mpsc::Sender<News>,
    places: Places,
    /// The tasks of those that are listened to.
    listening: BTreeMap<PeerId, AbortHandle>,
    /// Peers that others named, to be dialled.
    named: VecDeque<PeerAddr>,
    dials: JoinSet<Option<PeerId>>,
}

impl Gather {
    async fn run(mut self, mut finder: Finder, mut banned: mpsc::Receiver<PeerId>) {
        let mut listeners = JoinSet::new();
        let (tell, mut heard) = mpsc::channel(NEWS_WAITING_MAX);
        loop {
            let net = self.net.clone();
            let deadline = self.places.deadline(|peer| net.useful_at(peer));
            tokio::select! {
                Some(peer) = finder.next() => self.offer(peer),
                Some(heard) = heard.recv() => self.heard(heard),
                Some(dialled) = self.dials.join_next() => {
                    if let Ok(Some(peer)) = dialled {
                        self.offer(peer);
                    }
                }
                Some(peer) = banned.recv() => self.places.ban(peer),
                Some(ended) = listeners.join_next() => {
                    // Those that had to make room have left already.
                    if let Ok(peer) = ended {
                        self.left(peer).await;
                    }
                }
                () = until(deadline), if deadline.is_some() => {}
                else => return,
            }
            while let Some(turn) = self.places.next(Instant::now(), |peer| net.useful_at(peer)) {
                match turn {
                    Turn::Begin(peer) => self.listen(peer, &mut listeners, &tell),
                    Turn::End(peer) => {
                        tracing::debug!(%peer, "makes room for another peer");
                        self.left(peer).await;
                    }
                }
            }
            self.dial_named();
        }
    }

    fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Named(named) if self.named.len() < NAMED_WAITING_MAX => {
                self.named.push_back(named);
            }
            Heard::Named(_) => {}
            Heard::Nothing(peer) => self.places.has_nothing(peer),
            Heard::Something(peer) => self.places.has_something(Instant::now(), peer),
        }
    }

    fn offer(&mut self, peer: PeerId) {
        let is_useful = self.net.useful_at(&peer).is_some();
        self.places.offer(Instant::now(), peer, is_useful);
    }

    /// Dials peers that others named, a few at a time.
    fn dial_named(&mut self) {
        while self.dials.len() < DIALS_MAX
            && self.places.wants_more()
            && let Some(named) = self.named.pop_front()
        {
            let (net, peer) = (self.net.clone(), named.peer);
            if !self.places.is_settled(&peer) {
                self.dials
                    .spawn(async move { net.connect(named).await.is_ok().then_some(peer) });
            }
        }
    }

    async fn left(&mut self, peer: PeerId) {
        if let Some(task) = self.listening.remove(&peer) {
            task.abort();
        }
        self.places.left(Instant::now(), peer);
        let _ = self.tell.send(News::Left(peer)).await;
    }

    fn listen(
        &mut self,
        peer: PeerId,
        listeners: &mut JoinSet<PeerId>,
        heard: &mpsc::Sender<Heard>,
    ) {
        let listener = Listener {
            shared: self.shared.clone(),
            net: self.net.clone(),
            manifest: self.manifest,
            peer,
            tell: self.tell.clone(),
            heard: heard.clone(),
        };
        let task = listeners.spawn(async move {
            if let Err(error) = listener.listen().await {
                tracing::debug!(%peer, %error, "a peer tells no longer what it holds");
            }
            peer
        });
        self.listening.insert(peer, task);
    }
}

/// What a listener tells the others' keeper.
#[derive(Debug)]
enum Heard {
    /// A peer was named.
    Named(PeerAddr),
    /// A peer has nothing of the version.
    Nothing(PeerId),
    /// It has something.
    Something(PeerId),
}

/// Listens to one peer.
struct Listener {
    shared: Arc<Shared>,
    net: Net,
    manifest: ManifestId,
    peer: PeerId,
    tell: mpsc::Sender<News>,
    heard: mpsc::Sender<Heard>,
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
                    // When much is waiting already, its place is free a little later.
                    let _ = self.heard.try_send(Heard::Nothing(peer));
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
                let _ = self.heard.try_send(Heard::Something(peer));
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
            let _ = self.heard.try_send(Heard::Named(address));
        }
    }

    async fn send(&self, news: News) {
        // The fetch is over when nobody listens, and this task with it.
        let _ = self.tell.send(news).await;
    }
}
