//! Chunk maps: exactly those that make up a file of the given size are accepted, and encoded as they were.
//!
//! The input is tried as chunks one after another, as they stand in a map, and as the size of a file
//! (eight bytes, little-endian) with a map.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_protocol::{
    cbor::to_vec,
    chunkmap::{Chunk, ChunkMap, Cut},
};

/// Bytes of a chunk in a map: its length in three, and its hash.
const CHUNK_BYTES: usize = 11;

fuzz_target!(|bytes: &[u8]| {
    check_list(bytes);
    let Some((size, bytes)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let size = u64::from_le_bytes(*size);
    if let Ok(map) = ChunkMap::decode(bytes, size) {
        check_map(&map, size);
        let again = map.encode().unwrap().bytes;
        // What is left out is what this program does not know.
        assert!(again.len() < bytes.len() || again == bytes);
    }
});

/// Reads the list naively, and compares.
fn check_list(list: &[u8]) {
    let chunks: Vec<&[u8]> = list.chunks(CHUNK_BYTES).collect();
    let is_whole = list.len() % CHUNK_BYTES == 0;
    let length = |chunk: &&[u8]| {
        let byte = |at: usize| u64::from(chunk.get(at).copied().unwrap_or(0));
        byte(0) + 256 * byte(1) + 65_536 * byte(2)
    };
    let lengths: Vec<u64> = chunks.iter().map(length).collect();
    let size = lengths.iter().sum();
    let cut = Cut::for_size(size);
    let (min, max) = (u64::from(cut.min()), u64::from(cut.max()));
    let may_be = |(at, length): (usize, &u64)| {
        let min = if at + 1 < lengths.len() { min } else { 1 };
        (min..=max).contains(length)
    };
    let bytes = encode(list);
    let decoded = ChunkMap::decode(&bytes, size);
    let expected = is_whole && lengths.iter().enumerate().all(may_be);
    assert_eq!(decoded.is_ok(), expected, "{lengths:?}");
    let Ok(map) = decoded else { return };
    let same = |(chunk, raw): (&Chunk, &&[u8])| {
        u64::from(chunk.length) == length(raw) && chunk.hash.as_bytes()[..] == raw[3..]
    };
    assert_eq!(map.chunks().len(), chunks.len());
    assert!(map.chunks().iter().zip(&chunks).all(same));
    assert_eq!(map.encode().unwrap().bytes, bytes);
    assert!(ChunkMap::decode(&bytes, size + 1).is_err());
    check_map(&map, size);
}

fn check_map(map: &ChunkMap, size: u64) {
    let mut end = 0;
    for (offset, chunk) in map.with_offsets() {
        assert_eq!(offset, end);
        end += u64::from(chunk.length);
    }
    assert_eq!(end, size);
}

/// A map, put together by hand.
fn encode(list: &[u8]) -> Vec<u8> {
    let parts: [Vec<u8>; 8] = [
        vec![0xa3],
        to_vec("type").unwrap(),
        to_vec("chunk-map").unwrap(),
        to_vec("chunks").unwrap(),
        head(list.len()),
        list.to_vec(),
        to_vec("version").unwrap(),
        vec![2],
    ];
    parts.concat()
}

/// The head of a byte string of `len` bytes, in its shortest form.
fn head(len: usize) -> Vec<u8> {
    let bytes = u32::try_from(len).unwrap().to_be_bytes();
    match len {
        0..24 => vec![0x40 + bytes[3]],
        24..0x100 => vec![0x58, bytes[3]],
        0x100..0x1_0000 => [&[0x59], &bytes[2..]].concat(),
        _ => [&[0x5a], &bytes[..]].concat(),
    }
}
