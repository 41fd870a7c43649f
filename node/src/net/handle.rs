//! The handle of a running network.

mod discovery;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::{ListenerId, TransportError},
    identity::{Keypair, ed25519},
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Census, ConnectError, Inbound, NetConfig, NetCounters, NetError, OpenError, PeerAddr, PeerInfo,
    Stream, StreamProtocol,
    addresses::{AddressBook, Policy, Scope},
    behaviour::{self, Behaviour},
    bootstrap::{Bootstrap, resolve},
    command::Command,
    counters::Counters,
    gossip::Unsent,
    kad::{Announced, DhtCommand},
    limits::{
        BAN_TIME, COMMAND_QUEUE, CONNECTS_MAX, EVENT_QUEUE, INBOUND_QUEUE, LISTEN_TIMEOUT,
        OPEN_TIMEOUT, OPENS_MAX, QUERIES_MAX,
    },
    pending::Pending,
    stream::Names,
    streams::{self, OpenFailure, OpenRequest},
    task::{Starting, Task},
    useful::Useful,
};

/// Longest name of a network.
const NETWORK_CHARS_MAX: usize = 32;

/// The handle of a running network; clones share it. When the last one is dropped, or after
/// [`Net::shutdown`], the network ends.
///
/// Every `async fn` here is safe to drop: what it began goes on or is undone by itself.
#[derive(Clone, Debug)]
pub struct Net(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    peer: PeerId,
    commands: mpsc::Sender<Command>,
    counters: Arc<Counters>,
    opens: Arc<Semaphore>,
    connects: Arc<Semaphore>,
    queries: Arc<Semaphore>,
    useful: Useful,
    scope: Scope,
    /// Does it look for peers on the local network?
    lan: bool,
    stop: CancellationToken,
    stopped: CancellationToken,
}

impl Net {
    /// Starts a network; returns when all listeners are up.
    ///
    /// # Errors
    /// [`NetError`]: the configuration is bad, or an address cannot be listened on.
    pub async fn start(config: NetConfig) -> Result<(Self, Inbound), NetError> {
        check_network(&config.network)?;
        let key = keypair(config.keypair_seed)?;
        let counters = Arc::new(Counters::default());
        let scope = Scope::of(&config.listen);
        let policy = Arc::new(Policy::new(scope, Arc::clone(&counters)));
        let (streams_tx, streams_rx) = mpsc::channel(INBOUND_QUEUE);
        let (events_tx, events_rx) = mpsc::channel(EVENT_QUEUE);
        let (commands_tx, commands_rx) = mpsc::channel(COMMAND_QUEUE);
        let names = Names::new(&config.network).ok_or_else(|| NetError::NetworkName {
            name: config.network.clone(),
        })?;
        let streams = streams::Behaviour::new(names, streams_tx, Arc::clone(&counters));
        let counted = Arc::clone(&counters);
        let mut swarm = behaviour::build(&config, &key, Arc::clone(&policy), streams, counted)?;
        let lan = swarm.behaviour().looks_on_lan();
        let listeners = listen(&mut swarm, &config.listen)?;
        let (ready_tx, ready_rx) = oneshot::channel();
        let task = Task {
            swarm,
            commands: commands_rx,
            events: events_tx,
            starting: Starting {
                listeners,
                ready: Some(ready_tx),
            },
            pending: Pending::default(),
            policy,
            counters: Arc::clone(&counters),
            book: AddressBook::default(),
            peers: BTreeMap::new(),
            bootstrap: config.bootstrap.iter().map(Bootstrap::new).collect(),
            lookups: JoinSet::new(),
            validate: config.validate_head,
            announced: Announced::default(),
            unsent: Unsent::default(),
            lan: BTreeSet::new(),
            network: config.network,
        };
        let net = Self(Arc::new(Shared {
            peer: key.public().to_peer_id(),
            commands: commands_tx,
            counters,
            opens: Arc::new(Semaphore::new(OPENS_MAX)),
            connects: Arc::new(Semaphore::new(CONNECTS_MAX)),
            queries: Arc::new(Semaphore::new(QUERIES_MAX)),
            useful: Useful::default(),
            scope,
            lan,
            stop: CancellationToken::new(),
            stopped: CancellationToken::new(),
        }));
        let (stop, stopped) = (net.0.stop.clone(), net.0.stopped.clone().drop_guard());
        tokio::spawn(async move {
            Box::pin(task.run(stop)).await;
            drop(stopped);
        });
        let ready = tokio::time::timeout(LISTEN_TIMEOUT, ready_rx).await;
        if !matches!(ready, Ok(Ok(()))) {
            net.shutdown().await;
            return Err(NetError::ListenTimeout);
        }
        Ok((
            net,
            Inbound {
                streams: streams_rx,
                events: events_rx,
            },
        ))
    }

    /// This node's id.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.0.peer
    }

    /// Does it look for peers on the local network? They may answer a moment after the start.
    #[must_use]
    pub fn looks_on_lan(&self) -> bool {
        self.0.lan
    }

    /// Where this node listens, each with `/p2p/<peer>`: TCP first. Empty after the shutdown.
    pub async fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.ask(|reply| Command::Listening { reply })
            .await
            .unwrap_or_default()
    }

    /// The connected peers of our network.
    pub async fn peers(&self) -> Vec<PeerInfo> {
        self.ask(|reply| Command::Peers { reply })
            .await
            .unwrap_or_default()
    }

    /// Where others may reach these peers, as far as they are connected and this node may tell: without
    /// those of which it knows no such address.
    ///
    /// Only what a peer said of itself, and only where it has been seen: else strangers could make a
    /// whole swarm knock at anybody's door.
    pub async fn reachable(&self, peers: Vec<PeerId>) -> Vec<PeerAddr> {
        self.ask(|reply| Command::Reachable { peers, reply })
            .await
            .unwrap_or_default()
    }

    /// What this network has now: connections, peers, its part of the DHT.
    pub async fn census(&self) -> Census {
        let census = self.ask(|reply| Command::Census { reply }).await;
        Census {
            queries: QUERIES_MAX.saturating_sub(self.0.queries.available_permits()),
            ..census.unwrap_or_default()
        }
    }

    /// How often something happened, was refused or was dropped.
    #[must_use]
    pub fn counters(&self) -> NetCounters {
        self.0.counters.snapshot()
    }

    /// Connects to a peer at addresses that *strangers* named (the DHT, peer exchange), or, without
    /// any, at those that are known. Addresses inside private networks are left out.
    ///
    /// # Errors
    /// [`ConnectError`], within 15 seconds.
    pub async fn connect(&self, peer: PeerAddr) -> Result<(), ConnectError> {
        let permit = acquire(&self.0.connects)
            .await
            .ok_or(ConnectError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Connect {
            peer,
            reply,
            permit,
        })
        .await
        .ok_or(ConnectError::Stopped)?;
        answer.await.map_err(|_| ConnectError::Stopped)?.map(|_| ())
    }

    /// Connects to whoever is at an address that the *user* named (a link, the command line, the
    /// configuration), and says who it is. With `/p2p/<peer>` at its end it must be that peer. Host
    /// names (`/dns`, `/dns4`, `/dns6`) are resolved by the system.
    ///
    /// # Errors
    /// [`ConnectError`], within 15 seconds after the name is resolved.
    pub async fn dial(&self, addr: Multiaddr) -> Result<PeerId, ConnectError> {
        let mut last = ConnectError::Address { addr: addr.clone() };
        for addr in resolve(&addr, self.0.scope).await {
            let permit = acquire(&self.0.connects)
                .await
                .ok_or(ConnectError::Stopped)?;
            let (reply, answer) = oneshot::channel();
            self.send(Command::Dial {
                addr,
                reply,
                permit,
            })
            .await
            .ok_or(ConnectError::Stopped)?;
            match answer.await.map_err(|_| ConnectError::Stopped)? {
                Ok(peer) => return Ok(peer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Opens a stream. Connects first if need be; on an existing connection it takes one round trip.
    ///
    /// # Errors
    /// [`OpenError`], within 25 seconds, and at once if the connection breaks.
    pub async fn open(&self, peer: PeerId, protocol: StreamProtocol) -> Result<Stream, OpenError> {
        match self.open_connected(peer, protocol).await? {
            Ok(stream) => return Ok(stream),
            Err(OpenFailure::NotConnected) => {}
            Err(failure) => return Err(open_error(failure, peer, protocol)),
        }
        let addrs = Vec::new();
        let connected = self.connect(PeerAddr { peer, addrs }).await;
        connected.map_err(|source| OpenError::Connect { peer, source })?;
        let stream = self.open_connected(peer, protocol).await?;
        stream.map_err(|failure| open_error(failure, peer, protocol))
    }

    async fn open_connected(
        &self,
        peer: PeerId,
        protocol: StreamProtocol,
    ) -> Result<Result<Stream, OpenFailure>, OpenError> {
        let permit = acquire(&self.0.opens).await.ok_or(OpenError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        let request = OpenRequest {
            protocol,
            reply,
            permit,
        };
        self.send(Command::Open { peer, request })
            .await
            .ok_or(OpenError::Stopped)?;
        Ok(match tokio::time::timeout(OPEN_TIMEOUT, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(OpenFailure::Lost),
            Err(_) => Err(OpenFailure::Timeout),
        })
    }

    /// Remembers addresses of a peer that strangers named, without connecting.
    pub async fn learn(&self, peer: PeerAddr) {
        self.send(Command::Learn { peer }).await;
    }

    /// Closes all connections to a peer.
    pub async fn disconnect(&self, peer: PeerId) {
        self.send(Command::Disconnect { peer }).await;
    }

    /// Bans a peer for an hour: its connections are closed, new ones refused. Bans do not survive a
    /// restart.
    pub async fn ban(&self, peer: PeerId) {
        self.ban_for(peer, BAN_TIME).await;
    }

    /// Bans a peer for a while; see [`Net::ban`].
    pub async fn ban_for(&self, peer: PeerId, span: Duration) {
        self.send(Command::Ban { peer, span }).await;
    }

    /// Notes that a peer gave something that was verified.
    pub(crate) fn note_useful(&self, peer: PeerId) {
        self.0.useful.note(Instant::now(), peer);
    }

    /// When a peer last gave something that was verified, if it ever did.
    pub(crate) fn useful_at(&self, peer: &PeerId) -> Option<Instant> {
        self.0.useful.at(peer)
    }

    /// Closes all connections and ends the network; returns when it has ended, within 2 seconds.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.stopped.cancelled().await;
    }

    async fn send(&self, command: Command) -> Option<()> {
        self.0.commands.send(command).await.ok()
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).await?;
        answer.await.ok()
    }
}

fn listen(swarm: &mut Swarm<Behaviour>, addrs: &[Multiaddr]) -> Result<Vec<ListenerId>, NetError> {
    let one = |addr: &Multiaddr| {
        let failed = |error| NetError::Listen {
            addr: addr.clone(),
            source: to_io(error),
        };
        swarm.listen_on(addr.clone()).map_err(failed)
    };
    addrs.iter().map(one).collect()
}

async fn acquire(places: &Arc<Semaphore>) -> Option<tokio::sync::OwnedSemaphorePermit> {
    Arc::clone(places).acquire_owned().await.ok()
}

fn open_error(failure: OpenFailure, peer: PeerId, protocol: StreamProtocol) -> OpenError {
    match failure {
        OpenFailure::Unsupported => OpenError::Unsupported { peer, protocol },
        OpenFailure::Timeout => OpenError::Timeout { peer },
        OpenFailure::NotConnected | OpenFailure::Lost => OpenError::Lost { peer },
    }
}

fn to_io(error: TransportError<std::io::Error>) -> std::io::Error {
    match error {
        TransportError::MultiaddrNotSupported(_) => std::io::Error::new(
            std::io::ErrorKind::Unsupported,
            "not a TCP or QUIC address; use /ip4/<address>/tcp/<port> or …/udp/<port>/quic-v1",
        ),
        TransportError::Other(error) => error,
    }
}

fn keypair(mut seed: [u8; 32]) -> Result<Keypair, NetError> {
    let secret = ed25519::SecretKey::try_from_bytes(&mut seed);
    let secret = secret.map_err(|error| NetError::Key(Box::new(error)))?;
    Ok(ed25519::Keypair::from(secret).into())
}

fn check_network(name: &str) -> Result<(), NetError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > NETWORK_CHARS_MAX || !name.chars().all(allowed) {
        return Err(NetError::NetworkName {
            name: name.to_owned(),
        });
    }
    Ok(())
}
