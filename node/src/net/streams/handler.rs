//! The streams of one connection.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll, Waker},
};

use libp2p::{
    PeerId, StreamProtocol as Name,
    core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::ConnectionEvent,
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc::error::TrySendError, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard, PollSemaphore};

use super::{OpenFailure, OpenRequest, Shared};
use crate::net::{
    InboundStream, Stream, StreamProtocol,
    counters::count,
    limits::{OPEN_TIMEOUT, STREAMS_IN_MAX, STREAMS_OUT_MAX},
    stream::Meter,
};

/// Agrees on one of some protocols and hands out the raw stream.
#[derive(Clone, Debug)]
pub(in crate::net) struct Raw(Vec<Name>);

impl UpgradeInfo for Raw {
    type Info = Name;
    type InfoIter = std::vec::IntoIter<Name>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

type Agreed = Ready<Result<(Name, libp2p::Stream), Infallible>>;

impl InboundUpgrade<libp2p::Stream> for Raw {
    type Output = (Name, libp2p::Stream);
    type Error = Infallible;
    type Future = Agreed;

    fn upgrade_inbound(self, stream: libp2p::Stream, name: Name) -> Agreed {
        ready(Ok((name, stream)))
    }
}

impl OutboundUpgrade<libp2p::Stream> for Raw {
    type Output = (Name, libp2p::Stream);
    type Error = Infallible;
    type Future = Agreed;

    fn upgrade_outbound(self, stream: libp2p::Stream, name: Name) -> Agreed {
        ready(Ok((name, stream)))
    }
}

/// An open under way.
#[derive(Debug)]
pub(in crate::net) struct Opening {
    protocol: StreamProtocol,
    reply: oneshot::Sender<Result<Stream, OpenFailure>>,
    place: OwnedSemaphorePermit,
    /// Frees the caller's place when the open ends, however it ends.
    _permit: OwnedSemaphorePermit,
}

/// See the module.
#[derive(Debug)]
pub(in crate::net) struct Handler {
    peer: PeerId,
    shared: Shared,
    /// Bytes read from its streams.
    read: Arc<AtomicU64>,
    /// Cancelled with the handler, which goes with the connection.
    connection: DropGuard,
    /// Places for streams that we open.
    places_out: PollSemaphore,
    /// Places for streams that the peer opens.
    places_in: Arc<Semaphore>,
    /// Bounded by the permits in the requests.
    requests: VecDeque<OpenRequest>,
    waker: Option<Waker>,
}

impl Handler {
    pub(super) fn new(peer: PeerId, shared: Shared, read: Arc<AtomicU64>) -> Self {
        Self {
            peer,
            shared,
            read,
            connection: CancellationToken::new().drop_guard(),
            places_out: PollSemaphore::new(Arc::new(Semaphore::new(STREAMS_OUT_MAX))),
            places_in: Arc::new(Semaphore::new(STREAMS_IN_MAX)),
            requests: VecDeque::new(),
            waker: None,
        }
    }

    fn wrap(
        &self,
        stream: (libp2p::Stream, StreamProtocol),
        place: OwnedSemaphorePermit,
    ) -> Stream {
        let meter = Meter {
            read: Arc::clone(&self.read),
            counters: Arc::clone(&self.shared.counters),
        };
        Stream::new(stream, self.connection.token().clone(), place, meter)
    }

    /// Hands a stream to the node, or drops it, which the peer sees as a refusal.
    fn take(&self, name: &Name, stream: libp2p::Stream) {
        let Some(protocol) = self.shared.names.protocol(name) else {
            return;
        };
        let Ok(place) = Arc::clone(&self.places_in).try_acquire_owned() else {
            count(&self.shared.counters.streams_refused_connection);
            return;
        };
        let stream = self.wrap((stream, protocol), place);
        let inbound = InboundStream {
            peer: self.peer,
            protocol,
            stream,
        };
        match self.shared.inbound.try_send(inbound) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                count(&self.shared.counters.streams_refused_queue);
            }
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = OpenRequest;
    type ToBehaviour = Infallible;
    type InboundProtocol = Raw;
    type OutboundProtocol = Raw;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opening;

    fn listen_protocol(&self) -> SubstreamProtocol<Raw> {
        SubstreamProtocol::new(Raw(self.shared.names.all()), ()).with_timeout(OPEN_TIMEOUT)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Raw, Opening, Infallible>> {
        while let Some(request) = self.requests.front() {
            if request.reply.is_closed() {
                self.requests.pop_front();
                continue;
            }
            let Poll::Ready(place) = self.places_out.poll_acquire(cx) else {
                // Woken when a stream of this connection ends.
                return Poll::Pending;
            };
            let (Some(place), Some(request)) = (place, self.requests.pop_front()) else {
                break;
            };
            let Some(name) = self.shared.names.of(request.protocol) else {
                continue;
            };
            let opening = Opening {
                protocol: request.protocol,
                reply: request.reply,
                place,
                _permit: request.permit,
            };
            let protocol =
                SubstreamProtocol::new(Raw(vec![name]), opening).with_timeout(OPEN_TIMEOUT);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, request: OpenRequest) {
        self.requests.push_back(request);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Raw, Raw, (), Opening>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(inbound) => {
                let (name, stream) = inbound.protocol;
                self.take(&name, stream);
            }
            ConnectionEvent::FullyNegotiatedOutbound(outbound) => {
                let ((_, stream), opening) = (outbound.protocol, outbound.info);
                let stream = self.wrap((stream, opening.protocol), opening.place);
                // If the caller has gone, the stream is dropped and the peer sees a reset.
                let _ = opening.reply.send(Ok(stream));
            }
            ConnectionEvent::DialUpgradeError(failed) => {
                let failure = match failed.error {
                    StreamUpgradeError::Timeout => OpenFailure::Timeout,
                    StreamUpgradeError::NegotiationFailed => OpenFailure::Unsupported,
                    StreamUpgradeError::Io(_) => OpenFailure::Lost,
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let _ = failed.info.reply.send(Err(failure));
            }
            _ => {}
        }
    }
}
