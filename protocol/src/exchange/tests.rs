use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    Hash, ManifestId, cbor,
    limits::EXCHANGE_XML_DEPTH_MAX,
    path::DatasetPath,
    record::{Derivation, Manifest, ManifestFields, SignedRecord},
    table::{FileEntry, FileFields, TableWriter},
    testing::{envelope_by, first_record, head, key, manifest_fields, map_of, rotation, sign},
};

const ALL: [Encoding; 3] = [Encoding::Json, Encoding::Xml, Encoding::Protobuf];

/// A version with two owner records, all fields, a head, and its file table.
fn full() -> Carried {
    let first = first_record(&[1, 2], 1);
    let second = sign(rotation(&first, &[2, 3], 2), &[1, 2, 3]);
    let mut writer = TableWriter::new();
    for name in ["a.txt", "b/c.txt"] {
        let path = DatasetPath::parse(name).unwrap();
        let entry = FileEntry::new(FileFields::new(path, 15, Hash::of(name.as_bytes()))).unwrap();
        assert!(writer.push(entry).unwrap().is_none());
    }
    let (page, index, _) = writer.finish().unwrap();
    let card = crate::table::EncodedBlob::of(b"# A corpus\n".to_vec());
    let fields = ManifestFields {
        label: Some("v1.1".to_owned()),
        description: Some("One <b>\n\n\tTwo & \"three\" ]]> &amp; \u{200f}\u{1f600}".to_owned()),
        homepage: Some("https://example.org/?a=1&b=2".to_owned()),
        table: index.id,
        card: Some(card.id),
        derived_from: vec![
            Derivation {
                manifest: ManifestId::from_hash(Hash::of(b"x")),
                how: Some("cut > in half".to_owned()),
            },
            Derivation {
                manifest: ManifestId::from_hash(Hash::of(b"y")),
                how: None,
            },
        ],
        mirrors: vec!["https://example.org/x".to_owned()],
        ..manifest_fields(&second, 1, Some(ManifestId::from_hash(Hash::of(b"parent"))))
    };
    let version = sign(Manifest::new(fields).unwrap(), &[2, 3]);
    let head = crate::record::Head::new(crate::testing::head_fields(
        &second,
        1,
        version.id().into(),
        1_700_000_001,
    ));
    let head = sign(head.unwrap(), &[2, 3]);
    let blobs = page
        .into_iter()
        .flat_map(crate::table::EncodedPage::into_blobs)
        .chain([index, card]);
    let blobs = blobs.map(|blob| blob.bytes).collect();
    Carried::new(vec![first, second, version, head], blobs).unwrap()
}

fn bytes_of(carried: &Carried) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let records = carried.records().iter();
    let records = records.map(|record| record.bytes().to_vec()).collect();
    let blobs = carried.blobs().iter();
    (records, blobs.map(|blob| blob.bytes.clone()).collect())
}

fn opened(bytes: &[u8]) -> Result<Carried, ExchangeError> {
    Document::read(bytes)?.open()
}

/// All encodings of it come back as it was, the same each time, and are told from other files.
fn check_round_trips(carried: &Carried) {
    let document = carried.document().unwrap();
    for encoding in ALL {
        let written = document.write(encoding).unwrap();
        assert_eq!(written, document.write(encoding).unwrap());
        assert_eq!(Encoding::of(&written), Some(encoding));
        assert!(looks_like(&written[..64]));
        let read = Document::read(&written).unwrap();
        assert_eq!(read, document, "{encoding:?}");
        let back = read.open().unwrap();
        assert_eq!(bytes_of(&back), bytes_of(carried), "{encoding:?}");
    }
}

#[test]
fn a_whole_version_round_trips() {
    let carried = full();
    assert!(carried.has_table());
    assert_eq!((carried.name(), carried.records().len()), ("corpus", 4));
    check_round_trips(&carried);
}

#[test]
fn texts_are_what_they_are_said_to_be() {
    let document = full().document().unwrap();
    let json = String::from_utf8(document.write(Encoding::Json).unwrap()).unwrap();
    let xml = String::from_utf8(document.write(Encoding::Xml).unwrap()).unwrap();
    let id = full().records()[2].id();
    assert!(json.contains(&format!("\"id\": \"{id}\"")), "{json}");
    assert!(xml.contains(&format!("<id>{id}</id>")), "{xml}");
    assert!(xml.contains("&lt;b"), "{xml}");
    for text in [&json, &xml] {
        assert!(text.contains("v1.1") && text.contains("CC-BY-4.0"));
        assert!(text.contains(&key(2).public().to_string()));
    }
}

#[test]
fn fields_that_nobody_knows_stay() {
    let first = first_record(&[1], 1);
    let version = sign(
        Manifest::new(ManifestFields {
            derived_from: vec![Derivation {
                manifest: ManifestId::from_hash(Hash::of(b"x")),
                how: None,
            }],
            ..manifest_fields(&first, 0, None)
        })
        .unwrap(),
        &[1],
    );
    let mut map = map_of(version.record().payload());
    let more = Ipld::List(vec![Ipld::Null, Ipld::Float(0.5), Ipld::Bool(true)]);
    map.insert("more".to_owned(), more.clone());
    let Some(Ipld::List(derivations)) = map.get_mut("derived_from") else {
        panic!("no list");
    };
    let Some(Ipld::Map(derivation)) = derivations.first_mut() else {
        panic!("no map");
    };
    derivation.insert("why".to_owned(), more);
    let bytes = envelope_by(&cbor::to_vec(&map).unwrap(), &[1]);
    let version = SignedRecord::decode(&bytes).unwrap();
    let carried = Carried::new(vec![first, version], Vec::new()).unwrap();
    check_round_trips(&carried);
    let mut document = carried.document().unwrap();
    let manifest = document.manifest.as_mut().unwrap();
    assert!(!manifest.unknown.is_empty());
    // What is known has one place.
    let hidden = BTreeMap::from([("title", "A corpus")]);
    manifest.unknown = cbor::to_vec(&hidden).unwrap();
    manifest.title.clear();
    assert!(matches!(
        document.open(),
        Err(ExchangeError::Field {
            field: "unknown",
            ..
        })
    ));
}

#[test]
fn s7_what_was_altered_is_refused() {
    let document = full().document().unwrap();
    let refused = |change: &dyn Fn(&mut Document)| {
        let mut altered = document.clone();
        change(&mut altered);
        for encoding in ALL {
            let bytes = altered.write(encoding).unwrap();
            assert!(opened(&bytes).is_err(), "{encoding:?}");
        }
        altered.open().unwrap_err()
    };
    let manifest = |change: fn(&mut ManifestEntry)| {
        refused(&|document| change(document.manifest.as_mut().unwrap()))
    };
    let signature = |error| matches!(error, ExchangeError::Record { .. });
    assert!(signature(manifest(|manifest| manifest.title.push('!'))));
    assert!(signature(manifest(|manifest| manifest.bytes += 1)));
    assert!(signature(manifest(|manifest| manifest.tags.clear())));
    assert!(signature(manifest(|manifest| manifest.parent.clear())));
    assert!(signature(manifest(|manifest| {
        manifest.signatures[0].signature[3] ^= 1;
    })));
    assert!(signature(manifest(|manifest| manifest.signatures.clear())));
    // One signature fewer than the owners need: what is left holds.
    let few = manifest(|manifest| manifest.signatures.truncate(1));
    assert!(matches!(few, ExchangeError::Owners(_)), "{few}");
    let id = manifest(|manifest| manifest.id = manifest.dataset.clone());
    assert!(matches!(id, ExchangeError::OtherId { .. }), "{id}");
    assert!(signature(refused(&|document| {
        document.head.as_mut().unwrap().sequence = 2;
    })));
    assert!(signature(refused(&|document| {
        document.owner_records[0].name = "other".to_owned();
    })));
    let records = |error| matches!(error, ExchangeError::Records | ExchangeError::Owners(_));
    assert!(records(refused(&|document| document.manifest = None)));
    assert!(records(refused(&|document| document.owner_records.clear())));
    assert!(records(refused(&|document| document
        .owner_records
        .reverse())));
    assert!(records(refused(&|document| {
        document.owner_records.truncate(1);
    })));
    let blob = refused(&|document| document.blobs[0].bytes[5] ^= 1);
    assert!(matches!(blob, ExchangeError::OtherBlob { .. }), "{blob}");
    let page = refused(&|document| drop(document.blobs.remove(0)));
    assert!(matches!(page, ExchangeError::MissingPage { .. }), "{page}");
    let index = refused(&|document| drop(document.blobs.remove(1)));
    assert!(matches!(index, ExchangeError::StrayBlob { .. }), "{index}");
    let twice = refused(&|document| document.blobs.push(document.blobs[0].clone()));
    assert!(matches!(twice, ExchangeError::StrayBlob { .. }), "{twice}");
}

#[test]
fn another_version_of_the_format_is_named() {
    let mut document = full().document().unwrap();
    document.format = "opendag-manifest/2".to_owned();
    for encoding in ALL {
        let bytes = document.write(encoding).unwrap();
        let error = Document::read(&bytes).unwrap_err().to_string();
        assert!(error.contains("opendag-manifest/2"), "{error}");
    }
}

#[test]
fn what_is_cut_or_followed_by_more_is_refused() {
    let document = full().document().unwrap();
    for encoding in ALL {
        let bytes = document.write(encoding).unwrap();
        // The last byte of the texts is a newline, without which they are whole.
        let whole = match encoding {
            Encoding::Protobuf => bytes.len(),
            Encoding::Json | Encoding::Xml => bytes.len() - 1,
        };
        for end in 0..whole {
            assert!(opened(&bytes[..end]).is_err(), "{encoding:?} {end}");
        }
        for more in [&b"x"[..], b"{}", b"<x/>", b"&amp;", b"\n\x00", &bytes] {
            let long = [&bytes, more].concat();
            assert!(opened(&long).is_err(), "{encoding:?} {more:?}");
        }
    }
}

#[test]
fn xml_has_elements_and_text_only() {
    let document = full().document().unwrap();
    let text = String::from_utf8(document.write(Encoding::Xml).unwrap()).unwrap();
    let refused = |from: &str, to: &str| {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text);
        let error = opened(altered.as_bytes()).unwrap_err();
        crate::testing::causes(&error)
    };
    let bomb =
        "<!DOCTYPE x [<!ENTITY a \"aaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>\n<opendag-manifest>";
    assert!(refused("<opendag-manifest>", bomb).contains("a document type"));
    assert!(refused("CC-BY-4.0", "&b;").contains("b"));
    assert!(refused("<title>", "<title x=\"1\">").contains("an attribute"));
    assert!(refused("<title>", "<?x y?><title>").contains("a processing instruction"));
    assert!(refused("<title>", "<x></x><title>").contains("x"));
    assert!(refused("<title>", "text<title>").contains("says something else"));
    assert!(refused("<title>", "<title>A</title><title>").contains("title"));
    let deep = "<x>".repeat(EXCHANGE_XML_DEPTH_MAX) + "<title>";
    assert!(refused("<title>", &deep).contains("deeper"));
    assert!(refused("</opendag-manifest>", "").contains("too early"));
    assert!(refused("opendag-manifest>", "opendag-manifests>").contains("form"));
    // Comments, other spaces and other ways to write a character say nothing.
    for (from, to) in [
        ("<title>", "<!-- x --><title>"),
        ("\n    <title>", "<title>"),
        ("A corpus", "&#65; corpus"),
        ("A corpus", "<![CDATA[A corpus]]>"),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text);
        assert_eq!(
            bytes_of(&opened(other.as_bytes()).unwrap()),
            bytes_of(&full())
        );
    }
}

#[test]
fn json_has_the_fields_of_the_format_only() {
    let document = full().document().unwrap();
    let text = String::from_utf8(document.write(Encoding::Json).unwrap()).unwrap();
    for (from, to) in [
        ("\"title\":", "\"titel\":"),
        ("\"title\":", "\"title\": \"x\", \"title\":"),
        ("\"sequence\": 1", "\"sequence\": 1.0"),
        ("\"sequence\": 1", "\"sequence\": \"1\""),
        ("\"ed25519:", "\"ED25519:"),
        ("\"bafyr4i", "\"Bafyr4i"),
    ] {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text);
        assert!(opened(altered.as_bytes()).is_err(), "{to}");
    }
    // In another order and without spaces it says the same.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let back = opened(value.to_string().as_bytes()).unwrap();
    assert_eq!(bytes_of(&back), bytes_of(&full()));
}

#[test]
fn protobuf_has_one_spelling() {
    let bytes = full()
        .document()
        .unwrap()
        .write(Encoding::Protobuf)
        .unwrap();
    // A field that nobody knows, and a number written longer.
    let more = [&bytes[..], &[0xf8, 0x07, 0x01]].concat();
    assert!(matches!(opened(&more), Err(ExchangeError::NotCanonical)));
    let mut long = bytes.clone();
    long.splice(1..2, [bytes[1] | 0x80, 0]);
    assert!(opened(&long).is_err());
}

#[test]
fn p6_what_is_too_large_is_not_read() {
    let mut bytes = b"{\"format\":\"".to_vec();
    bytes.resize(crate::limits::EXCHANGE_BYTES_MAX + 1, b' ');
    assert!(matches!(opened(&bytes), Err(ExchangeError::TooLarge)));
    let blob = vec![0; crate::limits::EXCHANGE_BLOBS_BYTES_MAX + 1];
    let carried = full();
    let more = Carried::new(carried.records().to_vec(), vec![blob]);
    assert!(matches!(more, Err(ExchangeError::BlobsTooLarge)));
}

fn line(bytes_max: usize) -> impl Strategy<Value = String> {
    let any = prop_oneof![
        Just('<'),
        Just('&'),
        Just(']'),
        Just('>'),
        Just('"'),
        Just('é'),
        Just('\u{1f600}'),
        prop::char::range(' ', '~'),
    ];
    vec(any, 1..20).prop_filter_map("no line", move |chars| {
        let text: String = chars.into_iter().collect();
        let text = text.trim().to_owned();
        (!text.is_empty() && text.len() <= bytes_max).then_some(text)
    })
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    vec(line(64), 0..4).prop_map(|mut lines| {
        lines.sort();
        lines.dedup();
        lines
    })
}

prop_compose! {
    fn versions()(
        texts in (option::of(line(64)), option::of(line(200)), option::of(vec(line(100), 1..4))),
        tags in lines(),
        numbers in (any::<u64>(), any::<u32>(), 0..1_u64 << 53),
        ids in vec(any::<[u8; 32]>(), 0..3),
        how in option::of(line(100)),
        is_first: bool,
        has_head: bool,
        unknown in option::of(line(50)),
    ) -> Carried {
        let owners = first_record(&[1], 1);
        let sequence = if is_first { 0 } else { numbers.2.max(1) };
        let parent = (!is_first).then(|| ManifestId::from_hash(Hash::of(b"parent")));
        let mut derived_from: Vec<_> = ids.into_iter().map(|id| Derivation {
            manifest: ManifestId::from_hash(Hash::from_bytes(id)),
            how: how.clone(),
        }).collect();
        derived_from.sort();
        derived_from.dedup();
        let fields = ManifestFields {
            label: texts.0,
            title: texts.1,
            description: texts.2.map(|lines| lines.join("\n\t")),
            tags,
            bytes: numbers.0,
            files: numbers.1.into(),
            derived_from,
            ..manifest_fields(&owners, sequence, parent)
        };
        let mut map = map_of(sign(Manifest::new(fields).unwrap(), &[1]).record().payload());
        map.extend(unknown.map(|text| (format!("x-{text}"), Ipld::String(text))));
        let version = SignedRecord::decode(&envelope_by(&cbor::to_vec(&map).unwrap(), &[1])).unwrap();
        let newest = version.id().into();
        let head = has_head.then(|| head(&owners, sequence, newest, numbers.2 % 1_000_000));
        let records = [owners, version].into_iter().chain(head);
        Carried::new(records.collect(), Vec::new()).unwrap()
    }
}

proptest! {
    #[test]
    fn every_version_round_trips(carried in versions()) {
        check_round_trips(&carried);
    }

    #[test]
    fn s7_a_flipped_bit_changes_nothing_or_is_refused(which in 0_usize..3, at: prop::sample::Index, bit in 0_u8..8) {
        let carried = full();
        let mut bytes = carried.document().unwrap().write(ALL[which]).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(back) = opened(&bytes) {
            prop_assert_eq!(bytes_of(&back), bytes_of(&carried));
        }
    }

    #[test]
    fn no_bytes_are_a_panic(bytes: Vec<u8>, front in 0_usize..4) {
        let fronts: [&[u8]; 4] = [b"", b"{", b"<opendag-manifest>", b"\x0a\x12opendag-manifest/1"];
        prop_assert!(opened(&[fronts[front], &bytes].concat()).is_err());
    }
}
