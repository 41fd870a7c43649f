//! `specs/vectors/wire.json`: messages with their frames. Written anew when `OPENDAG_WRITE_VECTORS` is set.

use serde::Deserialize;

use super::*;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/vectors/wire.json");

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Vectors {
    about: String,
    accepted: Vec<Vector>,
    refused: Vec<Vector>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Vector {
    /// `RecordsRequest`, `RecordsResponse`, `HoldingsRequest`, `HoldingsUpdate`, `BlobsRequest` or `SyncMessage`.
    message: String,
    /// What it says, or what is wrong with it.
    about: String,
    /// The frame with its length; of a refused one the body.
    hex: String,
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn vector(message: &str, about: &str, bytes: &[u8]) -> Vector {
    Vector {
        message: message.to_owned(),
        about: about.to_owned(),
        hex: hex(bytes),
    }
}

fn accepted(message: &str, about: &str, value: &impl Serialize) -> Vector {
    vector(message, about, &encode_frame(value).unwrap())
}

/// The body decoded as `message` and encoded again.
fn again(message: &str, body: &[u8]) -> Result<Vec<u8>, FrameError> {
    match message {
        "RecordsRequest" => encode_frame(&decode_frame::<RecordsRequest>(body)?),
        "RecordsResponse" => encode_frame(&decode_frame::<RecordsResponse>(body)?),
        "HoldingsRequest" => encode_frame(&decode_frame::<HoldingsRequest>(body)?),
        "HoldingsUpdate" => encode_frame(&decode_frame::<HoldingsUpdate>(body)?),
        "BlobsRequest" => encode_frame(&decode_frame::<BlobsRequest>(body)?),
        "SyncMessage" => encode_frame(&decode_frame::<SyncMessage>(body)?),
        other => panic!("{other} is no message"),
    }
}

fn of_records() -> Vec<Vector> {
    let id = |text: &str| RecordId::from_hash(Hash::of(text.as_bytes()));
    let get = RecordsRequest::Get {
        ids: vec![id("a"), id("b")].try_into().unwrap(),
    };
    let dataset = RecordsRequest::Dataset {
        dataset: id("a").into(),
    };
    let record = RecordsResponse::Record(b"signed record".to_vec().try_into().unwrap());
    vec![
        accepted(
            "RecordsRequest",
            "get the records that have the hashes of \"a\" and \"b\"",
            &get,
        ),
        accepted(
            "RecordsRequest",
            "what is known of the dataset with the hash of \"a\"",
            &dataset,
        ),
        accepted(
            "RecordsResponse",
            "a record, the bytes \"signed record\"",
            &record,
        ),
        accepted(
            "RecordsResponse",
            "the record with the hash of \"a\" is not here",
            &RecordsResponse::NotFound(id("a")),
        ),
        accepted("RecordsResponse", "end", &RecordsResponse::End),
        accepted("RecordsResponse", "busy", &RecordsResponse::Busy),
    ]
}

fn of_holdings() -> Vec<Vector> {
    let request = HoldingsRequest {
        manifest: ManifestId::from_hash(Hash::of(b"a")),
    };
    let update = |about: &str, update: &HoldingsUpdate| accepted("HoldingsUpdate", about, update);
    let shards = [3, 4, 12].map(ShardIndex);
    let shards: Vec<_> = HoldingsUpdate::shards(shards).collect();
    let ranges = vec![
        GroupRange {
            first: 0,
            count: 64,
        },
        GroupRange {
            first: 128,
            count: 0,
        },
    ];
    let partial = HoldingsUpdate::Partial {
        shard: ShardIndex(5),
        ranges: ranges.try_into().unwrap(),
    };
    let peer = PeerAddr {
        peer: vec![0, 1, 2].try_into().unwrap(),
        addresses: vec![vec![4, 127, 0, 0, 1, 6, 15, 161].try_into().unwrap()]
            .try_into()
            .unwrap(),
    };
    vec![
        accepted(
            "HoldingsRequest",
            "of the version with the hash of \"a\"",
            &request,
        ),
        update("nothing", &HoldingsUpdate::Nothing),
        update("complete", &HoldingsUpdate::Complete),
        update("shards 3, 4 and 12", &shards[0]),
        update(
            "of shard 5 the groups 0 to 63, and from 128 to the end",
            &partial,
        ),
        update(
            "the peer 000102 at /ip4/127.0.0.1/tcp/4001",
            &HoldingsUpdate::Peers(vec![peer].try_into().unwrap()),
        ),
        update("snapshot", &HoldingsUpdate::Snapshot),
        update("busy", &HoldingsUpdate::Busy),
    ]
}

fn of_sync() -> Vec<Vector> {
    let id = |text: &str| RecordId::from_hash(Hash::of(text.as_bytes()));
    let range = |later, prefix: &[u8], has| SyncRange {
        later,
        prefix: prefix.to_vec().try_into().unwrap(),
        has,
    };
    let ranges = vec![
        range(1_700_000_000, &[], SyncHas::Settled),
        range(0, &[0x12, 0x34], SyncHas::Fingerprint([0xab; 16])),
        range(60, &[], SyncHas::Ids(vec![id("a")])),
        range(u64::MAX - 1_700_000_060, &[], SyncHas::Ids(Vec::new())),
    ];
    let message = |about: &str, message: &SyncMessage| accepted("SyncMessage", about, message);
    vec![
        message(
            "settled up to the time 1700000000; up to the id 1234 at that time the fingerprint of 16 bytes ab; \
             up to a minute later the record with the hash of \"a\"; then nothing",
            &SyncMessage::Ranges(ranges.try_into().unwrap()),
        ),
        message(
            "no range",
            &SyncMessage::Ranges(Vec::new().try_into().unwrap()),
        ),
        message(
            "the offer of the record with the hash of \"a\"",
            &SyncMessage::Offer(vec![id("a")].try_into().unwrap()),
        ),
        message("done", &SyncMessage::Done),
        message("busy", &SyncMessage::Busy),
    ]
}

fn of_blobs() -> Vec<Vector> {
    let groups = [
        GroupRange::ALL,
        GroupRange {
            first: 64,
            count: 64,
        },
    ];
    let items: Vec<_> = groups
        .iter()
        .map(|groups| {
            BlobItem::Range(BlobRange {
                hash: Hash::of(b"a"),
                groups: *groups,
            })
        })
        .collect();
    let request = BlobsRequest {
        items: items.try_into().unwrap(),
    };
    let spans = [(0, 1), (100_000, 262_144)].map(|(start, length)| {
        BlobItem::Span(BlobSpan {
            hash: Hash::of(b"a"),
            span: ByteSpan::new(start, length).unwrap(),
        })
    });
    let of_spans = BlobsRequest {
        items: spans.to_vec().try_into().unwrap(),
    };
    vec![
        accepted(
            "BlobsRequest",
            "of the blob \"a\" all, and 64 groups from group 64 on",
            &request,
        ),
        accepted(
            "BlobsRequest",
            "of the blob \"a\" the first byte, and 262144 bytes from 100000 on, without proof",
            &of_spans,
        ),
    ]
}

fn refused() -> Vec<Vector> {
    let response = |about: &str, bytes: &[u8]| vector("RecordsResponse", about, bytes);
    let item = |about: &str, fields: u8, rest: &[&[u8]]| {
        let hash = [
            b"\xa1\x65items\x81".as_slice(),
            &[0xa0 | fields],
            b"\x64hash\x58\x20",
            Hash::of(b"a").as_bytes(),
        ]
        .concat();
        vector("BlobsRequest", about, &[&hash, &rest.concat()[..]].concat())
    };
    let blobs = |about: &str, groups: &[u8]| item(about, 2, &[b"\x66groups", groups]);
    let span = |about: &str, span: &[u8]| item(about, 2, &[b"\x64span", span]);
    let sync = |about: &str, range: &[u8]| {
        vector(
            "SyncMessage",
            about,
            &[b"\xa1\x66ranges\x81", range].concat(),
        )
    };
    vec![
        sync("a range of two parts", b"\x82\x01\x40"),
        sync(
            "a prefix that ends with a zero",
            b"\x83\x01\x41\x00\x41\x00",
        ),
        sync("a range that says nothing", b"\x83\x01\x40\x40"),
        sync(
            "a settled range that says more",
            b"\x83\x01\x40\x42\x00\x00",
        ),
        sync("a fingerprint of one byte", b"\x83\x01\x40\x42\x01\x00"),
        sync("an id of one byte", b"\x83\x01\x40\x42\x02\x00"),
        sync("an unknown kind of range", b"\x83\x01\x40\x41\x03"),
        response("no value", b""),
        response("two values", b"\x63end\x63end"),
        response("a unit message as a map", b"\xa1\x63end\xf6"),
        response("a length that is not in its shortest form", b"\x78\x03end"),
        response("an indefinite length", b"\x7f\x63end\xff"),
        response("an unknown message", b"\x65other"),
        response("a record as text", b"\xa1\x66record\x61a"),
        vector(
            "RecordsRequest",
            "a list said to have 2^64-1 elements",
            b"\xa1\x63get\xa1\x63ids\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        ),
        blobs(
            "a range that ends beyond 2^64-2",
            b"\x82\x1b\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ),
        blobs("a range of one number", b"\x81\x01"),
        blobs("a negative range", b"\x82\x20\x01"),
        span("a span of no byte", b"\x82\x00\x00"),
        span("a span of 262145 bytes", b"\x82\x00\x1a\x00\x04\x00\x01"),
        span(
            "a span that ends beyond 2^64-1",
            b"\x82\x1b\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ),
        span("a span of one number", b"\x81\x01"),
        span("a span that is null", b"\xf6"),
        item("an item of a hash alone", 1, &[]),
        item(
            "an item of a span and groups",
            3,
            &[b"\x64span\x82\x00\x01", b"\x66groups\x82\x00\x01"],
        ),
    ]
}

#[test]
fn messages_follow_the_vectors() {
    let made = Vectors {
        about: "Messages with their frames, and bodies that must be refused as the message named. Hashes are BLAKE3 of the quoted text. \
                Source: specs/protocols.md."
            .to_owned(),
        accepted: [of_records(), of_holdings(), of_sync(), of_blobs()].into_iter().flatten().collect(),
        refused: refused(),
    };
    if std::env::var_os("OPENDAG_WRITE_VECTORS").is_some() {
        std::fs::write(FILE, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    let kept: Vectors = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    assert_eq!(made, kept);
    let bytes = |vector: &Vector| {
        data_encoding::HEXLOWER
            .decode(vector.hex.as_bytes())
            .unwrap()
    };
    for vector in &kept.accepted {
        let frame = bytes(vector);
        assert_eq!(
            again(&vector.message, &frame[FRAME_PREFIX_BYTES..]).unwrap(),
            frame,
            "{}",
            vector.about
        );
    }
    for vector in &kept.refused {
        assert!(
            again(&vector.message, &bytes(vector)).is_err(),
            "{}",
            vector.about
        );
    }
}
