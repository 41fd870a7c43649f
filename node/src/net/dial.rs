//! Connections: who asks for them, how they come up, and how they go.

use std::sync::Arc;

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    multiaddr::Protocol,
    swarm::{
        ConnectionId, DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    ConnectError, NetEvent, PeerAddr,
    addresses::without_peer,
    command::ConnectReply,
    guard::Refused,
    limits::{CONFIRM_TIMEOUT, CONNECT_TIMEOUT, OTHER_NETWORK_TIME},
    pending::{Entry, Reply, Waiting},
    streams::OpenRequest,
    task::{Connection, Peer, Task},
    transport::Kind,
};

/// The peer that an address ends with.
pub(super) fn peer_in(addr: &Multiaddr) -> Option<PeerId> {
    match addr.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// Tells all of `waiting` why there is no connection.
fn fail(waiting: Vec<Entry>, peer: Option<PeerId>, error: DialError) {
    let banned = match &error {
        DialError::Denied { cause } => cause.downcast_ref() == Some(&Refused::Banned),
        _ => false,
    };
    let error = Arc::new(error);
    for entry in waiting {
        entry.reply.connected(Err(match (&*error, peer) {
            (DialError::NoAddresses, Some(peer)) => ConnectError::NoAddress { peer },
            (DialError::Denied { .. }, Some(peer)) if banned => ConnectError::Banned { peer },
            _ => ConnectError::Unreachable(Arc::clone(&error)),
        }));
    }
}

impl Task {
    /// Connects to `peer` at the given addresses or at those that are known.
    pub(super) fn connect(
        &mut self,
        peer: &PeerAddr,
        reply: ConnectReply,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let id = peer.peer;
        if self.is_confirmed(&id) {
            let _ = reply.send(Ok(id));
            return;
        }
        for addr in peer.addrs.iter().rev() {
            self.book.add(id, addr);
        }
        let reply = Reply::Connect {
            reply,
            dialled: false,
        };
        self.pending.add(
            Waiting::Peer(id),
            Entry::new(reply, CONNECT_TIMEOUT, permit),
        );
        self.dial_waiting(id);
    }

    /// Connects to whoever is at `addr`, which the user vouches for.
    pub(super) fn dial(
        &mut self,
        addr: &Multiaddr,
        reply: ConnectReply,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        self.policy.trust(addr);
        if let Some(peer) = peer_in(addr) {
            self.connect(
                &PeerAddr {
                    peer,
                    addrs: vec![addr.clone()],
                },
                reply,
                permit,
            );
            return;
        }
        let opts = DialOpts::from(addr.clone());
        let what = Waiting::Connection(opts.connection_id());
        let reply = Reply::Connect {
            reply,
            dialled: true,
        };
        match self.swarm.dial(opts) {
            Ok(()) => self
                .pending
                .add(what, Entry::new(reply, CONNECT_TIMEOUT, permit)),
            Err(error) => reply.connected(Err(ConnectError::Unreachable(Arc::new(error)))),
        }
    }

    /// Dials for those who wait for a connection to `peer`, unless it is there or being dialled.
    fn dial_waiting(&mut self, peer: PeerId) {
        let addrs = self.book.get(&peer, &self.policy);
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addrs)
            .extend_addresses_through_behaviour()
            .build();
        match self.swarm.dial(opts) {
            Ok(()) => {
                let mut waiting = self.pending.take(&Waiting::Peer(peer));
                for entry in &mut waiting {
                    if let Reply::Connect { dialled, .. } = &mut entry.reply {
                        *dialled = true;
                    }
                }
                for entry in waiting {
                    self.pending.add(Waiting::Peer(peer), entry);
                }
            }
            // Connected but not confirmed yet, or being dialled: either ends the waiting.
            Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(error) => {
                let waiting = self.pending.take(&Waiting::Peer(peer));
                fail(waiting, Some(peer), error);
            }
        }
    }

    /// Opens a stream.
    pub(super) fn open(&mut self, peer: PeerId, request: OpenRequest) {
        let round_trip = self.peers.get(&peer).and_then(|state| state.rtt_min);
        let streams = &mut self.swarm.behaviour_mut().streams;
        streams.open(peer, round_trip, request);
        self.dial_quic(peer);
    }

    /// Dials QUIC beside TCP if bulk will come from the peer, and is known to be faster so: as early as that, since the
    /// first requests would go over TCP, and a far peer's are slow.
    pub(super) fn dial_quic(&mut self, peer: PeerId) {
        let round_trip = self.peers.get(&peer).and_then(|state| state.rtt_min);
        let streams = &mut self.swarm.behaviour_mut().streams;
        if !streams.lacks_quic(&peer) {
            return;
        }
        let mut addrs = self.book.get(&peer, &self.policy);
        addrs.retain(|addr| Kind::of(addr) == Kind::Quic);
        if addrs.is_empty() || !streams.wants_quic(&peer, round_trip) {
            return;
        }
        tracing::debug!(%peer, ?round_trip, "dials QUIC beside TCP");
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::NotDialing)
            .addresses(addrs)
            .build();
        // Nobody waits for it: streams go over TCP meanwhile.
        if let Err(error) = self.swarm.dial(opts) {
            tracing::debug!(%peer, %error, "cannot dial QUIC");
        }
    }

    pub(super) fn on_dial_failed(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        error: DialError,
    ) {
        tracing::debug!(?peer, %error, "dial failed");
        let mut failed = self.pending.take(&Waiting::Connection(connection));
        let mut again = None;
        if let Some(peer) = peer {
            if let DialError::WrongPeerId { address, .. } = &error {
                self.book.remove(&peer, &without_peer(address));
            }
            self.on_bootstrap_failed(peer);
            // The peer may have dialled us meanwhile, and be about to show its network.
            let connected = self.swarm.is_connected(&peer);
            for entry in self.pending.take(&Waiting::Peer(peer)) {
                if connected {
                    self.pending.add(Waiting::Peer(peer), entry);
                } else if matches!(entry.reply, Reply::Connect { dialled: false, .. }) {
                    // It came with addresses of its own while another dial ran.
                    self.pending.add(Waiting::Peer(peer), entry);
                    again = Some(peer);
                } else {
                    failed.push(entry);
                }
            }
        }
        fail(failed, peer, error);
        if let Some(peer) = again {
            self.dial_waiting(peer);
        }
    }

    pub(super) fn on_connected(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        let addr = without_peer(endpoint.get_remote_address());
        let kind = match endpoint {
            ConnectedPoint::Dialer { .. } => Kind::of(&addr),
            ConnectedPoint::Listener { local_addr, .. } => Kind::of(local_addr),
        };
        let state = self.peers.entry(peer).or_insert_with(Peer::new);
        state.connections.insert(
            connection,
            Connection {
                addr: addr.clone(),
                dialled: endpoint.is_dialer(),
                pings_lost: 0,
            },
        );
        if endpoint.is_dialer() {
            self.book.add(peer, &addr);
            self.on_bootstrap_connected(peer, &addr);
        }
        for entry in self.pending.take(&Waiting::Connection(connection)) {
            self.pending.add(Waiting::Peer(peer), entry);
        }
        // The handshake over TCP has proven the network's name; over QUIC identify will.
        if kind == Kind::Tcp || self.is_confirmed(&peer) {
            self.on_confirmed(peer);
        }
    }

    /// The peer has shown that it belongs to our network.
    pub(super) fn on_confirmed(&mut self, peer: PeerId) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        let new = !std::mem::replace(&mut state.confirmed, true);
        for entry in self.pending.take(&Waiting::Peer(peer)) {
            entry.reply.connected(Ok(peer));
        }
        if new {
            self.emit(NetEvent::PeerConnected { peer });
        }
    }

    /// The peer belongs to another network.
    pub(super) fn on_other_network(&mut self, peer: PeerId) {
        tracing::debug!(%peer, "belongs to another network");
        for entry in self.pending.take(&Waiting::Peer(peer)) {
            entry
                .reply
                .connected(Err(ConnectError::OtherNetwork { peer }));
        }
        // Without the ban the next discovery would connect again at once.
        self.swarm
            .behaviour_mut()
            .guard
            .ban(peer, OTHER_NETWORK_TIME);
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    pub(super) fn on_disconnected(&mut self, peer: PeerId, connection: ConnectionId) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        state.connections.remove(&connection);
        if !state.connections.is_empty() {
            return;
        }
        let confirmed = state.confirmed;
        self.peers.remove(&peer);
        if confirmed {
            self.emit(NetEvent::PeerDisconnected { peer });
            return;
        }
        fail(
            self.pending.take(&Waiting::Peer(peer)),
            Some(peer),
            DialError::Aborted,
        );
    }

    /// Ends all who wait for `what` with what there is.
    pub(super) fn finish(&mut self, what: &Waiting) {
        for entry in self.pending.take(what) {
            entry.reply.end();
        }
    }

    /// Ends what is late, and dials bootstrap peers that are away.
    pub(super) fn on_tick(&mut self, now: Instant) {
        for (_, entry) in self.pending.expired(now) {
            entry.reply.end();
        }
        self.on_kad_tick(now);
        let unconfirmed = self.peers.iter().filter(|(_, state)| {
            !state.confirmed && now.saturating_duration_since(state.since) > CONFIRM_TIMEOUT
        });
        // When the connection is gone, those who wait are told.
        for peer in unconfirmed.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.dial_bootstrap(now);
    }
}
