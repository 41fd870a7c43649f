//! `/opendag/<net>/blobs/1`: get verified ranges of blobs, or plain spans of them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{BoundedVec, GroupRange};
use crate::{
    id::Hash,
    limits::{BLOB_RANGES_PER_REQUEST_MAX, SPAN_BYTES_MAX},
};

/// The one frame that a client sends.
///
/// The answer is not framed: a [`Status`]; if that is `Ok`, for each item in order a [`Status`], and if
/// that is `Ok` what was asked for: of a [`BlobRange`] the size of the blob (64 bits, little-endian) and the
/// bao encoding of the range, in pre-order with chunk groups of 16 KiB; of a [`BlobSpan`] its bytes. Then
/// the stream ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobsRequest {
    /// What is wanted, in the order of the answer.
    pub items: BoundedVec<BlobItem, BLOB_RANGES_PER_REQUEST_MAX>,
}

/// What is wanted of a blob. On the wire `{"hash", "groups"}` or `{"hash", "span"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "ItemForm", into = "ItemForm")]
pub enum BlobItem {
    /// Chunk groups, with what proves them.
    Range(BlobRange),
    /// Bytes without a proof: the client knows their hash from a chunk map.
    Span(BlobSpan),
}

/// A range of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlobRange {
    /// The blob.
    pub hash: Hash,
    /// Its chunk groups.
    pub groups: GroupRange,
}

/// Bytes of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlobSpan {
    /// The blob.
    pub hash: Hash,
    /// Which bytes.
    pub span: ByteSpan,
}

impl BlobItem {
    /// The blob.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        match self {
            Self::Range(range) => range.hash,
            Self::Span(span) => span.hash,
        }
    }
}

impl From<BlobRange> for BlobItem {
    fn from(range: BlobRange) -> Self {
        Self::Range(range)
    }
}

impl From<BlobSpan> for BlobItem {
    fn from(span: BlobSpan) -> Self {
        Self::Span(span)
    }
}

/// Some bytes of a blob: at least one, at most [`SPAN_BYTES_MAX`]. On the wire `[start, length]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSpan {
    start: u64,
    length: u32,
}

impl ByteSpan {
    /// `length` bytes from `start` on; `None` if that is none, too many, or beyond any blob.
    #[must_use]
    pub const fn new(start: u64, length: u32) -> Option<Self> {
        if length == 0 || length > SPAN_BYTES_MAX || start.checked_add(length as u64).is_none() {
            return None;
        }
        Some(Self { start, length })
    }

    /// Where it begins.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// Its bytes.
    #[must_use]
    pub const fn length(self) -> u32 {
        self.length
    }

    /// One past its last byte.
    #[must_use]
    pub fn end(self) -> u64 {
        // The sum was checked when it was made.
        self.start.saturating_add(u64::from(self.length))
    }

    /// The chunk groups in which it lies.
    #[must_use]
    pub fn groups(self) -> GroupRange {
        GroupRange::covering(self.start, self.end()).unwrap_or(GroupRange::ALL)
    }
}

impl Serialize for ByteSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.start, self.length).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ByteSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (start, length) = <(u64, u32)>::deserialize(deserializer)?;
        Self::new(start, length)
            .ok_or_else(|| de::Error::custom("a span is empty, too long or beyond any blob"))
    }
}

/// An item as it stands in a frame.
#[derive(Serialize, Deserialize)]
struct ItemForm {
    hash: Hash,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    groups: Option<GroupRange>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    span: Option<ByteSpan>,
}

/// A field that is there has a value: `null` is another way to leave it out, and refused.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// An item that asks for nothing, or for groups and a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an item of a request names either chunk groups or a span")]
struct NeitherOrBoth;

impl TryFrom<ItemForm> for BlobItem {
    type Error = NeitherOrBoth;

    fn try_from(form: ItemForm) -> Result<Self, NeitherOrBoth> {
        let ItemForm { hash, groups, span } = form;
        match (groups, span) {
            (Some(groups), None) => Ok(Self::Range(BlobRange { hash, groups })),
            (None, Some(span)) => Ok(Self::Span(BlobSpan { hash, span })),
            (None, None) | (Some(_), Some(_)) => Err(NeitherOrBoth),
        }
    }
}

impl From<BlobItem> for ItemForm {
    fn from(item: BlobItem) -> Self {
        let (groups, span) = match item {
            BlobItem::Range(range) => (Some(range.groups), None),
            BlobItem::Span(span) => (None, Some(span.span)),
        };
        Self {
            hash: item.hash(),
            groups,
            span,
        }
    }
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
