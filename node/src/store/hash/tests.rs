use std::{
    fs,
    os::unix::fs::{FileExt, symlink},
};

use tempfile::TempDir;

use super::*;
use crate::store::{
    bao,
    testing::{Damage, SIZES, bytes, outboards},
};

#[test]
fn both_hashes_and_all_bytes_at_all_sizes() {
    let dir = TempDir::new().unwrap();
    let outboards = outboards(&dir);
    for (size, why) in SIZES {
        let content = bytes(*size, 1);
        let path = dir.path().join("file");
        fs::write(&path, &content).unwrap();
        let mut seen = 0;
        let file = File::open(&path).unwrap();
        let hashed = outboards
            .hash_file(&file, &path, Digests::Both, &mut |bytes| {
                seen += bytes;
            })
            .unwrap();
        assert_eq!(hashed.hash, Hash::of(&content), "{why}");
        assert_eq!(
            hashed.sha256,
            Some(Sha256::digest(&content).into()),
            "{why}"
        );
        assert_eq!(
            (hashed.size, seen),
            (bao::len64(*size), bao::len64(*size)),
            "{why}"
        );
        assert_eq!(
            outboards.get(hashed.hash).unwrap().is_some(),
            *size > 1024 * 1024,
            "{why}"
        );
    }
}

#[test]
fn a_tree_hashed_in_parts_is_that_of_bao() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("file");
    const MIB: usize = 1 << 20;
    for size in [
        MIB + 1,
        2 * MIB,
        2 * MIB + 16 * 1024,
        3 * MIB - 1,
        8 * MIB,
        8 * MIB + 1,
        21 * MIB + 40_000,
        40 * MIB,
    ] {
        let content = bytes(size, 3);
        fs::write(&path, &content).unwrap();
        let (mut made, mut wanted) = (Vec::new(), Vec::new());
        let tree = bao::tree(bao::len64(size));
        let root =
            bao_tree::io::sync::outboard_post_order(content.as_slice(), tree, &mut wanted).unwrap();
        let file = File::open(&path).unwrap();
        let alone = (Digests::Blake3, Chunks::Skipped);
        let (hashed, _) = hash_file(&file, &path, alone, &mut made, &mut |_| {}).unwrap();
        assert_eq!(hashed.hash, Hash::from(root), "{size}");
        assert!(made == wanted, "{size}");
        made.clear();
        let all = (Digests::Both, Chunks::Cut);
        let (hashed, map) = hash_file(&file, &path, all, &mut made, &mut |_| {}).unwrap();
        assert_eq!(hashed.hash, Hash::from(root), "{size}");
        assert_eq!(
            hashed.sha256,
            Some(Sha256::digest(&content).into()),
            "{size}"
        );
        assert!(made == wanted, "{size}");
        let mut builder = ChunkMapBuilder::new(Cut::for_size(bao::len64(size)));
        builder.push(&content);
        assert_eq!(map, builder.finish(), "{size}");
    }
}

/// What can happen to a file while it is read; each is called once, after the first block.
const CHANGES: &[(&str, Damage)] = &[
    ("grows", |path| {
        File::options()
            .append(true)
            .open(path)
            .unwrap()
            .write_all(b"x")
            .unwrap();
    }),
    ("shrinks", |path| {
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(2_000_000)
            .unwrap();
    }),
    ("is written to", |path| {
        let file = File::options().write(true).open(path).unwrap();
        file.write_all_at(b"x", 5).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
    }),
];

#[test]
fn p2_a_file_that_changes_while_it_is_read_is_refused() {
    for (change, make) in CHANGES {
        let dir = TempDir::new().unwrap();
        let outboards = outboards(&dir);
        let path = dir.path().join("file");
        fs::write(&path, bytes(3_000_000, 1)).unwrap();
        let hash = |change: Option<fn(&Path)>| {
            let mut change = change;
            outboards.hash_file(
                &File::open(&path).unwrap(),
                &path,
                Digests::Both,
                &mut |_| {
                    if let Some(change) = change.take() {
                        change(&path);
                    }
                },
            )
        };
        // Negative control.
        assert!(hash(None).is_ok());
        let before = outboards.hashes().unwrap();
        assert!(
            matches!(hash(Some(*make)), Err(HashError::Changed { .. })),
            "{change}"
        );
        assert_eq!(outboards.hashes().unwrap(), before, "{change}");
        assert_eq!(
            fs::read_dir(dir.path().join("outboards")).unwrap().count(),
            1,
            "{change}"
        );
    }
}

#[test]
fn what_is_left_of_an_interrupted_hashing_is_removed() {
    let dir = TempDir::new().unwrap();
    outboards(&dir);
    let left = dir.path().join("outboards").join(crate::disk::temp_name());
    fs::write(&left, b"half").unwrap();
    symlink("/", dir.path().join("outboards/tmp-link")).unwrap();
    let outboards = outboards(&dir);
    assert!(!left.exists());
    assert!(outboards.hashes().unwrap().is_empty());
}
