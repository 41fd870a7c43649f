//! Records: what is accepted is the one encoding of what it says, as an envelope and as a payload.
//!
//! The input is tried as an envelope and as a payload. A payload that is accepted is signed here, so
//! that whatever the fields say also passes through an envelope.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_fuzz::{cbor::Value, key};
use opendag_protocol::{
    Hash, RecordId,
    cbor::check_canonical,
    limits::{HEAD_BYTES_MAX, RECORD_BYTES_MAX, SIGNATURES_MAX},
    record::{Dataset, Head, Manifest, Record, RecordError, SignedRecord, Statement},
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(signed) = SignedRecord::decode(bytes) {
        check_envelope(bytes, &signed);
        check_payload(signed.record().payload(), signed.record());
    }
    if let Ok(record) = Record::decode(bytes) {
        check_payload(bytes, &record);
    }
});

fn check_envelope(bytes: &[u8], signed: &SignedRecord) {
    assert_eq!(signed.bytes(), bytes);
    assert!(bytes.len() <= RECORD_BYTES_MAX);
    assert!(signed.as_head().is_none() || bytes.len() <= HEAD_BYTES_MAX);
    check_canonical(bytes).unwrap();
    let signers: Vec<_> = signed.signers().collect();
    assert!((1..=SIGNATURES_MAX).contains(&signers.len()));
    assert!(signers.is_sorted_by(|a, b| a < b));
}

fn check_payload(payload: &[u8], record: &Record) {
    assert_eq!(record.payload(), payload);
    assert_eq!(record.id(), RecordId::from_hash(Hash::of(payload)));
    check_canonical(payload).unwrap();
    assert_eq!(Record::decode(payload).unwrap(), *record);
    match SignedRecord::sign(record, &[key(0), key(1)]) {
        Ok(signed) => {
            check_envelope(signed.bytes(), &signed);
            assert_eq!(SignedRecord::decode(signed.bytes()).unwrap(), signed);
            assert_eq!(signed.record(), record);
        }
        Err(RecordError::TooLarge { bytes, .. }) => assert!(bytes > payload.len()),
        Err(RecordError::Author) => assert!(matches!(record, Record::Statement(_))),
        Err(error) => panic!("{error}"),
    }
    if let Some(again) = made_again(record) {
        assert_eq!(fields_of(&again), fields_of(record));
        // What is left out is what this program does not know, perhaps inside a derivation.
        let value = |payload| Value::read(payload).expect("a payload is DAG-CBOR");
        let (all, kept) = (value(payload), value(again.payload()));
        let mut left_out = all.keys();
        left_out.retain(|key| !kept.keys().contains(key));
        let is_left_out = |field: &&&str| left_out.contains(*field);
        assert_eq!(known_fields(record).iter().find(is_left_out), None);
        let may_lack = !left_out.is_empty() || kept.keys().contains(&"derived_from");
        assert!(may_lack || again.payload() == payload);
        assert!(again.payload().len() < payload.len() || again.payload() == payload);
    }
}

/// A record made here from the same fields; `None` where making is stricter than accepting.
fn made_again(record: &Record) -> Option<Record> {
    Some(match record {
        Record::Dataset(dataset) => Dataset::new(dataset.fields().clone()).unwrap().into(),
        Record::Head(head) => Head::new(head.fields().clone()).unwrap().into(),
        Record::Manifest(manifest) => match Manifest::new(manifest.fields().clone()) {
            Ok(manifest) => manifest.into(),
            Err(_) => {
                assert!(manifest.license().is_some());
                return None;
            }
        },
        Record::Statement(statement) => Statement::new(statement.fields().clone()).unwrap().into(),
        Record::Other(_) => return None,
    })
}

fn fields_of(record: &Record) -> String {
    match record {
        Record::Dataset(dataset) => format!("{:?}", dataset.fields()),
        Record::Manifest(manifest) => format!("{:?}", manifest.fields()),
        Record::Head(head) => format!("{:?}", head.fields()),
        Record::Statement(statement) => format!("{:?}", statement.fields()),
        Record::Other(other) => format!("{other:?}"),
    }
}

fn known_fields(record: &Record) -> &'static [&'static str] {
    match record {
        Record::Dataset(_) => &[
            "name",
            "owners",
            "threshold",
            "sequence",
            "dataset",
            "previous",
        ],
        Record::Head(_) => &[
            "dataset",
            "owner_record",
            "sequence",
            "manifest",
            "issued_at",
            "expires_at",
        ],
        Record::Manifest(_) => &[
            "dataset",
            "owner_record",
            "sequence",
            "parent",
            "created_at",
            "label",
            "title",
            "description",
            "license",
            "languages",
            "tags",
            "homepage",
            "table",
            "files",
            "bytes",
            "card",
            "croissant",
            "derived_from",
            "mirrors",
        ],
        // What its type says besides is kept among the fields.
        Record::Statement(_) => &["author", "issued_at", "subject", "expires_at"],
        Record::Other(_) => &[],
    }
}
