use opendag_protocol::{
    chunkmap::ChunkHash,
    wire::{GroupRange, groups_in},
};

use super::*;

const KIB: u32 = 1024;

/// The missing chunks of a file whose chunks have these lengths.
fn missing(chunks: &[(u32, bool)]) -> Vec<(usize, u64, Chunk)> {
    let mut start = 0;
    let mut missing = Vec::new();
    for (at, (length, is_missing)) in chunks.iter().enumerate() {
        let hash = ChunkHash::of(&at.to_le_bytes());
        if *is_missing {
            let length = *length;
            missing.push((at, start, Chunk { length, hash }));
        }
        start += u64::from(*length);
    }
    missing
}

fn three_files() -> Spans {
    let mut spans = Spans::default();
    let some = missing(&[
        (KIB, true),
        (KIB, true),
        (KIB, false),
        (100 * KIB, true),
        (KIB, false),
    ]);
    assert_eq!(spans.add(ShardIndex(3), some.into_iter()), 2);
    assert_eq!(spans.add(ShardIndex(5), std::iter::empty()), 0);
    let all = missing(&[(200 * KIB, true), (100 * KIB, true), (156 * KIB, true)]);
    assert_eq!(spans.add(ShardIndex(9), all.into_iter()), 2);
    spans
}

#[test]
fn neighbouring_chunks_make_one_span_up_to_the_limit() {
    let spans = three_files();
    let found: Vec<_> = spans
        .list
        .iter()
        .map(|span| {
            let bytes = (span.bytes.start(), span.bytes.length());
            (span.draft, span.chunk, span.chunks, bytes)
        })
        .collect();
    let kib = u64::from(KIB);
    assert_eq!(
        found,
        [
            (0, 0, 2, (0, 2 * KIB)),
            (0, 3, 1, (3 * kib, 100 * KIB)),
            (2, 0, 1, (0, 200 * KIB)),
            (2, 1, 2, (200 * kib, 256 * KIB)),
        ]
    );
    assert_eq!(spans.bytes(), (2 + 100 + 200 + 256) * kib);
    let sizes: Vec<_> = spans
        .specs()
        .map(|spec| (spec.shard.0, spec.size))
        .collect();
    assert_eq!(sizes[3], (3, 256 * kib));
}

#[test]
fn what_a_peer_holds_of_files_it_holds_of_their_spans() {
    let spans = three_files();
    let numbers = |said: &Holdings| -> Vec<u32> {
        let claims = spans.translate(said).into_iter();
        claims
            .flat_map(|claim| match claim {
                Holdings::Shards { first, bits } => shards_in(first, &bits).collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            })
            .map(|shard| shard.0)
            .collect()
    };
    let shards = |first: u32, bits: u8| Holdings::Shards {
        first: ShardIndex(first),
        bits: vec![bits],
    };
    assert_eq!(numbers(&shards(0, 0xff)), [0, 1]);
    assert_eq!(numbers(&shards(9, 1)), [2, 3]);
    assert_eq!(numbers(&shards(4, 0xff)), [2, 3]);
    assert!(numbers(&shards(10, 0xff)).is_empty());
    let partial = |shard, ranges| Holdings::Partial {
        shard: ShardIndex(shard),
        ranges,
    };
    let groups = |first, end| GroupRange::between(first, end).into_iter().collect();
    assert_eq!(numbers(&partial(3, groups(0, 1))), [0]);
    assert!(numbers(&partial(3, groups(1, 7))).is_empty());
    assert_eq!(
        numbers(&partial(3, groups(0, groups_in(104 * 1024)))),
        [0, 1]
    );
    assert_eq!(spans.translate(&Holdings::Complete), [Holdings::Complete]);
    assert_eq!(spans.translate(&Holdings::Nothing), [Holdings::Nothing]);
}
