//! What a document carries, verified: records that belong together, and blobs that describe the version.

use std::collections::BTreeMap;

use serde_bytes::ByteBuf;

use super::{
    FORMAT,
    entry::{BlobEntry, Document, HeadEntry, ManifestEntry, OwnerRecordEntry, SignatureEntry},
    error::ExchangeError,
    fields::{Bad, Fields},
};
use crate::{
    BlobId, RecordId,
    limits::{EXCHANGE_BLOBS_BYTES_MAX, OWNER_RECORDS_MAX},
    record::{Manifest, OwnerChain, Record, SignedRecord, seal_parts},
    table::{EncodedBlob, Page, TableChecker, TableIndex, TableTotals},
};

/// The records of one version, and blobs that describe it.
///
/// Invariants: the records are the owner chain in order, the manifest, and at most one head, all signed as
/// their owners must; the blobs are all different and named by the manifest or its table, and with the
/// index of the table come all of its pages.
#[derive(Clone, Debug)]
pub struct Carried {
    records: Vec<SignedRecord>,
    manifest: Manifest,
    blobs: Vec<EncodedBlob>,
}

impl Carried {
    /// Judges records and blobs.
    ///
    /// # Errors
    /// [`ExchangeError`] with what does not belong there.
    pub fn new(records: Vec<SignedRecord>, blobs: Vec<Vec<u8>>) -> Result<Self, ExchangeError> {
        let (owners, rest) = records.split_at(
            records
                .iter()
                .take_while(|record| record.as_dataset().is_some())
                .count(),
        );
        let (first, more) = owners.split_first().ok_or(ExchangeError::Records)?;
        let mut chain = OwnerChain::start(first)?;
        for record in more {
            chain.extend(record)?;
        }
        let (version, head) = match rest {
            [version] => (version, None),
            [version, head] => (version, Some(head)),
            _ => return Err(ExchangeError::Records),
        };
        let manifest = version.as_manifest().ok_or(ExchangeError::Records)?.clone();
        chain.authorises(version)?;
        if let Some(head) = head {
            head.as_head().ok_or(ExchangeError::Records)?;
            chain.authorises(head)?;
        }
        let blobs: Vec<_> = blobs.into_iter().map(EncodedBlob::of).collect();
        check_blobs(&manifest, &blobs)?;
        Ok(Self {
            records,
            manifest,
            blobs,
        })
    }

    /// The records, in the order in which they can be judged.
    #[must_use]
    pub fn records(&self) -> &[SignedRecord] {
        &self.records
    }

    /// The version.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What the dataset is called.
    #[must_use]
    pub fn name(&self) -> &str {
        let mut owners = self.records.iter().filter_map(SignedRecord::as_dataset);
        owners.next_back().map_or("", |dataset| dataset.name())
    }

    /// Does it carry the file table?
    #[must_use]
    pub fn has_table(&self) -> bool {
        let table = self.manifest.table();
        self.blobs.iter().any(|blob| blob.id == table)
    }

    /// The blobs that describe the version, as far as they are carried.
    #[must_use]
    pub fn blobs(&self) -> &[EncodedBlob] {
        &self.blobs
    }

    /// The document that says all of it.
    ///
    /// # Errors
    /// [`ExchangeError::Unsayable`] if a record could not be built again from what the document would say.
    pub fn document(&self) -> Result<Document, ExchangeError> {
        let mut document = Document {
            format: FORMAT.to_owned(),
            owner_records: Vec::new(),
            manifest: None,
            head: None,
            blobs: self.blobs.iter().map(blob_entry).collect(),
        };
        for signed in &self.records {
            let is_same = match signed.record() {
                Record::Dataset(_) => {
                    let entry = OwnerRecordEntry::of(signed);
                    let same = entry.bytes();
                    document.owner_records.push(entry);
                    same
                }
                Record::Manifest(_) => document.manifest.insert(ManifestEntry::of(signed)).bytes(),
                Record::Head(_) => document.head.insert(HeadEntry::of(signed)).bytes(),
                Record::Statement(_) | Record::Other(_) => return Err(ExchangeError::Records),
            };
            if !is_same.is_ok_and(|bytes| bytes == signed.bytes()) {
                let record = format!("the record {}", signed.id());
                return Err(ExchangeError::Unsayable { record });
            }
        }
        Ok(document)
    }
}

impl Document {
    /// Builds its records again and verifies them and its blobs.
    ///
    /// # Errors
    /// [`ExchangeError`] with what is not as it should be.
    pub fn open(&self) -> Result<Carried, ExchangeError> {
        if self.owner_records.len() > OWNER_RECORDS_MAX {
            return Err(ExchangeError::Records);
        }
        let mut records = Vec::new();
        for (number, entry) in self.owner_records.iter().enumerate() {
            let what = || format!("owner record {number}");
            records.push(rebuilt(&what, &entry.id, entry.bytes())?);
        }
        let manifest = self.manifest.as_ref().ok_or(ExchangeError::Records)?;
        let what = || "the manifest".to_owned();
        records.push(rebuilt(&what, &manifest.id, manifest.bytes())?);
        if let Some(head) = &self.head {
            let what = || "the head".to_owned();
            records.push(rebuilt(&what, &head.id, head.bytes())?);
        }
        for entry in &self.blobs {
            let blob = BlobId::from_hash(crate::Hash::of(&entry.bytes));
            if blob.cid().to_bytes() != entry.id {
                return Err(ExchangeError::OtherBlob { found: blob });
            }
        }
        let blobs = self.blobs.iter().map(|entry| entry.bytes.clone());
        Carried::new(records, blobs.collect())
    }
}

/// The record of an envelope, if it is the one that it is said to be.
fn rebuilt(
    record: &dyn Fn() -> String,
    id: &[u8],
    bytes: Result<Vec<u8>, Bad>,
) -> Result<SignedRecord, ExchangeError> {
    let bytes = bytes.map_err(|field| ExchangeError::Field {
        record: record(),
        field,
    })?;
    let signed = SignedRecord::decode(&bytes).map_err(|source| ExchangeError::Record {
        record: record(),
        source,
    })?;
    let found: RecordId = signed.id();
    if found.cid().to_bytes() != id {
        let record = record();
        return Err(ExchangeError::OtherId { record, found });
    }
    Ok(signed)
}

fn blob_entry(blob: &EncodedBlob) -> BlobEntry {
    BlobEntry {
        id: blob.id.cid().to_bytes(),
        bytes: blob.bytes.clone(),
    }
}

/// Are these blobs of the version, each once, with a whole file table or none?
fn check_blobs(manifest: &Manifest, blobs: &[EncodedBlob]) -> Result<(), ExchangeError> {
    let bytes: usize = blobs.iter().map(|blob| blob.bytes.len()).sum();
    if bytes > EXCHANGE_BLOBS_BYTES_MAX {
        return Err(ExchangeError::BlobsTooLarge);
    }
    let mut left = BTreeMap::new();
    for blob in blobs {
        if left.insert(blob.id, blob.bytes.as_slice()).is_some() {
            return Err(ExchangeError::StrayBlob { blob: blob.id });
        }
    }
    if let Some(index) = left.remove(&manifest.table()) {
        let totals = TableTotals {
            files: manifest.files(),
            bytes: manifest.bytes(),
        };
        let index = TableIndex::decode(index, totals).map_err(ExchangeError::Index)?;
        let mut checker = TableChecker::new();
        for page_ref in index.pages() {
            let page = page_ref.page();
            let bytes = left
                .remove(&page)
                .ok_or(ExchangeError::MissingPage { page })?;
            let page = Page::decode(bytes, page_ref).map_err(ExchangeError::Page)?;
            checker.push(&page).map_err(ExchangeError::Siblings)?;
        }
    }
    for named in [manifest.card(), manifest.croissant()] {
        left.retain(|blob, _| Some(*blob) != named);
    }
    match left.into_keys().next() {
        Some(blob) => Err(ExchangeError::StrayBlob { blob }),
        None => Ok(()),
    }
}

fn signatures(signed: &SignedRecord) -> Vec<SignatureEntry> {
    let entry = |(key, signature): (&[u8; 32], &[u8; 64])| SignatureEntry {
        key: key.to_vec(),
        signature: signature.to_vec(),
    };
    signed.signature_bytes().map(entry).collect()
}

/// The envelope of a payload.
fn envelope(payload: ByteBuf, signatures: &[SignatureEntry]) -> Result<Vec<u8>, Bad> {
    let mut parts = Vec::with_capacity(signatures.len());
    for entry in signatures {
        let key: [u8; 32] = entry.key.as_slice().try_into().map_err(|_| "signatures")?;
        let signature: [u8; 64] = entry
            .signature
            .as_slice()
            .try_into()
            .map_err(|_| "signatures")?;
        parts.push((key, signature));
    }
    seal_parts(payload, parts).map_err(|_| "signatures")
}

impl OwnerRecordEntry {
    fn of(signed: &SignedRecord) -> Self {
        let mut fields = Fields::of(signed.record().payload());
        Self {
            id: signed.id().cid().to_bytes(),
            name: fields.take_text("name"),
            owners: fields.take_keys("owners"),
            threshold: fields.take_number("threshold"),
            sequence: fields.take_number("sequence"),
            dataset: fields.take_link("dataset"),
            previous: fields.take_link("previous"),
            unknown: fields.rest(),
            signatures: signatures(signed),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>, Bad> {
        let mut fields = Fields::with_rest(&self.unknown)?;
        fields.put_text("name", &self.name)?;
        fields.put_keys("owners", &self.owners)?;
        fields.put_number("threshold", self.threshold)?;
        fields.put_number("sequence", self.sequence)?;
        fields.put_link("dataset", &self.dataset)?;
        fields.put_link("previous", &self.previous)?;
        envelope(fields.payload("dataset")?, &self.signatures)
    }
}

impl ManifestEntry {
    fn of(signed: &SignedRecord) -> Self {
        let mut fields = Fields::of(signed.record().payload());
        Self {
            id: signed.id().cid().to_bytes(),
            dataset: fields.take_link("dataset"),
            owner_record: fields.take_link("owner_record"),
            sequence: fields.take_number("sequence"),
            parent: fields.take_link("parent"),
            created_at: fields.take_number("created_at"),
            label: fields.take_text("label"),
            title: fields.take_text("title"),
            description: fields.take_text("description"),
            license: fields.take_text("license"),
            languages: fields.take_texts("languages"),
            tags: fields.take_texts("tags"),
            homepage: fields.take_text("homepage"),
            table: fields.take_link("table"),
            files: fields.take_number("files"),
            bytes: fields.take_number("bytes"),
            card: fields.take_link("card"),
            croissant: fields.take_link("croissant"),
            derived_from: fields.take_derivations("derived_from"),
            mirrors: fields.take_texts("mirrors"),
            unknown: fields.rest(),
            signatures: signatures(signed),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>, Bad> {
        let mut fields = Fields::with_rest(&self.unknown)?;
        fields.put_link("dataset", &self.dataset)?;
        fields.put_link("owner_record", &self.owner_record)?;
        fields.put_number("sequence", self.sequence)?;
        fields.put_link("parent", &self.parent)?;
        fields.put_number("created_at", self.created_at)?;
        fields.put_text("label", &self.label)?;
        fields.put_text("title", &self.title)?;
        fields.put_text("description", &self.description)?;
        fields.put_text("license", &self.license)?;
        fields.put_texts("languages", &self.languages)?;
        fields.put_texts("tags", &self.tags)?;
        fields.put_text("homepage", &self.homepage)?;
        fields.put_link("table", &self.table)?;
        fields.put_number("files", self.files)?;
        fields.put_number("bytes", self.bytes)?;
        fields.put_link("card", &self.card)?;
        fields.put_link("croissant", &self.croissant)?;
        fields.put_derivations("derived_from", &self.derived_from)?;
        fields.put_texts("mirrors", &self.mirrors)?;
        envelope(fields.payload("manifest")?, &self.signatures)
    }
}

impl HeadEntry {
    fn of(signed: &SignedRecord) -> Self {
        let mut fields = Fields::of(signed.record().payload());
        Self {
            id: signed.id().cid().to_bytes(),
            dataset: fields.take_link("dataset"),
            owner_record: fields.take_link("owner_record"),
            sequence: fields.take_number("sequence"),
            manifest: fields.take_link("manifest"),
            issued_at: fields.take_number("issued_at"),
            expires_at: fields.take_number("expires_at"),
            unknown: fields.rest(),
            signatures: signatures(signed),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>, Bad> {
        let mut fields = Fields::with_rest(&self.unknown)?;
        fields.put_link("dataset", &self.dataset)?;
        fields.put_link("owner_record", &self.owner_record)?;
        fields.put_number("sequence", self.sequence)?;
        fields.put_link("manifest", &self.manifest)?;
        fields.put_number("issued_at", self.issued_at)?;
        fields.put_number("expires_at", self.expires_at)?;
        envelope(fields.payload("head")?, &self.signatures)
    }
}
