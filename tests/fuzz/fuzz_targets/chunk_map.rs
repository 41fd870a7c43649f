//! Chunk maps: exactly those that make up a file of the given size are accepted, and encoded as they were.
//!
//! The input is tried as a list of chunks, and as the size of a file (eight bytes, little-endian) with
//! a map.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_protocol::{
    cbor::{from_slice_canonical, to_vec},
    chunkmap::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, Chunk, ChunkMap},
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(chunks) = from_slice_canonical::<Vec<Chunk>>(bytes) {
        check_chunks(&chunks);
    }
    let Some((size, bytes)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let size = u64::from_le_bytes(*size);
    if let Ok(map) = ChunkMap::decode(bytes, size) {
        check_chunks(map.chunks());
        let again = map.encode().unwrap().bytes;
        // What is left out is what this program does not know.
        assert!(again.len() < bytes.len() || again == bytes);
    }
});

fn check_chunks(chunks: &[Chunk]) {
    let bytes = encode(chunks);
    let size: u64 = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
    let decoded = ChunkMap::decode(&bytes, size);
    let may_be = |(at, chunk): (usize, &Chunk)| {
        let min = if at + 1 < chunks.len() {
            CHUNK_BYTES_MIN
        } else {
            1
        };
        (min..=CHUNK_BYTES_MAX).contains(&chunk.length)
    };
    assert_eq!(
        decoded.is_ok(),
        chunks.iter().enumerate().all(may_be),
        "{chunks:?}"
    );
    let Ok(map) = decoded else { return };
    assert_eq!(map.chunks(), chunks);
    assert_eq!(map.encode().unwrap().bytes, bytes);
    assert!(ChunkMap::decode(&bytes, size + 1).is_err());
    let mut end = 0;
    for (offset, chunk) in map.with_offsets() {
        assert_eq!(offset, end);
        end += u64::from(chunk.length);
    }
}

/// A map, put together by hand.
fn encode(chunks: &[Chunk]) -> Vec<u8> {
    let parts: [Vec<u8>; 7] = [
        vec![0xa3],
        to_vec("type").unwrap(),
        to_vec("chunk-map").unwrap(),
        to_vec("chunks").unwrap(),
        to_vec(chunks).unwrap(),
        to_vec("version").unwrap(),
        vec![1],
    ];
    parts.concat()
}
