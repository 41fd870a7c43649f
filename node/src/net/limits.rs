//! Every bound of the network part, with its reason.

use std::time::Duration;

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
/// Peers of whom is remembered that they were useful: a fetch talks to a few dozen.
pub(super) const USEFUL_PEERS_MAX: usize = 1024;
/// How long a ban lasts unless said otherwise.
pub(super) const BAN_TIME: Duration = Duration::from_secs(60 * 60);

/// Places in the event queue that gossip leaves free for everything else.
pub(super) const EVENTS_FOR_PEERS: usize = EVENT_QUEUE / 2;
/// Messages that one peer may send in a second.
pub(super) const GOSSIP_PER_SECOND_MAX: u32 = 100;
/// Messages beyond that which a peer may have sent, before it is banned: each is remembered for minutes, so that it is
/// not taken for a new one, and that is not what a flood may fill the memory with.
pub(super) const GOSSIP_OVER_MAX: u32 = 1000;
/// Of these so many are forgiven each second.
pub(super) const GOSSIP_OVER_FORGIVEN: u32 = 10;
/// Forged messages after which a peer is banned: no honest one passes any on.
pub(super) const FORGED_MESSAGES_MAX: u32 = 3;
/// Ids of messages that a neighbour is told of at one time: 9 KiB. With more than 16 KiB of such it closes the stream,
/// and the fifth time for good.
pub(super) const GOSSIP_IDS_TOLD_MAX: usize = 256;
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
/// Announcements that wait and are made in one round, each a query of about twenty messages: six a second cost a few
/// percent of a core, and 10,000 datasets take an hour and a half once, of the 48 that others remember them.
pub(super) const ANNOUNCEMENTS_PER_ROUND: usize = 12;
/// Announcements in a round that do not wait: what was just published is to be found at once.
pub(super) const ANNOUNCED_AT_ONCE: usize = 32;
/// Heads that strangers may put in one round: each costs the check of a signature.
pub(super) const KAD_PUTS_PER_ROUND: usize = 200;

/// How long a node of another network is left alone.
pub(super) const OTHER_NETWORK_TIME: Duration = Duration::from_secs(60);
