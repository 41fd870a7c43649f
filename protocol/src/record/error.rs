//! Why bytes are no record.

use super::FieldProblem;
use crate::{cbor::CborError, fault::Fault, key::KeyError, limits::SIGNATURES_MAX, score::Offence};

/// Why bytes are no signed record, or a record cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// More bytes than its type may have.
    #[error("a record of {bytes} bytes is larger than {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The envelope is not canonical, or not an envelope.
    #[error("cannot decode the envelope of a record")]
    Envelope(#[source] CborError),
    /// The payload is not canonical, or lacks a field, or one has another type.
    #[error("cannot decode the payload of a record")]
    Payload(#[source] CborError),
    /// The type is not a name of lower-case letters, digits and dashes.
    #[error("the type of a record is not a name")]
    Kind,
    /// A major version that this program does not know.
    #[error("this program is too old for version {version} of the record type {kind}")]
    Version {
        /// The type.
        kind: String,
        /// The major version.
        version: u64,
    },
    /// A field breaks a rule.
    #[error("the field {field} of a {kind} record is not valid: {problem}")]
    Field {
        /// The type.
        kind: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong.
        problem: FieldProblem,
    },
    /// No signature, or too many.
    #[error("a record has 1 to {SIGNATURES_MAX} signatures, not {count}")]
    SignatureCount {
        /// How many.
        count: usize,
    },
    /// Signatures are not sorted by key, or a key signed twice.
    #[error("the signatures of a record are not in order")]
    SignatureOrder,
    /// A statement that others than its author signed.
    #[error("a statement is signed by its author alone")]
    Author,
    /// A key that is none, or a signature that does not hold.
    #[error("a signature of a record is not valid")]
    Signature(#[source] KeyError),
}

impl RecordError {
    /// Who is to blame, if a peer sent the record.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Version { .. } => Fault::Local,
            Self::TooLarge { .. } => Fault::Peer(Offence::Flood),
            Self::Envelope(_)
            | Self::Payload(_)
            | Self::Kind
            | Self::Field { .. }
            | Self::SignatureCount { .. }
            | Self::SignatureOrder
            | Self::Author
            | Self::Signature(_) => Fault::Peer(Offence::ForgedRecord),
        }
    }
}
