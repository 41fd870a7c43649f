//! Messages of the stream protocols, with their limits in their types.
//!
//! Requests and updates are frames ([`encode_frame`], [`FrameDecoder`]) of canonical DAG-CBOR; the
//! answer to a [`BlobsRequest`] is raw bytes. What a peer may send, and when, says `specs/protocols.md`.

mod blobs;
mod bounded;
mod frame;
mod groups;
mod holdings;
mod records;
mod sync;

pub use blobs::{BlobItem, BlobRange, BlobSpan, BlobsRequest, ByteSpan, Status, UnknownStatus};
pub use bounded::{BoundedBytes, BoundedVec, TooMany};
pub use frame::{
    FRAME_PREFIX_BYTES, FrameDecoder, FrameError, decode_frame, encode_frame, frame_len,
};
pub use groups::{GroupRange, GroupRanges, groups_in};
pub use holdings::{HoldingsRequest, HoldingsUpdate, PeerAddr, ShardBits, shards_in};
pub use records::{RecordBytes, RecordsRequest, RecordsResponse};
pub use sync::{SyncHas, SyncMessage, SyncRange};

#[cfg(test)]
mod tests;
