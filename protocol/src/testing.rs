//! Records for tests: keys from small numbers, valid fields to alter.

use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;

use crate::{
    BlobId, DatasetId, Hash, ManifestId, Timestamp, cbor,
    key::SecretKey,
    record::{
        Dataset, DatasetFields, Head, HeadFields, Manifest, ManifestFields, Record, SignedRecord,
        Statement, StatementFields, Subject,
    },
};

/// Bytes that look random, the same every time: the extended output of BLAKE3 of the number, 8 bytes
/// little-endian.
pub(crate) fn noise(number: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

pub(crate) fn key(number: u8) -> SecretKey {
    SecretKey::generate([number; 32])
}

pub(crate) fn sign(record: impl Into<Record>, numbers: &[u8]) -> SignedRecord {
    let keys: Vec<SecretKey> = numbers.iter().copied().map(key).collect();
    SignedRecord::sign(&record.into(), &keys.iter().collect::<Vec<_>>()).unwrap()
}

/// The first record of a dataset with these owners, signed by `threshold` of them.
pub(crate) fn first_record(owners: &[u8], threshold: u8) -> SignedRecord {
    let fields = DatasetFields {
        name: "corpus".to_owned(),
        owners: owners.iter().map(|number| key(*number).public()).collect(),
        threshold,
        sequence: 0,
        dataset: None,
        previous: None,
    };
    sign(Dataset::new(fields).unwrap(), &owners[..threshold.into()])
}

/// What follows `previous`: other owners, not yet signed.
pub(crate) fn rotation(previous: &SignedRecord, owners: &[u8], threshold: u8) -> Dataset {
    let before = previous.as_dataset().unwrap();
    Dataset::new(DatasetFields {
        name: before.name().to_owned(),
        owners: owners.iter().map(|number| key(*number).public()).collect(),
        threshold,
        sequence: before.sequence() + 1,
        dataset: Some(before.dataset_id()),
        previous: Some(before.id()),
    })
    .unwrap()
}

fn dataset_of(owner_record: &SignedRecord) -> DatasetId {
    owner_record.as_dataset().unwrap().dataset_id()
}

pub(crate) fn manifest_fields(
    owner_record: &SignedRecord,
    sequence: u64,
    parent: Option<ManifestId>,
) -> ManifestFields {
    ManifestFields {
        dataset: dataset_of(owner_record),
        owner_record: owner_record.id(),
        sequence,
        parent,
        created_at: Timestamp::from_secs(1_700_000_000),
        label: None,
        title: Some("A corpus".to_owned()),
        description: None,
        license: Some("CC-BY-4.0".to_owned()),
        languages: vec!["en".to_owned()],
        tags: vec!["text".to_owned()],
        homepage: None,
        table: BlobId::from_hash(Hash::of(b"table")),
        files: 2,
        bytes: 30,
        card: None,
        croissant: None,
        derived_from: Vec::new(),
        mirrors: Vec::new(),
    }
}

/// A version, signed by key 1.
pub(crate) fn manifest(
    owner_record: &SignedRecord,
    sequence: u64,
    parent: Option<ManifestId>,
) -> SignedRecord {
    sign(
        Manifest::new(manifest_fields(owner_record, sequence, parent)).unwrap(),
        &[1],
    )
}

pub(crate) fn head_fields(
    owner_record: &SignedRecord,
    sequence: u64,
    manifest: ManifestId,
    issued_at: u64,
) -> HeadFields {
    HeadFields {
        dataset: dataset_of(owner_record),
        owner_record: owner_record.id(),
        sequence,
        manifest,
        issued_at: Timestamp::from_secs(issued_at),
        expires_at: Timestamp::from_secs(issued_at + 1000),
    }
}

/// A head, signed by key 1.
pub(crate) fn head(
    owner_record: &SignedRecord,
    sequence: u64,
    manifest: ManifestId,
    issued_at: u64,
) -> SignedRecord {
    sign(
        Head::new(head_fields(owner_record, sequence, manifest, issued_at)).unwrap(),
        &[1],
    )
}

/// What the key `author` says of a subject.
pub(crate) fn statement(author: u8, subject: Option<Subject>, issued_at: u64) -> Statement {
    Statement::new(StatementFields {
        kind: "review".to_owned(),
        author: key(author).public(),
        issued_at: Timestamp::from_secs(issued_at),
        subject,
        expires_at: None,
        more: BTreeMap::from([("rating".to_owned(), Ipld::Integer(4))]),
    })
    .unwrap()
}

/// A payload as a map, to be altered.
pub(crate) fn map_of(payload: &[u8]) -> BTreeMap<String, Ipld> {
    cbor::from_slice_canonical(payload).unwrap()
}

/// An envelope over any payload, properly signed by key 1.
pub(crate) fn envelope(payload: &[u8]) -> Vec<u8> {
    envelope_by(payload, &[1])
}

/// An envelope over any payload, properly signed by these keys.
pub(crate) fn envelope_by(payload: &[u8], numbers: &[u8]) -> Vec<u8> {
    let mut keys: Vec<SecretKey> = numbers.iter().copied().map(key).collect();
    keys.sort_by_key(SecretKey::public);
    let entry = |key: &SecretKey| {
        let signature = key.sign(&[b"opendag/record/1\0", payload].concat());
        Ipld::Map(BTreeMap::from([
            (
                "key".to_owned(),
                Ipld::Bytes(key.public().as_bytes().to_vec()),
            ),
            (
                "signature".to_owned(),
                Ipld::Bytes(signature.as_bytes().to_vec()),
            ),
        ]))
    };
    let envelope = BTreeMap::from([
        ("payload", Ipld::Bytes(payload.to_vec())),
        ("signatures", Ipld::List(keys.iter().map(entry).collect())),
    ]);
    cbor::to_vec(&envelope).unwrap()
}

/// An error with its causes, as a user reads it.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

mod denylists;
mod ids;
mod links;
mod records;
mod reviews;
mod vectors;
