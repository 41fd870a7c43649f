//! One request for spans to one peer: check each chunk as it arrives, hand over.

use std::sync::Arc;

use opendag_protocol::{
    Hash,
    chunkmap::{Chunk, ChunkHash},
    fetch::Item,
    limits::CHUNK_GROUP_BYTES,
    wire::{BlobSpan, ByteSpan, GroupRange},
};

use super::assembly::Assembly;
use crate::{
    ask::{AskError, Incoming},
    fetch::request::{Output, Request, TransferError},
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
    pub(in crate::fetch) request: Request,
    pub(in crate::fetch) orders: Vec<SpanOrder>,
    pub(in crate::fetch) assembly: Arc<Assembly>,
}

impl SpanTransfer {
    /// Runs to the end. What arrived before an error is kept.
    pub(in crate::fetch) async fn run(self) -> Result<(), TransferError> {
        let outcome = self.ask_all().await;
        self.request.ended(&outcome);
        outcome
    }

    async fn ask_all(&self) -> Result<(), TransferError> {
        let spans = self.orders.iter().map(|order| {
            let (hash, span) = (order.hash, order.bytes);
            BlobSpan { hash, span }.into()
        });
        let mut input = self.request.ask(spans).await?;
        let assembly = self.assembly.clone();
        let mut output = Output::new(&self.request, Arc::new(move |ready| assembly.write(ready)));
        let received = self.receive_all(&mut input, &mut output).await;
        output.finish().await?;
        received
    }

    async fn receive_all(
        &self,
        input: &mut Incoming,
        output: &mut Output<'_, Vec<u8>>,
    ) -> Result<(), TransferError> {
        for order in &self.orders {
            match input.status().await {
                Ok(()) => receive(order, input, output).await?,
                Err(AskError::NotFound) => self.request.tell_missing(order.item).await,
                Err(error) => return Err(error.into()),
            }
            output.flush_if_due().await?;
        }
        Ok(())
    }
}

/// Receives a span; each chunk is hashed as soon as it is there, so that a lie costs one.
async fn receive(
    order: &SpanOrder,
    input: &mut Incoming,
    output: &mut Output<'_, Vec<u8>>,
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
        // A slow peer is not taken for one that stalls: that its span grows is told.
        if output.is_time_to_tell()
            && let Some(grown) = take_whole_groups(&mut untold, bytes.len())
        {
            let received = grown.groups.count.saturating_mul(CHUNK_GROUP_BYTES);
            output.tell(Some((grown, received))).await;
        }
    }
    let rest = untold.groups.bytes(u64::from(order.bytes.length()));
    let (received, len) = (rest.end - rest.start + 1, bytes.len());
    output.push((untold, received), bytes, len);
    Ok(())
}

/// Takes off `untold` the groups that are whole when `bytes` of the span are here.
fn take_whole_groups(untold: &mut Item, bytes: usize) -> Option<Item> {
    let whole = u64::try_from(bytes).unwrap_or(0) / CHUNK_GROUP_BYTES;
    let (first, end) = (untold.groups.first, untold.groups.end());
    let groups = GroupRange::between(first, whole)?;
    let rest = GroupRange::between(whole, end)?;
    untold.groups = rest;
    Some(Item {
        shard: untold.shard,
        groups,
    })
}
