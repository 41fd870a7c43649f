//! What a statement is about.

use std::{fmt, str::FromStr};

use cid::Cid;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    BlobId, DatasetId, Hash, ManifestId, RecordId,
    id::{CODEC_RAW, IdError},
};

/// Something that has an id: a dataset or a version (by their records), or a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A record: the first of a dataset, a manifest, or any other.
    Record(RecordId),
    /// A blob.
    Blob(BlobId),
}

impl Subject {
    /// The hash inside the id.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        match self {
            Self::Record(id) => id.hash(),
            Self::Blob(id) => id.hash(),
        }
    }

    fn cid(&self) -> Cid {
        match self {
            Self::Record(id) => id.cid(),
            Self::Blob(id) => id.cid(),
        }
    }
}

impl TryFrom<&Cid> for Subject {
    type Error = IdError;

    fn try_from(cid: &Cid) -> Result<Self, IdError> {
        if cid.codec() == CODEC_RAW {
            BlobId::try_from(cid).map(Self::Blob)
        } else {
            RecordId::try_from(cid).map(Self::Record)
        }
    }
}

impl From<RecordId> for Subject {
    fn from(id: RecordId) -> Self {
        Self::Record(id)
    }
}

impl From<DatasetId> for Subject {
    fn from(id: DatasetId) -> Self {
        Self::Record(id.into())
    }
}

impl From<ManifestId> for Subject {
    fn from(id: ManifestId) -> Self {
        Self::Record(id.into())
    }
}

impl From<BlobId> for Subject {
    fn from(id: BlobId) -> Self {
        Self::Blob(id)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.cid(), f)
    }
}

impl FromStr for Subject {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.parse() {
            Ok(id) => Ok(Self::Record(id)),
            Err(_) => text.parse().map(Self::Blob),
        }
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Record(id) => id.serialize(serializer),
            Self::Blob(id) => id.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(de::Error::custom)
        } else {
            let cid = Cid::deserialize(deserializer)?;
            Self::try_from(&cid).map_err(de::Error::custom)
        }
    }
}
