//! One request for pieces to one peer: verify as they arrive, hand over to the writer.

use std::sync::Arc;

use opendag_protocol::{
    Hash,
    fetch::Item,
    table::ShardIndex,
    wire::{BlobItem, BlobRange, GroupRange},
};

use super::{
    request::{Output, Request, TransferError, Write},
    writer::SMALL_BYTES_MAX,
};
use crate::{
    ask::{AskError, Incoming},
    store::{Expect, Piece, PieceDecoder},
};

/// An item and what proves it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) item: Item,
    pub(super) hash: Hash,
    pub(super) size: u64,
}

/// One request. Dropping it gives up what was not written yet.
pub(super) struct Transfer {
    pub(super) request: Request,
    pub(super) orders: Vec<Order>,
    pub(super) write: Arc<Write<Piece>>,
}

impl Transfer {
    /// Runs to the end.
    pub(super) async fn run(self) -> Result<(), TransferError> {
        let outcome = self.receive_all().await;
        self.request.ended(&outcome);
        outcome
    }

    async fn receive_all(&self) -> Result<(), TransferError> {
        let ranges = self.orders.iter().map(|order| {
            BlobItem::Range(BlobRange {
                hash: order.hash,
                groups: order.item.groups,
            })
        });
        let mut input = self.request.ask(ranges).await?;
        let mut output = Output::new(&self.request, self.write.clone());
        for order in &self.orders {
            match input.status().await {
                Ok(()) => receive(order, &mut input, &mut output).await?,
                Err(AskError::NotFound) => self.request.tell_missing(order.item).await,
                Err(error) => return Err(error.into()),
            }
        }
        output.finish().await
    }
}

/// Receives one item, and writes what of it is verified even if the rest never comes.
async fn receive(
    order: &Order,
    input: &mut Incoming,
    output: &mut Output<'_, Piece>,
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
        if output.is_time_to_tell() && !decoder.is_complete() {
            let news = untold.take(shard, decoder.verified());
            if order.size > SMALL_BYTES_MAX {
                push(output, news, decoder.take_piece());
                output.flush().await?;
            } else {
                // A small shard waits to be whole; that it grows is told.
                output.tell(news).await;
            }
        }
    };
    let news = untold.take(shard, decoder.verified());
    push(output, news, decoder.take_piece());
    match ended {
        Ok(()) => output.flush_if_due().await,
        Err(error) => {
            output.finish().await?;
            Err(error)
        }
    }
}

fn push(output: &mut Output<'_, Piece>, news: Option<(Item, u64)>, piece: Piece) {
    if let Some(news) = news {
        let len = piece.bytes().len();
        output.push(news, piece, len);
    }
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
