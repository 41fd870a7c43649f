//! One request to one peer: ask, verify as it arrives, hand over to the writer.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use libp2p::PeerId;
use opendag_protocol::{
    Hash,
    fetch::{End, Item, PeerKey, RequestId},
    table::ShardIndex,
    wire::{BlobItem, BlobRange, BlobsRequest, BoundedVec, GroupRange},
};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::writer::{SMALL_BYTES_MAX, WriteError, Writer};
use crate::{
    ask::{self, AskError, Incoming},
    frames::{FrameError, write_frame},
    limits::ANSWER_DEADLINE,
    net::{Net, StreamProtocol},
    node::Shared,
    store::{Expect, Piece, PieceDecoder},
};

/// Verified bytes that are worth a trip to the disk.
pub(super) const WRITE_BYTES_ENOUGH: usize = 512 * 1024;
/// A slow peer's verified bytes are written, and so told, at least so often.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(1);

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

/// An item and what proves it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) item: Item,
    pub(super) hash: Hash,
    pub(super) size: u64,
}

/// Why a transfer ended early.
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
            Self::Ask(AskError::OpenTimeout | AskError::Frame(FrameError::Timeout(_))) => {
                End::Timeout
            }
            Self::Ask(
                AskError::Open(_) | AskError::Frame(_) | AskError::NotFound | AskError::Refused,
            ) => End::Closed,
            Self::Write(_) => End::Closed,
        }
    }
}

/// One request. Dropping it gives up what was not written yet.
pub(super) struct Transfer {
    pub(super) shared: Arc<Shared>,
    pub(super) net: Net,
    pub(super) peer: PeerId,
    pub(super) key: PeerKey,
    pub(super) request: RequestId,
    pub(super) orders: Vec<Order>,
    pub(super) writer: Arc<Writer>,
    pub(super) tell: mpsc::Sender<Arrived>,
    /// Counts all that is received, of use or not.
    pub(super) received: Arc<AtomicU64>,
}

impl Transfer {
    /// Runs to the end.
    pub(super) async fn run(self) -> Result<(), TransferError> {
        let mut ranges = self.orders.iter().map(|order| {
            BlobItem::Range(BlobRange {
                hash: order.hash,
                groups: order.item.groups,
            })
        });
        let items = BoundedVec::take_from(&mut ranges);
        let mut stream = ask::open(&self.net, self.peer, StreamProtocol::Blobs).await?;
        write_frame(&mut stream, &BlobsRequest { items }, ANSWER_DEADLINE)
            .await
            .map_err(AskError::Frame)?;
        let mut input = Incoming::new(stream, self.shared.download.clone(), self.received.clone());
        input.status().await?;
        let mut output = Output {
            transfer: &self,
            ready: Vec::new(),
            ready_bytes: 0,
            told: Instant::now(),
            writing: None,
        };
        for order in &self.orders {
            match input.status().await {
                Ok(()) => receive(order, &mut input, &mut output).await?,
                Err(AskError::NotFound) => output.missing(order.item).await,
                Err(error) => return Err(error.into()),
            }
        }
        output.flush().await?;
        output.settle().await
    }
}

/// Receives one item, and writes what of it is verified even if the rest never comes.
async fn receive(
    order: &Order,
    input: &mut Incoming,
    output: &mut Output<'_>,
) -> Result<(), TransferError> {
    let (shard, groups) = (order.item.shard, order.item.groups);
    let mut decoder = PieceDecoder::new(order.hash, Expect::Size(order.size), groups);
    let mut untold = Untold {
        first: groups.first,
        bytes: 0,
    };
    let ended = loop {
        if decoder.is_complete() {
            break Ok(());
        }
        match input.more().await {
            Err(error) => break Err(error.into()),
            Ok(bytes) => match decoder.push(bytes) {
                Err(_) => break Err(TransferError::WrongBytes(order.item)),
                Ok(taken) => {
                    input.take(taken);
                    untold.bytes += len64(taken);
                }
            },
        }
        if output.told.elapsed() >= TELL_EVERY && !decoder.is_complete() {
            let news = untold.take(shard, decoder.verified());
            if order.size > SMALL_BYTES_MAX {
                output.push(news, decoder.take_piece()).await?;
                output.flush().await?;
            } else {
                // A small shard waits to be whole; that it grows is told.
                output.tell(news).await;
            }
        }
    };
    let news = untold.take(shard, decoder.verified());
    output.push(news, decoder.take_piece()).await?;
    if ended.is_err() {
        output.flush().await?;
        output.settle().await?;
    }
    ended
}

/// What of an item was verified and not told yet.
struct Untold {
    first: u64,
    bytes: u64,
}

impl Untold {
    fn take(&mut self, shard: ShardIndex, verified: Option<GroupRange>) -> Option<(Item, u64)> {
        let end = verified.map_or(self.first, GroupRange::end);
        let groups = GroupRange::between(self.first, end)?;
        self.first = end;
        Some((Item { shard, groups }, std::mem::take(&mut self.bytes)))
    }
}

fn len64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Verified pieces on their way to the disk: one batch is written while the next one arrives.
struct Output<'a> {
    transfer: &'a Transfer,
    ready: Vec<(Arrived, Piece)>,
    ready_bytes: usize,
    told: Instant,
    writing: Option<JoinHandle<Result<Vec<Arrived>, WriteError>>>,
}

impl Output<'_> {
    async fn push(&mut self, news: Option<(Item, u64)>, piece: Piece) -> Result<(), TransferError> {
        self.ready_bytes += piece.bytes().len();
        if let Some((item, bytes)) = news {
            self.ready.push((self.arrived(item, bytes, false), piece));
        }
        let due = self.ready_bytes >= WRITE_BYTES_ENOUGH || self.told.elapsed() >= TELL_EVERY;
        if due { self.flush().await } else { Ok(()) }
    }

    /// Tells of groups whose bytes wait for the rest of their shard.
    async fn tell(&mut self, news: Option<(Item, u64)>) {
        self.told = Instant::now();
        if let Some((item, bytes)) = news {
            // Nobody listens: the fetch is over, and this transfer with it.
            let _ = self
                .transfer
                .tell
                .send(self.arrived(item, bytes, false))
                .await;
        }
    }

    fn arrived(&self, item: Item, bytes: u64, missing: bool) -> Arrived {
        let Transfer { request, key, .. } = self.transfer;
        Arrived {
            request: *request,
            peer: *key,
            item,
            bytes,
            missing,
        }
    }

    async fn missing(&mut self, item: Item) {
        let arrived = self.arrived(item, 0, true);
        let _ = self.transfer.tell.send(arrived).await;
    }

    async fn flush(&mut self) -> Result<(), TransferError> {
        self.settle().await?;
        self.told = Instant::now();
        self.ready_bytes = 0;
        let ready = std::mem::take(&mut self.ready);
        if !ready.is_empty() {
            let writer = self.transfer.writer.clone();
            self.writing = Some(tokio::task::spawn_blocking(move || writer.write(ready)));
        }
        Ok(())
    }

    /// Waits for the batch that is being written, and tells of it.
    async fn settle(&mut self) -> Result<(), TransferError> {
        let Some(writing) = self.writing.take() else {
            return Ok(());
        };
        let arrived = writing.await.unwrap_or_else(|_| Err(WriteError::Stopped))?;
        for arrived in arrived {
            // Nobody listens: the fetch is over, and this transfer with it.
            let _ = self.transfer.tell.send(arrived).await;
        }
        Ok(())
    }
}
