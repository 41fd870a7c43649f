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
/// Room that is made at once for small items.
const ROOM_BYTES_MAX: usize = BATCH_BYTES + COPIED_BYTES_MAX;

/// The items of a request that are still to be answered.
type Items = std::vec::IntoIter<BlobItem>;

/// Answers one request of `peer`. An item that is not here, that changed on disk, or that is denied here, gets
/// *not found*.
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
        bytes = later;
    }
    Ok(())
}

fn read_batch(shared: Arc<Shared>, mut items: Items) -> JoinHandle<(Answer, Items)> {
    tokio::task::spawn_blocking(move || {
        let mut answer = Answer {
            items: items.len(),
            ..Answer::default()
        };
        let mut reader = shared.store.reader();
        let mut window = Window::default();
        while answer.len < BATCH_BYTES {
            let Some(item) = items.next() else { break };
            if shared.is_withheld(item.hash()) {
                answer.gather(Status::NotFound, &[]);
                continue;
            }
            match item {
                BlobItem::Range(range) => match read_item(&mut reader, range) {
                    Ok(encoded) => answer.push(encoded),
                    Err(status) => answer.gather(status, &[]),
                },
                BlobItem::Span(span) => match window.read(&shared.store, span, items.as_slice()) {
                    Ok(bytes) => answer.gather(Status::Ok, bytes),
                    Err(status) => answer.gather(status, &[]),
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
    /// At most so many are to come.
    items: usize,
    /// Does the last part take small items? Each part ends with a frame that is not full.
    is_gathering: bool,
}

impl Answer {
    /// An item that is copied, or why there is none.
    fn gather(&mut self, status: Status, item: &[u8]) {
        let bytes = 1 + item.len();
        if !self.is_gathering {
            let room = bytes.saturating_mul(self.items).min(ROOM_BYTES_MAX);
            self.parts.push(Vec::with_capacity(room.max(bytes)));
            self.is_gathering = true;
        }
        if let Some(part) = self.parts.last_mut() {
            part.push(u8::from(status));
            part.extend_from_slice(item);
            self.len += bytes;
        }
    }

    /// An item that is here.
    fn push(&mut self, item: Vec<u8>) {
        if item.len() <= COPIED_BYTES_MAX {
            return self.gather(Status::Ok, &item);
        }
        self.gather(Status::Ok, &[]);
        self.len += item.len();
        self.parts.push(item);
        self.is_gathering = false;
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
