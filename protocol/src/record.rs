//! Records: small statements signed with ed25519, the only thing that nodes gossip and reconcile.
//!
//! A [`SignedRecord`] is an envelope `{payload, signatures}`; the payload says `type`, `version` and
//! the fields of its type. What is signed, hashed and kept is the payload *as received*: fields and
//! types that this program does not know travel on unchanged.
//! Source: `specs/records.md`.

mod dataset;
mod denylist;
mod error;
mod head;
mod manifest;
mod owners;
mod payload;
mod review;
mod signed;
mod statement;
mod subject;
mod text;
mod unfinished;

use std::sync::Arc;

pub use dataset::{Dataset, DatasetFields};
pub use denylist::{Denied, Denylist, DenylistEntry};
pub use error::RecordError;
pub use head::{Head, HeadFields};
/// A value of DAG-CBOR, such as a field that only some know.
pub use ipld_core::ipld::Ipld;
pub use manifest::{Derivation, Manifest, ManifestFields};
pub use owners::{OwnerChain, OwnerError};
pub(crate) use payload::VERSION;
use payload::{Fields as _, Header, Payload};
pub use review::{Opinion, Review};
pub use signed::SignedRecord;
pub(crate) use signed::seal_parts;
pub use statement::{Statement, StatementFields};
pub use subject::Subject;
pub use text::FieldProblem;
pub(crate) use text::{Shape, check_language, check_name, check_text, check_url};
pub use unfinished::UnfinishedRecord;

use crate::{
    DatasetId, RecordId, cbor,
    limits::{HEAD_BYTES_MAX, RECORD_BYTES_MAX, RECORD_TYPE_BYTES_MAX, STATEMENT_BYTES_MAX},
};

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// What a dataset is called and who owns it.
    Dataset(Dataset),
    /// What a version is.
    Manifest(Manifest),
    /// Which version is newest.
    Head(Head),
    /// What an author says of something.
    Statement(Statement),
    /// A type that this program does not know.
    Other(OtherRecord),
}

impl Record {
    /// Decodes and checks a payload.
    ///
    /// # Errors
    /// Any [`RecordError`] that is about the payload.
    pub fn decode(payload: &[u8]) -> Result<Self, RecordError> {
        let header: Header = cbor::from_slice_canonical(payload).map_err(RecordError::Payload)?;
        if !is_type_name(&header.kind) {
            return Err(RecordError::Kind);
        }
        if header.version != VERSION {
            return Err(RecordError::Version {
                kind: header.kind,
                version: header.version,
            });
        }
        Ok(match header.kind.as_str() {
            DatasetFields::KIND => Self::Dataset(Dataset(Payload::decode(payload)?)),
            ManifestFields::KIND => Self::Manifest(Manifest(Payload::decode(payload)?)),
            HeadFields::KIND => Self::Head(Head(Payload::decode(payload)?)),
            _ if header.author.is_some() => Self::Statement(Statement::decode(payload)?),
            _ => Self::Other(OtherRecord {
                kind: header.kind,
                payload: payload.into(),
            }),
        })
    }

    /// The canonical bytes that are hashed and signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::Dataset(record) => record.0.bytes(),
            Self::Manifest(record) => record.0.bytes(),
            Self::Head(record) => record.0.bytes(),
            Self::Statement(record) => record.payload(),
            Self::Other(record) => &record.payload,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RecordId {
        match self {
            Self::Dataset(record) => record.0.id(),
            Self::Manifest(record) => record.0.id(),
            Self::Head(record) => record.0.id(),
            Self::Statement(record) => record.id(),
            Self::Other(record) => payload::id_of(&record.payload),
        }
    }

    /// The dataset that it is about; `None` for statements and unknown types.
    #[must_use]
    pub fn dataset_id(&self) -> Option<DatasetId> {
        match self {
            Self::Dataset(record) => Some(record.dataset_id()),
            Self::Manifest(record) => Some(record.dataset()),
            Self::Head(record) => Some(record.dataset()),
            Self::Statement(_) | Self::Other(_) => None,
        }
    }

    /// Its type, as the payload says it.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Dataset(_) => DatasetFields::KIND,
            Self::Manifest(_) => ManifestFields::KIND,
            Self::Head(_) => HeadFields::KIND,
            Self::Statement(record) => record.kind(),
            Self::Other(record) => &record.kind,
        }
    }

    /// Bytes that it may have with its envelope.
    const fn bytes_max(&self) -> usize {
        match self {
            Self::Head(_) => HEAD_BYTES_MAX,
            Self::Statement(_) => STATEMENT_BYTES_MAX,
            Self::Dataset(_) | Self::Manifest(_) | Self::Other(_) => RECORD_BYTES_MAX,
        }
    }
}

impl From<Dataset> for Record {
    fn from(record: Dataset) -> Self {
        Self::Dataset(record)
    }
}

impl From<Manifest> for Record {
    fn from(record: Manifest) -> Self {
        Self::Manifest(record)
    }
}

impl From<Head> for Record {
    fn from(record: Head) -> Self {
        Self::Head(record)
    }
}

impl From<Statement> for Record {
    fn from(record: Statement) -> Self {
        Self::Statement(record)
    }
}

/// A record of a type that this program does not know and that nobody is the author of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRecord {
    kind: String,
    payload: Arc<[u8]>,
}

impl OtherRecord {
    /// Its type.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }
}

/// Is it a type that is no statement?
fn has_rules_of_its_own(kind: &str) -> bool {
    [DatasetFields::KIND, ManifestFields::KIND, HeadFields::KIND].contains(&kind)
}

/// 1 to 32 lower-case letters, digits and dashes, a letter first.
fn is_type_name(kind: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    kind.len() <= RECORD_TYPE_BYTES_MAX
        && kind.starts_with(|char: char| char.is_ascii_lowercase())
        && kind.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
