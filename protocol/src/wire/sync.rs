//! `/opendag/<net>/sync/1`: which records two nodes differ in.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{BoundedBytes, BoundedVec};
use crate::{
    RecordId,
    limits::{SYNC_IDS_PER_RANGE_MAX, SYNC_OFFERS_PER_MESSAGE_MAX, SYNC_RANGES_MAX},
};

/// What either side sends. They take turns with `Ranges`; then each sends its `Offer`s and `Done`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncMessage {
    /// What the sender has, range by range, in order. None is open: the comparison has ended.
    Ranges(BoundedVec<SyncRange, SYNC_RANGES_MAX>),
    /// Records that the sender has and the receiver does not.
    Offer(BoundedVec<RecordId, SYNC_OFFERS_PER_MESSAGE_MAX>),
    /// The sender has no more to say.
    Done,
    /// Ask again later.
    Busy,
}

/// A range, from the end of the one before (the first: from the start of time).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRange {
    /// By how much later it ends than it begins, in seconds.
    pub later: u64,
    /// The first bytes of the id where it ends; the others are zero.
    pub prefix: BoundedBytes<32>,
    /// What the sender has in it.
    pub has: SyncHas,
}

/// What the sender has in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncHas {
    /// Nothing more need be said of it.
    Settled,
    /// Items with this fingerprint.
    Fingerprint([u8; 16]),
    /// Exactly these.
    Ids(Vec<RecordId>),
}

/// First byte of the third part of a range.
const SETTLED: u8 = 0;
const FINGERPRINT: u8 = 1;
const IDS: u8 = 2;

impl SyncHas {
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Settled => vec![SETTLED],
            Self::Fingerprint(fingerprint) => [&[FINGERPRINT], fingerprint.as_slice()].concat(),
            Self::Ids(ids) => {
                let mut bytes = vec![IDS];
                for id in ids {
                    bytes.extend_from_slice(id.hash().as_bytes());
                }
                bytes
            }
        }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&SETTLED, []) => Some(Self::Settled),
            (&FINGERPRINT, rest) => Some(Self::Fingerprint(rest.try_into().ok()?)),
            (&IDS, rest) => {
                let (ids, []) = rest.as_chunks::<32>() else {
                    return None;
                };
                let ids: Vec<_> = ids
                    .iter()
                    .map(|id| RecordId::from_hash(crate::Hash::from_bytes(*id)))
                    .collect();
                let in_order = ids.len() <= SYNC_IDS_PER_RANGE_MAX;
                in_order.then_some(Self::Ids(ids))
            }
            _ => None,
        }
    }
}

impl Serialize for SyncRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let has = serde_bytes::ByteBuf::from(self.has.to_bytes());
        (self.later, &self.prefix, has).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SyncRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (later, prefix, has) =
            <(u64, BoundedBytes<32>, serde_bytes::ByteBuf)>::deserialize(deserializer)?;
        if prefix.last() == Some(&0) {
            return Err(de::Error::custom("a prefix ends with a zero"));
        }
        let has = SyncHas::from_bytes(&has).ok_or_else(|| {
            de::Error::custom("a range holds neither nothing, a fingerprint nor ids")
        })?;
        Ok(Self { later, prefix, has })
    }
}
