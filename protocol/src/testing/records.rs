//! `specs/vectors/records.json`: records, refused ones, and what a node makes of them one after another.

use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    vectors::{check, hex, unhex},
    *,
};
use crate::{
    RecordId,
    catalogue::{Applied, DatasetState},
    cbor,
    key::PublicKey,
    record::Derivation,
    statements::{Assessed, Kept, StatementKey, StatementLimits, Statements},
};

#[derive(Serialize, Deserialize)]
struct Records {
    about: String,
    records: Vec<Signed>,
    refused: Vec<RefusedRecord>,
    stories: Vec<Story>,
    statements: Vec<StatementStep>,
}

/// Statements that a node hears one after another.
#[derive(Serialize, Deserialize)]
struct StatementStep {
    record: String,
    now: u64,
    outcome: String,
}

fn assessed(kept: &mut Statements, record: &SignedRecord, now: u64) -> String {
    let statement = record.as_statement().unwrap();
    let bytes = record.bytes().len().try_into().unwrap();
    let assessed = kept.assess(statement, bytes, Timestamp::from_secs(now));
    if matches!(assessed, Assessed::Keep { .. }) {
        kept.insert(StatementKey::of(statement), Kept::of(statement, bytes));
    }
    match assessed {
        Assessed::Keep { dropped } if dropped.is_empty() => "new",
        Assessed::Keep { .. } => "newer",
        Assessed::Known => "known",
        Assessed::Stale => "stale",
        Assessed::Unneeded => "unneeded",
        Assessed::FromTheFuture => "refused",
    }
    .to_owned()
}

fn statement_steps() -> Vec<StatementStep> {
    let cast: BTreeMap<_, _> = cast().into_iter().collect();
    let mut kept = Statements::new(StatementLimits::with_bytes(1 << 20));
    let mut tell = |(record, now): &(&str, u64)| StatementStep {
        record: (*record).to_owned(),
        now: *now,
        outcome: assessed(&mut kept, &cast[record], *now),
    };
    let steps = [
        ("review", 10_000 - 3601),
        ("review", 10_000 - 3600),
        ("review again", 20_000),
        ("review", 20_000),
        ("review again", 20_000),
        ("review by another", 20_000),
        ("review of a blob", 30_000),
        ("statement of another type", 10_000),
    ];
    steps.iter().map(&mut tell).collect()
}

#[derive(Serialize, Deserialize)]
struct Signed {
    name: String,
    r#type: String,
    fields: Value,
    payload_hex: String,
    id: RecordId,
    signers: Vec<PublicKey>,
    signed_hex: String,
}

#[derive(Serialize, Deserialize)]
struct RefusedRecord {
    why: String,
    signed_hex: String,
}

/// Records applied one after another to what is known of a dataset.
#[derive(Serialize, Deserialize)]
struct Story {
    name: String,
    first: String,
    steps: Vec<Step>,
}

#[derive(Serialize, Deserialize)]
struct Step {
    record: String,
    now: u64,
    outcome: String,
    newest: Option<ManifestId>,
    expired_since: Option<u64>,
}

/// The cast of the stories, by name.
fn cast() -> Vec<(&'static str, SignedRecord)> {
    let first = first_record(&[1, 2, 3], 2);
    let second = sign(rotation(&first, &[3, 4], 1), &[1, 3]);
    let fork = sign(rotation(&first, &[1], 1), &[1, 2]);
    let signed = |fields: ManifestFields, by: &[u8]| sign(Manifest::new(fields).unwrap(), by);
    let v0 = signed(manifest_fields(&first, 0, None), &[1, 2]);
    let mut full = manifest_fields(&first, 1, Some(v0.id().into()));
    full.label = Some("v1.1".to_owned());
    full.description = Some("Two paragraphs.\n\nWith é and 日本語.".to_owned());
    full.homepage = Some("https://example.org/corpus?v=1".to_owned());
    full.card = Some(BlobId::from_hash(Hash::of(b"card")));
    full.croissant = Some(BlobId::from_hash(Hash::of(b"croissant")));
    let how = Some("deduplicated".to_owned());
    full.derived_from = vec![Derivation {
        manifest: v0.id().into(),
        how,
    }];
    full.mirrors = vec!["https://example.org/files/".to_owned()];
    let v1 = signed(full, &[2, 3]);
    let mut other = manifest_fields(&first, 1, Some(v0.id().into()));
    other.tags.clear();
    let v1_other = signed(other, &[1, 3]);
    let v2 = signed(manifest_fields(&second, 2, Some(v1.id().into())), &[4]);
    let head = |owners: &SignedRecord, sequence, version: &SignedRecord, at, by: &[u8]| {
        sign(
            Head::new(head_fields(owners, sequence, version.id().into(), at)).unwrap(),
            by,
        )
    };
    let dataset = DatasetId::from(first.id());
    let blob = BlobId::from_hash(Hash::of(b"card"));
    vec![
        ("h0", head(&first, 0, &v0, 10_000, &[1, 2])),
        ("h1", head(&first, 1, &v1, 20_000, &[1, 2, 3])),
        ("h1 again", head(&first, 1, &v1, 25_000, &[1, 2])),
        ("h1 other", head(&first, 1, &v1_other, 22_000, &[1, 2])),
        ("h1 by one owner", head(&first, 1, &v1, 26_000, &[1])),
        (
            "h1 by a stranger too",
            head(&first, 1, &v1, 26_000, &[1, 2, 9]),
        ),
        (
            "h jump",
            head(&first, 1 + (1 << 20) + 1, &v2, 26_000, &[1, 2]),
        ),
        (
            "h1 of the former owners",
            head(&first, 1, &v1, 60_000, &[1, 2]),
        ),
        ("h2", head(&second, 2, &v2, 30_000, &[3])),
        ("owners 0", first),
        ("owners 1", second),
        ("owners 1 other", fork),
        ("v0", v0),
        ("v1", v1),
        ("v1 other", v1_other),
        ("v2", v2),
        (
            "review",
            sign(statement(5, Some(dataset.into()), 10_000), &[5]),
        ),
        (
            "review again",
            sign(statement(5, Some(dataset.into()), 20_000), &[5]),
        ),
        (
            "review of a blob",
            sign(statement(5, Some(blob.into()), 30_000), &[5]),
        ),
        (
            "review by another",
            sign(statement(6, Some(dataset.into()), 15_000), &[6]),
        ),
        ("statement of another type", sign(of_another_type(), &[5])),
    ]
}

/// A type that no program knows, about nothing, and for a time.
fn of_another_type() -> Statement {
    let mut fields = statement(5, None, 10_000).fields().clone();
    fields.kind = "greeting".to_owned();
    fields.expires_at = Some(Timestamp::from_secs(12_000));
    Statement::new(fields).unwrap()
}

fn describe((name, signed): &(&'static str, SignedRecord)) -> Signed {
    let fields = match signed.record() {
        Record::Dataset(dataset) => serde_json::to_value(dataset.fields()),
        Record::Manifest(manifest) => serde_json::to_value(manifest.fields()),
        Record::Head(head) => serde_json::to_value(head.fields()),
        Record::Statement(statement) => serde_json::to_value(statement.fields()),
        Record::Other(_) => Ok(Value::Null),
    };
    Signed {
        name: (*name).to_owned(),
        r#type: signed.record().kind().to_owned(),
        fields: fields.unwrap(),
        payload_hex: hex(signed.record().payload()),
        id: signed.id(),
        signers: signed.signers().collect(),
        signed_hex: hex(signed.bytes()),
    }
}

fn refused() -> Vec<RefusedRecord> {
    let first = first_record(&[1], 1);
    let payload = first.record().payload();
    let map: BTreeMap<String, Ipld> = map_of(payload);
    let with = |name: &str, value: Ipld| {
        let mut map = map.clone();
        map.insert(name.to_owned(), value);
        envelope(&cbor::to_vec(&map).unwrap())
    };
    let text = |text: &str| Ipld::String(text.to_owned());
    let longer = [&[0xb8, payload[0] & 0x1f], &payload[1..]].concat();
    let mut tampered = first.bytes().to_vec();
    *tampered.last_mut().unwrap() ^= 1;
    let weak = Ipld::List(vec![Ipld::Bytes(vec![0; 32])]);
    let review = Record::from(statement(1, Some(first.id().into()), 10_000));
    let said = |name: &str, value: Ipld| {
        let mut map = map_of(review.payload());
        map.insert(name.to_owned(), value);
        envelope(&cbor::to_vec(&map).unwrap())
    };
    let by = |number| Ipld::Bytes(key(number).public().as_bytes().to_vec());
    let two = envelope_by(review.payload(), &[1, 2]);
    let cases = [
        (
            "trailing byte in the envelope",
            [first.bytes(), &[0]].concat(),
        ),
        (
            "trailing byte in the payload",
            envelope(&[payload, &[0]].concat()),
        ),
        (
            "payload with a length not in shortest form",
            envelope(&longer),
        ),
        ("altered signature", tampered),
        ("version 2", with("version", Ipld::Integer(2))),
        ("type that is no name", with("type", text("Data Set"))),
        ("null for an absent field", with("previous", Ipld::Null)),
        ("name with a separator", with("name", text("a/b"))),
        ("name with a dot at the start", with("name", text(".ssh"))),
        ("name not in NFC", with("name", text("e\u{301}"))),
        (
            "name with a bidirectional override",
            with("name", text("a\u{202e}b")),
        ),
        (
            "threshold above the owners",
            with("threshold", Ipld::Integer(2)),
        ),
        ("threshold of 0", with("threshold", Ipld::Integer(0))),
        (
            "sequence of 1 without a previous record",
            with("sequence", Ipld::Integer(1)),
        ),
        ("no owners", with("owners", Ipld::List(vec![]))),
        ("owner of small order", with("owners", weak)),
        (
            "statement without an author's key",
            said("author", Ipld::Null),
        ),
        (
            "statement by a key of small order",
            said("author", Ipld::Bytes(vec![0; 32])),
        ),
        ("statement signed by another", said("author", by(2))),
        ("statement without a time", said("issued_at", Ipld::Null)),
        ("statement about a text", said("subject", text("corpus"))),
        ("statement about null", said("subject", Ipld::Null)),
        (
            "statement that expires when it is issued",
            said("expires_at", Ipld::Integer(10_000)),
        ),
        ("statement with two signatures", two),
    ];
    let keep = |(why, bytes): (&str, Vec<u8>)| {
        assert!(SignedRecord::decode(&bytes).is_err(), "{why}");
        RefusedRecord {
            why: why.to_owned(),
            signed_hex: hex(&bytes),
        }
    };
    cases.into_iter().map(keep).collect()
}

fn outcome(state: &mut DatasetState, record: &SignedRecord, now: u64) -> String {
    match state.apply(record, Timestamp::from_secs(now)) {
        Ok(Applied::New) => "new",
        Ok(Applied::Newer) => "newer",
        Ok(Applied::Known) => "known",
        Ok(Applied::Stale) => "stale",
        Ok(Applied::Unneeded) => "unneeded",
        Ok(Applied::Retired) => "retired",
        Ok(Applied::Equivocation { newest: true, .. }) => "equivocation, newest",
        Ok(Applied::Equivocation { newest: false, .. }) => "equivocation",
        Err(_) => "refused",
    }
    .to_owned()
}

fn story(name: &str, steps: &[(&str, u64)]) -> Story {
    let cast: BTreeMap<_, _> = cast().into_iter().collect();
    let mut state = DatasetState::new(&cast["owners 0"]).unwrap();
    let mut tell = |(record, now): &(&str, u64)| Step {
        record: (*record).to_owned(),
        now: *now,
        outcome: outcome(&mut state, &cast[record], *now),
        newest: state.newest_manifest(),
        expired_since: state
            .head_expired_since(Timestamp::from_secs(*now))
            .map(Timestamp::as_secs),
    };
    Story {
        name: name.to_owned(),
        first: "owners 0".to_owned(),
        steps: steps.iter().map(&mut tell).collect(),
    }
}

fn records() -> Records {
    Records {
        about: "Signed records (\"fields\" leaves out type and version; ids and keys are texts; times \
                are seconds), envelopes that are refused, and stories: what becomes of records that \
                are applied in order at the time \"now\" to a node that knows \"first\" alone. \
                Statements are what a node hears that knows none. Key n has the secret of 32 bytes n. Source: specs/records.md."
            .to_owned(),
        records: cast().iter().map(describe).collect(),
        refused: refused(),
        stories: vec![
            story(
                "in order, then replayed",
                &[
                    ("v0", 10_000), ("h0", 10_000), ("v1", 20_000), ("h1", 20_000),
                    ("h1 again", 25_000), ("h0", 25_000), ("h1", 25_000), ("h1 again", 26_000),
                ],
            ),
            story(
                "time",
                &[("h1", 20_000 - 3601), ("h1", 20_000 - 3600), ("h1", 20_999), ("h1", 21_000)],
            ),
            story(
                "signers and jumps",
                &[
                    ("h1", 26_000), ("h1 by one owner", 26_000), ("h1 by a stranger too", 26_000),
                    ("h jump", 26_000), ("h2", 30_000), ("v2", 30_000),
                ],
            ),
            story(
                "equivocation",
                &[
                    ("v1", 30_000), ("v1 other", 30_000), ("h1", 30_000), ("h1 other", 30_000),
                    ("h1", 30_000), ("h1 again", 30_000), ("owners 1", 30_000),
                    ("owners 1 other", 30_000), ("owners 1 other", 30_000),
                ],
            ),
            story(
                "rotation",
                &[
                    ("h1", 30_000), ("v1", 30_000), ("owners 1", 30_000),
                    ("h1 of the former owners", 60_000), ("v1 other", 60_000), ("h2", 60_000),
                    ("v2", 60_000), ("v0", 60_000), ("h1", 60_000),
                ],
            ),
        ],
        statements: statement_steps(),
    }
}

#[test]
fn p7_records_and_stories_follow_the_vectors() {
    let kept = check("records", &records());
    let mut by_name = BTreeMap::new();
    for vector in &kept.records {
        let signed = SignedRecord::decode(&unhex(&vector.signed_hex)).unwrap();
        assert_eq!(signed.id(), vector.id);
        assert_eq!(hex(signed.record().payload()), vector.payload_hex);
        by_name.insert(vector.name.as_str(), signed);
    }
    for vector in &kept.refused {
        let decoded = SignedRecord::decode(&unhex(&vector.signed_hex));
        assert!(decoded.is_err(), "{}", vector.why);
    }
    for story in &kept.stories {
        let mut state = DatasetState::new(&by_name[story.first.as_str()]).unwrap();
        for step in &story.steps {
            let found = outcome(&mut state, &by_name[step.record.as_str()], step.now);
            assert_eq!(found, step.outcome, "{}: {}", story.name, step.record);
            assert_eq!(state.newest_manifest(), step.newest);
        }
    }
    let mut known = Statements::new(StatementLimits::with_bytes(1 << 20));
    for step in &kept.statements {
        let found = assessed(&mut known, &by_name[step.record.as_str()], step.now);
        assert_eq!(found, step.outcome, "{}", step.record);
    }
}
