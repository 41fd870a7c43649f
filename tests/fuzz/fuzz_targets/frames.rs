//! Frames: a stream gives the same frames however it is split, the ones that a naive reader finds.
//!
//! The first eight bytes are the lengths of the parts, over and over; the rest is the stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_protocol::{
    limits::FRAME_BYTES_MAX,
    wire::{FRAME_PREFIX_BYTES, FrameDecoder},
};

/// The frames of a stream, whether it ends between two, and whether it broke.
#[derive(Debug, Default, PartialEq)]
struct Read {
    frames: Vec<Vec<u8>>,
    is_between: bool,
    is_broken: bool,
}

fuzz_target!(|bytes: &[u8]| {
    let Some((lengths, stream)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let expected = naive(stream);
    assert_eq!(decode(stream, &[u8::MAX; 8]), expected);
    assert_eq!(decode(stream, lengths), expected);
});

fn decode(mut stream: &[u8], lengths: &[u8; 8]) -> Read {
    let mut decoder = FrameDecoder::new();
    let mut read = Read::default();
    for length in lengths.iter().cycle() {
        let length = usize::from(*length).max(1).min(stream.len());
        let (mut part, rest) = stream.split_at(length);
        loop {
            match decoder.next_frame(&mut part) {
                Ok(Some(frame)) => read.frames.push(frame),
                Ok(None) => break,
                Err(_) => {
                    read.is_broken = true;
                    return read;
                }
            }
        }
        assert!(part.is_empty());
        stream = rest;
        if stream.is_empty() {
            break;
        }
    }
    read.is_between = decoder.is_between_frames();
    read
}

fn naive(mut stream: &[u8]) -> Read {
    let mut read = Read::default();
    while let Some((prefix, rest)) = stream.split_first_chunk::<FRAME_PREFIX_BYTES>() {
        let len = usize::try_from(u32::from_be_bytes(*prefix)).unwrap();
        if len == 0 || len > FRAME_BYTES_MAX {
            read.is_broken = true;
            return read;
        }
        let Some((body, rest)) = rest.split_at_checked(len) else {
            return read;
        };
        read.frames.push(body.to_vec());
        stream = rest;
    }
    read.is_between = stream.is_empty();
    read
}
