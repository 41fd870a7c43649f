use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;

use super::*;
use crate::{
    DatasetId, Hash, ManifestId, Timestamp,
    fault::Fault,
    key::KeyError,
    limits::{HEAD_BYTES_MAX, THRESHOLD_MAX},
    record::HeadFields,
    score::Offence,
    testing::*,
};

#[test]
fn payloads_that_are_not_canonical_are_refused() {
    let record = first_record(&[1], 1);
    let payload = record.record().payload();
    let trailing = [payload, b"\0"].concat();
    // The length of the map in a longer form.
    let long = [&[0xb8, payload[0] & 0x1f], &payload[1..]].concat();
    for bad in [trailing, long, Vec::new()] {
        let error = SignedRecord::decode(&envelope(&bad)).unwrap_err();
        assert!(matches!(error, RecordError::Payload(_)), "{error}");
    }
}

#[test]
fn envelopes_that_are_not_canonical_are_refused() {
    let record = first_record(&[1, 2], 2);
    let map: BTreeMap<String, Ipld> = cbor::from_slice_canonical(record.bytes()).unwrap();
    let encode = |map: &BTreeMap<String, Ipld>| cbor::to_vec(map).unwrap();
    assert_eq!(encode(&map), record.bytes());
    let mut more = map.clone();
    more.insert("note".to_owned(), Ipld::Null);
    assert!(matches!(
        SignedRecord::decode(&encode(&more)),
        Err(RecordError::Envelope(_))
    ));

    let Ipld::List(signatures) = &map["signatures"] else {
        panic!("a list")
    };
    let with = |signatures: Vec<Ipld>| {
        let mut map = map.clone();
        map.insert("signatures".to_owned(), Ipld::List(signatures));
        SignedRecord::decode(&encode(&map))
    };
    let [a, b] = [signatures[0].clone(), signatures[1].clone()];
    assert!(with(vec![a.clone(), b.clone()]).is_ok());
    assert!(with(vec![a.clone()]).is_ok());
    assert!(matches!(
        with(vec![]),
        Err(RecordError::SignatureCount { count: 0 })
    ));
    assert!(matches!(
        with(vec![b, a.clone()]),
        Err(RecordError::SignatureOrder)
    ));
    assert!(matches!(
        with(vec![a.clone(), a.clone()]),
        Err(RecordError::SignatureOrder)
    ));
    let many = vec![a; 17];
    assert!(matches!(
        with(many),
        Err(RecordError::SignatureCount { count: 17 })
    ));
}

#[test]
fn signatures_of_another_domain_or_key_are_refused() {
    let record = first_record(&[1], 1);
    let payload = record.record().payload();
    let forge = |by: PublicKey, signature: Signature| {
        let entry = EnvelopeSignature {
            key: ByteArray::new(*by.as_bytes()),
            signature: ByteArray::new(*signature.as_bytes()),
        };
        let envelope = Envelope {
            payload: ByteBuf::from(payload),
            signatures: vec![entry],
        };
        SignedRecord::decode(&cbor::to_vec(&envelope).unwrap())
    };
    let owner = key(1).public();
    assert!(forge(owner, key(1).sign(&message(payload))).is_ok());
    let other_domain = [b"opendag/record/2\0", payload].concat();
    for bad in [
        key(1).sign(payload),
        key(1).sign(&other_domain),
        key(2).sign(&message(payload)),
        Signature::from_bytes([0; 64]),
    ] {
        let error = forge(owner, bad).unwrap_err();
        assert!(matches!(error, RecordError::Signature(_)));
        assert_eq!(error.fault(), Fault::Peer(Offence::ForgedRecord));
    }
    // The neutral element as key and R, zero as scalar, holds for every message by the lax rules.
    let mut weak = [0; 32];
    weak[0] = 1;
    let mut zero = [0; 64];
    zero[0] = 1;
    let entry = EnvelopeSignature {
        key: ByteArray::new(weak),
        signature: ByteArray::new(zero),
    };
    let envelope = Envelope {
        payload: ByteBuf::from(payload),
        signatures: vec![entry],
    };
    let error = SignedRecord::decode(&cbor::to_vec(&envelope).unwrap()).unwrap_err();
    assert!(matches!(
        error,
        RecordError::Signature(KeyError::SmallOrder)
    ));
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let first = first_record(&[1, 2], 2);
    let version = manifest(&first, 0, None);
    let mut head = head(&first, 0, version.id().into(), 100);
    head.add_signature(&key(2)).unwrap();
    for record in [&first, &version, &head] {
        let good = record.bytes();
        assert!(SignedRecord::decode(good).is_ok());
        for at in 0..good.len() {
            assert!(SignedRecord::decode(&good[..at]).is_err(), "cut at {at}");
            let mut bad = good.to_vec();
            bad[at] ^= 1 << (at % 8);
            assert!(SignedRecord::decode(&bad).is_err(), "flipped at {at}");
        }
        assert!(SignedRecord::decode(&[good, &[0]].concat()).is_err());
    }
}

#[test]
fn sizes_end_at_the_limits() {
    let first = first_record(&[1], 1);
    let version = manifest(&first, 0, None);
    let padded = |record: &SignedRecord, pad: usize| {
        let mut payload = map_of(record.record().payload());
        payload.insert("pad".to_owned(), Ipld::Bytes(vec![0; pad]));
        SignedRecord::decode(&envelope(&cbor::to_vec(&payload).unwrap()))
    };
    let head = head(&first, 0, version.id().into(), 100);
    let large = padded(&head, 512).unwrap();
    let room = HEAD_BYTES_MAX - large.bytes().len();
    assert_eq!(
        padded(&head, 512 + room).unwrap().bytes().len(),
        HEAD_BYTES_MAX
    );
    let error = padded(&head, 513 + room).unwrap_err();
    assert!(matches!(
        error,
        RecordError::TooLarge {
            bytes_max: HEAD_BYTES_MAX,
            ..
        }
    ));
    let large = padded(&version, 40_000).unwrap();
    let room = RECORD_BYTES_MAX - large.bytes().len();
    assert!(padded(&version, 40_000 + room).is_ok());
    let error = padded(&version, 40_001 + room).unwrap_err();
    assert!(matches!(
        error,
        RecordError::TooLarge {
            bytes_max: RECORD_BYTES_MAX,
            ..
        }
    ));
}

#[test]
fn a_head_with_the_highest_threshold_fits() {
    let keys: Vec<SecretKey> = (1..=THRESHOLD_MAX).map(key).collect();
    let fields = HeadFields {
        dataset: DatasetId::from_hash(Hash::of(b"d")),
        owner_record: RecordId::from_hash(Hash::of(b"o")),
        sequence: crate::limits::SEQUENCE_MAX,
        manifest: ManifestId::from_hash(Hash::of(b"m")),
        issued_at: Timestamp::from_secs(crate::limits::TIMESTAMP_MAX - 1),
        expires_at: Timestamp::from_secs(crate::limits::TIMESTAMP_MAX),
    };
    let head = Record::from(Head::new(fields).unwrap());
    let keys: Vec<&SecretKey> = keys.iter().collect();
    let signed = SignedRecord::sign(&head, &keys).unwrap();
    assert!(
        signed.bytes().len() <= HEAD_BYTES_MAX - 64,
        "{}",
        signed.bytes().len()
    );
}

#[test]
fn signing_twice_changes_nothing_and_order_does_not_matter() {
    let first = first_record(&[1, 2, 3], 1);
    let record = first.record();
    let mut one = SignedRecord::sign(record, &[&key(3), &key(3)]).unwrap();
    assert_eq!(one.signers().count(), 1);
    let before = one.clone();
    one.add_signature(&key(3)).unwrap();
    assert_eq!(one, before);
    one.add_signature(&key(1)).unwrap();
    let other = SignedRecord::sign(record, &[&key(1), &key(3)]).unwrap();
    assert_eq!(one, other);
    assert!(matches!(
        SignedRecord::sign(record, &[]),
        Err(RecordError::SignatureCount { count: 0 })
    ));
}
