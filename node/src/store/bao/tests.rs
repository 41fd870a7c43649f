use std::fs;

use bao_tree::io::{BaoContentItem, sync::DecodeResponseIter};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    disk::Fingerprint,
    store::{
        Corrupt, Digests, Expect, OUTBOARD_BYTES_MIN, Piece, PieceDecoder,
        read::{FileFault, Form, read_file},
        testing::{SIZES, bytes, flip_bit, outboards},
    },
};

/// Ranges at the edges of a blob and inside it.
fn ranges(size: usize) -> Vec<GroupRange> {
    let groups = groups_in(len64(size));
    let mut ranges = vec![GroupRange::ALL];
    for first in [
        0,
        1,
        2,
        groups / 2,
        groups.saturating_sub(2),
        groups.saturating_sub(1),
    ] {
        for count in [0, 1, 2, 3, 64, groups] {
            if first < groups {
                ranges.push(GroupRange { first, count });
            }
        }
    }
    ranges
}

fn slice(content: &[u8], range: GroupRange) -> &[u8] {
    let wanted = range.bytes(len64(content.len()));
    &content[usize::try_from(wanted.start).unwrap()..usize::try_from(wanted.end).unwrap()]
}

fn decode(content: &[u8], range: GroupRange, encoded: &[u8]) -> Result<Piece, Corrupt> {
    let expect = Expect::Size(len64(content.len()));
    let mut decoder = PieceDecoder::new(Hash::of(content), expect, range);
    let taken = decoder.push(encoded)?;
    if taken == encoded.len() && decoder.is_complete() {
        Ok(decoder.into_piece())
    } else {
        Err(Corrupt::Length)
    }
}

#[test]
fn responses_round_trip_at_all_sizes_and_ranges() {
    let dir = TempDir::new().unwrap();
    let outboards = outboards(&dir);
    for (size, why) in SIZES {
        let content = bytes(*size, 1);
        let path = dir.path().join(size.to_string());
        fs::write(&path, &content).unwrap();
        let file = File::open(&path).unwrap();
        let hashed = outboards
            .hash_file(&file, &path, Digests::Both, &mut |_| {})
            .unwrap();
        assert_eq!(hashed.hash, Hash::of(&content), "{why}");
        for range in ranges(*size) {
            let read = |form| {
                read_file(
                    &file,
                    &hashed.fingerprint,
                    (hashed.hash, &outboards),
                    (range, form),
                )
                .unwrap()
            };
            let encoded = read(Form::Bao);
            assert_eq!(
                Some(len64(encoded.len())),
                response_bytes(len64(*size), range)
            );
            let piece = decode(&content, range, &encoded).unwrap();
            assert_eq!(piece.bytes(), slice(&content, range), "{why}, {range:?}");
            assert_eq!(
                read(Form::Plain),
                slice(&content, range),
                "{why}, {range:?}"
            );
        }
    }
}

/// Our decoder and bao-tree's agree, and so do file and memory: the format is iroh's.
#[test]
fn the_format_is_that_of_bao_tree() {
    for (size, why) in SIZES {
        let content = bytes(*size, 2);
        let hash = Hash::of(&content);
        for range in ranges(*size) {
            let encoded = encode_memory(&content, hash, range).unwrap();
            assert_eq!(encoded[..8], len64(*size).to_le_bytes(), "{why}");
            let ranges = chunk_ranges(range, len64(*size)).unwrap();
            let mut data = Vec::new();
            for item in
                DecodeResponseIter::new(hash.into(), tree(len64(*size)), &encoded[8..], &ranges)
            {
                if let BaoContentItem::Leaf(leaf) = item.unwrap() {
                    data.extend_from_slice(&leaf.data);
                }
            }
            assert_eq!(data, slice(&content, range), "{why}, {range:?}");
        }
    }
}

#[test]
fn ranges_behind_the_end_are_refused() {
    for size in [1, 16 * 1024, 16 * 1024 + 1] {
        let content = bytes(size, 3);
        let beyond = GroupRange {
            first: groups_in(len64(size)),
            count: 1,
        };
        assert_eq!(response_bytes(len64(size), beyond), None);
        let refused = encode_memory(&content, Hash::of(&content), beyond);
        assert!(matches!(refused, Err(BaoError::OutOfRange)));
    }
    assert_eq!(response_bytes(0, GroupRange { first: 1, count: 1 }), None);
    assert_eq!(response_bytes(0, GroupRange::ALL), Some(8));
}

#[test]
fn p2_no_wrong_bytes_are_read_from_an_altered_file() {
    let dir = TempDir::new().unwrap();
    let outboards = outboards(&dir);
    for size in [1, 16 * 1024 + 1, 1024 * 1024 + 1, 3 * 1024 * 1024] {
        let content = bytes(size, 4);
        let path = dir.path().join("altered");
        fs::write(&path, &content).unwrap();
        let hashed = outboards
            .hash_file(
                &File::open(&path).unwrap(),
                &path,
                Digests::Blake3,
                &mut |_| {},
            )
            .unwrap();
        let last = GroupRange {
            first: groups_in(len64(size)) - 1,
            count: 0,
        };
        let read = |form| {
            let file = File::open(&path).unwrap();
            read_file(
                &file,
                &hashed.fingerprint,
                (hashed.hash, &outboards),
                (last, form),
            )
        };
        // Negative control: before the flip the same reads succeed.
        assert!(read(Form::Bao).is_ok() && read(Form::Plain).is_ok());
        flip_bit(&path, size - 1);
        for form in [Form::Bao, Form::Plain] {
            assert!(matches!(read(form), Err(FileFault::WrongBytes)), "{size}");
        }
        // A changed fingerprint is noticed without reading.
        let other = Fingerprint {
            mtime_ns: 0,
            ..hashed.fingerprint
        };
        let file = File::open(&path).unwrap();
        let read = read_file(&file, &other, (hashed.hash, &outboards), (last, Form::Bao));
        assert!(matches!(read, Err(FileFault::Changed)));
    }
}

#[test]
fn p2_a_damaged_outboard_is_noticed() {
    let dir = TempDir::new().unwrap();
    let outboards = outboards(&dir);
    let size = 2 * usize::try_from(OUTBOARD_BYTES_MIN).unwrap();
    let content = bytes(size, 5);
    let path = dir.path().join("file");
    fs::write(&path, &content).unwrap();
    let file = File::open(&path).unwrap();
    let hashed = outboards
        .hash_file(&file, &path, Digests::Blake3, &mut |_| {})
        .unwrap();
    let read = || {
        let all = (GroupRange::ALL, Form::Bao);
        read_file(&file, &hashed.fingerprint, (hashed.hash, &outboards), all)
    };
    assert!(read().is_ok());
    let outboard = dir.path().join("outboards").join(hashed.hash.to_string());
    flip_bit(&outboard, 100);
    assert!(matches!(read(), Err(FileFault::WrongBytes)));
    fs::write(&outboard, b"").unwrap();
    assert!(matches!(read(), Err(FileFault::WrongBytes)));
    fs::remove_file(&outboard).unwrap();
    assert!(matches!(read(), Err(FileFault::Outboard)));
}

#[test]
fn a_size_that_was_not_expected_is_refused() {
    let content = bytes(40_000, 6);
    let encoded = encode_memory(&content, Hash::of(&content), GroupRange::ALL).unwrap();
    let decode =
        |expect| PieceDecoder::new(Hash::of(&content), expect, GroupRange::ALL).push(&encoded);
    assert_eq!(decode(Expect::Size(40_000)), Ok(encoded.len()));
    assert_eq!(decode(Expect::AtMost(40_000)), Ok(encoded.len()));
    let (got, expected) = (40_000, 39_999);
    assert_eq!(
        decode(Expect::AtMost(39_999)),
        Err(Corrupt::Size { got, expected })
    );
    assert_eq!(
        decode(Expect::Size(39_999)),
        Err(Corrupt::Size { got, expected })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Split as it may, a response gives the same piece, and what follows it is left alone.
    #[test]
    fn any_split_gives_the_same_piece(
        size in 0_usize..300_000,
        first in 0_u64..20,
        count in 0_u64..20,
        cuts in prop::collection::vec(1_usize..40_000, 1..40),
    ) {
        let content = bytes(size, 7);
        let range = GroupRange { first: first.min(groups_in(len64(size)).saturating_sub(1)), count };
        let mut encoded = encode_memory(&content, Hash::of(&content), range).unwrap();
        let len = encoded.len();
        encoded.extend_from_slice(b"next");
        let mut decoder = PieceDecoder::new(Hash::of(&content), Expect::Size(len64(size)), range);
        let mut position = 0;
        for cut in cuts.iter().cycle() {
            if decoder.is_complete() {
                break;
            }
            prop_assert!((1..=16 * 1024).contains(&decoder.wants()));
            let end = (position + cut).min(encoded.len());
            position += decoder.push(&encoded[position..end]).unwrap();
        }
        prop_assert_eq!(position, len);
        let piece = decoder.into_piece();
        prop_assert_eq!(piece.bytes(), slice(&content, range));
    }

    // Found by the property below: a wrong size left a decoder whose piece said that it was whole.
    #[test]
    fn p2_a_wrong_size_leaves_no_whole_piece(size in 1_usize..3) {
        let content = bytes(size, 8);
        let mut encoded = encode_memory(&content, Hash::of(&content), GroupRange::ALL).unwrap();
        encoded[0] ^= 1;
        let expect = Expect::Size(len64(size));
        let mut decoder = PieceDecoder::new(Hash::of(&content), expect, GroupRange::ALL);
        prop_assert!(decoder.push(&encoded).is_err());
        prop_assert!(decoder.into_piece().into_whole().is_none());
    }

    /// One flipped bit anywhere: an error, and what counts as verified is right.
    #[test]
    fn p2_a_flipped_bit_gives_an_error_and_only_right_bytes(
        size in 1_usize..200_000,
        at in 0.0_f64..1.0,
        bit in 0_u8..8,
    ) {
        let content = bytes(size, 8);
        let mut encoded = encode_memory(&content, Hash::of(&content), GroupRange::ALL).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let position = (at * encoded.len() as f64) as usize;
        encoded[position] ^= 1 << bit;
        let expect = Expect::Size(len64(size));
        let mut decoder = PieceDecoder::new(Hash::of(&content), expect, GroupRange::ALL);
        prop_assert!(decoder.push(&encoded).is_err());
        let piece = decoder.into_piece();
        prop_assert!(content.starts_with(piece.bytes()));
        prop_assert!(piece.into_whole().is_none());
    }
}
