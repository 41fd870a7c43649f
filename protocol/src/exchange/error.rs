//! Why a document cannot be written, or is refused.

use crate::{
    BlobId, RecordId,
    limits::{EXCHANGE_BLOBS_BYTES_MAX, EXCHANGE_BYTES_MAX},
    path::SiblingError,
    record::{OwnerError, RecordError},
    table::{IndexError, PageError},
};

use super::xml::XmlError;

/// Why a document cannot be written, or is refused.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// More than a document may have.
    #[error(
        "it has more than {EXCHANGE_BYTES_MAX} bytes, which is too large for an exported manifest"
    )]
    TooLarge,
    /// More blobs than a document may carry.
    #[error(
        "the file table has more than {EXCHANGE_BLOBS_BYTES_MAX} bytes, which is more than a file may carry; \
         export without it, and let peers give it"
    )]
    BlobsTooLarge,
    /// None of the encodings.
    #[error("it is neither JSON, XML nor Protobuf of an exported manifest")]
    NoDocument,
    /// Not the JSON of a document.
    #[error("it is not the JSON of an exported manifest")]
    Json(#[source] serde_json::Error),
    /// Not the XML of a document.
    #[error("it is not the XML of an exported manifest")]
    Xml(#[source] XmlError),
    /// Not the Protobuf of a document.
    #[error("it is not the Protobuf of an exported manifest")]
    Protobuf(#[source] prost::DecodeError),
    /// Protobuf that could be written otherwise, or says more than is known.
    #[error("its Protobuf is not in the one form that the format has")]
    NotCanonical,
    /// Another version of the format.
    #[error("it has the format {format:?}, which this version of OpenDAG does not know")]
    Version {
        /// What it says.
        format: String,
    },
    /// A record is missing, or there is one too many.
    #[error(
        "its records are not those of one version: owner records, one manifest, and at most one head"
    )]
    Records,
    /// A field of a record has no value that a record could have.
    #[error("{record} has a \"{field}\" that cannot be in a record")]
    Field {
        /// Which record.
        record: String,
        /// Which field.
        field: &'static str,
    },
    /// A record is none, or a signature does not hold.
    #[error("{record} is refused")]
    Record {
        /// Which record.
        record: String,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// A record has another id than it is said to have.
    #[error("{record} is {found}, although the file says otherwise: it was altered")]
    OtherId {
        /// Which record.
        record: String,
        /// Its id.
        found: RecordId,
    },
    /// The owners have not signed it.
    #[error("its records are refused")]
    Owners(#[from] OwnerError),
    /// Bytes of another blob.
    #[error("a blob is {found}, although the file says otherwise: it was altered")]
    OtherBlob {
        /// What they are.
        found: BlobId,
    },
    /// A blob that the version does not name, or twice the same.
    #[error("the blob {blob} is not one that describes the version, or it is there twice")]
    StrayBlob {
        /// Which one.
        blob: BlobId,
    },
    /// Some pages of the file table are missing.
    #[error("the page {page} of the file table is missing")]
    MissingPage {
        /// Which one.
        page: BlobId,
    },
    /// The index of the file table is refused.
    #[error("the file table is refused")]
    Index(#[source] IndexError),
    /// A page of the file table is refused.
    #[error("the file table is refused")]
    Page(#[source] PageError),
    /// The paths of the file table do not fit together.
    #[error("the file table is refused")]
    Siblings(#[source] SiblingError),
    /// It cannot be written.
    #[error("the version cannot be written in this format")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A record says something that these formats have no place for.
    #[error("{record} cannot be written in this format; export it with --format records")]
    Unsayable {
        /// Which record.
        record: String,
    },
}

impl ExchangeError {
    pub(super) fn write<E: std::error::Error + Send + Sync + 'static>(source: E) -> Self {
        Self::Write(Box::new(source))
    }

    /// Was something forged or altered, rather than only not understood?
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::TooLarge
            | Self::BlobsTooLarge
            | Self::NoDocument
            | Self::Json(_)
            | Self::Xml(_)
            | Self::Protobuf(_)
            | Self::NotCanonical
            | Self::Version { .. }
            | Self::Records
            | Self::Field { .. }
            | Self::Write(_)
            | Self::Unsayable { .. } => false,
            Self::Record { .. }
            | Self::OtherId { .. }
            | Self::Owners(_)
            | Self::OtherBlob { .. }
            | Self::StrayBlob { .. }
            | Self::MissingPage { .. }
            | Self::Index(_)
            | Self::Page(_)
            | Self::Siblings(_) => true,
        }
    }
}
