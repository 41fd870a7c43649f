//! A record whose signatures are still being gathered.

use std::sync::Arc;

use super::{
    Record, RecordError, SignedRecord,
    signed::{self, Gathered},
};
use crate::{
    RecordId,
    key::{PublicKey, SecretKey, Signature},
    limits::SIGNATURES_MAX,
};

/// A record with 0 to 16 signatures that all hold. Cheap to clone.
///
/// Its bytes are the envelope of a signed record, but the list of signatures may be empty.
/// Invariant: `signatures` are sorted by key, no key twice, all verified or made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedRecord {
    record: Arc<Record>,
    signatures: Vec<(PublicKey, Signature)>,
}

impl UnfinishedRecord {
    /// A record that nobody has signed yet.
    #[must_use]
    pub fn new(record: impl Into<Record>) -> Self {
        Self {
            record: Arc::new(record.into()),
            signatures: Vec::new(),
        }
    }

    /// Decodes an envelope and verifies all of it.
    ///
    /// # Errors
    /// Any [`RecordError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let opened = signed::open(bytes, Gathered::Some)?;
        Ok(Self {
            record: Arc::new(opened.record),
            signatures: opened.signatures,
        })
    }

    /// The envelope with the signatures so far.
    ///
    /// # Errors
    /// [`RecordError::Envelope`].
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        signed::seal(self.record.payload(), &self.signatures)
    }

    /// What it says.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> RecordId {
        self.record.id()
    }

    /// Who signed so far, sorted.
    pub fn signers(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.signatures.iter().map(|(key, _)| *key)
    }

    /// Adds a signature; one that is there already changes nothing.
    ///
    /// # Errors
    /// [`RecordError::SignatureCount`]; then nothing is changed.
    pub fn sign(&mut self, key: &SecretKey) -> Result<(), RecordError> {
        let signature = key.sign(&signed::message(self.record.payload()));
        self.add(key.public(), signature)
    }

    /// Takes over the signatures of the same record from elsewhere; another record changes nothing.
    ///
    /// # Errors
    /// As [`UnfinishedRecord::sign`].
    pub fn merge(&mut self, other: &Self) -> Result<(), RecordError> {
        if other.id() != self.id() {
            return Ok(());
        }
        for (key, signature) in &other.signatures {
            self.add(*key, *signature)?;
        }
        Ok(())
    }

    fn add(&mut self, key: PublicKey, signature: Signature) -> Result<(), RecordError> {
        let Err(place) = self
            .signatures
            .binary_search_by_key(&key, |(signer, _)| *signer)
        else {
            return Ok(());
        };
        if self.signatures.len() >= SIGNATURES_MAX {
            let count = self.signatures.len() + 1;
            return Err(RecordError::SignatureCount { count });
        }
        self.signatures.insert(place, (key, signature));
        Ok(())
    }

    /// The signed record with the signatures of these keys and no others.
    ///
    /// # Errors
    /// [`RecordError::SignatureCount`] if none of them signed, [`RecordError::TooLarge`].
    pub fn finish(&self, keys: &[PublicKey]) -> Result<SignedRecord, RecordError> {
        let chosen = self.signatures.iter().filter(|(key, _)| keys.contains(key));
        SignedRecord::assemble(Arc::clone(&self.record), chosen.copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{first_record, head_fields, key};

    fn head() -> UnfinishedRecord {
        let owners = first_record(&[1, 2, 3], 2);
        let manifest = crate::ManifestId::from_hash(crate::Hash::of(b"x"));
        let fields = head_fields(&owners, 0, manifest, 10);
        UnfinishedRecord::new(super::super::Head::new(fields).unwrap())
    }

    #[test]
    fn signatures_are_gathered_in_any_order() {
        let (mut one, mut other) = (head(), head());
        assert_eq!(
            UnfinishedRecord::decode(&one.encode().unwrap()).unwrap(),
            one
        );
        one.sign(&key(1)).unwrap();
        one.sign(&key(1)).unwrap();
        other.sign(&key(2)).unwrap();
        let (mut a, mut b) = (one.clone(), other.clone());
        a.merge(&other).unwrap();
        b.merge(&one).unwrap();
        assert_eq!(a, b);
        assert_eq!(a.signers().count(), 2);
        let bytes = a.encode().unwrap();
        assert_eq!(UnfinishedRecord::decode(&bytes).unwrap(), a);
        let signed = a.finish(&[key(1).public(), key(2).public()]).unwrap();
        assert_eq!(signed.bytes(), bytes);
        let fewer = a.finish(&[key(2).public()]).unwrap();
        assert_eq!(fewer.signers().collect::<Vec<_>>(), [key(2).public()]);
    }

    #[test]
    fn more_signatures_than_a_record_has_room_for_may_be_gathered() {
        let mut head = head();
        for number in 1..=16 {
            head.sign(&key(number)).unwrap();
        }
        assert!(matches!(
            head.sign(&key(17)),
            Err(RecordError::SignatureCount { count: 17 })
        ));
        let bytes = head.encode().unwrap();
        assert_eq!(UnfinishedRecord::decode(&bytes).unwrap(), head);
        let all: Vec<_> = head.signers().collect();
        assert!(matches!(
            head.finish(&all),
            Err(RecordError::TooLarge { .. })
        ));
        head.finish(&all[..6]).unwrap();
    }

    #[test]
    fn a_signature_that_does_not_hold_is_refused() {
        let mut head = head();
        head.sign(&key(1)).unwrap();
        let mut bytes = head.encode().unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        assert!(matches!(
            UnfinishedRecord::decode(&bytes),
            Err(RecordError::Signature(_))
        ));
    }
}
