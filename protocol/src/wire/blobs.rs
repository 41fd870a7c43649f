//! `/opendag/<net>/blobs/1`: get verified ranges of blobs.

use serde::{Deserialize, Serialize};

use super::{BoundedVec, GroupRange};
use crate::{id::Hash, limits::BLOB_RANGES_PER_REQUEST_MAX};

/// The one frame that a client sends.
///
/// The answer is not framed: a [`Status`]; if that is `Ok`, for each item in order a [`Status`], and if
/// that is `Ok` the size of the blob (64 bits, little-endian) and the bao encoding of the range, in
/// pre-order with chunk groups of 16 KiB. Then the stream ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobsRequest {
    /// What is wanted, in the order of the answer.
    pub items: BoundedVec<BlobRange, BLOB_RANGES_PER_REQUEST_MAX>,
}

/// A range of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlobRange {
    /// The blob.
    pub hash: Hash,
    /// Its chunk groups.
    pub groups: GroupRange,
}

/// How a request, or an item of it, is answered. One byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The bytes follow.
    Ok,
    /// The server does not have it.
    NotFound,
    /// The server has too much to do: ask again later.
    Busy,
    /// The server does not do that.
    Refused,
}

/// A byte that is no [`Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a status of {byte} is not known")]
pub struct UnknownStatus {
    /// The byte.
    pub byte: u8,
}

impl From<Status> for u8 {
    fn from(status: Status) -> Self {
        match status {
            Status::Ok => 0,
            Status::NotFound => 1,
            Status::Busy => 2,
            Status::Refused => 3,
        }
    }
}

impl TryFrom<u8> for Status {
    type Error = UnknownStatus;

    fn try_from(byte: u8) -> Result<Self, UnknownStatus> {
        match byte {
            0 => Ok(Self::Ok),
            1 => Ok(Self::NotFound),
            2 => Ok(Self::Busy),
            3 => Ok(Self::Refused),
            byte => Err(UnknownStatus { byte }),
        }
    }
}
