use super::*;
use crate::{
    BlobId, Hash,
    limits::STATEMENT_BYTES_MAX,
    record::{Record, SignedRecord},
    testing::*,
};

fn subject() -> Subject {
    first_record(&[1], 1).id().into()
}

fn signed(map: &BTreeMap<String, Ipld>) -> Result<SignedRecord, RecordError> {
    SignedRecord::decode(&envelope(&cbor::to_vec(map).unwrap()))
}

#[test]
fn a_statement_round_trips_with_the_fields_of_its_type() {
    for about in [
        None,
        Some(subject()),
        Some(BlobId::from_hash(Hash::of(b"blob")).into()),
    ] {
        let said = statement(1, about, 100);
        let record = sign(said.clone(), &[1]);
        let again = SignedRecord::decode(record.bytes()).unwrap();
        assert_eq!(again.as_statement(), Some(&said));
        assert_eq!(again.record().kind(), "review");
        assert_eq!(again.record().dataset_id(), None);
        assert_eq!(said.fields().more["rating"], Ipld::Integer(4));
        #[derive(serde::Deserialize)]
        struct Review {
            rating: u8,
        }
        assert_eq!(said.read::<Review>().unwrap().rating, 4);
        let made = Statement::new(said.fields().clone()).unwrap();
        assert_eq!((made.id(), made), (said.id(), said));
    }
}

#[test]
fn only_the_author_signs() {
    let said = Record::from(statement(1, None, 100));
    let alone = SignedRecord::sign(&said, &[&key(1)]).unwrap();
    for keys in [vec![key(2)], vec![key(1), key(2)]] {
        let keys: Vec<_> = keys.iter().collect();
        let error = SignedRecord::sign(&said, &keys).unwrap_err();
        assert!(matches!(error, RecordError::Author));
    }
    let mut more = alone.clone();
    assert!(matches!(
        more.add_signature(&key(2)),
        Err(RecordError::Author)
    ));
    assert_eq!(more, alone);
    for by in [&[2][..], &[1, 2]] {
        let error = SignedRecord::decode(&envelope_by(said.payload(), by)).unwrap_err();
        assert!(matches!(error, RecordError::Author), "{error}");
    }
    assert!(SignedRecord::decode(&envelope_by(said.payload(), &[1])).is_ok());
}

#[test]
fn what_has_an_author_is_a_statement_or_refused() {
    let map = map_of(Record::from(statement(1, Some(subject()), 100)).payload());
    assert!(signed(&map).unwrap().as_statement().is_some());
    let with = |name: &str, value: Ipld| {
        let mut map = map.clone();
        map.insert(name.to_owned(), value);
        signed(&map)
    };
    let text = Ipld::String("x".to_owned());
    for (name, value) in [
        ("author", Ipld::Null),
        ("author", Ipld::Bytes(vec![0; 32])),
        ("author", Ipld::Bytes(vec![1; 31])),
        ("issued_at", text.clone()),
        ("issued_at", Ipld::Integer(-1)),
        ("issued_at", Ipld::Integer(253_402_300_800)),
        ("subject", Ipld::Null),
        ("subject", text),
        ("expires_at", Ipld::Null),
        ("expires_at", Ipld::Integer(100)),
        ("expires_at", Ipld::Integer(253_402_300_800)),
        ("version", Ipld::Integer(2)),
        ("type", Ipld::String("Review".to_owned())),
        // These have rules of their own, whoever is said to be their author.
        ("type", Ipld::String("head".to_owned())),
    ] {
        assert!(with(name, value.clone()).is_err(), "{name}: {value:?}");
    }
    for (name, value) in [
        ("issued_at", Ipld::Integer(0)),
        ("expires_at", Ipld::Integer(101)),
        ("type", Ipld::String("not-known-to-anybody".to_owned())),
        ("rating", Ipld::Null),
    ] {
        assert!(with(name, value.clone()).is_ok(), "{name}: {value:?}");
    }
    let mut nobodys = map.clone();
    nobodys.remove("author");
    assert!(matches!(
        signed(&nobodys).unwrap().record(),
        Record::Other(_)
    ));
    let mut timeless = map;
    timeless.remove("issued_at");
    assert!(signed(&timeless).is_err());
}

#[test]
fn what_cannot_be_said_cannot_be_made() {
    let good = statement(1, None, 100).fields().clone();
    let make = |change: fn(&mut StatementFields)| {
        let mut fields = good.clone();
        change(&mut fields);
        Statement::new(fields)
    };
    assert!(make(|_| ()).is_ok());
    assert!(make(|fields| fields.kind = "manifest".to_owned()).is_err());
    assert!(make(|fields| fields.kind = String::new()).is_err());
    assert!(make(|fields| fields.expires_at = Some(fields.issued_at)).is_err());
    for name in COMMON {
        let mut fields = good.clone();
        fields.more.insert(name.to_owned(), Ipld::Integer(1));
        assert!(Statement::new(fields).is_err(), "{name}");
    }
}

#[test]
fn sizes_end_at_the_limit() {
    let padded = |pad: usize| {
        let mut fields = statement(1, None, 100).fields().clone();
        fields
            .more
            .insert("pad".to_owned(), Ipld::Bytes(vec![0; pad]));
        SignedRecord::sign(&Statement::new(fields).unwrap().into(), &[&key(1)])
    };
    let room = STATEMENT_BYTES_MAX - padded(10_000).unwrap().bytes().len();
    let largest = padded(10_000 + room).unwrap();
    assert_eq!(largest.bytes().len(), STATEMENT_BYTES_MAX);
    assert!(SignedRecord::decode(largest.bytes()).is_ok());
    assert!(matches!(
        padded(10_001 + room),
        Err(RecordError::TooLarge {
            bytes_max: STATEMENT_BYTES_MAX,
            ..
        })
    ));
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let record = sign(statement(1, Some(subject()), 100), &[1]);
    let good = record.bytes();
    for at in 0..good.len() {
        assert!(SignedRecord::decode(&good[..at]).is_err(), "cut at {at}");
        let mut bad = good.to_vec();
        bad[at] ^= 1 << (at % 8);
        assert!(SignedRecord::decode(&bad).is_err(), "flipped at {at}");
    }
}
