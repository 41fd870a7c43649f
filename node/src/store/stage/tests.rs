use std::fs;

use opendag_protocol::wire::GroupRange;
use tempfile::TempDir;

use super::*;
use crate::{
    disk::Replace,
    store::{
        Expect, Names, PieceDecoder, bao,
        testing::{bytes, outboards, path},
    },
};

fn piece(content: &[u8], range: GroupRange) -> Piece {
    let hash = Hash::of(content);
    let mut decoder = PieceDecoder::new(hash, Expect::Size(len64(content.len())), range);
    let encoded = bao::encode_memory(content, hash, range).unwrap();
    decoder.push(&encoded).unwrap();
    decoder.into_piece()
}

fn target(dir: &TempDir) -> Target {
    Target::open(&dir.path().join("target")).unwrap()
}

#[test]
fn p4_what_a_killed_fetch_staged_is_taken_over() {
    let dir = TempDir::new().unwrap();
    let content = bytes(20_000, 1);
    let known = (Hash::of(&content), 20_000);
    let before = target(&dir);
    let staged = before
        .stage(&path("a"), piece(&content, GroupRange::ALL), known.0)
        .unwrap();
    // Killed: neither the file nor the target gets a chance to tidy up.
    drop((staged, before));

    let after = target(&dir);
    let left = after.left_staged().unwrap();
    let other = after.take_staged(&left, &path("a"), (Hash::of(b"other"), 5));
    assert!(other.unwrap().is_none());
    let staged = after.take_staged(&left, &path("sub/b"), known).unwrap();
    let mut batch = after.batch(&outboards(&dir), Replace::Never);
    batch.add(staged.unwrap());
    assert_eq!(batch.commit().unwrap().placed.len(), 1);
    assert_eq!(fs::read(after.path().join("sub/b")).unwrap(), content);
    after.finish();
    assert!(!after.path().join(".opendag").exists());
}

#[test]
fn p2_what_a_power_cut_tore_is_not_taken_over() {
    let dir = TempDir::new().unwrap();
    let content = bytes(20_000, 2);
    let known = (Hash::of(&content), 20_000);
    for tear in [
        (|content: &mut Vec<u8>| content.truncate(16_384)) as fn(&mut Vec<u8>),
        |content| content[19_999] ^= 1,
        |content| content.push(0),
        Vec::clear,
    ] {
        let target = target(&dir);
        let piece = piece(&content, GroupRange::ALL);
        drop(target.stage(&path("a"), piece, known.0).unwrap());
        let left = target.left_staged().unwrap();
        let file = target.path().join(".opendag").join(name(known.0));
        let mut torn = content.clone();
        tear(&mut torn);
        fs::write(&file, torn).unwrap();
        let taken = target.take_staged(&left, &path("a"), known).unwrap();
        assert!(taken.is_none() && !file.exists());
    }
}

#[test]
fn p2_only_whole_and_right_shards_are_staged() {
    let dir = TempDir::new().unwrap();
    let target = target(&dir);
    let content = bytes(40_000, 3);
    let hash = Hash::of(&content);
    let first = GroupRange::between(0, 1).unwrap();
    let part = target.stage(&path("a"), piece(&content, first), hash);
    assert!(matches!(part, Err(BatchError::Incomplete { .. })));
    let other = target.stage(&path("a"), piece(b"other", GroupRange::ALL), hash);
    assert!(matches!(other, Err(BatchError::WrongBytes { .. })));
    let empty = target.stage_empty(&path("a"), hash);
    assert!(matches!(empty, Err(BatchError::WrongBytes { .. })));
    assert!(target.left_staged().unwrap().0.is_empty());
    // Negative control.
    let whole = piece(&content, GroupRange::ALL);
    target.stage(&path("a"), whole, hash).unwrap();
    assert_eq!(target.left_staged().unwrap().0.len(), 1);
}

#[test]
fn p2_a_staged_file_is_never_written_over() {
    let dir = TempDir::new().unwrap();
    let target = target(&dir);
    let mut batch = target.batch(&outboards(&dir), Replace::Never);
    let hash = Hash::of(b"content");
    for name in ["a", "b"] {
        let piece = piece(b"content", GroupRange::ALL);
        batch.add(target.stage(&path(name), piece, hash).unwrap());
    }
    let mut names = Names::default();
    let committed = batch.name(&mut names).unwrap();
    assert_eq!((committed.placed.len(), committed.failed.len()), (2, 0));
    for name in ["a", "b"] {
        assert_eq!(fs::read(target.path().join(name)).unwrap(), b"content");
    }
    names.sync(&target).unwrap();
}
