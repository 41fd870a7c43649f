//! The envelope: a payload and who signed it.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_bytes::{ByteArray, ByteBuf};

use super::{Dataset, Head, Manifest, Record, RecordError, Statement};
use crate::{
    RecordId, cbor,
    key::{PublicKey, SecretKey, Signature},
    limits::{RECORD_BYTES_MAX, SIGNATURES_MAX},
};

/// What stands before the payload in the bytes that are signed: nothing else that a key signs can be
/// taken for a record.
const DOMAIN: &[u8] = b"opendag/record/1\0";

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
/// say is *not* known here: an [`OwnerChain`](super::OwnerChain) tells.
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
        let opened = open(bytes, Gathered::Enough)?;
        Ok(Self {
            bytes: bytes.into(),
            record: Arc::new(opened.record),
            signatures: opened.signatures.into(),
        })
    }

    /// What the record in an envelope says it is, with *no* signature verified: to look up what is
    /// needed to judge it, never to believe it.
    ///
    /// # Errors
    /// Any [`RecordError`] but those about signatures.
    pub fn peek(bytes: &[u8]) -> Result<Record, RecordError> {
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
    pub(super) fn assemble(
        record: Arc<Record>,
        mut signatures: Vec<(PublicKey, Signature)>,
    ) -> Result<Self, RecordError> {
        signatures.sort_unstable();
        signatures.dedup_by_key(|(key, _)| *key);
        let count = signatures.len();
        if !(1..=SIGNATURES_MAX).contains(&count) {
            return Err(RecordError::SignatureCount { count });
        }
        check_author(&record, signatures.iter().map(|(key, _)| key.as_bytes()))?;
        let bytes = seal(record.payload(), &signatures)?;
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

    /// The signatures with their keys, as the envelope has them.
    pub(crate) fn signature_bytes(&self) -> impl Iterator<Item = (&[u8; 32], &[u8; 64])> + '_ {
        self.signatures
            .iter()
            .map(|(key, signature)| (key.as_bytes(), signature.as_bytes()))
    }

    /// What it says, if it is a `dataset` record.
    #[must_use]
    pub fn as_dataset(&self) -> Option<&Dataset> {
        match self.record() {
            Record::Dataset(dataset) => Some(dataset),
            Record::Manifest(_) | Record::Head(_) | Record::Statement(_) | Record::Other(_) => None,
        }
    }

    /// What it says, if it is a `manifest` record.
    #[must_use]
    pub fn as_manifest(&self) -> Option<&Manifest> {
        match self.record() {
            Record::Manifest(manifest) => Some(manifest),
            Record::Dataset(_) | Record::Head(_) | Record::Statement(_) | Record::Other(_) => None,
        }
    }

    /// What it says, if it is a `head` record.
    #[must_use]
    pub fn as_head(&self) -> Option<&Head> {
        match self.record() {
            Record::Head(head) => Some(head),
            Record::Dataset(_) | Record::Manifest(_) | Record::Statement(_) | Record::Other(_) => {
                None
            }
        }
    }

    /// What it says, if it is a statement.
    #[must_use]
    pub fn as_statement(&self) -> Option<&Statement> {
        match self.record() {
            Record::Statement(statement) => Some(statement),
            Record::Dataset(_) | Record::Manifest(_) | Record::Head(_) | Record::Other(_) => None,
        }
    }
}

/// How many signatures an envelope must have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gathered {
    /// At least one: it is complete.
    Enough,
    /// Any number: they are still being gathered.
    Some,
}

/// What an envelope holds, with all signatures verified.
pub(super) struct Opened {
    pub(super) record: Record,
    pub(super) signatures: Vec<(PublicKey, Signature)>,
}

/// Opens an envelope.
pub(super) fn open(bytes: &[u8], gathered: Gathered) -> Result<Opened, RecordError> {
    check_size(bytes.len(), RECORD_BYTES_MAX)?;
    let envelope: Envelope = cbor::from_slice_canonical(bytes).map_err(RecordError::Envelope)?;
    let count = envelope.signatures.len();
    let is_enough = count > 0 || gathered == Gathered::Some;
    if count > SIGNATURES_MAX || !is_enough {
        return Err(RecordError::SignatureCount { count });
    }
    if !envelope.signatures.is_sorted_by(|a, b| a.key < b.key) {
        return Err(RecordError::SignatureOrder);
    }
    let record = Record::decode(&envelope.payload)?;
    if gathered == Gathered::Enough {
        check_size(bytes.len(), record.bytes_max())?;
        let signers = envelope.signatures.iter().map(|entry| &*entry.key);
        check_author(&record, signers)?;
    }
    let message = message(record.payload());
    let mut signatures = Vec::with_capacity(count);
    for entry in envelope.signatures {
        let key = PublicKey::from_bytes(entry.key.into_array()).map_err(RecordError::Signature)?;
        let signature = Signature::from_bytes(entry.signature.into_array());
        key.verify_strict(&message, &signature)
            .map_err(RecordError::Signature)?;
        signatures.push((key, signature));
    }
    Ok(Opened { record, signatures })
}

/// The envelope of a payload and signatures that are in order.
pub(super) fn seal(
    payload: &[u8],
    signatures: &[(PublicKey, Signature)],
) -> Result<Vec<u8>, RecordError> {
    let parts = signatures
        .iter()
        .map(|(key, signature)| (*key.as_bytes(), *signature.as_bytes()));
    seal_parts(ByteBuf::from(payload), parts)
}

/// The envelope of a payload and of what is said to be keys and signatures.
pub(crate) fn seal_parts(
    payload: ByteBuf,
    signatures: impl IntoIterator<Item = ([u8; 32], [u8; 64])>,
) -> Result<Vec<u8>, RecordError> {
    let entry = |(key, signature)| EnvelopeSignature {
        key: ByteArray::new(key),
        signature: ByteArray::new(signature),
    };
    let envelope = Envelope {
        payload,
        signatures: signatures.into_iter().map(entry).collect(),
    };
    cbor::to_vec(&envelope).map_err(RecordError::Envelope)
}

fn check_size(bytes: usize, bytes_max: usize) -> Result<(), RecordError> {
    if bytes > bytes_max {
        Err(RecordError::TooLarge { bytes, bytes_max })
    } else {
        Ok(())
    }
}

/// A statement is signed by its author and nobody else, so that nobody's word has two envelopes.
fn check_author<'a>(
    record: &Record,
    mut signers: impl Iterator<Item = &'a [u8; 32]>,
) -> Result<(), RecordError> {
    let Record::Statement(statement) = record else {
        return Ok(());
    };
    let is_author = signers.next() == Some(statement.author().as_bytes());
    (is_author && signers.next().is_none())
        .then_some(())
        .ok_or(RecordError::Author)
}

/// The bytes that are signed.
pub(super) fn message(payload: &[u8]) -> Vec<u8> {
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
