//! The task that owns the swarm. None of its handlers waits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    ping,
    swarm::{ConnectionId, SwarmEvent},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{
    HeadValidator, NetEvent, PeerAddr, PeerInfo,
    addresses::{AddressBook, Policy, is_reachable, to_tell},
    behaviour::{Behaviour, BehaviourEvent},
    bootstrap::{Bootstrap, Resolved},
    command::Command,
    counters::{Counters, count},
    gossip::{Manners, Unsent},
    kad::Announced,
    limits::{PINGS_LOST_MAX, SHUTDOWN_TIMEOUT, TICK},
    pending::Pending,
    transport::Kind,
};

/// A peer with at least one connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    /// Has it shown that it belongs to our network?
    pub(super) confirmed: bool,
    pub(super) since: Instant,
    pub(super) agent: Option<String>,
    /// Where it says that it listens.
    pub(super) listens: Vec<Multiaddr>,
    /// What the last ping took.
    pub(super) rtt: Option<Duration>,
    /// What the shortest ping took: how far the peer is, however busy it or this node may be.
    pub(super) rtt_min: Option<Duration>,
    pub(super) manners: Manners,
}

impl Peer {
    pub(super) fn new() -> Self {
        let connections = BTreeMap::new();
        Self {
            connections,
            confirmed: false,
            since: Instant::now(),
            agent: None,
            listens: Vec::new(),
            rtt: None,
            rtt_min: None,
            manners: Manners::new(),
        }
    }
}

/// One connection of a peer.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) addr: Multiaddr,
    /// Who made it: an address that was dialled leads to the peer.
    pub(super) dialled: bool,
    /// Pings in a row without an answer.
    pub(super) pings_lost: u32,
}

/// Listeners that have no address yet, and who waits for them.
pub(super) struct Starting {
    pub(super) listeners: Vec<ListenerId>,
    pub(super) ready: Option<oneshot::Sender<()>>,
}

/// See the module. Its handlers live in the modules of their protocols.
pub(super) struct Task {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) network: String,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: mpsc::Sender<NetEvent>,
    pub(super) starting: Starting,
    pub(super) pending: Pending,
    pub(super) policy: Arc<Policy>,
    pub(super) counters: Arc<Counters>,
    pub(super) book: AddressBook,
    /// Bounded by the limits on connections.
    pub(super) peers: BTreeMap<PeerId, Peer>,
    pub(super) bootstrap: Vec<Bootstrap>,
    /// A few for each bootstrap peer: they end in time, and begin ever less often.
    pub(super) lookups: JoinSet<Resolved>,
    pub(super) validate: HeadValidator,
    pub(super) announced: Announced,
    pub(super) unsent: Unsent,
    /// Peers that mDNS sees. Bounded where it is filled.
    pub(super) lan: BTreeSet<PeerId>,
}

impl Task {
    /// Runs until `stop`, or until all handles are gone.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.listeners_changed();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => break,
                },
                Some(resolved) = self.lookups.join_next() => {
                    if let Ok(resolved) = resolved {
                        self.on_resolved(resolved);
                    }
                }
                _ = tick.tick() => self.on_tick(Instant::now()),
            }
        }
        self.close().await;
    }

    /// Closes all connections, so that peers notice at once.
    async fn close(mut self) {
        for peer in self.swarm.connected_peers().copied().collect::<Vec<_>>() {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self
                .swarm
                .network_info()
                .connection_counters()
                .num_established()
                > 0
            {
                self.swarm.next().await;
            }
        };
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, closed).await;
    }

    pub(super) fn is_confirmed(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|state| state.confirmed)
    }

    /// Tells the node, or drops the event and counts it.
    pub(super) fn emit(&self, event: NetEvent) {
        if self.events.try_send(event).is_err() {
            count(&self.counters.events_dropped);
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Connect {
                peer,
                reply,
                permit,
            } => self.connect(&peer, reply, Some(permit)),
            Command::Dial {
                addr,
                reply,
                permit,
            } => self.dial(&addr, reply, Some(permit)),
            Command::Open { peer, request } => self.open(peer, request),
            Command::Dht(command) => self.on_dht_command(command),
            Command::Gossip { bytes } => self.gossip_head(bytes),
            Command::Verdict { id, verdict } => self.verdict(&id, verdict),
            Command::Peers { reply } => {
                let _ = reply.send(self.peer_infos());
            }
            Command::Census { reply } => {
                let _ = reply.send(self.census());
            }
            Command::Reachable { peers, reply } => {
                let known = peers.into_iter().filter_map(|peer| self.reachable(peer));
                let _ = reply.send(known.collect());
            }
            Command::Listening { reply } => {
                let _ = reply.send(self.listening());
            }
            Command::Learn { peer } => {
                for addr in peer.addrs.iter().rev() {
                    self.book.add(peer.peer, addr);
                }
            }
            Command::Ban { peer, span } => self.ban(peer, span),
            Command::Disconnect { peer } => {
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
    }

    /// Ends all connections to a peer, and refuses new ones for a while.
    pub(super) fn ban(&mut self, peer: PeerId, span: Duration) {
        self.swarm.behaviour_mut().guard.ban(peer, span);
        // An error means that it is gone already.
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                ..
            } => {
                self.on_disconnected(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                peer_id,
                error,
            } => {
                self.on_dial_failed(connection_id, peer_id, error);
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                tracing::debug!(%error, "inbound connection failed");
            }
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => {
                self.starting.listeners.retain(|id| *id != listener_id);
                self.listeners_changed();
                if is_reachable(&address, self.policy.scope()) {
                    self.swarm.add_external_address(address.clone());
                }
                self.emit(NetEvent::Listening { addr: address });
            }
            SwarmEvent::ListenerClosed {
                addresses,
                reason: Err(error),
                ..
            } => {
                tracing::warn!(?addresses, %error, "a listener ended: restart the node");
            }
            SwarmEvent::NewExternalAddrOfPeer { peer_id, address } => {
                self.book.add(peer_id, &address);
            }
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(event) => self.on_identify(event),
            BehaviourEvent::Ping(event) => self.on_ping(&event),
            BehaviourEvent::Kad(event) => self.on_kad(event),
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Mdns(event) => self.on_mdns(event),
            BehaviourEvent::Guard(never) => match never {},
            BehaviourEvent::Limits(never) => match never {},
            BehaviourEvent::Memory(never) => match never {},
            BehaviourEvent::Streams(never) => match never {},
        }
    }

    fn on_ping(&mut self, event: &ping::Event) {
        let Some(state) = self.peers.get_mut(&event.peer) else {
            return;
        };
        let Some(connection) = state.connections.get_mut(&event.connection) else {
            return;
        };
        match &event.result {
            Ok(rtt) => {
                connection.pings_lost = 0;
                state.rtt = Some(*rtt);
                state.rtt_min = Some(state.rtt_min.map_or(*rtt, |least| least.min(*rtt)));
            }
            Err(ping::Failure::Timeout) => {
                connection.pings_lost += 1;
                if connection.pings_lost >= PINGS_LOST_MAX {
                    self.swarm.close_connection(event.connection);
                }
            }
            Err(error) => tracing::debug!(peer = %event.peer, %error, "ping failed"),
        }
        self.dial_quic(event.peer);
    }

    fn listeners_changed(&mut self) {
        if self.starting.listeners.is_empty()
            && let Some(ready) = self.starting.ready.take()
        {
            let _ = ready.send(());
        }
    }

    /// Own addresses with `/p2p/<peer>`: TCP first.
    fn listening(&self) -> Vec<Multiaddr> {
        let mut addrs: Vec<_> = self.swarm.listeners().cloned().collect();
        addrs.sort_by_key(|addr| (Kind::of(addr), addr.to_string()));
        let peer = *self.swarm.local_peer_id();
        addrs
            .into_iter()
            .filter_map(|addr| addr.with_p2p(peer).ok())
            .collect()
    }

    /// See [`super::Net::reachable`].
    fn reachable(&self, peer: PeerId) -> Option<PeerAddr> {
        let state = self.peers.get(&peer).filter(|state| state.confirmed)?;
        let connections = state.connections.values();
        let dialled = connections.clone().filter(|connection| connection.dialled);
        let seen: Vec<_> = connections.map(|connection| &connection.addr).collect();
        let addrs = to_tell(
            dialled.map(|connection| &connection.addr),
            &state.listens,
            &seen,
            self.policy.scope(),
        );
        (!addrs.is_empty()).then_some(PeerAddr { peer, addrs })
    }

    fn peer_infos(&self) -> Vec<PeerInfo> {
        let confirmed = self.peers.iter().filter(|(_, state)| state.confirmed);
        confirmed
            .map(|(peer, state)| PeerInfo {
                peer: *peer,
                addresses: state.connections.values().map(|c| c.addr.clone()).collect(),
                agent: state.agent.clone(),
                rtt: state.rtt,
            })
            .collect()
    }
}
