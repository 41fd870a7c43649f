//! `specs/vectors/denylists.json`: denylists as records, and statements of that type that break its rules.

use serde::{Deserialize, Serialize};

use super::{
    vectors::{check, hex, unhex},
    *,
};
use crate::{
    RecordId,
    key::PublicKey,
    record::{Denied, Denylist, DenylistEntry},
};

#[derive(Serialize, Deserialize)]
struct Lists {
    about: String,
    lists: Vec<List>,
    not_heeded: Vec<NotHeeded>,
}

#[derive(Serialize, Deserialize)]
struct List {
    author: PublicKey,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    entries: Vec<DenylistEntry>,
    id: RecordId,
    signed_hex: String,
}

#[derive(Serialize, Deserialize)]
struct NotHeeded {
    why: String,
    signed_hex: String,
}

fn entry(what: Denied, reason: Option<&str>, expires_at: Option<u64>) -> DenylistEntry {
    DenylistEntry {
        what,
        reason: reason.map(str::to_owned),
        expires_at: expires_at.map(Timestamp::from_secs),
    }
}

fn list(expires_at: Option<u64>, entries: Vec<DenylistEntry>) -> List {
    let (author, issued_at) = (key(5).public(), Timestamp::from_secs(10_000));
    let expires_at = expires_at.map(Timestamp::from_secs);
    let said = Denylist::statement(author, issued_at, expires_at, entries.clone()).unwrap();
    let signed = sign(said, &[5]);
    List {
        author,
        issued_at,
        expires_at,
        entries,
        id: signed.id(),
        signed_hex: hex(signed.bytes()),
    }
}

fn not_heeded(why: &str, subject: Option<Subject>, entries: Ipld) -> NotHeeded {
    let mut fields = statement(5, subject, 10_000).fields().clone();
    fields.kind = Denylist::KIND.to_owned();
    fields.more = BTreeMap::from([("entries".to_owned(), entries)]);
    let signed = sign(Statement::new(fields).unwrap(), &[5]);
    NotHeeded {
        why: why.to_owned(),
        signed_hex: hex(signed.bytes()),
    }
}

fn lists() -> Lists {
    let first = first_record(&[1], 1);
    let (dataset, version) = (first.id(), manifest(&first, 0, None).id());
    let blob = BlobId::from_hash(Hash::of(b"blob"));
    let map = |fields: &[(&str, Ipld)]| {
        let fields = fields.iter().cloned();
        Ipld::Map(
            fields
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    };
    let key = Ipld::Bytes(key(1).public().as_bytes().to_vec());
    let publisher = map(&[("publisher", key.clone())]);
    let plain = map(&[("what", publisher.clone())]);
    let both = map(&[("publisher", key.clone()), ("sender", key)]);
    Lists {
        about:
            "Denylists with their entries, and statements of the type denylist that are kept and \
                forwarded but not heeded. Source: specs/records.md, denylist."
                .to_owned(),
        lists: vec![
            list(
                Some(90_000),
                vec![
                    entry(Denied::Dataset(dataset.into()), Some("Not theirs"), None),
                    entry(Denied::Manifest(version.into()), None, Some(20_000)),
                    entry(Denied::Blob(blob), None, None),
                    entry(Denied::Publisher(super::key(1).public()), None, None),
                ],
            ),
            list(None, Vec::new()),
        ],
        not_heeded: vec![
            not_heeded(
                "about a dataset",
                Some(dataset.into()),
                Ipld::List(vec![plain.clone()]),
            ),
            not_heeded("an empty list", None, Ipld::List(Vec::new())),
            not_heeded(
                "an entry twice",
                None,
                Ipld::List(vec![plain.clone(), plain]),
            ),
            not_heeded(
                "an entry about two things",
                None,
                Ipld::List(vec![map(&[("what", both)])]),
            ),
            not_heeded(
                "an empty reason",
                None,
                Ipld::List(vec![map(&[
                    ("what", publisher),
                    ("reason", Ipld::String(String::new())),
                ])]),
            ),
            not_heeded("an entry about nothing", None, Ipld::List(vec![map(&[])])),
        ],
    }
}

#[test]
fn denylists_follow_the_vectors() {
    let kept = check("denylists", &lists());
    let decode = |text: &str| SignedRecord::decode(&unhex(text)).unwrap();
    for vector in &kept.lists {
        let signed = decode(&vector.signed_hex);
        let list = Denylist::read(signed.as_statement().unwrap());
        let list = list.unwrap().unwrap();
        assert_eq!(list.entries(), vector.entries);
        assert_eq!(
            (list.id(), list.expires_at()),
            (vector.id, vector.expires_at)
        );
    }
    for vector in &kept.not_heeded {
        let signed = decode(&vector.signed_hex);
        let read = Denylist::read(signed.as_statement().unwrap());
        assert!(read.is_err(), "{}", vector.why);
    }
}
