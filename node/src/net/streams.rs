//! The behaviour that opens streams and takes those that peers open.

mod handler;

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll, Waker},
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
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{
    InboundStream, Stream, StreamProtocol, limits::Counters, stream::Names, transport::Kind,
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

/// See the module.
#[derive(Debug)]
pub(super) struct Behaviour {
    shared: Shared,
    /// Connections of each peer, the best first.
    connections: BTreeMap<PeerId, Vec<(Kind, ConnectionId)>>,
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
            requests: VecDeque::new(),
            waker: None,
        }
    }

    /// Opens a stream on the best connection to `peer`: TCP before QUIC, the oldest first.
    pub(super) fn open(&mut self, peer: PeerId, request: OpenRequest) {
        let best = self.connections.get(&peer).and_then(|all| all.first());
        let Some((_, connection)) = best.copied() else {
            let _ = request.reply.send(Err(OpenFailure::NotConnected));
            return;
        };
        self.requests.push_back((peer, connection, request));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn handler(&self, peer: PeerId) -> Handler {
        Handler::new(peer, self.shared.clone())
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                let kind = match event.endpoint {
                    ConnectedPoint::Dialer { address, .. } => Kind::of(address),
                    ConnectedPoint::Listener { local_addr, .. } => Kind::of(local_addr),
                };
                let connections = self.connections.entry(event.peer_id).or_default();
                connections.push((kind, event.connection_id));
                connections.sort_unstable();
            }
            FromSwarm::ConnectionClosed(event) => {
                if let Some(connections) = self.connections.get_mut(&event.peer_id) {
                    connections.retain(|(_, id)| *id != event.connection_id);
                    if connections.is_empty() {
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
