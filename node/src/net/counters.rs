//! What the network part counts, and what it has at one moment.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{StreamProtocol, kad_store::Kept, task::Task, transport::Kind};

macro_rules! counters {
    ($($(#[doc = $words:literal])+ $name:ident,)+) => {
        /// How often something happened since the start. Only grows.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct NetCounters {
            $($(#[doc = $words])+ pub $name: u64,)+
            /// Bytes on streams.
            pub traffic: ByProtocol<Traffic>,
        }

        /// The live form of [`NetCounters`].
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: AtomicU64,)+
            pub(super) traffic: ByProtocol<LiveTraffic>,
        }

        impl Counters {
            pub(super) fn snapshot(&self) -> NetCounters {
                NetCounters {
                    $($name: self.$name.load(Ordering::Relaxed),)+
                    traffic: self.traffic.map(LiveTraffic::snapshot),
                }
            }
        }
    };
}

counters!(
    /// Inbound streams refused because the node did not take them quickly enough.
    streams_refused_queue,
    /// Inbound streams refused because one connection had too many.
    streams_refused_connection,
    /// Events dropped because the node did not take them quickly enough.
    events_dropped,
    /// Addresses that were not dialled because of where they are.
    dials_refused,
    /// Connections refused: banned, or too many.
    connections_refused,
    /// Connections closed because the peer belongs to another network.
    other_network,
    /// Gossip messages that came from peers.
    gossip_received,
    /// The same with all copies, and what is on other topics.
    gossip_copies,
    /// Gossip messages that the node found good.
    gossip_accepted,
    /// Gossip messages that were of no use, those that were not looked at included.
    gossip_ignored,
    /// Gossip messages that were forged or malformed.
    gossip_rejected,
    /// Gossip messages that were passed on to other peers.
    gossip_forwarded,
    /// Own gossip messages that reached a peer.
    gossip_published,
    /// Gossip messages that were not looked at: too many from one peer, or too many in all.
    gossip_dropped,
    /// Questions to the DHT for providers.
    dht_provider_queries,
    /// Questions to the DHT for heads.
    dht_head_queries,
    /// Announcements to the DHT of what is provided here.
    dht_announcements,
    /// Heads that were put into the DHT.
    dht_head_puts,
    /// Values and provider records that the DHT part refused to keep.
    kad_refused,
);

/// Adds one to a counter.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// One of something for each protocol of streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByProtocol<T> {
    records: T,
    sync: T,
    holdings: T,
    blobs: T,
}

impl<T> ByProtocol<T> {
    /// That of a protocol.
    pub const fn of(&self, protocol: StreamProtocol) -> &T {
        match protocol {
            StreamProtocol::Records => &self.records,
            StreamProtocol::Sync => &self.sync,
            StreamProtocol::Holdings => &self.holdings,
            StreamProtocol::Blobs => &self.blobs,
        }
    }

    fn map<U>(&self, of: impl Fn(&T) -> U) -> ByProtocol<U> {
        ByProtocol {
            records: of(&self.records),
            sync: of(&self.sync),
            holdings: of(&self.holdings),
            blobs: of(&self.blobs),
        }
    }
}

/// Bytes on the streams of a protocol, without what the transports add.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes to peers.
    pub sent_bytes: u64,
    /// Bytes from peers.
    pub received_bytes: u64,
}

/// The live form of [`Traffic`].
#[derive(Debug, Default)]
pub(super) struct LiveTraffic {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
}

impl LiveTraffic {
    fn snapshot(&self) -> Traffic {
        Traffic {
            sent_bytes: self.sent.load(Ordering::Relaxed),
            received_bytes: self.received.load(Ordering::Relaxed),
        }
    }
}

/// What a network has at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Connected peers of this network.
    pub peers: usize,
    /// Open connections, by who dialled and over what.
    pub connections: Connections,
    /// Peers whose addresses are known.
    pub known_peers: usize,
    /// Nodes in the routing table of the DHT.
    pub routing_peers: usize,
    /// What this node announces in the DHT.
    pub own_providers: usize,
    /// Provider records of others that are kept for the DHT.
    pub other_providers: usize,
    /// Heads that are kept for the DHT.
    pub heads: usize,
    /// Questions to the DHT that are under way.
    pub queries: usize,
}

/// Open connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// Over TCP, dialled by this node.
    pub tcp_out: usize,
    /// Over TCP, dialled by others.
    pub tcp_in: usize,
    /// Over QUIC, dialled by this node.
    pub quic_out: usize,
    /// Over QUIC, dialled by others.
    pub quic_in: usize,
}

impl Task {
    /// Counts what there is now; the handle knows the queries.
    pub(super) fn census(&mut self) -> Census {
        let Kept {
            own_providers,
            other_providers,
            heads,
        } = self.kept();
        let mut connections = Connections::default();
        let all = self
            .peers
            .values()
            .flat_map(|peer| peer.connections.values());
        for connection in all {
            let kind = match (Kind::of(&connection.addr), connection.dialled) {
                (Kind::Quic, true) => &mut connections.quic_out,
                (Kind::Quic, false) => &mut connections.quic_in,
                (Kind::Tcp | Kind::Other, true) => &mut connections.tcp_out,
                (Kind::Tcp | Kind::Other, false) => &mut connections.tcp_in,
            };
            *kind += 1;
        }
        Census {
            peers: self.peers.values().filter(|peer| peer.confirmed).count(),
            connections,
            known_peers: self.book.len(),
            routing_peers: self.routing_peers(),
            own_providers,
            other_providers,
            heads,
            queries: 0,
        }
    }
}
