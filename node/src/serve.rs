//! Serving: what other nodes may ask of this one, within limits per peer and in total.
//!
//! One task takes inbound streams off the network's queue; each stream gets a task of its own if
//! there is a slot for it, else the answer *busy*, so that a peer turns to another one at once.

mod blobs;
mod holdings;
mod records;
mod slots;
mod spans;

use std::sync::Arc;

use futures::AsyncWriteExt;
use opendag_protocol::wire::{HoldingsUpdate, RecordsResponse, Status, SyncMessage};
use tokio::{sync::mpsc, task::JoinSet};

pub(crate) use self::slots::{InUse, Slots};
use crate::{
    catalogue,
    frames::{FrameError, write_bytes, write_frame},
    limits::ANSWER_DEADLINE,
    metrics::Answer,
    net::{InboundStream, StreamProtocol},
    node::Shared,
};

/// Answers inbound streams until the network ends. Dropping it ends all answers.
pub(crate) async fn run(shared: Arc<Shared>, mut streams: mpsc::Receiver<InboundStream>) {
    let mut answers = JoinSet::new();
    loop {
        tokio::select! {
            inbound = streams.recv() => match inbound {
                Some(inbound) => { answers.spawn(answer(shared.clone(), inbound)); }
                None => break,
            },
            Some(_) = answers.join_next() => {}
        }
    }
}

async fn answer(shared: Arc<Shared>, mut inbound: InboundStream) {
    let (peer, protocol) = (inbound.peer, inbound.protocol);
    let (served, mut answer) = match shared.slots.take(peer, protocol).await {
        None => (refuse(&mut inbound).await, Answer::Busy),
        Some(_slot) => {
            let stream = &mut inbound.stream;
            let served = match protocol {
                StreamProtocol::Records => records::answer(&shared, stream).await,
                StreamProtocol::Sync => catalogue::answer(&shared, peer, stream).await,
                StreamProtocol::Holdings => holdings::answer(&shared, peer, stream).await,
                StreamProtocol::Blobs => blobs::answer(&shared, peer, stream).await,
            };
            (served, Answer::Whole)
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, ?protocol, %error, "an answer ended early");
        answer = Answer::Broken;
    }
    shared.metrics.transfer.answered(protocol, answer);
    // The peer may be gone already.
    let _ = inbound.stream.close().await;
}

async fn refuse(inbound: &mut InboundStream) -> Result<(), FrameError> {
    let stream = &mut inbound.stream;
    match inbound.protocol {
        StreamProtocol::Records => {
            write_frame(stream, &RecordsResponse::Busy, ANSWER_DEADLINE).await
        }
        StreamProtocol::Sync => write_frame(stream, &SyncMessage::Busy, ANSWER_DEADLINE).await,
        StreamProtocol::Holdings => {
            write_frame(stream, &HoldingsUpdate::Busy, ANSWER_DEADLINE).await
        }
        StreamProtocol::Blobs => {
            write_bytes(stream, &[u8::from(Status::Busy)], ANSWER_DEADLINE).await
        }
    }
}
