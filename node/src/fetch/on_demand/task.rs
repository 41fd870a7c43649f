//! The task that fetches for the readers of a version.
//!
//! The same scheduler as for a whole fetch, on demand: it asks for nothing but what a reader waits for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use libp2p::PeerId;
use opendag_protocol::{
    ManifestId, Time,
    fetch::{
        End, Fetch, FetchConfig, Holdings, Input, Item, Output, PeerKey, RequestId, ShardSpec,
    },
    limits::CHUNK_GROUP_BYTES,
    table::ShardIndex,
    wire::GroupRange,
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{Tell, Want};
use crate::{
    fetch::{
        delta::Seen,
        request::{Arrived, Request, TELL_READERS_EVERY, TransferError},
        session::waits_for,
        swarm::{News, Swarm},
        transfer::{Order, Transfer},
        writer::{self, WriteError},
    },
    holdings::{Running, Sharing},
    net::Net,
    node::Shared,
    read::CachedFile,
    store::Piece,
};

/// Arrived pieces that wait to be told to the scheduler: full means that the transfers wait.
const ARRIVED_WAITING_MAX: usize = 256;
/// Bytes on their way for all readers of a version: what a hundred of them hold in memory.
const IN_FLIGHT_BYTES_MAX: u64 = 16 << 20;
/// What a peer is asked for before it has shown anything: a reader that waits for a mebibyte gets all of it
/// with the first answers.
const FIRST_WINDOW_BYTES: u64 = 1280 << 10;
/// What is asked for around a small range: no more than is verified at once.
const PIECE_BYTES: u64 = CHUNK_GROUP_BYTES;
/// How often it is looked at whether anything moves.
const TICK: Duration = Duration::from_millis(250);

/// Files that are read, or were until now, as the tasks that write to them see them.
#[derive(Clone, Debug, Default)]
struct Files(Arc<RwLock<BTreeMap<ShardIndex, Arc<CachedFile>>>>);

impl Files {
    fn get(&self, shard: ShardIndex) -> Option<Arc<CachedFile>> {
        let files = self.0.read().unwrap_or_else(PoisonError::into_inner);
        files.get(&shard).cloned()
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<ShardIndex, Arc<CachedFile>>) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) struct Task {
    shared: Arc<Shared>,
    net: Net,
    swarm: Swarm,
    tell_readers: Tell,
    fetch: Fetch,
    start: Instant,
    /// What the swarm told: shards that are read later need it again.
    seen: Seen,
    files: Files,
    /// Others may have what readers got; `None` while a fetch of the version tells them of more.
    running: Option<Running>,
    manifest: ManifestId,
    known: BTreeSet<ShardIndex>,
    readers: BTreeMap<u64, (ShardIndex, GroupRange)>,
    peers: HashMap<PeerId, PeerKey>,
    keys: BTreeMap<PeerKey, PeerId>,
    transfers: JoinSet<Result<(), TransferError>>,
    requests: HashMap<Id, (RequestId, PeerKey)>,
    aborts: HashMap<RequestId, AbortHandle>,
    tell: mpsc::Sender<Arrived>,
    arrived: mpsc::Receiver<Arrived>,
}

impl Task {
    pub(super) fn new(
        shared: Arc<Shared>,
        net: Net,
        manifest: ManifestId,
        (swarm, tell_readers): (Swarm, Tell),
    ) -> Self {
        let (tell, arrived) = mpsc::channel(ARRIVED_WAITING_MAX);
        Self {
            running: shared.sessions.begin(manifest, Sharing::Cache),
            manifest,
            fetch: machine(&shared),
            shared,
            net,
            swarm,
            tell_readers,
            start: Instant::now(),
            seen: Seen::default(),
            files: Files::default(),
            known: BTreeSet::new(),
            readers: BTreeMap::new(),
            peers: HashMap::new(),
            keys: BTreeMap::new(),
            transfers: JoinSet::new(),
            requests: HashMap::new(),
            aborts: HashMap::new(),
            tell,
            arrived,
        }
    }

    pub(super) async fn run(mut self, mut wants: mpsc::Receiver<Want>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.decide();
            let deadline = self.fetch.deadline().map(|deadline| self.instant(deadline));
            tokio::select! {
                want = wants.recv() => match want {
                    Some(want) => self.want(want),
                    None => return,
                },
                Some(news) = self.swarm.next() => self.news(&news),
                Some(arrived) = self.arrived.recv() => self.arrived(arrived),
                Some(ended) = self.transfers.join_next_with_id() => self.ended(ended),
                () = sleep_until(deadline.unwrap_or(self.start)), if deadline.is_some() => {
                    let now = self.now();
                    self.fetch.handle_timeout(now);
                }
                _ = tick.tick() => {
                    self.tell_waits_for();
                    self.let_go();
                }
            }
        }
    }

    fn want(&mut self, want: Want) {
        match want {
            Want::Read {
                reader,
                shard,
                file,
                groups,
            } => {
                if self.fetch.is_full() && !self.known.contains(&shard) {
                    self.begin_anew();
                }
                self.open(shard, &file);
                self.readers.insert(reader, (shard, groups));
                self.handle(Input::Prioritise { shard, groups });
            }
            Want::Leave { reader } => {
                let Some((shard, groups)) = self.readers.remove(&reader) else {
                    return;
                };
                self.handle(Input::Unwanted { shard, groups });
                let others = self.readers.values().filter(|(other, _)| *other == shard);
                for (shard, groups) in others.copied().collect::<Vec<_>>() {
                    self.handle(Input::Prioritise { shard, groups });
                }
            }
        }
    }

    /// Tells the scheduler what is here of a file and who has it.
    fn open(&mut self, shard: ShardIndex, file: &Arc<CachedFile>) {
        let (size, have) = (file.size(), file.have());
        self.files.change(|files| files.insert(shard, file.clone()));
        if self.known.insert(shard) {
            self.handle(Input::Add(ShardSpec { shard, size, have }));
            for (peer, claim) in self.seen.claims_of(shard) {
                let peer = self.key(peer);
                self.handle(Input::Holdings {
                    peer,
                    update: claim,
                });
            }
        } else {
            // The cache may have freed some of it.
            for groups in file.missing().iter() {
                self.handle(Input::LocalLost { shard, groups });
            }
        }
    }

    /// There is no room in the scheduler for another file: goes on with those that are read.
    fn begin_anew(&mut self) {
        self.transfers.abort_all();
        self.requests.clear();
        self.aborts.clear();
        self.fetch = machine(&self.shared);
        self.known.clear();
        for peer in self.seen.peers() {
            let key = self.key(peer);
            self.handle(Input::PeerJoined { peer: key });
            if self.seen.is_complete(peer) {
                let update = Holdings::Complete;
                self.handle(Input::Holdings { peer: key, update });
            }
        }
        for (shard, file) in self.files.change(|files| files.clone()) {
            self.open(shard, &file);
        }
        for (shard, groups) in self.readers.clone().into_values() {
            self.handle(Input::Prioritise { shard, groups });
        }
    }

    fn news(&mut self, news: &News) {
        self.seen.note(news);
        news.note_describers(&self.tell_readers.peers);
        let (peer, update) = match news {
            News::Joined(peer) => {
                let peer = self.key(*peer);
                return self.handle(Input::PeerJoined { peer });
            }
            News::Left(peer) => {
                let peer = self.key(*peer);
                self.abort_all(peer);
                return self.handle(Input::PeerLeft { peer });
            }
            News::Nothing(peer) => (peer, Holdings::Nothing),
            News::Complete(peer) => (peer, Holdings::Complete),
            News::Shards { peer, first, bits } => {
                let (first, bits) = (*first, bits.clone());
                (peer, Holdings::Shards { first, bits })
            }
            News::Partial {
                peer,
                shard,
                groups,
            } => {
                let (shard, ranges) = (*shard, groups.clone());
                (peer, Holdings::Partial { shard, ranges })
            }
        };
        let peer = self.key(*peer);
        self.handle(Input::Holdings { peer, update });
    }

    fn decide(&mut self) {
        while let Some(output) = self.fetch.poll() {
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
                    if let Some(peer) = self.keys.get(&peer) {
                        tracing::debug!(%peer, ?offence, "a peer gave wrong bytes to a reader and is not asked again");
                        self.swarm.ban(*peer);
                    }
                }
                Output::ShardDone { .. } | Output::Completed => {}
            }
        }
    }

    fn request(&mut self, id: RequestId, key: PeerKey, items: &[Item]) {
        let Some(peer) = self.keys.get(&key).copied() else {
            let end = End::Closed;
            return self.handle(Input::Ended { request: id, end });
        };
        let request = Request {
            shared: self.shared.clone(),
            net: self.net.clone(),
            peer,
            key,
            id,
            tell: self.tell.clone(),
            received: Arc::default(),
            tally: self.shared.metrics.transfer.tally(),
            tell_every: TELL_READERS_EVERY,
        };
        let order = |item: &Item| {
            let file = self.files.get(item.shard)?;
            Some(Order {
                item: *item,
                hash: file.hash(),
                size: file.size(),
            })
        };
        let orders: Vec<_> = items.iter().filter_map(order).collect();
        let files = self.files.clone();
        let transfer = Transfer {
            request,
            orders,
            write: Arc::new(move |ready| write(&files, ready)),
        };
        let abort = self.transfers.spawn(transfer.run());
        self.requests.insert(abort.id(), (id, key));
        self.aborts.insert(id, abort);
    }

    fn arrived(&mut self, arrived: Arrived) {
        let Arrived {
            request,
            peer,
            item,
            bytes,
            missing,
        } = arrived;
        let Item { shard, groups } = item;
        if missing {
            tracing::debug!(peer = ?self.keys.get(&peer), ?shard, "a peer has a file no longer");
            return self.handle(Input::ItemMissing { request, shard });
        }
        if let Some(peer) = self.keys.get(&peer) {
            self.swarm.is_useful(*peer);
        }
        if let Some(running) = &self.running {
            running.partial(shard, &groups.into());
        }
        self.handle(Input::Verified {
            request,
            shard,
            groups,
            bytes,
        });
    }

    fn ended(&mut self, ended: Result<(Id, Result<(), TransferError>), JoinError>) {
        // What it told before its end counts before its end.
        while let Ok(arrived) = self.arrived.try_recv() {
            self.arrived(arrived);
        }
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, Some(outcome)),
            Err(error) => (error.id(), None),
        };
        let Some((request, peer)) = self.requests.remove(&id) else {
            return;
        };
        self.aborts.remove(&request);
        let end = match outcome {
            Some(Ok(())) => End::Done,
            Some(Err(error)) => {
                tracing::debug!(peer = ?self.keys.get(&peer), %error, "a transfer for a reader ended early");
                error.end()
            }
            None => End::Closed,
        };
        self.handle(Input::Ended { request, end });
    }

    fn abort(&mut self, request: RequestId) {
        if let Some(abort) = self.aborts.remove(&request) {
            self.requests.remove(&abort.id());
            abort.abort();
        }
    }

    fn abort_all(&mut self, peer: PeerKey) {
        let requests = self.requests.values();
        let of_peer: Vec<_> = requests
            .filter(|(_, key)| *key == peer)
            .map(|(request, _)| *request)
            .collect();
        for request in of_peer {
            self.abort(request);
        }
    }

    /// Lets the cache have the files that nobody reads any more. What is on its way still has its place.
    fn let_go(&mut self) {
        if self.requests.is_empty() {
            if self
                .running
                .as_ref()
                .is_none_or(|running| running.has_ended())
            {
                self.running = self.shared.sessions.begin(self.manifest, Sharing::Cache);
            }
            let is_read = |shard| self.readers.values().any(|(read, _)| *read == shard);
            self.files
                .change(|files| files.retain(|shard, _| is_read(*shard)));
        }
    }

    fn tell_waits_for(&mut self) {
        let now = self.now();
        let why = self.fetch.stalled(now).filter(|_| !self.readers.is_empty());
        let why = why.as_ref().map(waits_for);
        self.tell_readers.waits_for.send_if_modified(|known| {
            let changed = *known != why;
            *known = why;
            changed
        });
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        self.fetch.handle(now, input);
    }

    /// The key of a peer; the same for as long as the task runs.
    fn key(&mut self, peer: PeerId) -> PeerKey {
        let next = PeerKey(u32::try_from(self.peers.len()).unwrap_or(u32::MAX));
        let key = *self.peers.entry(peer).or_insert(next);
        self.keys.insert(key, peer);
        key
    }

    fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    fn instant(&self, time: Time) -> Instant {
        self.start + Duration::from_millis(time.as_millis())
    }
}

fn machine(shared: &Shared) -> Fetch {
    let config = FetchConfig {
        seed: shared.seed(),
        small_shard_bytes: writer::SMALL_BYTES_MAX,
        in_flight_bytes_max: IN_FLIGHT_BYTES_MAX,
        first_window_bytes: FIRST_WINDOW_BYTES,
        piece_bytes: PIECE_BYTES,
        on_demand: true,
        ..FetchConfig::default()
    };
    Fetch::new(config, [])
}

/// Writes verified pieces to their files. Blocks.
fn write(files: &Files, ready: Vec<(Arrived, Piece)>) -> Result<Vec<Arrived>, WriteError> {
    let mut arrived = Vec::with_capacity(ready.len());
    for (told, piece) in ready {
        let Some(file) = files.get(told.item.shard) else {
            continue;
        };
        file.write(piece)?;
        arrived.push(told);
    }
    Ok(arrived)
}
