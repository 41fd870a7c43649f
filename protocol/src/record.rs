//! Records: small statements signed with ed25519, the only thing that nodes gossip and reconcile.
//!
//! A [`SignedRecord`] is an envelope `{payload, signatures}`; the payload says `type`, `version` and
//! the fields of its type. What is signed, hashed and kept is the payload *as received*: fields and
//! types that this program does not know travel on unchanged.
//! Source: `specs/records.md`.

mod dataset;
mod head;
mod manifest;
mod owners;
mod payload;
mod text;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_bytes::{ByteArray, ByteBuf};

pub use dataset::{Dataset, DatasetFields};
pub use head::{Head, HeadFields};
pub use manifest::{Derivation, Manifest, ManifestFields};
pub use owners::{OwnerChain, OwnerError};
use payload::{Fields as _, Header, Payload, VERSION};
pub use text::FieldProblem;
pub(crate) use text::check_name;

use crate::{
    DatasetId, RecordId,
    cbor::{self, CborError},
    fault::Fault,
    key::{KeyError, PublicKey, SecretKey, Signature},
    limits::{HEAD_BYTES_MAX, RECORD_BYTES_MAX, RECORD_TYPE_BYTES_MAX, SIGNATURES_MAX},
    score::Offence,
};

/// What stands before the payload in the bytes that are signed: nothing else that a key signs can be
/// taken for a record.
const DOMAIN: &[u8] = b"opendag/record/1\0";

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
            | Self::Signature(_) => Fault::Peer(Offence::ForgedRecord),
        }
    }
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// What a dataset is called and who owns it.
    Dataset(Dataset),
    /// What a version is.
    Manifest(Manifest),
    /// Which version is newest.
    Head(Head),
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
            Self::Other(record) => payload::id_of(&record.payload),
        }
    }

    /// The dataset that it is about; `None` for unknown types.
    #[must_use]
    pub fn dataset_id(&self) -> Option<DatasetId> {
        match self {
            Self::Dataset(record) => Some(record.dataset_id()),
            Self::Manifest(record) => Some(record.dataset()),
            Self::Head(record) => Some(record.dataset()),
            Self::Other(_) => None,
        }
    }

    /// Its type, as the payload says it.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Dataset(_) => DatasetFields::KIND,
            Self::Manifest(_) => ManifestFields::KIND,
            Self::Head(_) => HeadFields::KIND,
            Self::Other(record) => &record.kind,
        }
    }

    /// Bytes that it may have with its envelope.
    const fn bytes_max(&self) -> usize {
        match self {
            Self::Head(_) => HEAD_BYTES_MAX,
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

/// A record of a type that this program does not know: kept and forwarded as it is.
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

/// 1 to 32 lower-case letters, digits and dashes, a letter first.
fn is_type_name(kind: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    kind.len() <= RECORD_TYPE_BYTES_MAX
        && kind.starts_with(|char: char| char.is_ascii_lowercase())
        && kind.bytes().all(allowed)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    payload: ByteBuf,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    key: ByteArray<32>,
    signature: ByteArray<64>,
}

/// A record with signatures that all hold. Cheap to clone.
///
/// Invariants: `bytes` are the canonical envelope of `record` and `signatures`, within the limits of
/// its type; there are 1 to 16 signatures, sorted by key, all verified. Whether the signers have a
/// say is *not* known here: an [`OwnerChain`] tells.
#[derive(Clone)]
pub struct SignedRecord {
    bytes: Arc<[u8]>,
    record: Arc<Record>,
    signatures: Arc<[(PublicKey, Signature)]>,
}

impl SignedRecord {
    /// Decodes an envelope and verifies all of it: size, form, fields, then each signature.
    ///
    /// # Errors
    /// Any [`RecordError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        check_size(bytes.len(), RECORD_BYTES_MAX)?;
        let envelope: Envelope =
            cbor::from_slice_canonical(bytes).map_err(RecordError::Envelope)?;
        let count = envelope.signatures.len();
        if !(1..=SIGNATURES_MAX).contains(&count) {
            return Err(RecordError::SignatureCount { count });
        }
        if !envelope.signatures.is_sorted_by(|a, b| a.key < b.key) {
            return Err(RecordError::SignatureOrder);
        }
        let record = Record::decode(&envelope.payload)?;
        check_size(bytes.len(), record.bytes_max())?;
        let message = message(record.payload());
        let mut signatures = Vec::with_capacity(count);
        for entry in envelope.signatures {
            let key =
                PublicKey::from_bytes(entry.key.into_array()).map_err(RecordError::Signature)?;
            let signature = Signature::from_bytes(entry.signature.into_array());
            key.verify_strict(&message, &signature)
                .map_err(RecordError::Signature)?;
            signatures.push((key, signature));
        }
        Ok(Self {
            bytes: bytes.into(),
            record: Arc::new(record),
            signatures: signatures.into(),
        })
    }

    /// What the record in an envelope says it is, with *no* signature verified: to look up what is
    /// needed to judge it, never to believe it.
    ///
    /// # Errors
    /// Any [`RecordError`] but those about signatures.
    pub(crate) fn peek(bytes: &[u8]) -> Result<Record, RecordError> {
        check_size(bytes.len(), RECORD_BYTES_MAX)?;
        let envelope: Envelope =
            cbor::from_slice_canonical(bytes).map_err(RecordError::Envelope)?;
        Record::decode(&envelope.payload)
    }

    /// Signs `record` with each of `keys`.
    ///
    /// # Errors
    /// [`RecordError::SignatureCount`], [`RecordError::TooLarge`].
    pub fn sign(record: &Record, keys: &[&SecretKey]) -> Result<Self, RecordError> {
        let message = message(record.payload());
        let signatures = keys.iter().map(|key| (key.public(), key.sign(&message)));
        Self::assemble(Arc::new(record.clone()), signatures.collect())
    }

    /// Adds the signature of one more key; one that signed already changes nothing.
    ///
    /// # Errors
    /// As [`SignedRecord::sign`]; then nothing is changed.
    pub fn add_signature(&mut self, key: &SecretKey) -> Result<(), RecordError> {
        if self.signers().any(|signer| signer == key.public()) {
            return Ok(());
        }
        let mut signatures = self.signatures.to_vec();
        signatures.push((key.public(), key.sign(&message(self.record.payload()))));
        *self = Self::assemble(Arc::clone(&self.record), signatures)?;
        Ok(())
    }

    /// The envelope of verified or fresh signatures.
    fn assemble(
        record: Arc<Record>,
        mut signatures: Vec<(PublicKey, Signature)>,
    ) -> Result<Self, RecordError> {
        signatures.sort_unstable();
        signatures.dedup_by_key(|(key, _)| *key);
        let count = signatures.len();
        if !(1..=SIGNATURES_MAX).contains(&count) {
            return Err(RecordError::SignatureCount { count });
        }
        let entry = |(key, signature): &(PublicKey, Signature)| EnvelopeSignature {
            key: ByteArray::new(*key.as_bytes()),
            signature: ByteArray::new(*signature.as_bytes()),
        };
        let envelope = Envelope {
            payload: ByteBuf::from(record.payload()),
            signatures: signatures.iter().map(entry).collect(),
        };
        let bytes = cbor::to_vec(&envelope).map_err(RecordError::Envelope)?;
        check_size(bytes.len(), record.bytes_max())?;
        Ok(Self {
            bytes: bytes.into(),
            record,
            signatures: signatures.into(),
        })
    }

    /// The envelope, as received or made: what is stored and sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its id: that of the payload, the same however many have signed.
    #[must_use]
    pub fn id(&self) -> RecordId {
        self.record.id()
    }

    /// What it says.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Who signed, sorted.
    pub fn signers(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.signatures.iter().map(|(key, _)| *key)
    }

    /// What it says, if it is a `dataset` record.
    #[must_use]
    pub fn as_dataset(&self) -> Option<&Dataset> {
        match self.record() {
            Record::Dataset(dataset) => Some(dataset),
            Record::Manifest(_) | Record::Head(_) | Record::Other(_) => None,
        }
    }

    /// What it says, if it is a `manifest` record.
    #[must_use]
    pub fn as_manifest(&self) -> Option<&Manifest> {
        match self.record() {
            Record::Manifest(manifest) => Some(manifest),
            Record::Dataset(_) | Record::Head(_) | Record::Other(_) => None,
        }
    }

    /// What it says, if it is a `head` record.
    #[must_use]
    pub fn as_head(&self) -> Option<&Head> {
        match self.record() {
            Record::Head(head) => Some(head),
            Record::Dataset(_) | Record::Manifest(_) | Record::Other(_) => None,
        }
    }
}

fn check_size(bytes: usize, bytes_max: usize) -> Result<(), RecordError> {
    if bytes > bytes_max {
        Err(RecordError::TooLarge { bytes, bytes_max })
    } else {
        Ok(())
    }
}

/// The bytes that are signed.
fn message(payload: &[u8]) -> Vec<u8> {
    [DOMAIN, payload].concat()
}

impl PartialEq for SignedRecord {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for SignedRecord {}

impl fmt::Debug for SignedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRecord")
            .field("id", &self.id())
            .field("record", &self.record)
            .field("signers", &self.signers().collect::<Vec<_>>())
            .finish()
    }
}

impl Serialize for SignedRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de> Deserialize<'de> for SignedRecord {
    /// Through [`SignedRecord::decode`]: every signature is verified again.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = ByteBuf::deserialize(deserializer)?;
        Self::decode(&bytes).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
