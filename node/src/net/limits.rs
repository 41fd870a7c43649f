//! Every bound of the network part, with its reason, and the counters of what was refused.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Streams that we hold open on one connection; further opens wait. Below the 256 that QUIC and our
/// own inbound limit allow, because the other side frees its end a little later.
pub(super) const STREAMS_OUT_MAX: usize = 128;
/// Streams that a peer holds open on one connection; further ones are refused.
pub(super) const STREAMS_IN_MAX: usize = 256;
/// Inbound streams under negotiation on one connection. With the two limits above it stays below
/// yamux' 512 streams, where a connection is torn down.
pub(super) const STREAMS_NEGOTIATING_MAX: usize = 64;
/// Streams of one connection in all, where Yamux ends the connection.
pub(super) const MUX_STREAMS_MAX: usize = 512;
/// Streams of a peer that wait to be negotiated; as many as a peer may open without an answer.
pub(super) const MUX_INBOUND_MAX: usize = 256;
/// By how much the receive windows of one connection grow together beyond their start of 256 KiB
/// each: 16 MiB carry 1 Gbit/s at 130 ms.
pub(super) const MUX_WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// Streams that wait for the node to take them; further ones are refused.
pub(super) const INBOUND_QUEUE: usize = 512;
/// Events that wait for the node to take them; further ones are dropped.
pub(super) const EVENT_QUEUE: usize = 1024;
/// Commands that wait for the task; further callers wait.
pub(super) const COMMAND_QUEUE: usize = 256;
/// Streams that are being opened, over all peers; further callers wait.
pub(super) const OPENS_MAX: usize = 2048;
/// Connects that are under way; further callers wait.
pub(super) const CONNECTS_MAX: usize = 256;

/// One stream: negotiation included. Two round trips on the worst links take 1.2 s.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// One connection: TCP, Noise and Yamux, or QUIC.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connect over all addresses, the confirmation of the network included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// One lookup of a host's name.
pub(super) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Binding of all listeners.
pub(super) const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection without streams is kept: long enough to come back for the next request.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// A connected peer must show within this time that it belongs to our network.
pub(super) const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// How often deadlines are looked at.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// When a bootstrap peer that is away is dialled again at first; twice as much each time.
pub(super) const BOOTSTRAP_PAUSE_MIN: Duration = Duration::from_secs(1);
/// When it is dialled again at last.
pub(super) const BOOTSTRAP_PAUSE_MAX: Duration = Duration::from_secs(32);
/// Time for connections to close cleanly at shutdown.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
/// Pings in a row without an answer after which a connection is given up.
pub(super) const PINGS_LOST_MAX: u32 = 2;

/// Head start of TCP over QUIC towards one peer: bulk is faster over TCP.
pub(super) const TCP_HEAD_START: Duration = Duration::from_secs(1);

/// Connections in all.
pub(super) const CONNECTIONS_MAX: u32 = 1024;
/// Connections that strangers opened.
pub(super) const CONNECTIONS_IN_MAX: u32 = 768;
/// Connections of one peer: both sides may dial at once, over TCP and QUIC.
pub(super) const CONNECTIONS_PER_PEER_MAX: u32 = 4;
/// Inbound handshakes under way.
pub(super) const PENDING_IN_MAX: u32 = 128;
/// Outbound handshakes under way.
pub(super) const PENDING_OUT_MAX: u32 = 256;
/// Inbound connections of one IP address (IPv6: of one /64), loopback excepted.
pub(super) const CONNECTIONS_PER_IP_MAX: u32 = 32;
/// Resident memory beyond which no connection is accepted.
pub(super) const MEMORY_MAX: usize = 1024 * 1024 * 1024;

/// Addresses remembered of one peer.
pub(super) const ADDRESSES_PER_PEER_MAX: usize = 16;
/// Peers whose addresses are remembered.
pub(super) const ADDRESS_BOOK_MAX: usize = 4096;
/// Addresses that the user or the LAN vouched for.
pub(super) const TRUSTED_MAX: usize = 4096;
/// A longer address is ignored.
pub(super) const ADDRESS_BYTES_MAX: usize = 128;
/// Bans that are remembered.
pub(super) const BANS_MAX: usize = 4096;
/// How long a ban lasts unless said otherwise.
pub(super) const BAN_TIME: Duration = Duration::from_secs(60 * 60);

/// Places in the event queue that gossip leaves free for everything else.
pub(super) const EVENTS_FOR_PEERS: usize = EVENT_QUEUE / 2;
/// Messages that one peer may send in a second.
pub(super) const GOSSIP_PER_SECOND_MAX: u32 = 100;
/// Own heads that wait for a peer to gossip them to.
pub(super) const GOSSIP_UNSENT_MAX: usize = 256;
/// Peers on the local network that are noted.
pub(super) const LAN_PEERS_MAX: usize = 256;

/// Queries of the DHT under way; further callers wait.
pub(super) const QUERIES_MAX: usize = 64;
/// One query of the DHT.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Distinct heads that one query returns: each must carry the owners' signatures.
pub(super) const HEADS_FOUND_MAX: usize = 16;
/// Providers that one query returns.
pub(super) const PROVIDERS_FOUND_MAX: usize = 128;
/// Heads of others that are kept for the DHT: 8 MiB.
pub(super) const KAD_HEADS_MAX: usize = 8192;
/// Keys of others that are kept for the DHT.
pub(super) const KAD_PROVIDED_KEYS_MAX: usize = 8192;
/// Providers of one key: more than one query returns.
pub(super) const KAD_PROVIDERS_PER_KEY_MAX: usize = 32;
/// Keys that one peer may provide here. A mirror of many datasets spreads over the whole DHT.
pub(super) const KAD_KEYS_PER_PROVIDER_MAX: usize = 1024;
/// Addresses in a provider record.
pub(super) const ADDRESSES_PER_PROVIDER_MAX: usize = 8;
/// How often announcements are looked at.
pub(super) const ANNOUNCE_ROUND: Duration = Duration::from_secs(2);
/// Announcements made in one round, each a query of about twenty messages: further ones wait.
pub(super) const ANNOUNCEMENTS_PER_ROUND: usize = 32;
/// Heads that strangers may put in one round: each costs the check of a signature.
pub(super) const KAD_PUTS_PER_ROUND: usize = 200;

/// How long a node of another network is left alone.
pub(super) const OTHER_NETWORK_TIME: Duration = Duration::from_secs(60);

/// How often something was refused, dropped or announced since the start. Only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetCounters {
    /// Inbound streams refused because the node did not take them quickly enough.
    pub streams_refused_queue: u64,
    /// Inbound streams refused because one connection had too many.
    pub streams_refused_connection: u64,
    /// Events dropped because the node did not take them quickly enough.
    pub events_dropped: u64,
    /// Addresses that were not dialled because of where they are.
    pub dials_refused: u64,
    /// Connections refused: banned, or too many.
    pub connections_refused: u64,
    /// Connections closed because the peer belongs to another network.
    pub other_network: u64,
    /// Gossip messages that were not looked at: too many from one peer, or too many in all.
    pub gossip_dropped: u64,
    /// Values and provider records that the DHT part refused to keep.
    pub kad_refused: u64,
    /// Own announcements in the DHT: provider records and heads.
    pub dht_announced: u64,
    /// Own heads that were gossiped.
    pub heads_gossiped: u64,
}

/// The live form of [`NetCounters`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) streams_refused_queue: AtomicU64,
    pub(super) streams_refused_connection: AtomicU64,
    pub(super) events_dropped: AtomicU64,
    pub(super) dials_refused: AtomicU64,
    pub(super) connections_refused: AtomicU64,
    pub(super) other_network: AtomicU64,
    pub(super) gossip_dropped: AtomicU64,
    pub(super) kad_refused: AtomicU64,
    pub(super) dht_announced: AtomicU64,
    pub(super) heads_gossiped: AtomicU64,
}

/// Adds one to a counter.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn snapshot(&self) -> NetCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        NetCounters {
            streams_refused_queue: read(&self.streams_refused_queue),
            streams_refused_connection: read(&self.streams_refused_connection),
            events_dropped: read(&self.events_dropped),
            dials_refused: read(&self.dials_refused),
            connections_refused: read(&self.connections_refused),
            other_network: read(&self.other_network),
            gossip_dropped: read(&self.gossip_dropped),
            kad_refused: read(&self.kad_refused),
            dht_announced: read(&self.dht_announced),
            heads_gossiped: read(&self.heads_gossiped),
        }
    }
}
