use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;
use proptest::prelude::*;

use super::*;
use crate::{BlobId, Hash, ManifestId, fault::Fault, testing::*};

fn signed(payload: &BTreeMap<String, Ipld>) -> Result<SignedRecord, RecordError> {
    SignedRecord::decode(&envelope(&cbor::to_vec(payload).unwrap()))
}

#[test]
fn every_type_round_trips() {
    let first = first_record(&[1], 1);
    let dataset = first.record().dataset_id().unwrap();
    let version = manifest(&first, 0, None);
    let head = head(&first, 0, version.id().into(), 100);
    for record in [&first, &version, &head] {
        let again = SignedRecord::decode(record.bytes()).unwrap();
        assert_eq!(&again, record);
        assert_eq!(again.record(), record.record());
        assert_eq!(
            again.id(),
            RecordId::from_hash(Hash::of(record.record().payload()))
        );
        assert_eq!(again.record().dataset_id(), Some(dataset));
        assert_eq!(again.signers().collect::<Vec<_>>(), [key(1).public()]);
    }
    assert_eq!(dataset, DatasetId::from(first.id()));
}

#[test]
fn unknown_fields_and_types_are_kept() {
    let first = first_record(&[1], 1);
    let mut payload = map_of(first.record().payload());
    payload.insert(
        "since".to_owned(),
        Ipld::List(vec![Ipld::Null, Ipld::Float(0.5)]),
    );
    let newer = signed(&payload).unwrap();
    assert_eq!(
        newer.as_dataset().unwrap().fields(),
        first.as_dataset().unwrap().fields()
    );
    assert_ne!(newer.id(), first.id());
    assert_eq!(newer.record().payload(), cbor::to_vec(&payload).unwrap());
    let mut more = newer.clone();
    more.add_signature(&key(2)).unwrap();
    assert_eq!(more.record().payload(), newer.record().payload());
    assert_eq!(more.id(), newer.id());

    payload.insert("type".to_owned(), Ipld::String("review".to_owned()));
    let review = signed(&payload).unwrap();
    assert_eq!(review.record().kind(), "review");
    assert_eq!(review.record().payload(), cbor::to_vec(&payload).unwrap());
    assert_eq!(review.record().dataset_id(), None);

    payload.insert("version".to_owned(), Ipld::Integer(2));
    let error = signed(&payload).unwrap_err();
    assert!(matches!(error, RecordError::Version { version: 2, .. }));
    assert_eq!(error.fault(), Fault::Local);
}

#[test]
fn types_that_are_no_names_are_refused() {
    let mut payload = map_of(first_record(&[1], 1).record().payload());
    for kind in [
        "",
        "Dataset",
        "a b",
        "a\u{1b}[2J",
        "1a",
        "-",
        &"a".repeat(33),
    ] {
        payload.insert("type".to_owned(), Ipld::String(kind.to_owned()));
        assert!(
            matches!(signed(&payload), Err(RecordError::Kind)),
            "{kind:?}"
        );
    }
}

#[test]
fn each_required_field_is_required_and_has_its_type() {
    let first = first_record(&[1], 1);
    let version = manifest(&first, 0, None);
    let head = head(&first, 0, version.id().into(), 100);
    for record in [&first, &version, &head] {
        let payload = map_of(record.record().payload());
        assert!(signed(&payload).is_ok());
        for name in payload.keys() {
            let optional = ["license", "languages", "tags", "title"].contains(&name.as_str());
            let mut less = payload.clone();
            less.remove(name);
            assert_eq!(signed(&less).is_ok(), optional, "without {name}");
            for other in [
                Ipld::Null,
                Ipld::Bool(true),
                Ipld::List(vec![]),
                Ipld::Float(1.0),
            ] {
                let mut wrong = payload.clone();
                wrong.insert(name.clone(), other.clone());
                assert!(signed(&wrong).is_err(), "{name}: {other:?}");
            }
        }
    }
}

#[test]
fn integers_out_of_range_are_refused() {
    let first = first_record(&[1], 1);
    let version = manifest(&first, 0, None);
    let head = head(&first, 0, version.id().into(), 100);
    let cases: &[(&SignedRecord, &str, i128)] = &[
        (&first, "threshold", 0),
        (&first, "threshold", 2),
        (&first, "threshold", 256),
        (&first, "sequence", 1),
        (&first, "sequence", -1),
        (&version, "sequence", 1),
        (&version, "created_at", 253_402_300_800),
        (&version, "files", 1 << 32),
        (&version, "bytes", -1),
        (&head, "sequence", 1 << 53),
        (&head, "sequence", u64::MAX.into()),
        (&head, "issued_at", 1 << 40),
        (&head, "expires_at", 100),
        (&head, "expires_at", 253_402_300_800),
    ];
    for (record, name, value) in cases {
        let mut payload = map_of(record.record().payload());
        payload.insert((*name).to_owned(), Ipld::Integer(*value));
        assert!(signed(&payload).is_err(), "{name} = {value}");
    }
}

#[test]
fn publishing_needs_a_known_licence_and_receiving_its_form() {
    let first = first_record(&[1], 1);
    let mut fields = manifest_fields(&first, 0, None);
    for good in ["MIT OR Apache-2.0", "CC-BY-4.0", "LicenseRef-own"] {
        fields.license = Some(good.to_owned());
        assert!(Manifest::new(fields.clone()).is_ok(), "{good}");
    }
    for bad in ["cc by", "Future-1.0", "MIT/X", "MIT\n", ""] {
        fields.license = Some(bad.to_owned());
        assert!(Manifest::new(fields.clone()).is_err(), "{bad}");
    }
    let mut payload = map_of(manifest(&first, 0, None).record().payload());
    payload.insert("license".to_owned(), Ipld::String("Future-1.0".to_owned()));
    assert_eq!(
        signed(&payload).unwrap().as_manifest().unwrap().license(),
        Some("Future-1.0")
    );
    payload.insert("license".to_owned(), Ipld::String("<script>".to_owned()));
    assert!(signed(&payload).is_err());
}

/// A field, and what spoils it.
type Spoiler = (&'static str, Box<dyn Fn(&mut ManifestFields)>);

#[test]
fn manifests_are_bounded_in_every_list() {
    let first = first_record(&[1], 1);
    let base = manifest_fields(&first, 0, None);
    let numbers = |count: usize| (0..count).map(|n| format!("t{n}")).collect::<Vec<_>>();
    let too_long = || Some("x".repeat(20_000));
    let spoilers: Vec<Spoiler> = vec![
        ("tags", Box::new(move |fields| fields.tags = numbers(65))),
        (
            "tags",
            Box::new(|fields| fields.tags = vec!["a".to_owned(), "a".to_owned()]),
        ),
        (
            "tags",
            Box::new(|fields| fields.tags = vec!["x".repeat(65)]),
        ),
        (
            "languages",
            Box::new(|fields| fields.languages = vec!["en_US".to_owned()]),
        ),
        ("label", Box::new(move |fields| fields.label = too_long())),
        ("title", Box::new(move |fields| fields.title = too_long())),
        (
            "description",
            Box::new(move |fields| fields.description = too_long()),
        ),
        (
            "homepage",
            Box::new(|fields| fields.homepage = Some("javascript:x".to_owned())),
        ),
        (
            "mirrors",
            Box::new(|fields| fields.mirrors = vec!["ftp://x/".to_owned()]),
        ),
        (
            "derived_from",
            Box::new(|fields| {
                let from = Derivation {
                    manifest: ManifestId::from_hash(Hash::of(b"m")),
                    how: None,
                };
                fields.derived_from = vec![from.clone(), from];
            }),
        ),
        ("files", Box::new(|fields| fields.files = u64::MAX)),
        ("parent", Box::new(|fields| fields.sequence = 1)),
    ];
    assert!(Manifest::new(base.clone()).is_ok());
    for (name, spoil) in spoilers {
        let mut fields = base.clone();
        spoil(&mut fields);
        let error = Manifest::new(fields).unwrap_err();
        let RecordError::Field { field, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(field, name);
    }
}

#[test]
fn all_fields_of_a_manifest_survive() {
    let first = first_record(&[1], 1);
    let mut fields = manifest_fields(&first, 3, Some(ManifestId::from_hash(Hash::of(b"p"))));
    fields.label = Some("v1.1".to_owned());
    fields.description = Some("Two\nlines, \u{200f}שלום".to_owned());
    fields.homepage = Some("https://example.org/a?b#c".to_owned());
    fields.card = Some(BlobId::from_hash(Hash::of(b"card")));
    fields.croissant = Some(BlobId::from_hash(Hash::of(b"croissant")));
    let from = ManifestId::from_hash(Hash::of(b"from"));
    fields.derived_from = vec![
        Derivation {
            manifest: from,
            how: Some("deduplicated".to_owned()),
        },
        Derivation {
            manifest: from,
            how: None,
        },
    ];
    fields.mirrors = vec!["http://[::1]:80/x/".to_owned()];
    let record = Record::from(Manifest::new(fields.clone()).unwrap());
    let again = SignedRecord::sign(&record, &[&key(1)]).unwrap();
    let again = SignedRecord::decode(again.bytes()).unwrap();
    assert_eq!(again.as_manifest().unwrap().fields(), &fields);
    let json = serde_json::to_string(&fields).unwrap();
    assert_eq!(
        serde_json::from_str::<ManifestFields>(&json).unwrap(),
        fields
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(SignedRecord::decode(&bytes).is_err());
        prop_assert!(Record::decode(&bytes).is_err());
    }

    /// Whatever is accepted encodes to the same bytes.
    #[test]
    fn accepted_payloads_are_kept_as_they_are(
        title in ".{0,20}", tag in "[a-z ]{0,6}", sequence in 0_u64..3, extra in any::<u32>(),
    ) {
        let first = first_record(&[1], 1);
        let mut payload = map_of(manifest(&first, 0, None).record().payload());
        payload.insert("title".to_owned(), Ipld::String(title));
        payload.insert("tags".to_owned(), Ipld::List(vec![Ipld::String(tag)]));
        payload.insert("sequence".to_owned(), Ipld::Integer(sequence.into()));
        payload.insert("extra".to_owned(), Ipld::Integer(extra.into()));
        if let Ok(record) = signed(&payload) {
            prop_assert_eq!(record.record().payload(), cbor::to_vec(&payload).unwrap());
            prop_assert_eq!(SignedRecord::decode(record.bytes()).unwrap().id(), record.id());
        }
    }
}
