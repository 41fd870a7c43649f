//! What a handle asks of the task.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    Census, ConnectError, GossipId, PeerAddr, PeerInfo, Verdict, kad::DhtCommand,
    streams::OpenRequest,
};

/// A question with its answer's way back. If the way back is closed, nobody waits any more.
#[derive(Debug)]
pub(super) enum Command {
    /// Connect to a known peer.
    Connect {
        peer: PeerAddr,
        reply: ConnectReply,
        permit: OwnedSemaphorePermit,
    },
    /// Connect to whoever is at an address, which the user vouches for.
    Dial {
        addr: Multiaddr,
        reply: ConnectReply,
        permit: OwnedSemaphorePermit,
    },
    /// Open a stream to a connected peer.
    Open { peer: PeerId, request: OpenRequest },
    /// Something for the DHT.
    Dht(DhtCommand),
    /// Gossip an own head.
    Gossip { bytes: Vec<u8> },
    /// What the node thinks of a message.
    Verdict { id: GossipId, verdict: Verdict },
    /// Connected peers.
    Peers {
        reply: oneshot::Sender<Vec<PeerInfo>>,
    },
    /// What there is now.
    Census { reply: oneshot::Sender<Census> },
    /// Where others may reach some of the connected peers.
    Reachable {
        peers: Vec<PeerId>,
        reply: oneshot::Sender<Vec<PeerAddr>>,
    },
    /// Own listening addresses.
    Listening {
        reply: oneshot::Sender<Vec<Multiaddr>>,
    },
    /// Remember addresses of a peer.
    Learn { peer: PeerAddr },
    /// Close all connections to a peer and refuse new ones.
    Ban { peer: PeerId, span: Duration },
    /// Close all connections to a peer.
    Disconnect { peer: PeerId },
}

/// Where the answer to a connect goes.
pub(super) type ConnectReply = oneshot::Sender<Result<PeerId, ConnectError>>;
