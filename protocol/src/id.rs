//! Ids: BLAKE3 hashes, and the CIDs that name records and blobs.
//!
//! A [`struct@Hash`] names bytes. Four kinds of id wrap it, so that a manifest can never be passed where a
//! dataset is meant. As text and inside records an id is a CIDv1 with BLAKE3-256 (`0x1e`): codec
//! `dag-cbor` (`0x71`) for records, `raw` (`0x55`) for blobs; text is base32 in lower case.
//! Source: `specs/records.md`, section *Ids*.

use std::{fmt, str::FromStr};

use cid::{Cid, multihash::Multihash};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Multicodec of BLAKE3.
const MULTIHASH_BLAKE3: u64 = 0x1e;
/// Multicodec of DAG-CBOR, the codec of records.
const CODEC_DAG_CBOR: u64 = 0x71;
/// Multicodec of raw bytes, the codec of blobs.
pub(crate) const CODEC_RAW: u64 = 0x55;

/// The BLAKE3-256 hash of some bytes. As text 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Wraps 32 bytes that are a hash already.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<blake3::Hash> for Hash {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl From<Hash> for blake3::Hash {
    fn from(hash: Hash) -> Self {
        Self::from_bytes(hash.0)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes = data_encoding::HEXLOWER
            .decode(text.as_bytes())
            .map_err(|_| IdError::NotAnId)?;
        Ok(Self(bytes.try_into().map_err(|_| IdError::NotAnId)?))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?
                .parse()
                .map_err(de::Error::custom)
        } else {
            let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
            let bytes = bytes
                .into_vec()
                .try_into()
                .map_err(|_| de::Error::custom("a hash has 32 bytes"))?;
            Ok(Self(bytes))
        }
    }
}

/// Why a text or a CID is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Neither a CID nor a hash.
    #[error("this is not an OpenDAG id (a text that begins with \"bafyr4i\" or \"bafkr4i\")")]
    NotAnId,
    /// A CID of another codec or hash function.
    #[error("this id names another kind of content (codec {codec:#x}, hash function {hash:#x})")]
    OtherKind {
        /// The CID's multicodec.
        codec: u64,
        /// The CID's hash function.
        hash: u64,
    },
}

fn to_cid(codec: u64, hash: &Hash) -> Cid {
    // 32 bytes always fit into a multihash of 64.
    let digest = Multihash::wrap(MULTIHASH_BLAKE3, hash.as_bytes()).unwrap_or_default();
    Cid::new_v1(codec, digest)
}

fn from_cid(codec: u64, cid: &Cid) -> Result<Hash, IdError> {
    let digest = cid.hash();
    if cid.codec() != codec || digest.code() != MULTIHASH_BLAKE3 {
        return Err(IdError::OtherKind {
            codec: cid.codec(),
            hash: digest.code(),
        });
    }
    let bytes = digest.digest().try_into().map_err(|_| IdError::NotAnId)?;
    Ok(Hash::from_bytes(bytes))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $codec:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Hash);

        impl $name {
            /// The id whose content has this hash.
            #[must_use]
            pub const fn from_hash(hash: Hash) -> Self {
                Self(hash)
            }

            /// The hash inside the id.
            #[must_use]
            pub const fn hash(&self) -> Hash {
                self.0
            }

            /// The id as a CID.
            #[must_use]
            pub fn cid(&self) -> Cid {
                to_cid($codec, &self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.cid(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Parses the one text form that `Display` prints: base32, lower case.
            fn from_str(text: &str) -> Result<Self, IdError> {
                if !text.starts_with('b') {
                    return Err(IdError::NotAnId);
                }
                let cid = Cid::try_from(text).map_err(|_| IdError::NotAnId)?;
                let id = Self(from_cid($codec, &cid)?);
                if id.to_string() == text { Ok(id) } else { Err(IdError::NotAnId) }
            }
        }

        impl TryFrom<&Cid> for $name {
            type Error = IdError;

            fn try_from(cid: &Cid) -> Result<Self, IdError> {
                Ok(Self(from_cid($codec, cid)?))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.cid().serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
                } else {
                    let cid = Cid::deserialize(deserializer)?;
                    Self::try_from(&cid).map_err(de::Error::custom)
                }
            }
        }
    };
}

id!(
    /// Names a record: the CID of its payload.
    RecordId, CODEC_DAG_CBOR
);
id!(
    /// Names a dataset for life: the id of its first `dataset` record.
    DatasetId, CODEC_DAG_CBOR
);
id!(
    /// Names one version of a dataset: the id of its `manifest` record.
    ManifestId, CODEC_DAG_CBOR
);
id!(
    /// Names a blob: immutable bytes.
    BlobId, CODEC_RAW
);

impl From<RecordId> for DatasetId {
    fn from(id: RecordId) -> Self {
        Self(id.0)
    }
}

impl From<RecordId> for ManifestId {
    fn from(id: RecordId) -> Self {
        Self(id.0)
    }
}

impl From<DatasetId> for RecordId {
    fn from(id: DatasetId) -> Self {
        Self(id.0)
    }
}

impl From<ManifestId> for RecordId {
    fn from(id: ManifestId) -> Self {
        Self(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_has_the_documented_prefix() {
        let record = RecordId::from_hash(Hash::of(b"record"));
        assert!(record.to_string().starts_with("bafyr4i"));
        assert_eq!(record.to_string().parse::<RecordId>(), Ok(record));
        let blob = BlobId::from_hash(Hash::of(b"blob"));
        assert!(blob.to_string().starts_with("bafkr4i"));
        assert!(matches!(
            blob.to_string().parse::<RecordId>(),
            Err(IdError::OtherKind { .. })
        ));
    }

    #[test]
    fn other_spellings_of_one_id_are_refused() {
        let text = RecordId::from_hash(Hash::of(b"x")).to_string();
        assert_eq!(
            text.to_uppercase().parse::<RecordId>(),
            Err(IdError::NotAnId)
        );
        assert_eq!(
            format!("{text} ").parse::<RecordId>(),
            Err(IdError::NotAnId)
        );
        assert_eq!("".parse::<RecordId>(), Err(IdError::NotAnId));
    }
}
