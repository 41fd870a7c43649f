//! Receipts: what somebody has verified of a version on a disk, signed.
//!
//! A receipt names the version, its table, the selection, and a digest of the paths and hashes of all
//! selected files, so that it has one size for one file and for a million, and anyone who has the table
//! can compute the same. It is no record: it is never gossiped, and what is signed begins otherwise.
//! Source: `specs/receipts.md`.

mod error;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

pub use self::error::ReceiptError;
use crate::{
    BlobId, DatasetId, Hash, ManifestId, Timestamp, armor, cbor,
    key::{PublicKey, SecretKey, Signature},
    limits::{PATH_BYTES_MAX, RECEIPT_BYTES_MAX, RECEIPT_GLOBS_MAX, SEQUENCE_MAX, TIMESTAMP_MAX},
    record::{FieldProblem, Shape, check_text},
    table::FileEntry,
};

/// The first line of the text.
const FIRST_LINE: &str = "opendag-receipt/1";
/// What every signed message begins with, so that no signature of something else is one of a receipt.
const DOMAIN: &[u8] = b"opendag/receipt/1\0";
/// The version of the format.
const VERSION: u64 = 1;

/// Whose key signed a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SignerKind {
    /// That of the node on which the files lie.
    Node,
    /// That of a publisher.
    Publisher,
}

/// What a receipt says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptFields {
    /// The version of the format, 1.
    version: u64,
    /// The dataset.
    pub dataset: DatasetId,
    /// The version.
    pub manifest: ManifestId,
    /// Its number.
    pub sequence: u64,
    /// The index of its file table.
    pub table: BlobId,
    /// Globs of the files that were selected; none: all.
    pub include: Vec<String>,
    /// Globs of files that were not.
    pub exclude: Vec<String>,
    /// How many files were verified: all that are selected.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The digest of their paths and hashes: [`Tally`].
    pub digest: Hash,
    /// When.
    pub verified_at: Timestamp,
    /// Who says so.
    pub signer: PublicKey,
    /// Whose key that is.
    pub signed_by: SignerKind,
}

impl ReceiptFields {
    /// The files that were verified.
    #[must_use]
    pub const fn verified(&self) -> Verified {
        Verified {
            files: self.files,
            bytes: self.bytes,
            digest: self.digest,
        }
    }
}

/// Files, summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The digest of their paths and hashes: [`Tally`].
    pub digest: Hash,
}

/// Sums up files, which come in the order of the table.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    files: u64,
    bytes: u64,
    hasher: blake3::Hasher,
}

impl Tally {
    /// One more file.
    pub fn push(&mut self, entry: &FileEntry) {
        self.files = self.files.saturating_add(1);
        self.bytes = self.bytes.saturating_add(entry.size());
        // No path has a zero byte.
        self.hasher.update(entry.path().as_str().as_bytes());
        self.hasher.update(&[0]);
        self.hasher.update(entry.hash().as_bytes());
    }

    /// What it comes to.
    #[must_use]
    pub fn finish(&self) -> Verified {
        Verified {
            files: self.files,
            bytes: self.bytes,
            digest: self.hasher.finalize().into(),
        }
    }
}

/// The version of which a receipt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The dataset.
    pub dataset: DatasetId,
    /// The version.
    pub manifest: ManifestId,
    /// Its number.
    pub sequence: u64,
    /// The index of its file table.
    pub table: BlobId,
}

/// A receipt whose signature holds.
///
/// Invariant: the fields hold all rules, and `signature` is the signer's over the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    fields: ReceiptFields,
    payload: Vec<u8>,
    signature: Signature,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    payload: ByteBuf,
    signature: ByteArray<64>,
}

impl Receipt {
    /// Signs that these files of a version, all that `include` and `exclude` select, were verified.
    ///
    /// # Errors
    /// [`ReceiptError::Field`], `TooLarge`.
    pub fn sign(
        subject: Subject,
        (include, exclude): (Vec<String>, Vec<String>),
        (verified, verified_at): (Verified, Timestamp),
        (key, signed_by): (&SecretKey, SignerKind),
    ) -> Result<Self, ReceiptError> {
        let fields = ReceiptFields {
            version: VERSION,
            dataset: subject.dataset,
            manifest: subject.manifest,
            sequence: subject.sequence,
            table: subject.table,
            include,
            exclude,
            files: verified.files,
            bytes: verified.bytes,
            digest: verified.digest,
            verified_at,
            signer: key.public(),
            signed_by,
        };
        check(&fields)?;
        let payload = cbor::to_vec(&fields).map_err(ReceiptError::Form)?;
        let signature = key.sign(&message(&payload));
        let receipt = Self {
            fields,
            payload,
            signature,
        };
        match receipt.to_text()?.len() > RECEIPT_BYTES_MAX {
            true => Err(ReceiptError::TooLarge),
            false => Ok(receipt),
        }
    }

    /// What it says.
    #[must_use]
    pub fn fields(&self) -> &ReceiptFields {
        &self.fields
    }

    /// Is it about this version? The manifest tells the rest of it.
    #[must_use]
    pub fn is_about(&self, subject: &Subject) -> bool {
        let fields = &self.fields;
        *subject
            == Subject {
                dataset: fields.dataset,
                manifest: fields.manifest,
                sequence: fields.sequence,
                table: fields.table,
            }
    }

    /// Its text, with a newline at the end.
    ///
    /// # Errors
    /// [`ReceiptError::Form`].
    pub fn to_text(&self) -> Result<String, ReceiptError> {
        let envelope = Envelope {
            payload: ByteBuf::from(self.payload.clone()),
            signature: ByteArray::new(*self.signature.as_bytes()),
        };
        let bytes = cbor::to_vec(&envelope).map_err(ReceiptError::Form)?;
        Ok(armor::write(FIRST_LINE, &bytes))
    }

    /// Reads a text, and checks all that it tells by itself: its form and its signature.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn parse(text: &[u8]) -> Result<Self, ReceiptError> {
        if text.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLarge);
        }
        let bytes = armor::read(FIRST_LINE, text).map_err(|_| ReceiptError::NotAReceipt)?;
        let envelope: Envelope = cbor::from_slice_canonical(&bytes).map_err(ReceiptError::Form)?;
        let payload = envelope.payload.into_vec();
        let fields: ReceiptFields =
            cbor::from_slice_canonical(&payload).map_err(ReceiptError::Form)?;
        check(&fields)?;
        let signature = Signature::from_bytes(envelope.signature.into_array());
        fields
            .signer
            .verify_strict(&message(&payload), &signature)
            .map_err(ReceiptError::Signature)?;
        Ok(Self {
            fields,
            payload,
            signature,
        })
    }
}

fn message(payload: &[u8]) -> Vec<u8> {
    [DOMAIN, payload].concat()
}

fn check(fields: &ReceiptFields) -> Result<(), ReceiptError> {
    if fields.version != VERSION {
        return Err(ReceiptError::Version(fields.version));
    }
    let problem = |field, problem| ReceiptError::Field { field, problem };
    for (field, globs) in [("include", &fields.include), ("exclude", &fields.exclude)] {
        if globs.len() > RECEIPT_GLOBS_MAX {
            let items_max = RECEIPT_GLOBS_MAX;
            return Err(problem(field, FieldProblem::TooMany { items_max }));
        }
        for glob in globs {
            check_text(glob, PATH_BYTES_MAX, Shape::Line).map_err(|error| problem(field, error))?;
        }
    }
    let ranges = [
        ("sequence", fields.sequence, SEQUENCE_MAX),
        ("verified_at", fields.verified_at.as_secs(), TIMESTAMP_MAX),
        ("files", fields.files, u64::from(u32::MAX)),
    ];
    match ranges.iter().find(|(_, value, max)| value > max) {
        Some((field, _, _)) => Err(problem(field, FieldProblem::Range)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
