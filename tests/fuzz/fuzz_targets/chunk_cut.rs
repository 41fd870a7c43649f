//! Cutting chunks: how content arrives makes no difference, and the map is one that is accepted.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use opendag_protocol::chunkmap::{ChunkHash, ChunkMap, ChunkMapBuilder, Cut};

/// Files of three size classes.
const CONTENT_BYTES_MAX: usize = 1200 * 1024;

#[derive(Debug, Arbitrary)]
struct Input {
    runs: Vec<Run>,
    parts: Vec<u32>,
}

/// Zeros if there is no seed, else what looks random.
#[derive(Debug, Arbitrary)]
struct Run {
    seed: u8,
    len: u32,
}

fuzz_target!(|input: Input| {
    let mut content = Vec::new();
    for run in input.runs.iter().take(4) {
        let left = CONTENT_BYTES_MAX - content.len();
        let len = usize::try_from(run.len).unwrap() % (left + 1);
        append(&mut content, run.seed, len);
    }
    let size = u64::try_from(content.len()).unwrap();
    let cut = Cut::for_size(size);
    let map = built(cut, [&content[..]].into_iter());
    let mut rest = &content[..];
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in input.parts.iter().take(100) {
        let (taken, left) = rest.split_at(usize::try_from(*part).unwrap() % (rest.len() + 1));
        parts.push(taken);
        rest = left;
    }
    assert_eq!(built(cut, parts.into_iter().chain([rest])), map);

    assert_eq!(
        ChunkMap::decode(&map.encode().unwrap().bytes, size).unwrap(),
        map
    );
    for (offset, chunk) in map.with_offsets() {
        let start = usize::try_from(offset).unwrap();
        let end = start + usize::try_from(chunk.length).unwrap();
        assert_eq!(ChunkHash::of(&content[start..end]), chunk.hash);
    }
});

fn built<'a>(cut: Cut, parts: impl Iterator<Item = &'a [u8]>) -> ChunkMap {
    let mut builder = ChunkMapBuilder::new(cut);
    parts.for_each(|part| builder.push(part));
    builder.finish().expect("the content is short enough")
}

/// Xorshift of 64 bits (Marsaglia, 2003).
fn append(content: &mut Vec<u8>, seed: u8, len: usize) {
    let mut state = u64::from(seed);
    content.extend((0..len).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    }));
}
