//! The behaviour that opens streams and takes those that peers open.

mod handler;

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use handler::Handler;
use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::Instant,
};

use super::{
    InboundStream, Stream, StreamProtocol,
    counters::Counters,
    route::{Read, Route},
    stream::Names,
    transport::Kind,
};

/// Somebody here wants a stream. Dropped without an answer, it says that the connection is gone.
#[derive(Debug)]
pub(super) struct OpenRequest {
    pub(super) protocol: StreamProtocol,
    pub(super) reply: oneshot::Sender<Result<Stream, OpenFailure>>,
    /// The caller's place among all opens under way.
    pub(super) permit: OwnedSemaphorePermit,
}

/// Why a peer gave no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenFailure {
    NotConnected,
    Unsupported,
    Timeout,
    Lost,
}

/// What all handlers share.
#[derive(Clone, Debug)]
struct Shared {
    names: Arc<Names>,
    inbound: mpsc::Sender<InboundStream>,
    counters: Arc<Counters>,
}

/// A connection to a peer.
#[derive(Debug)]
struct Connection {
    kind: Kind,
    id: ConnectionId,
    /// Bytes that were read from its streams.
    read: Arc<AtomicU64>,
}

/// The connections to a peer.
#[derive(Debug, Default)]
struct Connections {
    /// The oldest of each kind first.
    all: Vec<Connection>,
    route: Route,
    /// Is the peer asked for blobs, or for what it has of them?
    is_source: bool,
}

impl Connections {
    fn oldest(&self, kind: Kind) -> Option<&Connection> {
        self.all.iter().find(|connection| connection.kind == kind)
    }

    fn read(&self) -> Read {
        let read = |kind| {
            let oldest = self.oldest(kind)?;
            Some(oldest.read.load(Ordering::Relaxed))
        };
        Read {
            tcp: read(Kind::Tcp),
            quic: read(Kind::Quic),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Behaviour {
    shared: Shared,
    connections: BTreeMap<PeerId, Connections>,
    /// What connections that are not yet told of will have read. Bounded by the limits on them.
    meters: BTreeMap<ConnectionId, Arc<AtomicU64>>,
    /// Bounded by the permits in the requests.
    requests: VecDeque<(PeerId, ConnectionId, OpenRequest)>,
    waker: Option<Waker>,
}

impl Behaviour {
    pub(super) fn new(
        names: Names,
        inbound: mpsc::Sender<InboundStream>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            shared: Shared {
                names: Arc::new(names),
                inbound,
                counters,
            },
            connections: BTreeMap::new(),
            meters: BTreeMap::new(),
            requests: VecDeque::new(),
            waker: None,
        }
    }

    /// Opens a stream on the connection to `peer` that [`Route`] chooses; of equal ones the oldest.
    /// `round_trip` is what the shortest ping took.
    pub(super) fn open(
        &mut self,
        peer: PeerId,
        round_trip: Option<Duration>,
        request: OpenRequest,
    ) {
        let Some(connections) = self.connections.get_mut(&peer) else {
            let _ = request.reply.send(Err(OpenFailure::NotConnected));
            return;
        };
        connections.is_source |= matches!(
            request.protocol,
            StreamProtocol::Holdings | StreamProtocol::Blobs
        );
        let read = connections.read();
        let kind = match request.protocol {
            StreamProtocol::Blobs => connections.route.choose(Instant::now(), round_trip, read),
            StreamProtocol::Records | StreamProtocol::Sync | StreamProtocol::Holdings => Kind::Tcp,
        };
        let best = connections.oldest(kind).or(connections.all.first());
        let Some(connection) = best.map(|connection| connection.id) else {
            return;
        };
        self.requests.push_back((peer, connection, request));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Does bulk come from the peer, and no connection to it go over QUIC?
    pub(super) fn lacks_quic(&self, peer: &PeerId) -> bool {
        let connections = self.connections.get(peer);
        connections.is_some_and(|one| one.is_source && one.read().quic.is_none())
    }

    /// Is a connection over QUIC wanted beside that over TCP? Says so at most once a minute.
    pub(super) fn wants_quic(&mut self, peer: &PeerId, round_trip: Option<Duration>) -> bool {
        let connections = self.connections.get_mut(peer);
        connections.is_some_and(|one| one.route.wants_quic(Instant::now(), round_trip))
    }

    fn handler(&mut self, peer: PeerId, id: ConnectionId) -> Handler {
        let read = Arc::new(AtomicU64::new(0));
        self.meters.insert(id, Arc::clone(&read));
        Handler::new(peer, self.shared.clone(), read)
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, id))
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, id))
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                let kind = match event.endpoint {
                    ConnectedPoint::Dialer { address, .. } => Kind::of(address),
                    ConnectedPoint::Listener { local_addr, .. } => Kind::of(local_addr),
                };
                let id = event.connection_id;
                let connections = self.connections.entry(event.peer_id).or_default();
                let read = self.meters.remove(&id).unwrap_or_default();
                connections.all.push(Connection { kind, id, read });
                // Others may have been refused after their handlers were made.
                self.meters.retain(|_, meter| Arc::strong_count(meter) > 1);
                connections.all.sort_by_key(|one| (one.kind, one.id));
            }
            FromSwarm::ConnectionClosed(event) => {
                if let Some(connections) = self.connections.get_mut(&event.peer_id) {
                    connections.all.retain(|one| one.id != event.connection_id);
                    if connections.all.is_empty() {
                        self.connections.remove(&event.peer_id);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection, event)) = self.requests.pop_front() {
            let handler = NotifyHandler::One(connection);
            return Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler,
                event,
            });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
