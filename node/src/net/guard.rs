//! Refuses connections of banned peers, and too many from one address.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};
use tokio::time::Instant;

use super::{
    addresses::ip_of,
    counters::{Counters, count},
    limits::{BANS_MAX, CONNECTIONS_PER_IP_MAX},
};

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the peer is banned")]
    Banned,
    #[error("too many connections from one address")]
    Address,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Behaviour {
    counters: Arc<Counters>,
    banned: HashMap<PeerId, Instant>,
    ban_order: VecDeque<PeerId>,
    /// Established inbound connections of each address.
    inbound: HashMap<IpAddr, u32>,
}

impl Behaviour {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        let (banned, ban_order, inbound) = (HashMap::new(), VecDeque::new(), HashMap::new());
        Self {
            counters,
            banned,
            ban_order,
            inbound,
        }
    }

    /// Refuses `peer` for a while. The oldest ban gives way when there are too many.
    pub(super) fn ban(&mut self, peer: PeerId, span: Duration) {
        if self.banned.insert(peer, Instant::now() + span).is_none() {
            self.ban_order.push_back(peer);
            if self.ban_order.len() > BANS_MAX
                && let Some(oldest) = self.ban_order.pop_front()
            {
                self.banned.remove(&oldest);
            }
        }
    }

    pub(super) fn is_banned(&self, peer: &PeerId) -> bool {
        self.banned
            .get(peer)
            .is_some_and(|until| Instant::now() < *until)
    }

    fn check(&self, peer: &PeerId) -> Result<(), ConnectionDenied> {
        if self.is_banned(peer) {
            count(&self.counters.connections_refused);
            return Err(ConnectionDenied::new(Refused::Banned));
        }
        Ok(())
    }

    fn has_room(&self, addr: &Multiaddr) -> bool {
        let Some(source) = source(addr) else {
            return true;
        };
        self.inbound
            .get(&source)
            .is_none_or(|count| *count < CONNECTIONS_PER_IP_MAX)
    }
}

/// Whom an inbound address counts for: an IPv4 address or an IPv6 /64. Nobody on loopback.
fn source(addr: &Multiaddr) -> Option<IpAddr> {
    match ip_of(addr)? {
        ip if ip.is_loopback() => None,
        IpAddr::V4(ip) => Some(IpAddr::V4(ip)),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Some(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        if self.has_room(remote) {
            return Ok(());
        }
        count(&self.counters.connections_refused);
        Err(ConnectionDenied::new(Refused::Address))
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(&peer).map(|()| dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        peer.map_or(Ok(()), |peer| self.check(&peer))
            .map(|()| Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(&peer).map(|()| dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                if let ConnectedPoint::Listener { send_back_addr, .. } = event.endpoint
                    && let Some(source) = source(send_back_addr)
                {
                    *self.inbound.entry(source).or_default() += 1;
                }
            }
            FromSwarm::ConnectionClosed(event) => {
                if let ConnectedPoint::Listener { send_back_addr, .. } = event.endpoint
                    && let Some(source) = source(send_back_addr)
                    && let Some(count) = self.inbound.get_mut(&source)
                {
                    *count -= 1;
                    if *count == 0 {
                        self.inbound.remove(&source);
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

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}
