//! QUIC as libp2p specifies it, with a congestion control that random loss does not slow down.
//!
//! libp2p's own QUIC transport does not let us choose one. On the wire the two are the same.

mod congestion;
mod connection;
mod listener;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use connection::Connection;
use futures::{FutureExt, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        Endpoint as Role,
        transport::{
            DialOpts, ListenerId, PortUse, Transport as Libp2pTransport, TransportError,
            TransportEvent,
        },
    },
    identity::Keypair,
    multiaddr::Protocol,
    tls,
};
use listener::Listener;
use quinn::{
    ClientConfig, Connecting, Endpoint, EndpointConfig, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use socket2::{Domain, Socket, Type};

use super::{
    NetError,
    limits::{HANDSHAKE_TIMEOUT, STREAMS_IN_MAX},
};

/// Receive window of a connection: 16 MiB carry 1 Gbit/s at 130 ms.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// Receive window of a stream: one stream can nearly fill the connection.
const STREAM_WINDOW: u32 = 12 * 1024 * 1024;
/// A silent connection is given up after so long, in milliseconds.
const IDLE_MS: u32 = 20_000;
/// A connection without traffic shows that it lives this often.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// What the system should keep of datagrams while this process does not run: 40 ms at 400 Mbit/s.
/// Most systems give less; the rest is lost and sent again.
const SOCKET_BUFFER: usize = 2 * 1024 * 1024;

/// A connection and who is at its other end.
pub(super) type Output = (PeerId, Connection);
/// A connection that comes up.
pub(super) type Upgrade = BoxFuture<'static, io::Result<Output>>;
type Event = TransportEvent<Upgrade, io::Error>;

/// See the module.
pub(super) struct Transport {
    client: ClientConfig,
    server: ServerConfig,
    /// Bounded by what the node's configuration lists.
    listeners: Vec<Listener>,
    /// For dials while nothing listens: IPv4, IPv6.
    dialers: [Option<Endpoint>; 2],
    waker: Option<Waker>,
}

impl Transport {
    /// The transport of the node whose key is `key`.
    pub(super) fn new(key: &Keypair) -> Result<Self, NetError> {
        let setup = |source| NetError::Setup {
            part: "QUIC",
            source,
        };
        let client = tls::make_client_config(key, None).map_err(|e| setup(Box::new(e)))?;
        let client = QuicClientConfig::try_from(client).map_err(|e| setup(Box::new(e)))?;
        let server = tls::make_server_config(key).map_err(|e| setup(Box::new(e)))?;
        let server = QuicServerConfig::try_from(server).map_err(|e| setup(Box::new(e)))?;
        let transport = Arc::new(transport_config());
        let mut client = ClientConfig::new(Arc::new(client));
        client.transport_config(Arc::clone(&transport));
        let mut server = ServerConfig::with_crypto(Arc::new(server));
        server.transport = transport;
        // The address that the gate allowed stays the address.
        server.migration(false);
        Ok(Self {
            client,
            server,
            listeners: Vec::new(),
            dialers: [None, None],
            waker: None,
        })
    }

    /// The endpoint that a dial to `to` leaves from.
    fn endpoint(&mut self, to: SocketAddr, port: PortUse) -> io::Result<Endpoint> {
        let any: IpAddr = match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let bind = || endpoint(SocketAddr::new(any, 0), None);
        if port == PortUse::New {
            return bind();
        }
        let listener = self.listeners.iter().find(|listener| listener.reaches(to));
        if let Some(listener) = listener {
            return Ok(listener.endpoint.clone());
        }
        let [v4, v6] = &mut self.dialers;
        let dialer = if to.is_ipv4() { v4 } else { v6 };
        match dialer {
            Some(dialer) => Ok(dialer.clone()),
            None => Ok(dialer.insert(bind()?).clone()),
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    config.max_concurrent_uni_streams(VarInt::from_u32(0));
    let streams = u32::try_from(STREAMS_IN_MAX).unwrap_or(u32::MAX);
    config.max_concurrent_bidi_streams(VarInt::from_u32(streams));
    config.datagram_receive_buffer_size(None);
    config.keep_alive_interval(Some(KEEP_ALIVE));
    config.max_idle_timeout(Some(VarInt::from_u32(IDLE_MS).into()));
    config.allow_spin(false);
    config.stream_receive_window(VarInt::from_u32(STREAM_WINDOW));
    config.receive_window(VarInt::from_u32(CONNECTION_WINDOW));
    config.congestion_controller_factory(Arc::new(congestion::Factory));
    config
}

/// An endpoint bound to `at`; it accepts connections if it has a `server`'s configuration.
fn endpoint(at: SocketAddr, server: Option<ServerConfig>) -> io::Result<Endpoint> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, None)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Only a wish: the system gives what it allows.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&at.into())?;
    let mut config = EndpointConfig::default();
    config.supported_versions(vec![1]);
    let socket = UdpSocket::from(socket);
    Endpoint::new(config, server, socket, Arc::new(TokioRuntime))
}

/// Waits until a connection is up and says who is there.
async fn upgrade(connecting: Connecting) -> io::Result<Output> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting);
    let connection = handshake.await.map_err(late)??;
    let nobody = || io::Error::other("the peer showed no certificate");
    let identity = connection.peer_identity().ok_or_else(nobody)?;
    let chain = identity.downcast::<Vec<quinn::rustls::pki_types::CertificateDer<'static>>>();
    let chain = chain.map_err(|_| nobody())?;
    let own = chain.first().ok_or_else(nobody)?;
    let peer = tls::certificate::parse(own).map_err(io::Error::other)?;
    Ok((peer.peer_id(), Connection::new(connection)))
}

/// The socket address in a QUIC address.
fn socket_addr(addr: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = addr.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let (Protocol::Udp(port), Protocol::QuicV1) = (parts.next()?, parts.next()?) else {
        return None;
    };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// The QUIC address of a socket address.
fn multiaddr(at: SocketAddr) -> Multiaddr {
    Multiaddr::from(at.ip())
        .with(Protocol::Udp(at.port()))
        .with(Protocol::QuicV1)
}

impl Libp2pTransport for Transport {
    type Output = Output;
    type Error = io::Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    fn listen_on(
        &mut self,
        id: ListenerId,
        addr: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        let at = socket_addr(&addr).ok_or(TransportError::MultiaddrNotSupported(addr))?;
        let endpoint = endpoint(at, Some(self.server.clone())).map_err(TransportError::Other)?;
        let listener = Listener::new(id, endpoint).map_err(TransportError::Other)?;
        self.listeners.push(listener);
        // Later dials leave from the listener's port.
        self.dialers = [None, None];
        self.wake();
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let found = self.listeners.iter_mut().find(|listener| listener.id == id);
        let Some(listener) = found else {
            return false;
        };
        listener.close();
        self.wake();
        true
    }

    fn dial(
        &mut self,
        addr: Multiaddr,
        opts: DialOpts,
    ) -> Result<Upgrade, TransportError<io::Error>> {
        let to = socket_addr(&addr).filter(|to| to.port() != 0 && !to.ip().is_unspecified());
        let (Some(to), Role::Dialer) = (to, opts.role) else {
            // To dial as a listener is hole punching, which is not there yet.
            return Err(TransportError::MultiaddrNotSupported(addr));
        };
        let endpoint = self.endpoint(to, opts.port_use);
        let endpoint = endpoint.map_err(TransportError::Other)?;
        let client = self.client.clone();
        Ok(async move {
            // Who is there is proven by a key; the name is only there because TLS wants one.
            let connecting = endpoint.connect_with(client, to, "l");
            upgrade(connecting.map_err(io::Error::other)?).await
        }
        .boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event> {
        let this = &mut *self;
        for listener in &mut this.listeners {
            if let Poll::Ready(event) = listener.poll(cx) {
                if let TransportEvent::ListenerClosed { listener_id, .. } = &event {
                    let closed = *listener_id;
                    this.listeners.retain(|listener| listener.id != closed);
                }
                return Poll::Ready(event);
            }
        }
        this.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
