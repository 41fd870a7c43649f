//! `specs/vectors/{ids,records,links}.json`: written anew when `OPENDAG_WRITE_VECTORS` is set, else
//! compared with what the code makes.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use ipld_core::ipld::Ipld;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::*;
use crate::{
    RecordId,
    catalogue::{Applied, DatasetState},
    cbor,
    key::{KeyError, PublicKey},
    link::Link,
    record::Derivation,
    statements::{Assessed, Kept, StatementKey, StatementLimits, Statements},
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/vectors/");

/// Writes the vectors if that is asked for; then what is kept must be what is made.
pub(super) fn check<T: Serialize + DeserializeOwned>(name: &str, made: &T) -> T {
    let file = format!("{FOLDER}{name}.json");
    let text = serde_json::to_string_pretty(made).unwrap() + "\n";
    if std::env::var_os("OPENDAG_WRITE_VECTORS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept == text, "{file} is not what the code makes");
    serde_json::from_str(&kept).unwrap()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

#[derive(Serialize, Deserialize)]
struct Ids {
    about: String,
    ids: Vec<Id>,
    not_record_ids: Vec<String>,
    keys: Vec<Key>,
    not_keys: Vec<NotAKey>,
}

#[derive(Serialize, Deserialize)]
struct Id {
    content_hex: String,
    blake3: Hash,
    record: RecordId,
    record_cid_hex: String,
    blob: BlobId,
    blob_cid_hex: String,
}

#[derive(Serialize, Deserialize)]
struct Key {
    secret_hex: String,
    public_hex: String,
    public: PublicKey,
    message_hex: String,
    signature_hex: String,
}

#[derive(Serialize, Deserialize)]
struct NotAKey {
    public_hex: String,
    why: String,
}

fn ids() -> Ids {
    let id = |content: &[u8]| {
        let hash = Hash::of(content);
        let (record, blob) = (RecordId::from_hash(hash), BlobId::from_hash(hash));
        Id {
            content_hex: hex(content),
            blake3: hash,
            record,
            record_cid_hex: hex(&record.cid().to_bytes()),
            blob,
            blob_cid_hex: hex(&blob.cid().to_bytes()),
        }
    };
    let text = RecordId::from_hash(Hash::of(b"")).to_string();
    let keys = [1, 2, 255].map(|number| Key {
        secret_hex: hex(key(number).to_bytes().as_slice()),
        public_hex: hex(key(number).public().as_bytes()),
        public: key(number).public(),
        message_hex: hex(b"message"),
        signature_hex: hex(key(number).sign(b"message").as_bytes()),
    });
    let not_a_key = |public_hex: String, why: &str| NotAKey {
        public_hex,
        why: why.to_owned(),
    };
    let repeated =
        |first: &str, middle: &str, last: &str| format!("{first}{}{last}", middle.repeat(30));
    Ids {
        about: "Ids of contents; texts that are no record ids; keys with signatures of a message \
                (without the domain of records); bytes that are no keys. Source: specs/records.md."
            .to_owned(),
        ids: [&b""[..], b"hello", &[0xa0]].map(id).into(),
        not_record_ids: vec![
            BlobId::from_hash(Hash::of(b"")).to_string(),
            text.to_uppercase(),
            format!("{text}a"),
            text[..text.len() - 1].to_owned(),
            format!(" {text}"),
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi".to_owned(),
            "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG".to_owned(),
            String::new(),
        ],
        keys: keys.into(),
        not_keys: vec![
            not_a_key(repeated("00", "00", "00"), "small order"),
            not_a_key(repeated("01", "00", "00"), "small order"),
            not_a_key(repeated("ec", "ff", "7f"), "small order"),
            not_a_key(repeated("ee", "ff", "7f"), "small order"),
            not_a_key(
                repeated("f0", "ff", "7f"),
                "not canonical: 3 written as p + 3",
            ),
            not_a_key(repeated("02", "00", "00"), "not on the curve"),
        ],
    }
}

#[test]
fn ids_and_keys_follow_the_vectors() {
    let kept = check("ids", &ids());
    for id in &kept.ids {
        assert_eq!(Hash::of(&unhex(&id.content_hex)), id.blake3);
        assert_eq!(id.record.hash(), id.blake3);
    }
    for text in &kept.not_record_ids {
        assert!(text.parse::<RecordId>().is_err(), "{text}");
    }
    for key in &kept.keys {
        assert_eq!(hex(key.public.as_bytes()), key.public_hex);
    }
    for bad in &kept.not_keys {
        let error = PublicKey::from_bytes(unhex(&bad.public_hex).try_into().unwrap()).unwrap_err();
        assert_eq!(
            error == KeyError::SmallOrder,
            bad.why == "small order",
            "{}",
            bad.public_hex
        );
    }
}

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

#[derive(Serialize, Deserialize)]
struct Links {
    about: String,
    accepted: Vec<AcceptedLink>,
    refused: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct AcceptedLink {
    text: String,
    id: RecordId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    name: Option<String>,
    peers: Vec<String>,
    printed: String,
}

fn links() -> Links {
    let id = RecordId::from_hash(Hash::of(b"record"));
    let peer = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    let accepted = |text: String| {
        let link: Link = text.parse().unwrap();
        AcceptedLink {
            id: link.id(),
            revision: link.revision().map(ToString::to_string),
            name: link.name().map(str::to_owned),
            peers: link.peers().to_vec(),
            printed: link.to_string(),
            text,
        }
    };
    Links {
        about: "Texts with what they say and how they are printed again, and texts that are no \
                links. Source: specs/links.md."
            .to_owned(),
        accepted: [
            id.to_string(),
            format!("opendag:{id}"),
            format!("opendag:{id}?"),
            format!("opendag:{id}?name=my%20corpus&peer={peer}&peer={peer}"),
            format!("opendag:{id}?peer={}", peer.replace('/', "%2f")),
            format!("opendag:{id}?name=%E6%97%A5%E6%9C%AC&size=3&later"),
            format!("opendag:{id}?name=a+b"),
            format!("{id}@v1.1"),
            format!("opendag:{id}@3?name=a"),
            format!("opendag:{id}@final%20%40%20%E6%97%A5"),
        ]
        .map(accepted)
        .into(),
        refused: vec![
            String::new(),
            "opendag:".to_owned(),
            format!("OPENDAG:{id}"),
            format!("opendag://{id}"),
            format!("opendag:{}", id.to_string().to_uppercase()),
            format!("opendag:{}", BlobId::from_hash(Hash::of(b"record"))),
            format!("opendag:{id}#x"),
            format!("opendag:{id}@"),
            format!("opendag:{id}@v 1"),
            format!("opendag:{id}@{}", "v".repeat(65)),
            format!("opendag:{id}?name="),
            format!("opendag:{id}?name=a&name=b"),
            format!("opendag:{id}?name=a%2Fb"),
            format!("opendag:{id}?name=a%2"),
            format!("opendag:{id}?name=%FF"),
            format!("opendag:{id}?name=a b"),
            format!("opendag:{id}?name=日本"),
            format!("opendag:{id}?peer=127.0.0.1:4001"),
            format!("opendag:{id}?peer=/ip4/127.0.0.1/tcp/4001"),
            format!("opendag:{id}?{}", format!("&peer={peer}").repeat(17)),
        ],
    }
}

#[test]
fn links_follow_the_vectors() {
    let kept = check("links", &links());
    for vector in &kept.accepted {
        let link: Link = vector.text.parse().unwrap();
        assert_eq!(link.to_string(), vector.printed);
        assert_eq!(vector.printed.parse(), Ok(link));
    }
    for text in &kept.refused {
        assert!(text.parse::<Link>().is_err(), "{text}");
    }
}
