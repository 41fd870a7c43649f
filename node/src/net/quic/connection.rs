//! A QUIC connection as libp2p wants it: a muxer of streams that can be read and written.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite, FutureExt, future::BoxFuture};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use quinn::{ConnectionError, RecvStream, SendStream, VarInt};

type Opened = BoxFuture<'static, Result<(SendStream, RecvStream), ConnectionError>>;

/// See the module.
pub(in crate::net) struct Connection {
    connection: quinn::Connection,
    inbound: Option<Opened>,
    outbound: Option<Opened>,
    closing: Option<BoxFuture<'static, ConnectionError>>,
}

impl Connection {
    pub(super) fn new(connection: quinn::Connection) -> Self {
        Self {
            connection,
            inbound: None,
            outbound: None,
            closing: None,
        }
    }
}

/// Polls what opens a stream, which `begin` makes if nothing is under way.
fn poll_opened(
    under_way: &mut Option<Opened>,
    begin: impl FnOnce() -> Opened,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Stream>> {
    let opened = ready!(under_way.get_or_insert_with(begin).poll_unpin(cx));
    *under_way = None;
    let (send, receive) = opened?;
    Poll::Ready(Ok(Stream {
        send,
        receive,
        closed: None,
    }))
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        let connection = self.connection.clone();
        let begin = || async move { connection.accept_bi().await }.boxed();
        poll_opened(&mut self.inbound, begin, cx)
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        let connection = self.connection.clone();
        let begin = || async move { connection.open_bi().await }.boxed();
        poll_opened(&mut self.outbound, begin, cx)
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        // A change of address would be told here; connections do not migrate.
        Poll::Pending
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connection = self.connection.clone();
        let closing = self.closing.get_or_insert_with(|| {
            connection.close(VarInt::from_u32(0), &[]);
            async move { connection.closed().await }.boxed()
        });
        match ready!(closing.poll_unpin(cx)) {
            ConnectionError::LocallyClosed => Poll::Ready(Ok(())),
            error => Poll::Ready(Err(error.into())),
        }
    }
}

/// Both directions of a stream.
#[derive(Debug)]
pub(in crate::net) struct Stream {
    send: SendStream,
    receive: RecvStream,
    /// How closing ended: asked again, it answers the same.
    closed: Option<Result<(), io::ErrorKind>>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if matches!(self.closed, Some(Err(_))) {
            return Poll::Ready(Ok(0));
        }
        AsyncRead::poll_read(Pin::new(&mut self.receive), cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.send), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(closed) = self.closed {
            return Poll::Ready(closed.map_err(io::Error::from));
        }
        let closed = ready!(AsyncWrite::poll_close(Pin::new(&mut self.send), cx));
        self.closed = Some(closed.as_ref().map_err(io::Error::kind).copied());
        Poll::Ready(closed)
    }
}
