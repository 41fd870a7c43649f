//! One address that accepts QUIC connections.

use std::{
    io,
    net::SocketAddr,
    task::{Context, Poll, ready},
};

use futures::{FutureExt, future::BoxFuture};
use if_watch::{IfEvent, tokio::IfWatcher};
use libp2p::core::transport::{ListenerId, TransportEvent};
use quinn::{Endpoint, Incoming, VarInt};

use super::{Event, multiaddr, upgrade};

/// See the module.
pub(super) struct Listener {
    pub(super) id: ListenerId,
    pub(super) endpoint: Endpoint,
    local: SocketAddr,
    accept: BoxFuture<'static, Option<Incoming>>,
    /// Tells the addresses of this machine if the listener has all of them.
    interfaces: Option<IfWatcher>,
    told: bool,
    closed: bool,
}

fn accept(endpoint: Endpoint) -> BoxFuture<'static, Option<Incoming>> {
    async move { endpoint.accept().await }.boxed()
}

impl Listener {
    pub(super) fn new(id: ListenerId, endpoint: Endpoint) -> io::Result<Self> {
        let local = endpoint.local_addr()?;
        let interfaces = match local.ip().is_unspecified() {
            true => Some(IfWatcher::new()?),
            false => None,
        };
        Ok(Self {
            id,
            local,
            accept: accept(endpoint.clone()),
            endpoint,
            told: interfaces.is_some(),
            interfaces,
            closed: false,
        })
    }

    /// Can a dial to `to` leave from here?
    pub(super) fn reaches(&self, to: SocketAddr) -> bool {
        let from = self.local.ip();
        !self.closed
            && self.local.is_ipv4() == to.is_ipv4()
            && (from.is_unspecified() || from.is_loopback() == to.ip().is_loopback())
    }

    /// Ends its connections and, at the next poll, itself.
    pub(super) fn close(&mut self) {
        self.endpoint.close(VarInt::from_u32(0), &[]);
        self.closed = true;
    }

    /// The next thing that happens here.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if self.closed {
            return Poll::Ready(TransportEvent::ListenerClosed {
                listener_id: self.id,
                reason: Ok(()),
            });
        }
        if !std::mem::replace(&mut self.told, true) {
            return Poll::Ready(TransportEvent::NewAddress {
                listener_id: self.id,
                listen_addr: multiaddr(self.local),
            });
        }
        if let Poll::Ready(event) = self.poll_interfaces(cx) {
            return Poll::Ready(event);
        }
        let incoming = ready!(self.accept.poll_unpin(cx));
        let Some(incoming) = incoming else {
            self.closed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        self.accept = accept(self.endpoint.clone());
        let from = incoming.remote_address();
        Poll::Ready(match incoming.accept() {
            Ok(connecting) => TransportEvent::Incoming {
                listener_id: self.id,
                upgrade: upgrade(connecting).boxed(),
                local_addr: multiaddr(self.local),
                send_back_addr: multiaddr(from),
            },
            Err(error) => TransportEvent::ListenerError {
                listener_id: self.id,
                error: error.into(),
            },
        })
    }

    fn poll_interfaces(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let (listener_id, local) = (self.id, self.local);
        let Some(interfaces) = self.interfaces.as_mut() else {
            return Poll::Pending;
        };
        loop {
            let (net, is_up) = match ready!(interfaces.poll_if_event(cx)) {
                Ok(IfEvent::Up(net)) => (net, true),
                Ok(IfEvent::Down(net)) => (net, false),
                Err(error) => {
                    return Poll::Ready(TransportEvent::ListenerError { listener_id, error });
                }
            };
            if net.addr().is_ipv4() != local.is_ipv4() {
                continue;
            }
            let listen_addr = multiaddr(SocketAddr::new(net.addr(), local.port()));
            return Poll::Ready(match is_up {
                true => TransportEvent::NewAddress {
                    listener_id,
                    listen_addr,
                },
                false => TransportEvent::AddressExpired {
                    listener_id,
                    listen_addr,
                },
            });
        }
    }
}
