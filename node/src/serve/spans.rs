//! Reading spans of blobs: bytes without a proof, which were verified on their way from the disk.

use opendag_protocol::{
    Hash,
    wire::{BlobItem, BlobSpan, GroupRange, Status},
};

use crate::store::{ReadError, Store};

/// Neighbouring spans are read together up to so many bytes: a small file is hashed as a whole for each read.
const WINDOW_BYTES_MAX: u64 = 1024 * 1024;

/// Verified bytes of a blob, from which the spans of a request are cut.
#[derive(Debug, Default)]
pub(super) struct Window {
    hash: Option<Hash>,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The bytes of a span; `next` are the items that follow, which may be read with it. Blocks.
    pub(super) fn read(
        &mut self,
        store: &Store,
        wanted: BlobSpan,
        next: &[BlobItem],
    ) -> Result<&[u8], Status> {
        if self.slice(wanted).is_none() {
            let BlobSpan { hash, span } = wanted;
            let together = GroupRange::covering(span.start(), read_ahead(wanted, next));
            let together = together.unwrap_or(span.groups());
            // Of a shard that is being fetched, not all that follows may be here.
            let read = store
                .read_verified(hash, together)
                .or_else(|_| store.read_verified(hash, span.groups()));
            self.bytes = read.map_err(|error| status(hash, &error))?;
            self.start = together.bytes(u64::MAX).start;
            self.hash = Some(hash);
        }
        self.slice(wanted).ok_or(Status::Refused)
    }

    fn slice(&self, wanted: BlobSpan) -> Option<&[u8]> {
        if self.hash != Some(wanted.hash) {
            return None;
        }
        let from = |at: u64| usize::try_from(at.checked_sub(self.start)?).ok();
        self.bytes
            .get(from(wanted.span.start())?..from(wanted.span.end())?)
    }
}

/// Where reading may end so that it serves the spans of the same blob that follow.
fn read_ahead(wanted: BlobSpan, next: &[BlobItem]) -> u64 {
    let mut end = wanted.span.end();
    for item in next {
        match item {
            BlobItem::Span(BlobSpan { hash, span })
                if *hash == wanted.hash
                    && span.start() >= end
                    && span.end() - wanted.span.start() <= WINDOW_BYTES_MAX =>
            {
                end = span.end();
            }
            BlobItem::Span(_) | BlobItem::Range(_) => break,
        }
    }
    end
}

fn status(hash: Hash, error: &ReadError) -> Status {
    tracing::debug!(%hash, %error, "cannot serve a span");
    match error {
        ReadError::OutOfRange { .. } => Status::Refused,
        ReadError::NotFound { .. } | ReadError::Index { .. } | ReadError::Disk(_) => {
            Status::NotFound
        }
    }
}

#[cfg(test)]
mod tests;
