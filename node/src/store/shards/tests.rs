use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::*;
use crate::{
    disk::Replace,
    store::{
        Digests, Expect, PieceDecoder, Target,
        testing::{Damage, Home, blocking, bytes, path},
    },
};

const LARGE: usize = 2 * 1024 * 1024 + 3;

/// Bytes that a folder takes on disk.
fn disk_bytes(folder: &Path) -> u64 {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.unwrap().metadata().unwrap())
        .filter(fs::Metadata::is_file)
        .map(|metadata| metadata.blocks() * 512)
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_many_small_files_cost_less_than_a_tenth_of_their_size() {
    let home = Home::new().await;
    let before = disk_bytes(&home.folder("data"));
    let names: Vec<String> = (0..2_000)
        .map(|number| format!("html/core/arch/x86_64/{}/fn._mm_{number}.html", number % 40))
        .collect();
    let files: Vec<_> = (1..)
        .zip(&names)
        .map(|(seed, name)| (name.as_str(), bytes(11_000, seed)))
        .collect();
    home.publish("tree", &files).await;
    let home = home.reopened(|_| ()).await;
    let grown = disk_bytes(&home.folder("data")) - before;
    let tree = disk_bytes(&home.folder("tree"));
    assert!(grown < 2_000 * 11_000 / 10, "{grown} bytes for {tree}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_large_file_costs_less_than_a_fiftieth_of_its_size() {
    const SIZE: usize = 64 * 1024 * 1024;
    let home = Home::new().await;
    let before = disk_bytes(&home.folder("data"));
    home.publish("large", &[("large.bin", bytes(SIZE, 1))])
        .await;
    let home = home.reopened(|_| ()).await;
    let grown = disk_bytes(&home.folder("data")) - before;
    assert!(grown < u64::try_from(SIZE).unwrap() / 50, "{grown}");
}

/// What can happen to a published file behind our back. Each gets the file's path.
const CHANGES: &[(&str, Damage)] = &[
    ("removed", |file| fs::remove_file(file).unwrap()),
    ("rewritten", |file| {
        fs::write(file, bytes(LARGE, 99)).unwrap();
    }),
    ("truncated", |file| fs::write(file, b"short").unwrap()),
    ("appended to", |file| {
        let longer = [fs::read(file).unwrap(), vec![0]].concat();
        fs::write(file, longer).unwrap();
    }),
    ("replaced by a folder", |file| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    }),
    ("replaced by a symlink to the same bytes", |file| {
        let other = file.with_extension("moved");
        fs::rename(file, &other).unwrap();
        std::os::unix::fs::symlink(&other, file).unwrap();
    }),
    ("replaced by a copy", |file| {
        let content = fs::read(file).unwrap();
        fs::remove_file(file).unwrap();
        fs::write(file, content).unwrap();
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_file_that_changed_is_found_before_it_is_served() {
    for (change, make) in CHANGES {
        let home = Home::new().await;
        home.publish("set", &[("file", bytes(LARGE, 2))]).await;
        let file = home.folder("set/file");
        let store = home.store.clone();
        blocking(move || {
            let hash = Hash::of(&bytes(LARGE, 2));
            let mut stale = store.stale_shards();
            // Negative control: it is served before.
            assert!(store.read_bao(hash, None, GroupRange::ALL).is_ok());
            make(&file);
            let read = store.read_bao(hash, None, GroupRange { first: 3, count: 1 });
            assert!(matches!(read, Err(ReadError::NotFound { .. })), "{change}");
            assert!(!store.has_shard(hash).unwrap(), "{change}");
            assert_eq!(stale.try_recv().unwrap(), hash, "{change}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_read_from_the_place_that_is_left() {
    let home = Home::new().await;
    let content = bytes(LARGE, 3);
    home.publish("one", &[("file", content.clone())]).await;
    home.publish("two", &[("other", content.clone())]).await;
    for set in ["one/file", "two/other"] {
        let store = home.store.clone();
        let content = content.clone();
        blocking(move || {
            let read = store.read_verified(Hash::of(&content), GroupRange::ALL);
            assert!(read.unwrap() == content);
        })
        .await;
        fs::remove_file(home.folder(set)).unwrap();
    }
    let store = home.store.clone();
    let read = blocking(move || store.read_verified(Hash::of(&content), GroupRange::ALL)).await;
    assert!(matches!(read, Err(ReadError::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_fetch_serves_what_it_has() {
    let home = Home::new().await;
    let content = bytes(LARGE, 4);
    home.publish("set", &[("file", content.clone())]).await;
    let other = Home::new().await;
    let target = other.folder("target");
    let (from, to) = (home.store.clone(), other.store.clone());
    blocking(move || {
        let hash = Hash::of(&content);
        let size = u64::try_from(LARGE).unwrap();
        let target = Target::open(&target).unwrap();
        let partial = target.partial(hash, size).unwrap();
        to.add_partial(&partial);
        let range = GroupRange {
            first: 5,
            count: 60,
        };
        let bao = from.read_bao(hash, Some(size), range).unwrap();
        assert!(matches!(
            to.read_bao(hash, None, range),
            Err(ReadError::NotFound { .. })
        ));
        partial.write_bao(range, &bao).unwrap();
        assert_eq!(to.read_bao(hash, Some(size), range).unwrap(), bao);
        let rest = GroupRange::ALL;
        partial
            .write_bao(rest, &from.read_bao(hash, None, rest).unwrap())
            .unwrap();
        let mut batch = target.batch(to.outboards(), Replace::Never);
        batch.put_partial(&path("a/b"), &partial).unwrap();
        let placed = batch.commit().unwrap().placed.remove(0);
        to.remove_partial(hash);
        let root = to.use_root(target.path()).unwrap();
        to.shards_put(root, [(hash, placed.path, placed.fingerprint)])
            .unwrap();
        assert_eq!(to.read_bao(hash, Some(size), range).unwrap(), bao);
        let other_size = to.read_bao(hash, Some(size + 1), range);
        assert!(matches!(other_size, Err(ReadError::NotFound { .. })));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptions_are_read_like_shards() {
    let home = Home::new().await;
    let content = bytes(100_000, 5);
    let blob = home.store.put_blob(content.clone()).await.unwrap();
    let store = home.store.clone();
    blocking(move || {
        let bao = store.read_bao(blob.hash(), None, GroupRange::ALL).unwrap();
        let mut decoder = PieceDecoder::new(blob.hash(), Expect::AtMost(1 << 20), GroupRange::ALL);
        assert_eq!(decoder.push(&bao), Ok(bao.len()));
        assert_eq!(decoder.into_piece().into_whole(), Some(content));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_no_read_holds_more_than_its_limit() {
    const SIZE: u64 = super::super::READ_BYTES_MAX + 1;
    let home = Home::new().await;
    home.publish("set", &[("file", bytes(usize::try_from(SIZE).unwrap(), 6))])
        .await;
    let store = home.store.clone();
    blocking(move || {
        let hash = Hash::of(&bytes(usize::try_from(SIZE).unwrap(), 6));
        let all = store.read_bao(hash, None, GroupRange::ALL);
        assert!(matches!(all, Err(ReadError::OutOfRange { .. })));
        let beyond = GroupRange {
            first: 2000,
            count: 1,
        };
        let read = store.read_bao(hash, None, beyond);
        assert!(matches!(read, Err(ReadError::OutOfRange { .. })));
        let last = GroupRange {
            first: 1024,
            count: u64::MAX - 2000,
        };
        assert!(store.read_bao(hash, None, last).is_ok());
        assert!(store.has_shard(hash).unwrap());
    })
    .await;
}

/// A lost or damaged outboard makes a shard stale; hashing its file makes it whole again.
#[tokio::test(flavor = "multi_thread")]
async fn p9_a_stale_shard_is_served_again_when_it_is_confirmed() {
    let home = Home::new().await;
    home.publish("set", &[("file", bytes(LARGE, 7))]).await;
    let (store, file) = (home.store.clone(), home.folder("set/file"));
    blocking(move || {
        let hash = Hash::of(&bytes(LARGE, 7));
        store.outboards().remove(hash).unwrap();
        assert!(store.read_bao(hash, None, GroupRange::ALL).is_err());
        let location = store.shard_find(hash).unwrap().remove(0);
        assert!(location.stale);
        let hashed = store
            .outboards()
            .hash_file(
                &fs::File::open(&file).unwrap(),
                &file,
                Digests::Blake3,
                &mut |_| {},
            )
            .unwrap();
        let found = [(hashed.hash, location.path, hashed.fingerprint)];
        for news in [1, 0] {
            let confirmed = store.shards_confirm(location.root, found.clone());
            assert_eq!(confirmed.unwrap(), news);
        }
        assert!(store.read_bao(hash, None, GroupRange::ALL).is_ok());
    })
    .await;
}
