use proptest::prelude::*;

use super::*;

/// Bytes that look random, the same every time.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut reader = blake3::Hasher::new();
    reader.update(&seed.to_le_bytes());
    reader.finalize_xof().fill(&mut bytes);
    bytes
}

fn build(content: &[u8], step: usize) -> ChunkMap {
    let mut builder = ChunkMapBuilder::new();
    for part in content.chunks(step) {
        builder.push(part);
    }
    builder.finish().unwrap()
}

fn decode(chunks: Vec<Chunk>, size: u64) -> Result<ChunkMap, ChunkMapError> {
    let blob = ChunkMap { chunks }.encode().unwrap();
    ChunkMap::decode(&blob.bytes, size)
}

fn chunk(length: u32) -> Chunk {
    Chunk {
        length,
        hash: Hash::of(b"x"),
    }
}

#[test]
fn chunks_make_up_the_content() {
    for len in [
        0,
        1,
        16 * 1024,
        16 * 1024 + 1,
        256 * 1024,
        256 * 1024 + 1,
        8 * 1024 * 1024 + 1,
    ] {
        let content = noise(1, len);
        let map = build(&content, 100_000);
        for (offset, chunk) in map.with_offsets() {
            let start = usize::try_from(offset).unwrap();
            let end = start + usize::try_from(chunk.length).unwrap();
            assert_eq!(Hash::of(&content[start..end]), chunk.hash);
        }
        let size = u64::try_from(len).unwrap();
        assert_eq!(
            map.chunks()
                .iter()
                .map(|chunk| u64::from(chunk.length))
                .sum::<u64>(),
            size
        );
        let blob = map.encode().unwrap();
        assert_eq!(ChunkMap::decode(&blob.bytes, size).unwrap(), map);
        assert!(ChunkMap::decode(&blob.bytes, size + 1).is_err());
    }
    let chunks = build(&noise(2, 8 << 20), 1 << 20).chunks().len();
    assert!((80..200).contains(&chunks), "{chunks} chunks in 8 MiB");
}

#[test]
fn an_insertion_changes_few_chunks() {
    let old = noise(3, 4 << 20);
    let new = [&old[..1 << 20], b"inserted", &old[1 << 20..]].concat();
    let (old, new) = (build(&old, 70_000), build(&new, 70_000));
    let shared = new
        .chunks()
        .iter()
        .filter(|chunk| old.chunks().contains(chunk))
        .count();
    assert!(
        new.chunks().len() - shared <= 4,
        "{shared} of {} shared",
        new.chunks().len()
    );
}

#[test]
fn zeros_are_cut_at_the_limit() {
    let map = build(&vec![0; 1 << 20], 1000);
    assert!(
        map.chunks()
            .iter()
            .all(|chunk| chunk.length == CHUNK_BYTES_MAX)
    );
}

#[test]
fn hostile_maps_are_refused() {
    assert!(decode(vec![], 0).is_ok());
    assert!(
        decode(
            vec![chunk(CHUNK_BYTES_MIN), chunk(1)],
            u64::from(CHUNK_BYTES_MIN) + 1
        )
        .is_ok()
    );
    let lengths = |chunks: Vec<Chunk>, size: u64| {
        matches!(decode(chunks, size), Err(ChunkMapError::Lengths { .. }))
    };
    assert!(lengths(vec![], 1));
    assert!(lengths(vec![chunk(0)], 0));
    assert!(lengths(
        vec![chunk(CHUNK_BYTES_MIN - 1), chunk(1)],
        u64::from(CHUNK_BYTES_MIN)
    ));
    assert!(lengths(
        vec![chunk(CHUNK_BYTES_MAX + 1)],
        u64::from(CHUNK_BYTES_MAX) + 1
    ));
    assert!(lengths(vec![chunk(u32::MAX); 3], 3 * u64::from(u32::MAX)));
    let blob = build(&noise(4, 300_000), 1000).encode().unwrap();
    for cut in 0..blob.bytes.len() {
        assert!(
            ChunkMap::decode(&blob.bytes[..cut], 300_000).is_err(),
            "{cut}"
        );
    }
    assert!(ChunkMap::decode(&[&blob.bytes[..], &[0]].concat(), 300_000).is_err());
    let longest = usize::try_from(DESCRIPTION_BLOB_BYTES_MAX).unwrap();
    assert!(matches!(
        ChunkMap::decode(&vec![0; longest + 1], 0),
        Err(ChunkMapError::TooLarge { .. })
    ));
}

#[test]
fn the_longest_map_fits_a_description() {
    let chunks = vec![chunk(CHUNK_BYTES_MAX); usize::try_from(CHUNKS_MAX).unwrap()];
    assert!(ChunkMap { chunks }.encode().is_ok());
    let mut builder = ChunkMapBuilder {
        chunks: vec![chunk(1); usize::try_from(CHUNKS_MAX).unwrap()],
        ..ChunkMapBuilder::new()
    };
    builder.push(b"one more");
    assert!(builder.finish().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_split_gives_the_same_chunks(seed in any::<u64>(), len in 0..2_000_000_usize, step in 1..700_000_usize) {
        let content = noise(seed, len);
        prop_assert_eq!(build(&content, step.max(len / 200 + 1)), build(&content, len.max(1)));
    }
}
