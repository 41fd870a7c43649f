//! The network: one libp2p swarm in one task, behind a handle that can be cloned.
//!
//! The task owns the swarm and never waits; callers wait on replies, each with a deadline. Bytes of
//! transfers never pass through the task: [`Net::open`] and [`Inbound::streams`] hand out streams
//! that their users read and write themselves. Source: `specs/network.md`.

mod addresses;
mod behaviour;
mod bootstrap;
mod command;
mod counters;
mod dial;
mod error;
mod gossip;
mod guard;
mod handle;
mod identify;
mod kad;
mod kad_store;
mod limits;
mod mdns;
mod mux;
mod noise;
mod pending;
mod quic;
mod race;
mod route;
mod stream;
mod streams;
mod task;
mod transport;
mod useful;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use counters::{ByProtocol, Census, Connections, NetCounters, Traffic};
pub use error::{ConnectError, NetError, OpenError};
pub use gossip::{GossipId, Verdict};
pub use handle::Net;
pub use libp2p::{Multiaddr, PeerId};
pub use stream::{InboundStream, Stream, StreamProtocol};
use tokio::sync::mpsc;

/// What a node needs to know to join a network.
#[derive(Clone)]
pub struct NetConfig {
    /// Seed of the node's ed25519 key, which is its identity.
    pub keypair_seed: [u8; 32],
    /// Name of the network; it goes into every protocol name and every handshake, so that nodes of
    /// different networks never talk. 1 to 32 characters of `a-z`, `0-9`, `-`.
    pub network: String,
    /// Where to listen; none: only outgoing connections. If all are loopback addresses, the node
    /// sends nothing to any other machine.
    pub listen: Vec<Multiaddr>,
    /// Peers to stay connected to, with or without `/p2p/<peer>`.
    pub bootstrap: Vec<Multiaddr>,
    /// Take part in the DHT.
    pub dht: bool,
    /// Store and answer for others in the DHT: daemons do, short-lived commands do not.
    pub dht_server: bool,
    /// Find peers on the local network. Ignored by a node that listens on loopback only.
    pub mdns: bool,
    /// Judges a value before the DHT stores or returns it.
    pub validate_head: HeadValidator,
    /// Which keys of the DHT it neither stores nor answers anything about.
    pub denies_key: KeyDenier,
}

/// Is a key of the DHT, the hash of a dataset or of a manifest, one about which nothing is kept for others? It runs
/// inside the network task: it must be quick and must not block.
pub type KeyDenier = std::sync::Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Judges `(key, value)` of the DHT: is the value a validly signed head of the dataset whose hash is
/// the key, and how new is it? `None` refuses it.
///
/// A value is only ever replaced by one of a higher rank. It runs inside the network task: it must
/// be quick and must not block.
pub type HeadValidator = std::sync::Arc<dyn Fn(&[u8], &[u8]) -> Option<HeadRank> + Send + Sync>;

/// How new a head is: one that is known to be its owners' wins, then the higher sequence, among equals the later issue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeadRank {
    /// Are the owners of its dataset known here? Else anybody may have signed it.
    pub owners_known: bool,
    /// The head's sequence.
    pub sequence: u64,
    /// When it was issued, in seconds since 1970.
    pub issued_at: u64,
}

/// A peer and where it may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddr {
    /// Its id.
    pub peer: PeerId,
    /// Its addresses, without `/p2p`.
    pub addrs: Vec<Multiaddr>,
}

/// A connected peer.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Its id.
    pub peer: PeerId,
    /// Remote addresses of its connections.
    pub addresses: Vec<Multiaddr>,
    /// Its agent string: at most 64 characters, control characters escaped.
    pub agent: Option<String>,
    /// Round trip, as the last ping measured it.
    pub rtt: Option<Duration>,
}

/// What reaches a node from outside.
#[derive(Debug)]
pub struct Inbound {
    /// Streams that peers opened. Read it quickly: when it is full, streams are refused.
    pub streams: mpsc::Receiver<InboundStream>,
    /// Everything else. When it is full, events are dropped and counted.
    pub events: mpsc::Receiver<NetEvent>,
}

/// Something that happened on the network.
#[derive(Debug)]
pub enum NetEvent {
    /// The first connection to a peer of our network is up.
    PeerConnected {
        /// The peer.
        peer: PeerId,
    },
    /// The last connection to a peer is gone.
    PeerDisconnected {
        /// The peer.
        peer: PeerId,
    },
    /// A peer on the local network was found; the node connects to it by itself.
    LanPeer {
        /// The peer.
        peer: PeerId,
    },
    /// Gossip that waits for [`Net::verdict`]: at most 1 KiB, not looked at.
    Gossip {
        /// Names the message in the verdict.
        id: GossipId,
        /// The neighbour that passed it on, not its author.
        from: PeerId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The node listens on one more address.
    Listening {
        /// The address, without `/p2p`.
        addr: Multiaddr,
    },
}
