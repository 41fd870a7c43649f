//! The loop of one fetch: the scheduler decides, the swarm and the transfers bring news, the writer
//! makes durable.
//!
//! It owns the scheduler and awaits nothing but its own events. How peers are asked stands in
//! [`asking`], what they say and do in [`peers`], what came of it in [`moved`].

mod asking;
mod hopes;
mod moved;
mod peers;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use libp2p::PeerId;
use opendag_protocol::{
    Time,
    fetch::{End, Fetch, Input, Output, PeerKey, RequestId, Why},
    table::ShardIndex,
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, Id, JoinError, JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::hopes::Hopes;
pub(super) use self::moved::Moved;
use super::{
    FetchError,
    delta::{Assembly, Seen},
    request::{Arrived, TransferError},
    swarm::{News, Swarm},
    writer::{WriteError, Writer},
};
use crate::{
    holdings::{Running, Urgent},
    net::Net,
    node::Shared,
    report::{Meter, Reporter},
};

/// Arrived pieces that wait to be told to the scheduler: full means that the transfers wait.
const ARRIVED_WAITING_MAX: usize = 256;
/// What is verified is made durable at least so often.
const SYNC_EVERY: Duration = Duration::from_secs(2);
/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(250);

/// What a session needs.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) net: Net,
    pub(super) swarm: Swarm,
    /// What the swarm told before.
    pub(super) news: Vec<News>,
    pub(super) fetch: Fetch,
    pub(super) writer: Arc<Writer>,
    /// The scheduler's shards are spans of these files; `None`: they are the shards of the version.
    pub(super) spans: Option<Arc<Assembly>>,
    pub(super) running: Running,
    pub(super) meter: Meter,
    pub(super) reporter: Reporter,
    /// Give up after so long without progress.
    pub(super) stalled_max: Duration,
    pub(super) cancel: CancellationToken,
}

/// What the next session of the same fetch goes on with.
pub(super) struct Rest {
    pub(super) swarm: Swarm,
    /// What the swarm told until now.
    pub(super) seen: Seen,
    pub(super) running: Running,
    pub(super) meter: Meter,
}

/// A running fetch.
pub(super) struct Session {
    parts: Parts,
    seen: Seen,
    start: Instant,
    peers: HashMap<PeerId, PeerKey>,
    keys: BTreeMap<PeerKey, PeerId>,
    shares: BTreeMap<PeerKey, u64>,
    transfers: JoinSet<Result<(), TransferError>>,
    requests: HashMap<Id, (RequestId, PeerKey)>,
    aborts: HashMap<RequestId, AbortHandle>,
    tell: mpsc::Sender<Arrived>,
    arrived: mpsc::Receiver<Arrived>,
    received: Arc<AtomicU64>,
    useful_bytes: u64,
    syncing: Option<JoinHandle<Result<Vec<ShardIndex>, WriteError>>>,
    synced: Instant,
    moved: Instant,
    completed: bool,
    blamed: u32,
    /// Spans only.
    hopes: Hopes,
}

impl Session {
    /// Runs until every shard is in place and durable. What arrived stays, however it ends. A session for spans also
    /// ends when nobody gives right ones any more.
    pub(super) async fn run(parts: Parts) -> Result<(Moved, Rest), FetchError> {
        let (tell, arrived) = mpsc::channel(ARRIVED_WAITING_MAX);
        let now = Instant::now();
        let mut session = Self {
            parts,
            seen: Seen::default(),
            start: now,
            peers: HashMap::new(),
            keys: BTreeMap::new(),
            shares: BTreeMap::new(),
            transfers: JoinSet::new(),
            requests: HashMap::new(),
            aborts: HashMap::new(),
            tell,
            arrived,
            received: Arc::default(),
            useful_bytes: 0,
            syncing: None,
            synced: now,
            moved: now,
            completed: false,
            blamed: 0,
            hopes: Hopes::default(),
        };
        let news = std::mem::take(&mut session.parts.news);
        session.trust(&news);
        for news in news {
            session.news(news);
        }
        let outcome = session.drive().await;
        session.transfers.shutdown().await;
        let saved = session.save().await;
        outcome.and(saved)?;
        let moved = session.moved();
        let Self { parts, seen, .. } = session;
        let rest = Rest {
            swarm: parts.swarm,
            seen,
            running: parts.running,
            meter: parts.meter,
        };
        Ok((moved, rest))
    }

    async fn drive(&mut self) -> Result<(), FetchError> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let cancel = self.parts.cancel.clone();
        loop {
            self.decide().await;
            if self.completed {
                return Ok(());
            }
            let deadline = self
                .parts
                .fetch
                .deadline()
                .map(|deadline| self.instant(deadline));
            tokio::select! {
                Some(news) = self.parts.swarm.next() => self.news(news),
                Some(piece) = self.arrived.recv() => {
                    self.arrived(piece);
                    self.all_arrived();
                }
                Some(ended) = self.transfers.join_next_with_id() => self.ended(ended)?,
                Some(urgent) = self.parts.running.urgent() => self.hurry(urgent),
                synced = async { self.syncing.as_mut()?.await.ok() }, if self.syncing.is_some() => {
                    self.syncing = None;
                    self.synced(&synced.unwrap_or(Err(WriteError::Stopped))?);
                }
                () = sleep_until(deadline.unwrap_or(self.start)), if deadline.is_some() => {
                    let now = self.now();
                    self.parts.fetch.handle_timeout(now);
                }
                () = self.parts.writer.due(), if self.syncing.is_none() => {}
                _ = tick.tick() => self.tick()?,
                () = cancel.cancelled() => return Err(FetchError::Cancelled),
            }
            self.tell_others();
            self.sync_if_due();
        }
    }

    /// Takes in whatever waits: one decision for all of it.
    fn all_arrived(&mut self) {
        while let Ok(arrived) = self.arrived.try_recv() {
            self.arrived(arrived);
        }
    }

    /// A reader waits: what it waits for comes next, if it is a part of this fetch.
    fn hurry(&mut self, urgent: Urgent) {
        let Urgent {
            shard,
            groups,
            answer,
        } = urgent;
        // Spans are not what a reader can read.
        let comes = self.parts.spans.is_none() && self.parts.fetch.has_shard(shard);
        if comes {
            self.handle(Input::Prioritise { shard, groups });
        }
        // A reader that left needs no answer.
        let _ = answer.send(comes);
    }

    /// Tells whoever listens of the small files that can be read here by now.
    fn tell_others(&self) {
        let readable = self.parts.writer.readable();
        if !readable.is_empty() {
            self.parts.running.done(&readable);
        }
    }

    fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    fn instant(&self, time: Time) -> Instant {
        self.start + Duration::from_millis(time.as_millis())
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        self.parts.fetch.handle(now, input);
    }

    fn arrived(&mut self, arrived: Arrived) {
        let Arrived {
            request,
            peer,
            item,
            bytes,
            missing,
        } = arrived;
        if missing {
            self.blame(
                peer,
                item.shard,
                "it said that it has this file, but the file was changed or touched there",
            );
            return self.handle(Input::ItemMissing {
                request,
                shard: item.shard,
            });
        }
        self.moved = Instant::now();
        self.hopes.answered(peer);
        self.useful_bytes += bytes;
        let payload = match &self.parts.spans {
            Some(spans) => spans.payload_bytes(item),
            None => self.parts.writer.payload_bytes(item),
        };
        self.parts.meter.now.bytes += payload;
        if let Some(peer) = self.keys.get(&peer) {
            self.parts.swarm.is_useful(*peer);
        }
        *self.shares.entry(peer).or_default() += payload;
        // What is verified and written is told to others before it is durable.
        if self.parts.spans.is_none() && self.parts.writer.is_large(item.shard) {
            self.parts.running.partial(item.shard, &item.groups.into());
        }
        self.handle(Input::Verified {
            request,
            shard: item.shard,
            groups: item.groups,
            bytes,
        });
    }

    fn ended(
        &mut self,
        ended: Result<(Id, Result<(), TransferError>), JoinError>,
    ) -> Result<(), FetchError> {
        // What it told before its end counts before its end.
        self.all_arrived();
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, Some(outcome)),
            Err(error) => (error.id(), None),
        };
        let Some((request, peer)) = self.requests.remove(&id) else {
            return Ok(());
        };
        self.aborts.remove(&request);
        let end = match outcome {
            Some(Ok(())) => End::Done,
            Some(Err(TransferError::Write(error))) => return Err(error.into()),
            Some(Err(error)) => {
                tracing::debug!(peer = ?self.keys.get(&peer), %error, "a transfer ended early");
                self.note_failure(peer, &error);
                error.end()
            }
            None => End::Closed,
        };
        self.handle(Input::Ended { request, end });
        Ok(())
    }

    /// Carries out what the scheduler wants.
    async fn decide(&mut self) {
        let mut finished = Vec::new();
        while let Some(output) = self.parts.fetch.poll() {
            match output {
                Output::Request {
                    request,
                    peer,
                    items,
                    deadline: _,
                } => self.request(request, peer, &items),
                Output::Cancel { request, cause: _ } => self.abort(request),
                Output::Ban { peer, offence } => {
                    self.abort_all(peer);
                    self.hopes.wrong(peer);
                    if let Some(peer) = self.keys.get(&peer) {
                        tracing::debug!(%peer, ?offence, "a peer is banned for this fetch");
                        // Who gave wrong spans may be right, and the map wrong: with proofs it is asked again.
                        if self.parts.spans.is_none() {
                            self.parts.swarm.ban(*peer);
                        }
                    }
                }
                Output::ShardDone { shard } => finished.push(shard),
                Output::Completed => self.completed = true,
            }
        }
        if self.parts.spans.is_none() {
            self.parts.writer.whole(&finished);
        }
    }

    fn sync_if_due(&mut self) {
        let writer = &self.parts.writer;
        let is_old = self.synced.elapsed() >= SYNC_EVERY;
        let due = writer.is_due() || (writer.dirty_bytes() > 0 && is_old);
        if due && self.syncing.is_none() {
            self.syncing = Some(self.sync());
        }
    }

    fn sync(&self) -> JoinHandle<Result<Vec<ShardIndex>, WriteError>> {
        let (writer, spans) = (self.parts.writer.clone(), self.parts.spans.clone());
        tokio::task::spawn_blocking(move || {
            if let Some(spans) = spans {
                spans.sync();
            }
            writer.sync()
        })
    }

    fn synced(&mut self, placed: &[ShardIndex]) {
        self.synced = Instant::now();
        self.parts.meter.now.files += u64::try_from(placed.len()).unwrap_or(0);
        if !placed.is_empty() {
            self.parts.running.done(placed);
        }
    }

    fn tick(&mut self) -> Result<(), FetchError> {
        let now = self.now();
        let why = self.parts.fetch.stalled(now).as_ref().map(waits_for);
        let waited = self.moved.elapsed();
        let meter = &mut self.parts.meter;
        meter.now.received_bytes = self.received.load(Ordering::Relaxed);
        meter.now.peers = self.parts.fetch.progress().peers_active;
        meter.now.waiting_for.clone_from(&why);
        meter.tick();
        let patience = self.hopes.patience();
        if self.parts.spans.is_some() && patience.is_some_and(|patience| waited >= patience) {
            self.completed = true;
            return Ok(());
        }
        if waited >= self.parts.stalled_max {
            let why = why.unwrap_or_else(|| "peers that answer".to_owned());
            return Err(FetchError::Stalled { waited, why });
        }
        Ok(())
    }

    /// Makes durable what arrived, whatever happened before.
    async fn save(&mut self) -> Result<(), FetchError> {
        if let Some(syncing) = self.syncing.take() {
            let placed = syncing.await.unwrap_or(Err(WriteError::Stopped))?;
            self.synced(&placed);
        }
        let placed = self.sync().await;
        self.synced(&placed.unwrap_or(Err(WriteError::Stopped))?);
        self.parts.meter.now.received_bytes = self.received.load(Ordering::Relaxed);
        self.parts.meter.tell();
        Ok(())
    }
}

/// What a fetch waits for, in words.
pub(super) fn waits_for(why: &Why) -> String {
    match why {
        Why::NoPeers => "peers that hold this version".to_owned(),
        Why::NoHoldings => "peers to say what they hold".to_owned(),
        Why::NobodyHolds { shards: 0 } => "a peer that holds the rest".to_owned(),
        Why::NobodyHolds { shards } => format!("a peer that holds the last {shards} files"),
        Why::PeersRest { .. } => "peers that failed, to try them again".to_owned(),
        Why::NoAnswer { .. } => "peers that were asked to answer".to_owned(),
    }
}
