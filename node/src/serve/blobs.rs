//! Answering `/opendag/<net>/blobs/1`: verified ranges of blobs, and spans for whoever knows their hashes.

use std::sync::Arc;

use libp2p::PeerId;
use opendag_protocol::wire::{BlobItem, BlobRange, BlobsRequest, Status};
use tokio::task::JoinHandle;

use super::spans::Window;
use crate::{
    frames::{FrameError, read_frame, write_bytes},
    limits::{ANSWER_DEADLINE, ITEM_GROUPS_MAX},
    net::Stream,
    node::Shared,
    store::Reader,
};

/// Bytes that are read at once before they are sent: so many that a thread's wake-up costs nothing.
const BATCH_BYTES: usize = 1024 * 1024;
/// Larger items are not copied: a frame of its own costs less.
const COPIED_BYTES_MAX: usize = 128 * 1024;

/// The items of a request that are still to be answered.
type Items = std::vec::IntoIter<BlobItem>;

/// Answers one request of `peer`. An item that is not here, or that changed on disk, gets *not found*.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    peer: PeerId,
    stream: &mut Stream,
) -> Result<(), FrameError> {
    let Some(request) = read_frame::<BlobsRequest>(stream, ANSWER_DEADLINE).await? else {
        return Ok(());
    };
    write_bytes(stream, &[u8::from(Status::Ok)], ANSWER_DEADLINE).await?;
    let items = request.items.into_vec();
    let mut reading = read_batch(shared.clone(), items.into_iter());
    // A panic of the reader ends the answer; the runtime has reported it.
    while let Ok((batch, items)) = reading.await {
        if batch.len == 0 {
            break;
        }
        // The next batch is read from disk while this one is sent.
        reading = read_batch(shared.clone(), items);
        for part in &batch.parts {
            send(shared, peer, stream, part).await?;
        }
    }
    Ok(())
}

/// Sends as the cap lets it pass, so that the first bytes do not wait for the last.
async fn send(
    shared: &Shared,
    peer: PeerId,
    stream: &mut Stream,
    mut bytes: &[u8],
) -> Result<(), FrameError> {
    while !bytes.is_empty() {
        let pass = shared.upload.share(peer, bytes.len()).await;
        let (now, later) = bytes.split_at_checked(pass).unwrap_or((bytes, &[]));
        write_bytes(stream, now, ANSWER_DEADLINE).await?;
        shared.counters.sent(now.len());
        bytes = later;
    }
    Ok(())
}

fn read_batch(shared: Arc<Shared>, mut items: Items) -> JoinHandle<(Answer, Items)> {
    tokio::task::spawn_blocking(move || {
        let mut answer = Answer::default();
        let mut reader = shared.store.reader();
        let mut window = Window::default();
        while answer.len < BATCH_BYTES {
            let Some(item) = items.next() else { break };
            match item {
                BlobItem::Range(range) => match read_item(&mut reader, range) {
                    Ok(encoded) => answer.push(encoded),
                    Err(status) => answer.extend(&[u8::from(status)]),
                },
                BlobItem::Span(span) => match window.read(&shared.store, span, items.as_slice()) {
                    Ok(bytes) => {
                        answer.extend(&[u8::from(Status::Ok)]);
                        answer.extend(bytes);
                    }
                    Err(status) => answer.extend(&[u8::from(status)]),
                },
            }
        }
        (answer, items)
    })
}

/// Part of an answer: small items one behind the other, large ones as they were read.
#[derive(Default)]
struct Answer {
    parts: Vec<Vec<u8>>,
    len: usize,
}

impl Answer {
    fn extend(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        match self.parts.last_mut() {
            Some(last) if last.len() < COPIED_BYTES_MAX => last.extend_from_slice(bytes),
            _ => self.parts.push(bytes.to_vec()),
        }
    }

    /// An item that is here.
    fn push(&mut self, item: Vec<u8>) {
        self.extend(&[u8::from(Status::Ok)]);
        if item.len() <= COPIED_BYTES_MAX {
            self.extend(&item);
        } else {
            self.len += item.len();
            self.parts.push(item);
        }
    }
}

/// A range without an end is bounded by what the store reads at once.
fn read_item(reader: &mut Reader, item: BlobRange) -> Result<Vec<u8>, Status> {
    if item.groups.count > ITEM_GROUPS_MAX {
        return Err(Status::Refused);
    }
    reader.read_bao(item.hash, item.groups).map_err(|error| {
        tracing::debug!(hash = %item.hash, %error, "cannot serve a blob");
        Status::NotFound
    })
}
