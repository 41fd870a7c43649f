//! One request to one peer: what every kind of it has in common.
//!
//! [`Request`] asks and tells; [`Output`] brings verified bytes to the disk. What they are and what
//! proves them is the matter of [`super::transfer`] and [`super::delta`].

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use libp2p::PeerId;
use opendag_protocol::{
    fetch::{End, Item, PeerKey, RequestId},
    wire::{BlobItem, BlobsRequest, BoundedVec},
};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::writer::WriteError;
use crate::{
    ask::{self, AskError, Incoming},
    frames::{FrameError, write_frame},
    limits::ANSWER_DEADLINE,
    metrics::Tally,
    net::{Net, StreamProtocol},
    node::Shared,
};

/// Verified bytes that are worth a trip to the disk.
const WRITE_BYTES_ENOUGH: usize = 512 * 1024;
/// A slow peer's verified bytes are written, and so told, at least so often.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(1);
/// The same where readers wait for them: a far peer sends a request over many round trips, and what each of them
/// brings is of use at once.
pub(super) const TELL_READERS_EVERY: Duration = Duration::from_millis(20);

/// Groups of an item that arrived, were verified and written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) request: RequestId,
    pub(super) peer: PeerKey,
    pub(super) item: Item,
    /// Bytes received for them, proofs included.
    pub(super) bytes: u64,
    /// Is the item not there after all?
    pub(super) missing: bool,
}

/// Why a request ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransferError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("the peer sent wrong bytes of shard {}", .0.shard.0)]
    WrongBytes(Item),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl TransferError {
    /// What the scheduler is told.
    pub(super) fn end(&self) -> End {
        match self {
            Self::WrongBytes(_) => End::WrongBytes,
            Self::Ask(AskError::WrongBytes | AskError::TooMuch | AskError::Record(_)) => {
                End::WrongBytes
            }
            Self::Ask(AskError::Busy) => End::Busy,
            Self::Ask(
                AskError::OpenTimeout | AskError::TooSlow | AskError::Frame(FrameError::Timeout(_)),
            ) => End::Timeout,
            Self::Ask(
                AskError::Open(_) | AskError::Frame(_) | AskError::NotFound | AskError::Refused,
            ) => End::Closed,
            Self::Write(_) => End::Closed,
        }
    }
}

/// Whom to ask, and whom to tell.
pub(super) struct Request {
    pub(super) shared: Arc<Shared>,
    pub(super) net: Net,
    pub(super) peer: PeerId,
    pub(super) key: PeerKey,
    pub(super) id: RequestId,
    pub(super) tell: mpsc::Sender<Arrived>,
    /// Counts all that is received for the whole session, of use or not.
    pub(super) received: Arc<AtomicU64>,
    /// Counts what this request brings.
    pub(super) tally: Tally,
    /// How long verified bytes may wait for more before they are written.
    pub(super) tell_every: Duration,
}

impl Request {
    /// Asks for items. What comes in begins with the status of the first.
    pub(super) async fn ask(
        &self,
        mut items: impl Iterator<Item = BlobItem>,
    ) -> Result<Incoming, AskError> {
        self.shared.metrics.transfer.asked();
        let items = BoundedVec::take_from(&mut items);
        let mut stream = ask::open(&self.net, self.peer, StreamProtocol::Blobs).await?;
        write_frame(&mut stream, &BlobsRequest { items }, ANSWER_DEADLINE)
            .await
            .map_err(AskError::Frame)?;
        let mut input = Incoming::new(
            stream,
            self.shared.download.clone(),
            [self.received.clone(), self.tally.received()],
        );
        input.status().await?;
        Ok(input)
    }

    /// Tells that the peer has an item no longer.
    pub(super) async fn tell_missing(&self, item: Item) {
        self.tell(Arrived {
            missing: true,
            ..self.arrived(item, 0)
        })
        .await;
    }

    fn arrived(&self, item: Item, bytes: u64) -> Arrived {
        Arrived {
            request: self.id,
            peer: self.key,
            item,
            bytes,
            missing: false,
        }
    }

    /// Counts a request that ended early.
    pub(super) fn ended(&self, outcome: &Result<(), TransferError>) {
        let transfer = &self.shared.metrics.transfer;
        match outcome {
            Ok(()) => {}
            Err(TransferError::Write(_)) => transfer.failed_to_write(),
            Err(error) => transfer.failed(error.end()),
        }
    }

    async fn tell(&self, arrived: Arrived) {
        self.tally.verified(arrived.bytes);
        // Nobody listens: the fetch is over, and this request with it.
        let _ = self.tell.send(arrived).await;
    }
}

/// Writes verified bytes. It may block.
pub(super) type Write<T> =
    dyn Fn(Vec<(Arrived, T)>) -> Result<Vec<Arrived>, WriteError> + Send + Sync;

/// Verified bytes on their way to the disk: one batch is written while the next one arrives.
pub(super) struct Output<'a, T> {
    request: &'a Request,
    write: Arc<Write<T>>,
    ready: Vec<(Arrived, T)>,
    ready_bytes: usize,
    told: Instant,
    writing: Option<JoinHandle<Result<Vec<Arrived>, WriteError>>>,
}

impl<'a, T: Send + 'static> Output<'a, T> {
    pub(super) fn new(request: &'a Request, write: Arc<Write<T>>) -> Self {
        Self {
            request,
            write,
            ready: Vec::new(),
            ready_bytes: 0,
            told: Instant::now(),
            writing: None,
        }
    }

    /// Was nothing told for so long that a slow peer could be taken for one that stalls, or a reader waits?
    pub(super) fn is_time_to_tell(&self) -> bool {
        self.told.elapsed() >= self.request.tell_every
    }

    /// Adds `len` bytes of `item`, for which `bytes` were received.
    pub(super) fn push(&mut self, (item, bytes): (Item, u64), content: T, len: usize) {
        self.ready_bytes += len;
        self.ready
            .push((self.request.arrived(item, bytes), content));
    }

    /// Tells of groups whose bytes wait for the rest of their item.
    pub(super) async fn tell(&mut self, news: Option<(Item, u64)>) {
        self.told = Instant::now();
        if let Some((item, bytes)) = news {
            self.request.tell(self.request.arrived(item, bytes)).await;
        }
    }

    /// Hands over what is ready if that is enough, or has waited long enough.
    pub(super) async fn flush_if_due(&mut self) -> Result<(), TransferError> {
        if self.ready_bytes >= WRITE_BYTES_ENOUGH || self.is_time_to_tell() {
            self.flush().await?;
        }
        Ok(())
    }

    /// Hands over what is ready.
    pub(super) async fn flush(&mut self) -> Result<(), TransferError> {
        self.settle().await?;
        self.told = Instant::now();
        self.ready_bytes = 0;
        let ready = std::mem::take(&mut self.ready);
        if !ready.is_empty() {
            let write = self.write.clone();
            self.writing = Some(tokio::task::spawn_blocking(move || write(ready)));
        }
        Ok(())
    }

    /// Writes all that is left, and tells of it.
    pub(super) async fn finish(&mut self) -> Result<(), TransferError> {
        self.flush().await?;
        self.settle().await
    }

    /// Waits for the batch that is being written, and tells of it.
    async fn settle(&mut self) -> Result<(), TransferError> {
        let Some(writing) = self.writing.take() else {
            return Ok(());
        };
        let arrived = writing.await.unwrap_or_else(|_| Err(WriteError::Stopped))?;
        for arrived in arrived {
            self.request.tell(arrived).await;
        }
        Ok(())
    }
}
