use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

use super::*;
use crate::{
    id::{DatasetId, Hash, ManifestId, RecordId},
    limits::{
        ADDRESS_BYTES_MAX, ADDRESSES_PER_PEER_MAX, BLOB_RANGES_PER_REQUEST_MAX, FRAME_BYTES_MAX,
        PEER_ID_BYTES_MAX, PEERS_PER_UPDATE_MAX, RANGES_PER_UPDATE_MAX, RECORD_BYTES_MAX,
        RECORDS_PER_REQUEST_MAX, SHARD_BITS_BYTES_MAX, SPAN_BYTES_MAX,
    },
    table::ShardIndex,
};

mod vectors;

fn hash(n: u64) -> Hash {
    Hash::of(&n.to_le_bytes())
}

fn decode_all(bytes: &[u8]) -> Result<(Vec<Vec<u8>>, bool), FrameError> {
    let mut decoder = FrameDecoder::new();
    let mut input = bytes;
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame(&mut input)? {
        frames.push(frame);
    }
    assert!(input.is_empty());
    Ok((frames, decoder.is_between_frames()))
}

/// A message comes back from its frame; cut anywhere it does not, and no byte can be changed unseen.
fn check_message<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &T) {
    let bytes = encode_frame(message).unwrap();
    let (frames, whole) = decode_all(&bytes).unwrap();
    assert!(whole && frames.len() == 1);
    assert_eq!(&decode_frame::<T>(&frames[0]).unwrap(), message);
    for cut in (0..bytes.len()).step_by(1 + bytes.len() / 500) {
        let (frames, whole) = decode_all(&bytes[..cut]).unwrap();
        assert!(frames.is_empty() && whole == (cut == 0));
        assert!(
            decode_frame::<T>(&bytes[FRAME_PREFIX_BYTES..cut.max(FRAME_PREFIX_BYTES)]).is_err()
        );
    }
    let trailing = [&frames[0][..], &[0xf6]].concat();
    assert!(decode_frame::<T>(&trailing).is_err());
}

fn largest() -> (
    RecordsRequest,
    RecordsResponse,
    [HoldingsUpdate; 3],
    BlobsRequest,
) {
    let ids: Vec<_> = (0..RECORDS_PER_REQUEST_MAX as u64)
        .map(|n| RecordId::from_hash(hash(n)))
        .collect();
    let groups = |n: u64| GroupRange {
        first: (1 << 50) + 2 * n,
        count: 1 << 49,
    };
    let peer = PeerAddr {
        peer: vec![7; PEER_ID_BYTES_MAX].try_into().unwrap(),
        addresses: vec![vec![9; ADDRESS_BYTES_MAX].try_into().unwrap(); ADDRESSES_PER_PEER_MAX]
            .try_into()
            .unwrap(),
    };
    let ranges: Vec<_> = (0..RANGES_PER_UPDATE_MAX as u64).map(groups).collect();
    let items: Vec<_> = (0..BLOB_RANGES_PER_REQUEST_MAX as u64)
        .map(|n| match n % 2 {
            0 => BlobItem::Range(BlobRange {
                hash: hash(n),
                groups: groups(n),
            }),
            _ => BlobItem::Span(BlobSpan {
                hash: hash(n),
                span: ByteSpan::new(u64::MAX / 2 + n, SPAN_BYTES_MAX).unwrap(),
            }),
        })
        .collect();
    (
        RecordsRequest::Get {
            ids: ids.try_into().unwrap(),
        },
        RecordsResponse::Record(vec![1; RECORD_BYTES_MAX].try_into().unwrap()),
        [
            HoldingsUpdate::Shards {
                first: ShardIndex(u32::MAX),
                bits: vec![255; SHARD_BITS_BYTES_MAX].try_into().unwrap(),
            },
            HoldingsUpdate::Partial {
                shard: ShardIndex(u32::MAX),
                ranges: ranges.try_into().unwrap(),
            },
            HoldingsUpdate::Peers(vec![peer; PEERS_PER_UPDATE_MAX].try_into().unwrap()),
        ],
        BlobsRequest {
            items: items.try_into().unwrap(),
        },
    )
}

#[test]
fn the_largest_messages_fit_a_frame() {
    let (records, record, holdings, blobs) = largest();
    check_message(&records);
    check_message(&record);
    holdings.iter().for_each(check_message);
    check_message(&blobs);
}

#[test]
fn small_messages_come_back() {
    check_message(&RecordsRequest::Get {
        ids: BoundedVec::new(),
    });
    check_message(&RecordsRequest::Dataset {
        dataset: DatasetId::from_hash(hash(1)),
    });
    check_message(&RecordsResponse::NotFound(RecordId::from_hash(hash(1))));
    check_message(&RecordsResponse::End);
    check_message(&RecordsResponse::Busy);
    check_message(&HoldingsRequest {
        manifest: ManifestId::from_hash(hash(1)),
    });
    check_message(&HoldingsUpdate::Nothing);
    check_message(&HoldingsUpdate::Complete);
    check_message(&HoldingsUpdate::Snapshot);
    check_message(&HoldingsUpdate::Busy);
    let whole = BlobRange {
        hash: hash(1),
        groups: GroupRange::ALL,
    };
    let span = BlobSpan {
        hash: hash(1),
        span: ByteSpan::new(0, 1).unwrap(),
    };
    check_message(&BlobsRequest {
        items: vec![whole.into(), span.into()].try_into().unwrap(),
    });
}

#[test]
fn p6_a_span_has_an_end_and_a_limit() {
    for (start, length) in [(0, 0), (0, SPAN_BYTES_MAX + 1), (u64::MAX, 1)] {
        assert_eq!(ByteSpan::new(start, length), None, "{start} {length}");
    }
    assert!(ByteSpan::new(u64::MAX - 9, 9).is_some());
    let span = ByteSpan::new(16 * 1024 - 1, 2).unwrap();
    assert_eq!(span.groups(), GroupRange::between(0, 2).unwrap());
    assert_eq!(span.end(), 16 * 1024 + 1);
}

#[test]
fn p6_one_element_too_many_is_refused() {
    let ids: Vec<_> = (0..=RECORDS_PER_REQUEST_MAX as u64)
        .map(|n| RecordId::from_hash(hash(n)))
        .collect();
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Longer {
        Get { ids: Vec<RecordId> },
        Record(#[serde(with = "serde_bytes")] Vec<u8>),
    }
    let request = encode_frame(&Longer::Get { ids }).unwrap();
    assert!(matches!(
        decode_frame::<RecordsRequest>(&request[4..]),
        Err(FrameError::Form(_))
    ));
    let response = encode_frame(&Longer::Record(vec![0; RECORD_BYTES_MAX + 1])).unwrap();
    assert!(matches!(
        decode_frame::<RecordsResponse>(&response[4..]),
        Err(FrameError::Form(_))
    ));
    assert!(BoundedVec::<u8, 2>::try_from(vec![0; 3]).is_err());
    let mut full = BoundedVec::<u8, 2>::try_from(vec![0; 2]).unwrap();
    assert_eq!(full.push(0), Err(TooMany { len: 3, max: 2 }));
}

#[test]
fn p6_a_length_prefix_allocates_nothing() {
    let mut decoder = FrameDecoder::new();
    let mut input = &u32::try_from(FRAME_BYTES_MAX).unwrap().to_be_bytes()[..];
    assert!(decoder.next_frame(&mut input).unwrap().is_none());
    assert!(decoder.buffer_capacity() < 64);
    for len in [
        u32::try_from(FRAME_BYTES_MAX).unwrap() + 1,
        u32::MAX,
        1 << 31,
    ] {
        let mut input = &len.to_be_bytes()[..];
        assert!(matches!(
            FrameDecoder::new().next_frame(&mut input),
            Err(FrameError::TooLong { .. })
        ));
    }
    let mut input = &[0; 4][..];
    assert!(matches!(
        FrameDecoder::new().next_frame(&mut input),
        Err(FrameError::Empty)
    ));
    // An array that says it has 2^64-1 elements.
    let bomb = [b"\xa1\x63get\xa1\x63ids\x9b".as_slice(), &[255; 8]].concat();
    assert!(decode_frame::<RecordsRequest>(&bomb).is_err());
}

#[test]
fn other_spellings_of_a_message_are_refused() {
    for body in [
        b"\xa1\x63end\xf6".as_slice(), // {"end": null}
        b"\x63END",
        b"\x78\x03end", // a length that is not in its shortest form
        b"\x7f\x63end\xff",
        b"\x65other",
        b"\xf6",
        b"",
    ] {
        assert!(decode_frame::<RecordsResponse>(body).is_err(), "{body:x?}");
    }
    assert_eq!(
        decode_frame::<RecordsResponse>(b"\x63end").unwrap(),
        RecordsResponse::End
    );
}

#[test]
fn status_is_one_byte() {
    for byte in 0..=u8::MAX {
        match Status::try_from(byte) {
            Ok(status) => assert_eq!(u8::from(status), byte),
            Err(unknown) => assert!(byte > 3 && unknown.byte == byte),
        }
    }
}

#[test]
fn bitmaps_end_at_the_last_number() {
    let shards: Vec<_> = shards_in(ShardIndex(u32::MAX - 2), &[0xff, 0xff]).collect();
    assert_eq!(
        shards,
        [
            ShardIndex(u32::MAX - 2),
            ShardIndex(u32::MAX - 1),
            ShardIndex(u32::MAX)
        ]
    );
    let full: Vec<_> = (0..70_000).map(ShardIndex).collect();
    let updates: Vec<_> = HoldingsUpdate::shards(full.iter().copied()).collect();
    assert_eq!(updates.len(), 2);
    assert!(HoldingsUpdate::shards([]).next().is_none());
    assert!(
        HoldingsUpdate::partial(ShardIndex(1), &GroupRanges::new())
            .next()
            .is_none()
    );
    let ranges: GroupRanges = (0..600)
        .map(|n| GroupRange {
            first: 2 * n,
            count: 1,
        })
        .collect();
    let updates: Vec<_> = HoldingsUpdate::partial(ShardIndex(1), &ranges).collect();
    assert_eq!(updates.len(), 3);
}

proptest! {
    #[test]
    fn any_split_gives_the_same_frames(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..6),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut bytes = Vec::new();
        for message in &messages {
            bytes.extend(encode_frame(&serde_bytes::Bytes::new(message)).unwrap());
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut decoder = FrameDecoder::new();
        let mut frames = Vec::new();
        for part in cuts.windows(2) {
            let mut input = &bytes[part[0]..part[1]];
            while let Some(frame) = decoder.next_frame(&mut input).unwrap() {
                frames.push(decode_frame::<serde_bytes::ByteBuf>(&frame).unwrap().into_vec());
            }
        }
        prop_assert!(decoder.is_between_frames());
        prop_assert_eq!(frames, messages);
    }

    #[test]
    fn p8_no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_all(&bytes);
        let _ = decode_frame::<RecordsRequest>(&bytes);
        let _ = decode_frame::<RecordsResponse>(&bytes);
        let _ = decode_frame::<HoldingsRequest>(&bytes);
        let _ = decode_frame::<HoldingsUpdate>(&bytes);
        let _ = decode_frame::<BlobsRequest>(&bytes);
    }

    #[test]
    fn p8_a_changed_message_is_refused_or_another_message(
        at in any::<prop::sample::Index>(), flip in 1..=255_u8, which in 0..3_usize,
    ) {
        let (_, _, holdings, _) = largest();
        let mut body = encode_frame(&holdings[which]).unwrap().split_off(FRAME_PREFIX_BYTES);
        let at = at.index(body.len());
        body[at] ^= flip;
        if let Ok(message) = decode_frame::<HoldingsUpdate>(&body) {
            let again = encode_frame(&message).unwrap();
            prop_assert_eq!(&again[FRAME_PREFIX_BYTES..], &body[..]);
        }
    }

    #[test]
    fn shards_survive_their_bitmaps(shards in proptest::collection::btree_set(0..300_000_u32, 0..60), close in proptest::collection::btree_set(1000..1100_u32, 0..60)) {
        let shards: Vec<_> = shards.union(&close).copied().map(ShardIndex).collect();
        let mut found = Vec::new();
        for update in HoldingsUpdate::shards(shards.iter().copied()) {
            let HoldingsUpdate::Shards { first, bits } = update else { panic!("{update:?}") };
            found.extend(shards_in(first, &bits));
        }
        prop_assert_eq!(found, shards);
    }
}
