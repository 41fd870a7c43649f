//! Streams and the protocols that they speak.

use std::{
    io::{self, IoSlice, IoSliceMut},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{PeerId, StreamProtocol as Name};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::counters::Counters;

/// A protocol that runs over a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamProtocol {
    /// `/opendag/<net>/records/1`: records by id, and the newest of a dataset.
    Records,
    /// `/opendag/<net>/sync/1`: which records two nodes differ in.
    Sync,
    /// `/opendag/<net>/holdings/1`: what a peer has of a version.
    Holdings,
    /// `/opendag/<net>/blobs/1`: bytes of shards and description blobs.
    Blobs,
}

impl StreamProtocol {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Records, Self::Sync, Self::Holdings, Self::Blobs];

    /// Its name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Sync => "sync",
            Self::Holdings => "holdings",
            Self::Blobs => "blobs",
        }
    }
}

/// The protocols' names in one network.
#[derive(Clone, Debug)]
pub(super) struct Names([(StreamProtocol, Name); 4]);

impl Names {
    /// `None` if a name is not valid, which a checked network name excludes.
    pub(super) fn new(network: &str) -> Option<Self> {
        let name = |protocol: StreamProtocol| {
            let name = Name::try_from_owned(format!("/opendag/{network}/{}/1", protocol.word()));
            name.ok().map(|name| (protocol, name))
        };
        let [a, b, c, d] = StreamProtocol::ALL.map(name);
        Some(Self([a?, b?, c?, d?]))
    }

    pub(super) fn all(&self) -> Vec<Name> {
        self.0.iter().map(|(_, name)| name.clone()).collect()
    }

    pub(super) fn of(&self, protocol: StreamProtocol) -> Option<Name> {
        self.0
            .iter()
            .find(|(p, _)| *p == protocol)
            .map(|(_, name)| name.clone())
    }

    pub(super) fn protocol(&self, name: &Name) -> Option<StreamProtocol> {
        self.0
            .iter()
            .find(|(_, n)| n == name)
            .map(|(protocol, _)| *protocol)
    }
}

/// A stream to a peer: read and write it with the `futures` traits.
///
/// Dropping it ends both directions: a reset over TCP, an end of stream over QUIC. So a reader must
/// treat an end of stream before the expected length as a refusal. To end the writing direction
/// cleanly and go on reading, call `close`.
#[derive(Debug)]
pub struct Stream {
    inner: libp2p::Stream,
    /// Ends with the connection: Yamux wakes nobody when its own side closes.
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Frees the place of the stream on its connection.
    _place: OwnedSemaphorePermit,
    protocol: StreamProtocol,
    meter: Meter,
}

/// What counts the bytes of streams.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    /// Bytes read from all streams of the connection.
    pub(super) read: Arc<AtomicU64>,
    /// Those of all connections.
    pub(super) counters: Arc<Counters>,
}

impl Stream {
    /// `connection` is cancelled when the connection ends.
    pub(super) fn new(
        (inner, protocol): (libp2p::Stream, StreamProtocol),
        connection: CancellationToken,
        place: OwnedSemaphorePermit,
        meter: Meter,
    ) -> Self {
        let gone = Box::pin(connection.cancelled_owned());
        Self {
            inner,
            gone,
            _place: place,
            protocol,
            meter,
        }
    }

    fn count_read(&self, polled: &Poll<io::Result<usize>>) {
        let bytes = moved(polled);
        self.meter.read.fetch_add(bytes, Ordering::Relaxed);
        let traffic = self.meter.counters.traffic.of(self.protocol);
        traffic.received.fetch_add(bytes, Ordering::Relaxed);
    }

    fn count_written(&self, polled: &Poll<io::Result<usize>>) {
        let traffic = self.meter.counters.traffic.of(self.protocol);
        traffic.sent.fetch_add(moved(polled), Ordering::Relaxed);
    }

    /// An error instead of waiting for what can no longer come. What has arrived is read first.
    fn unless_gone<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_pending() && self.gone.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        polled
    }
}

fn moved(polled: &Poll<io::Result<usize>>) -> u64 {
    match polled {
        Poll::Ready(Ok(bytes)) => u64::try_from(*bytes).unwrap_or(u64::MAX),
        Poll::Ready(Err(_)) | Poll::Pending => 0,
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.count_read(&polled);
        self.unless_gone(cx, polled)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_read_vectored(cx, bufs);
        self.count_read(&polled);
        self.unless_gone(cx, polled)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.count_written(&polled);
        self.unless_gone(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.count_written(&polled);
        self.unless_gone(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.unless_gone(cx, polled)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_close(cx);
        self.unless_gone(cx, polled)
    }
}

/// A stream that a peer opened.
#[derive(Debug)]
pub struct InboundStream {
    /// Who opened it.
    pub peer: PeerId,
    /// What it speaks.
    pub protocol: StreamProtocol,
    /// The stream.
    pub stream: Stream,
}
