use std::fs;

use tempfile::TempDir;

use super::*;
use crate::store::testing::{Damage, bytes, flip_bit};

const SIZE: usize = 3 * 1024 * 1024 + 5;

struct Fixture {
    dir: TempDir,
    content: Vec<u8>,
}

impl Fixture {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Self {
            dir,
            content: bytes(SIZE, 9),
        }
    }

    fn hash(&self) -> Hash {
        Hash::of(&self.content)
    }

    /// A new process: opens what lies on disk.
    fn open(&self) -> PartialShard {
        let work = Arc::new(Confined::open(self.dir.path()).unwrap());
        PartialShard::open(&work, self.hash(), bao::len64(SIZE)).unwrap()
    }

    fn file(&self, ending: &str) -> std::path::PathBuf {
        self.dir.path().join(name(self.hash(), ending))
    }

    fn encoded(&self, range: GroupRange) -> Vec<u8> {
        bao::encode_memory(&self.content, self.hash(), range).unwrap()
    }
}

fn range(first: u64, count: u64) -> GroupRange {
    GroupRange { first, count }
}

fn set(ranges: &[GroupRange]) -> GroupRanges {
    ranges.iter().copied().collect()
}

#[test]
fn pieces_in_any_order_make_the_shard() {
    let fixture = Fixture::new();
    let shard = fixture.open();
    for piece in [range(64, 64), range(192, 0), range(0, 64), range(128, 64)] {
        assert!(!shard.is_complete());
        shard.write_bao(piece, &fixture.encoded(piece)).unwrap();
    }
    assert!(shard.is_complete() && shard.missing().is_empty());
    assert_eq!(fs::read(fixture.file("part")).unwrap(), fixture.content);
    let response = fixture.encoded(range(3, 100));
    assert_eq!(shard.read_bao(range(3, 100)).unwrap(), response);
}

#[test]
fn p5_what_a_slow_peer_sends_can_be_proven_to_others() {
    // The decoder is emptied after each byte, also while only hash pairs have come; as in a fetch, a
    // piece without groups is dropped.
    let fixture = Fixture::new();
    let shard = fixture.open();
    let mut decoder = shard.decoder(range(64, 2));
    for byte in fixture.encoded(range(64, 2)).chunks(1) {
        decoder.push(byte).unwrap();
        let piece = decoder.take_piece();
        if piece.groups().is_some() {
            shard.write(&piece).unwrap();
        }
    }
    assert_eq!(shard.have(), set(&[range(64, 2)]));
    assert_eq!(
        shard.read_bao(range(64, 2)).unwrap(),
        fixture.encoded(range(64, 2))
    );
}

#[test]
fn a_partial_shard_serves_what_it_has() {
    let fixture = Fixture::new();
    let shard = fixture.open();
    shard
        .write_bao(range(64, 64), &fixture.encoded(range(64, 64)))
        .unwrap();
    assert_eq!(
        shard.read_bao(range(70, 10)).unwrap(),
        fixture.encoded(range(70, 10))
    );
    assert!(matches!(
        shard.read_bao(range(63, 2)),
        Err(ReadError::NotFound { .. })
    ));
    assert!(matches!(
        shard.read_bao(GroupRange::ALL),
        Err(ReadError::NotFound { .. })
    ));
}

#[test]
fn p2_wrong_bytes_are_not_kept() {
    let fixture = Fixture::new();
    let shard = fixture.open();
    let mut encoded = fixture.encoded(range(0, 64));
    let last = encoded.len() - 1;
    encoded[last] ^= 1;
    let written = shard.write_bao(range(0, 64), &encoded);
    assert!(matches!(written, Err(PartialError::Corrupt { .. })));
    // The 63 groups before the wrong one are verified and stay.
    assert_eq!(shard.have(), set(&[range(0, 63)]));
    let extra = [fixture.encoded(range(64, 1)), vec![0]].concat();
    let written = shard.write_bao(range(64, 1), &extra);
    assert!(matches!(
        written,
        Err(PartialError::Corrupt {
            source: Corrupt::Length,
            ..
        })
    ));
}

#[test]
fn p4_a_checkpoint_survives_a_kill_and_nothing_else_is_claimed() {
    let fixture = Fixture::new();
    let shard = fixture.open();
    shard
        .write_bao(range(0, 64), &fixture.encoded(range(0, 64)))
        .unwrap();
    assert!(shard.dirty_bytes() > 0);
    shard.checkpoint().unwrap();
    assert_eq!(shard.dirty_bytes(), 0);
    shard
        .write_bao(range(64, 64), &fixture.encoded(range(64, 64)))
        .unwrap();
    // Killed: no close, no second checkpoint.
    let again = fixture.open();
    assert_eq!(again.have(), set(&[range(0, 64)]));
    drop(shard);
    assert!(fixture.open().have().contains_all(range(0, 64)));
}

#[test]
fn p2_p4_what_is_claimed_is_hashed_again_after_a_restart() {
    let fixture = Fixture::new();
    let shard = fixture.open();
    shard
        .write_bao(GroupRange::ALL, &fixture.encoded(GroupRange::ALL))
        .unwrap();
    shard.checkpoint().unwrap();
    drop(shard);
    // Negative control: untouched, all of it is kept.
    assert!(fixture.open().is_complete());
    flip_bit(&fixture.file("part"), 70 * 16 * 1024);
    assert_eq!(fixture.open().have(), set(&[range(0, 64), range(128, 65)]));
}

#[test]
fn p9_damaged_working_files_cost_only_what_they_held() {
    let damages: [(&str, Damage); 6] = [
        ("bits", |path| flip_bit(path, 20)),
        ("bits", |path| fs::write(path, b"").unwrap()),
        ("bits", |path| fs::remove_file(path).unwrap()),
        ("part", |path| fs::write(path, b"short").unwrap()),
        ("part", |path| fs::remove_file(path).unwrap()),
        ("obao", |path| fs::remove_file(path).unwrap()),
    ];
    for (ending, damage) in damages {
        let fixture = Fixture::new();
        let shard = fixture.open();
        shard
            .write_bao(GroupRange::ALL, &fixture.encoded(GroupRange::ALL))
            .unwrap();
        shard.checkpoint().unwrap();
        drop(shard);
        damage(&fixture.file(ending));
        let shard = fixture.open();
        assert!(shard.have().is_empty(), "{ending}");
        shard
            .write_bao(GroupRange::ALL, &fixture.encoded(GroupRange::ALL))
            .unwrap();
        assert!(shard.is_complete());
    }
}

#[test]
fn a_bitmap_of_another_size_claims_nothing() {
    let mut bytes = BITS_MAGIC.to_vec();
    for number in [100_000_u64, 0, 3] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    assert_eq!(parse_bits(&bytes, 100_000), Some(set(&[range(0, 3)])));
    assert_eq!(parse_bits(&bytes, 100_001), None);
    for end in 0..bytes.len() {
        assert_eq!(parse_bits(&bytes[..end], 100_000), None);
    }
}
