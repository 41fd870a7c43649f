//! Why something on the network did not work.

use std::{io, sync::Arc};

use libp2p::{Multiaddr, PeerId, swarm::DialError};

use super::StreamProtocol;

/// Why a network does not start.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The name of the network cannot be part of a protocol name.
    #[error("the network name {name:?} is not 1 to 32 characters of a-z, 0-9 and '-'")]
    NetworkName {
        /// The name.
        name: String,
    },
    /// The key of the node cannot be used.
    #[error("cannot use the key of the node")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A part of the network stack refuses its settings.
    #[error("cannot set up {part}")]
    Setup {
        /// Which part.
        part: &'static str,
        /// What it says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address.
        addr: Multiaddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A listener did not come up in time.
    #[error("listening did not start in time")]
    ListenTimeout,
}

/// Why there is no connection to a peer.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No address of the peer is known that may be dialled.
    #[error("no address of peer {peer} is known that this node may dial")]
    NoAddress {
        /// The peer.
        peer: PeerId,
    },
    /// The address cannot be dialled: a name that does not resolve, or an unknown form.
    #[error("cannot dial {addr}: it is not a TCP or QUIC address that this node may dial")]
    Address {
        /// The address.
        addr: Multiaddr,
    },
    /// Every address failed.
    #[error("cannot reach the peer")]
    Unreachable(#[source] Arc<DialError>),
    /// It is a node of another network, or no OpenDAG node.
    #[error("peer {peer} belongs to another network")]
    OtherNetwork {
        /// The peer.
        peer: PeerId,
    },
    /// The peer is banned.
    #[error("peer {peer} is banned")]
    Banned {
        /// The peer.
        peer: PeerId,
    },
    /// No answer in time.
    #[error("no connection in time")]
    Timeout,
    /// The network was shut down.
    #[error("the network was shut down")]
    Stopped,
}

/// Why a stream to a peer could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no connection, and none could be made.
    #[error("cannot connect to peer {peer}")]
    Connect {
        /// The peer.
        peer: PeerId,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// The peer does not speak the protocol.
    #[error("peer {peer} does not serve {protocol:?}")]
    Unsupported {
        /// The peer.
        peer: PeerId,
        /// The protocol.
        protocol: StreamProtocol,
    },
    /// The connection went away.
    #[error("the connection to peer {peer} was lost")]
    Lost {
        /// The peer.
        peer: PeerId,
    },
    /// The peer did not answer in time.
    #[error("peer {peer} did not answer in time")]
    Timeout {
        /// The peer.
        peer: PeerId,
    },
    /// The network was shut down.
    #[error("the network was shut down")]
    Stopped,
}
