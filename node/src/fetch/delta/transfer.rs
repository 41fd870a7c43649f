//! One request for spans to one peer: ask, check each chunk as it arrives, hand over.

use std::sync::{Arc, atomic::AtomicU64};

use libp2p::PeerId;
use opendag_protocol::{
    Hash,
    chunkmap::{Chunk, ChunkHash},
    fetch::{Item, PeerKey, RequestId},
    limits::CHUNK_GROUP_BYTES,
    wire::{BlobSpan, BlobsRequest, BoundedVec, ByteSpan, GroupRange},
};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::assembly::Assembly;
use crate::{
    ask::{self, AskError, Incoming},
    fetch::{
        transfer::{Arrived, TELL_EVERY, TransferError, WRITE_BYTES_ENOUGH},
        writer::WriteError,
    },
    frames::write_frame,
    limits::ANSWER_DEADLINE,
    net::{Net, StreamProtocol},
    node::Shared,
};

/// A span and what proves its bytes.
#[derive(Clone, Debug)]
pub(in crate::fetch) struct SpanOrder {
    pub(in crate::fetch) item: Item,
    /// The shard that it is of.
    pub(in crate::fetch) hash: Hash,
    pub(in crate::fetch) bytes: ByteSpan,
    pub(in crate::fetch) chunks: Vec<Chunk>,
}

/// One request. Dropping it gives up what was not written yet.
pub(in crate::fetch) struct SpanTransfer {
    pub(in crate::fetch) shared: Arc<Shared>,
    pub(in crate::fetch) net: Net,
    pub(in crate::fetch) peer: PeerId,
    pub(in crate::fetch) key: PeerKey,
    pub(in crate::fetch) request: RequestId,
    pub(in crate::fetch) orders: Vec<SpanOrder>,
    pub(in crate::fetch) assembly: Arc<Assembly>,
    pub(in crate::fetch) tell: mpsc::Sender<Arrived>,
    /// Counts all that is received, of use or not.
    pub(in crate::fetch) received: Arc<AtomicU64>,
}

impl SpanTransfer {
    /// Runs to the end. What arrived before an error is kept.
    pub(in crate::fetch) async fn run(self) -> Result<(), TransferError> {
        let mut spans = self.orders.iter().map(|order| {
            let (hash, span) = (order.hash, order.bytes);
            BlobSpan { hash, span }.into()
        });
        let items = BoundedVec::take_from(&mut spans);
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
        let received = output.receive_all(&mut input).await;
        output.flush().await?;
        output.settle().await?;
        received
    }

    fn arrived(&self, item: Item, bytes: u64, missing: bool) -> Arrived {
        Arrived {
            request: self.request,
            peer: self.key,
            item,
            bytes,
            missing,
        }
    }

    async fn tell(&self, arrived: Arrived) {
        // Nobody listens: the fetch is over, and this transfer with it.
        let _ = self.tell.send(arrived).await;
    }
}

/// Checked spans on their way to their files: one batch is written while the next one arrives.
struct Output<'a> {
    transfer: &'a SpanTransfer,
    ready: Vec<(Arrived, Vec<u8>)>,
    ready_bytes: usize,
    told: Instant,
    writing: Option<JoinHandle<Result<Vec<Arrived>, WriteError>>>,
}

impl Output<'_> {
    async fn receive_all(&mut self, input: &mut Incoming) -> Result<(), TransferError> {
        let transfer = self.transfer;
        for order in &transfer.orders {
            match input.status().await {
                Ok(()) => self.receive(order, input).await?,
                Err(AskError::NotFound) => {
                    transfer.tell(transfer.arrived(order.item, 0, true)).await;
                }
                Err(error) => return Err(error.into()),
            }
            if self.ready_bytes >= WRITE_BYTES_ENOUGH || self.told.elapsed() >= TELL_EVERY {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Receives a span; each chunk is hashed as soon as it is there, so that a lie costs one.
    async fn receive(
        &mut self,
        order: &SpanOrder,
        input: &mut Incoming,
    ) -> Result<(), TransferError> {
        let mut bytes = Vec::with_capacity(usize::try_from(order.bytes.length()).unwrap_or(0));
        let mut untold = order.item;
        for chunk in &order.chunks {
            let start = bytes.len();
            let end = start + usize::try_from(chunk.length).unwrap_or(usize::MAX);
            while bytes.len() < end {
                let more = input.more().await?;
                let taken = more.len().min(end - bytes.len());
                bytes.extend_from_slice(more.get(..taken).unwrap_or_default());
                input.take(taken);
            }
            let content = bytes.get(start..end).unwrap_or_default();
            if ChunkHash::of(content) != chunk.hash {
                return Err(TransferError::WrongBytes(order.item));
            }
            if self.told.elapsed() >= TELL_EVERY {
                self.tell_growth(&mut untold, bytes.len()).await;
            }
        }
        let rest = untold.groups.bytes(u64::from(order.bytes.length()));
        let received = rest.end - rest.start + 1;
        self.ready_bytes += bytes.len();
        let arrived = self.transfer.arrived(untold, received, false);
        self.ready.push((arrived, bytes));
        Ok(())
    }

    /// A slow peer is not taken for one that stalls: that its span grows is told.
    async fn tell_growth(&mut self, untold: &mut Item, bytes: usize) {
        let whole_groups = u64::try_from(bytes).unwrap_or(0) / CHUNK_GROUP_BYTES;
        let (first, end) = (untold.groups.first, untold.groups.end());
        let (Some(groups), Some(rest)) = (
            GroupRange::between(first, whole_groups),
            GroupRange::between(whole_groups, end),
        ) else {
            return;
        };
        self.told = Instant::now();
        untold.groups = rest;
        let item = Item {
            shard: untold.shard,
            groups,
        };
        let received = groups.count.saturating_mul(CHUNK_GROUP_BYTES);
        self.transfer
            .tell(self.transfer.arrived(item, received, false))
            .await;
    }

    async fn flush(&mut self) -> Result<(), TransferError> {
        self.settle().await?;
        self.told = Instant::now();
        self.ready_bytes = 0;
        let ready = std::mem::take(&mut self.ready);
        if !ready.is_empty() {
            let assembly = self.transfer.assembly.clone();
            self.writing = Some(tokio::task::spawn_blocking(move || assembly.write(ready)));
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
            self.transfer.tell(arrived).await;
        }
        Ok(())
    }
}
