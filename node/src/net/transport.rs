//! TCP with Noise and Yamux, and QUIC, behind a gate that refuses addresses and lets TCP go first.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::{BoxFuture, FutureExt};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
        upgrade::Version,
    },
    identity::Keypair,
    multiaddr::Protocol,
    tcp,
};

use super::{
    NetError,
    addresses::Policy,
    limits::{HANDSHAKE_TIMEOUT, TCP_HEAD_START},
    mux, noise, quic,
    race::Race,
};

/// Connections that the system may hold ready for `accept`.
const TCP_BACKLOG: u32 = 256;

type Output = (PeerId, StreamMuxerBox);

/// The transport of a node of `network`.
pub(super) fn build(
    key: &Keypair,
    network: &str,
    policy: Arc<Policy>,
) -> Result<Boxed<Output>, NetError> {
    // Nodes of another network fail in the handshake.
    let prologue = format!("opendag/{network}/1").into_bytes();
    let noise = noise::Config::new(key, prologue).map_err(|e| NetError::Setup {
        part: "Noise",
        source: Box::new(e),
    })?;
    let tcp = tcp::Config::new().nodelay(true).listen_backlog(TCP_BACKLOG);
    let tcp = tcp::tokio::Transport::new(tcp)
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(mux::Upgrade::new())
        .timeout(HANDSHAKE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));

    let quic = quic::Transport::new(key)?
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));

    let both = tcp
        .or_transport(quic)
        .map(|either, _| either.into_inner())
        .boxed();
    Ok(Gate {
        inner: both,
        policy,
        race: Race::default(),
    }
    .boxed())
}

/// What kind of transport an address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// TCP, the first choice for bulk.
    Tcp,
    /// QUIC.
    Quic,
    /// Anything else.
    Other,
}

impl Kind {
    /// The kind of `addr`.
    pub(super) fn of(addr: &Multiaddr) -> Self {
        let mut parts = addr.iter().skip(1);
        match (parts.next(), parts.next()) {
            (Some(Protocol::Tcp(_)), None | Some(Protocol::P2p(_))) => Self::Tcp,
            (Some(Protocol::Udp(_)), Some(Protocol::QuicV1)) => Self::Quic,
            _ => Self::Other,
        }
    }
}

fn peer_of(addr: &Multiaddr) -> Option<PeerId> {
    addr.iter().find_map(|part| match part {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    })
}

/// Refuses to dial what [`Policy`] forbids, whoever asks for it, and orders dials by [`Race`].
struct Gate {
    inner: Boxed<Output>,
    policy: Arc<Policy>,
    race: Race,
}

impl Transport for Gate {
    type Output = Output;
    type Error = io::Error;
    type ListenerUpgrade = <Boxed<Output> as Transport>::ListenerUpgrade;
    type Dial = BoxFuture<'static, Result<Output, io::Error>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        addr: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, addr)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        addr: Multiaddr,
        opts: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        if !self.policy.may_dial(&addr) {
            return Err(TransportError::MultiaddrNotSupported(addr));
        }
        let (kind, peer) = (Kind::of(&addr), peer_of(&addr));
        let opts = self.policy.dial_opts(&addr, opts);
        let dial = self.inner.dial(addr, opts)?;
        Ok(match (kind, peer) {
            (Kind::Tcp, Some(peer)) => {
                let running = self.race.tcp(peer);
                async move {
                    let result = dial.await;
                    drop(running);
                    result
                }
                .boxed()
            }
            (Kind::Quic, Some(peer)) => {
                let race = self.race.clone();
                async move {
                    race.tcp_ended(peer, TCP_HEAD_START).await;
                    dial.await
                }
                .boxed()
            }
            _ => dial,
        })
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}
