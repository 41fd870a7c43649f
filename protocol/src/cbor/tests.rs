use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;
use proptest::prelude::*;

use super::*;
use crate::{BlobId, Hash};

fn rule(bytes: &[u8]) -> Option<Rule> {
    match check_canonical(bytes) {
        Ok(()) => None,
        Err(CborError::NotCanonical { rule, .. }) => Some(rule),
        Err(other) => panic!("{other}"),
    }
}

/// What the module promises, said in another way: decoding and encoding again changes nothing.
fn survives_a_round_trip(bytes: &[u8]) -> bool {
    serde_ipld_dagcbor::from_slice::<Ipld>(bytes)
        .is_ok_and(|value| to_vec(&value).unwrap() == bytes)
}

#[test]
fn each_rule_refuses_its_bytes() {
    let cases: &[(&[u8], Rule)] = &[
        (b"", Rule::TooShort),
        (b"\x00\x00", Rule::TrailingBytes),
        (b"\x18\x17", Rule::NotShortest),
        (b"\x19\x00\xff", Rule::NotShortest),
        (b"\x1a\x00\x00\xff\xff", Rule::NotShortest),
        (b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff", Rule::NotShortest),
        (b"\x38\x17", Rule::NotShortest),
        (b"\x58\x01a", Rule::NotShortest),
        (b"\x78\x01a", Rule::NotShortest),
        (b"\x98\x01\x00", Rule::NotShortest),
        (b"\xb8\x01\x61a\x00", Rule::NotShortest),
        (b"\x9f\xff", Rule::IndefiniteOrReserved),
        (b"\xbf\xff", Rule::IndefiniteOrReserved),
        (b"\x5f\x41a\xff", Rule::IndefiniteOrReserved),
        (b"\x7f\x61a\xff", Rule::IndefiniteOrReserved),
        (b"\x1c", Rule::IndefiniteOrReserved),
        (b"\xff", Rule::IndefiniteOrReserved),
        (b"\xa1\x00\x00", Rule::KeyNotText),
        (b"\xa1\x41a\x00", Rule::KeyNotText),
        (b"\xa2\x61b\x00\x61a\x00", Rule::KeyOrder),
        (b"\xa2\x61a\x00\x61a\x00", Rule::KeyOrder),
        (b"\xa2\x62aa\x00\x61b\x00", Rule::KeyOrder),
        (b"\x62\xc3\x28", Rule::NotUtf8),
        (b"\xa1\x61\xff\x00", Rule::NotUtf8),
        (b"\xc1\x00", Rule::NotACid),
        (b"\xd8\x2a\x41\x00", Rule::NotACid),
        (b"\xd8\x2a\x60", Rule::NotACid),
        (b"\xd9\xd9\xf7\x00", Rule::NotACid),
        (b"\xf7", Rule::BadSimple),
        (b"\xe0", Rule::BadSimple),
        (b"\xf8\x20", Rule::BadSimple),
        (b"\xf9\x3c\x00", Rule::BadSimple),
        (b"\xfa\x3f\x80\x00\x00", Rule::BadSimple),
        (b"\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00", Rule::BadSimple),
        (b"\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00", Rule::BadSimple),
        (b"\xfb\x80\x00\x00\x00\x00\x00\x00\x00", Rule::BadSimple),
    ];
    for (bytes, expected) in cases {
        assert_eq!(rule(bytes), Some(*expected), "{bytes:02x?}");
        assert!(!survives_a_round_trip(bytes), "{bytes:02x?}");
    }
}

#[test]
fn canonical_values_pass() {
    let cases: &[&[u8]] = &[
        b"\x00",
        b"\x18\x18",
        b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xf4",
        b"\xf5",
        b"\xf6",
        b"\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00",
        b"\x80",
        b"\xa0",
        b"\xa2\x61b\x80\x62aa\xa1\x60\x40",
    ];
    for bytes in cases {
        assert_eq!(rule(bytes), None, "{bytes:02x?}");
        assert!(survives_a_round_trip(bytes), "{bytes:02x?}");
    }
}

#[test]
fn promised_lengths_are_not_believed() {
    for head in [0x5b, 0x7b, 0x9b, 0xbb_u8] {
        let mut bytes = vec![head];
        bytes.extend(u64::MAX.to_be_bytes());
        bytes.extend([0; 32]);
        assert_eq!(rule(&bytes), Some(Rule::TooShort));
        assert!(from_slice_canonical::<Ipld>(&bytes).is_err());
    }
}

#[test]
fn nesting_ends_at_the_limit() {
    let nested = |depth: usize| {
        let mut bytes = vec![0x81; depth];
        bytes.push(0);
        bytes
    };
    assert_eq!(rule(&nested(CBOR_DEPTH_MAX)), None);
    assert!(from_slice_canonical::<Ipld>(&nested(CBOR_DEPTH_MAX)).is_ok());
    assert_eq!(rule(&nested(CBOR_DEPTH_MAX + 1)), Some(Rule::TooDeep));
    assert_eq!(rule(&nested(1_000_000)), Some(Rule::TooDeep));
}

#[test]
fn a_typed_value_round_trips_and_links_are_cids() {
    let id = BlobId::from_hash(Hash::of(b"x"));
    let bytes = to_vec(&BTreeMap::from([("a", id)])).unwrap();
    assert_eq!(bytes.get(..5), Some(&b"\xa1\x61a\xd8\x2a"[..]));
    let back: BTreeMap<String, BlobId> = from_slice_canonical(&bytes).unwrap();
    assert_eq!(back.get("a"), Some(&id));
    assert!(matches!(
        from_slice_canonical::<u8>(&bytes),
        Err(CborError::Decode(_))
    ));
}

fn value() -> impl Strategy<Value = Ipld> {
    let leaf = prop_oneof![
        Just(Ipld::Null),
        any::<bool>().prop_map(Ipld::Bool),
        (-(1_i128 << 64)..(1_i128 << 64)).prop_map(Ipld::Integer),
        (-70_000_i128..70_000).prop_map(Ipld::Integer),
        any::<f64>()
            .prop_filter("finite, no -0", |f| f.is_finite() && f.to_bits() != 1 << 63)
            .prop_map(Ipld::Float),
        ".{0,12}".prop_map(Ipld::String),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Ipld::Bytes),
        any::<[u8; 32]>()
            .prop_map(|hash| Ipld::Link(BlobId::from_hash(Hash::from_bytes(hash)).cid())),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Ipld::List),
            prop::collection::btree_map("[a-c]{0,4}", inner, 0..6).prop_map(Ipld::Map),
        ]
    })
}

proptest! {
    #[test]
    fn every_value_is_canonical_and_round_trips(value in value()) {
        let bytes = to_vec(&value).unwrap();
        prop_assert_eq!(rule(&bytes), None);
        prop_assert_eq!(from_slice_canonical::<Ipld>(&bytes).unwrap(), value);
    }

    /// Mutated encodings: the check says exactly what decoding and encoding again says.
    #[test]
    fn the_check_agrees_with_a_round_trip(
        value in value(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = to_vec(&value).unwrap();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        prop_assert_eq!(rule(&bytes).is_none(), survives_a_round_trip(&bytes), "{:02x?}", bytes);
    }

    #[test]
    fn arbitrary_bytes_agree_with_a_round_trip(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(rule(&bytes).is_none(), survives_a_round_trip(&bytes));
    }

    #[test]
    fn every_cut_is_refused(value in value()) {
        let bytes = to_vec(&value).unwrap();
        for end in 0..bytes.len() {
            prop_assert!(rule(&bytes[..end]).is_some());
        }
    }
}
