//! Yamux with a bound on its windows, which libp2p's own wrapper does not let us set.

use std::{
    collections::VecDeque,
    future::{Ready, ready},
    io, iter,
    pin::Pin,
    task::{Context, Poll, Waker, ready as try_ready},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::{
    muxing::{StreamMuxer, StreamMuxerEvent},
    upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
};

use super::{
    limits::{MUX_INBOUND_MAX, MUX_STREAMS_MAX, MUX_WINDOW_BYTES},
    noise::MESSAGE_BYTES_MAX,
};

/// What each stream may receive before it is read, by the Yamux specification.
const CREDIT_BYTES: usize = 256 * 1024;
/// Payload of one frame. Yamux flushes after each, so this is also what goes into one system call; it fills one
/// message of Noise to the last byte, which is opened right into Yamux' own buffer. The header has a message of its own.
const FRAME_BYTES: usize = MESSAGE_BYTES_MAX;

/// Turns an authenticated connection into a [`Mux`].
#[derive(Clone, Debug)]
pub(super) struct Upgrade(yamux::Config);

impl Upgrade {
    pub(super) fn new() -> Self {
        let mut config = yamux::Config::default();
        config.set_split_send_size(FRAME_BYTES);
        config.set_max_num_streams(MUX_STREAMS_MAX);
        config.set_max_connection_receive_window(Some(
            MUX_STREAMS_MAX * CREDIT_BYTES + MUX_WINDOW_BYTES,
        ));
        Self(config)
    }
}

impl UpgradeInfo for Upgrade {
    type Info = &'static str;
    type InfoIter = iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C> InboundConnectionUpgrade<C> for Upgrade
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Mux<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Mux<C>>>;

    fn upgrade_inbound(self, connection: C, _: &'static str) -> Self::Future {
        ready(Ok(Mux::new(connection, self.0, yamux::Mode::Server)))
    }
}

impl<C> OutboundConnectionUpgrade<C> for Upgrade
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Mux<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Mux<C>>>;

    fn upgrade_outbound(self, connection: C, _: &'static str) -> Self::Future {
        ready(Ok(Mux::new(connection, self.0, yamux::Mode::Client)))
    }
}

/// A Yamux connection.
///
/// All streams make progress only while `poll_next_inbound` is called, so streams of the peer can
/// come up when nobody asks for them. A few are kept; beyond that they are dropped, which the peer
/// sees as a reset.
#[derive(Debug)]
pub(super) struct Mux<C> {
    connection: yamux::Connection<C>,
    inbound: VecDeque<yamux::Stream>,
    waker: Option<Waker>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Mux<C> {
    fn new(connection: C, config: yamux::Config, mode: yamux::Mode) -> Self {
        let connection = yamux::Connection::new(connection, config, mode);
        Self {
            connection,
            inbound: VecDeque::new(),
            waker: None,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<yamux::Stream>> {
        let next = try_ready!(self.connection.poll_next_inbound(cx));
        Poll::Ready(
            next.unwrap_or(Err(yamux::ConnectionError::Closed))
                .map_err(to_io),
        )
    }
}

fn to_io(error: yamux::ConnectionError) -> io::Error {
    match error {
        yamux::ConnectionError::Io(error) => error,
        other => io::Error::other(other),
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Mux<C> {
    type Substream = yamux::Stream;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<yamux::Stream>> {
        if let Some(stream) = self.inbound.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        if let Poll::Ready(next) = self.poll_next(cx) {
            return Poll::Ready(next);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<yamux::Stream>> {
        self.connection.poll_new_outbound(cx).map_err(to_io)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_close(cx).map_err(to_io)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        let stream = try_ready!(self.poll_next(cx))?;
        if self.inbound.len() < MUX_INBOUND_MAX {
            self.inbound.push_back(stream);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        } else {
            tracing::debug!("dropped a stream: too many wait for negotiation");
        }
        // There may be more: come back, and let others run meanwhile.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
