//! Chunk maps: what is accepted makes up a file of the given size, and is encoded as it was.
//!
//! The first eight bytes are the size of the file, little-endian; the rest is the map.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_protocol::chunkmap::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, ChunkMap};

fuzz_target!(|bytes: &[u8]| {
    let Some((size, bytes)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let size = u64::from_le_bytes(*size);
    let Ok(map) = ChunkMap::decode(bytes, size) else {
        return;
    };
    let mut end = 0;
    for (offset, chunk) in map.with_offsets() {
        assert_eq!(offset, end);
        assert!((1..=CHUNK_BYTES_MAX).contains(&chunk.length));
        end += u64::from(chunk.length);
        assert!(
            chunk.length >= CHUNK_BYTES_MIN || end == size,
            "a short chunk inside"
        );
    }
    assert_eq!(end, size);
    assert!(ChunkMap::decode(bytes, size + 1).is_err());
    let again = map.encode().unwrap();
    assert_eq!(ChunkMap::decode(&again.bytes, size).unwrap(), map);
    // What is left out is what this program does not know.
    assert!(again.bytes.len() < bytes.len() || again.bytes == bytes);
});
