//! Records: what is accepted is the one encoding of what it says, as an envelope and as a payload.
//!
//! The input is tried as an envelope and as a payload. A payload that is accepted is signed here, so
//! that whatever the fields say also passes through an envelope.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_fuzz::key;
use opendag_protocol::{
    Hash, RecordId,
    cbor::check_canonical,
    limits::{HEAD_BYTES_MAX, RECORD_BYTES_MAX, SIGNATURES_MAX},
    record::{Dataset, Head, Manifest, Record, RecordError, SignedRecord},
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
        Err(error) => panic!("{error}"),
    }
    if let Some(again) = made_again(record) {
        assert_eq!(fields_of(&again), fields_of(record));
        // What is left out is what this program does not know.
        assert!(again.payload().len() <= payload.len());
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
        Record::Other(_) => return None,
    })
}

fn fields_of(record: &Record) -> String {
    match record {
        Record::Dataset(dataset) => format!("{:?}", dataset.fields()),
        Record::Manifest(manifest) => format!("{:?}", manifest.fields()),
        Record::Head(head) => format!("{:?}", head.fields()),
        Record::Other(other) => format!("{other:?}"),
    }
}
