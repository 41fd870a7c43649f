use std::fs;

use opendag_protocol::wire::GroupRange;

use super::*;
use crate::store::{
    DataDir,
    index::{Index, State},
    testing::{Home, Published, blocking, bytes, copy_folder, flip_bit, open, path},
};

const LARGE: usize = 3 * 1024 * 1024 + 7;

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("README.md", b"# Corpus".to_vec()),
        ("data/empty", Vec::new()),
        ("data/large.bin", bytes(LARGE, 1)),
        ("data/small.bin", bytes(40_000, 2)),
    ]
}

/// Everything that was acknowledged is there and can be read.
async fn check(store: &Store, published: &Published) {
    let (store, published) = (store.clone(), published.clone());
    blocking(move || {
        let state = store.dataset(&published.dataset).unwrap().unwrap();
        assert_eq!(state.newest_manifest(), Some(published.manifest));
        assert_eq!(store.by_name("corpus").unwrap(), [published.dataset]);
        assert_eq!(
            store.record(&published.head.id()).unwrap(),
            Some(published.head)
        );
        assert!(store.manifest_of(&published.manifest).unwrap().is_some());
        assert_eq!(store.places().unwrap(), [published.place]);
        for (name, content) in files() {
            let hash = Hash::of(&content);
            assert!(store.has_shard(hash).unwrap(), "{name}");
            assert_eq!(store.read_verified(hash, GroupRange::ALL).unwrap(), content);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_what_is_acknowledged_survives_a_kill() {
    let home = Home::new().await;
    let published = home.publish("corpus", &files()).await;
    check(&home.store, &published).await;
    check(&home.killed().await, &published).await;
    let home = home.reopened(|_| ()).await;
    check(&home.store, &published).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_removed_index_is_rebuilt_by_itself() {
    let home = Home::new().await;
    let published = home.publish("corpus", &files()).await;
    let home = home
        .reopened(|data| fs::remove_dir_all(data.join("index")).unwrap())
        .await;
    check(&home.store, &published).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_an_index_that_does_not_open_is_moved_aside_and_rebuilt() {
    let home = Home::new().await;
    let published = home.publish("corpus", &files()).await;
    let home = home
        .reopened(|data| {
            for file in ["conf", "db"] {
                let file = data.join("index").join(file);
                let len = fs::metadata(&file).unwrap().len();
                fs::write(&file, bytes(usize::try_from(len).unwrap(), 5)).unwrap();
            }
        })
        .await;
    check(&home.store, &published).await;
    assert!(home.folder("data/index.broken").is_dir());
}

/// Bits flipped all over the index's files: whatever sled makes of it, nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn p9_flipped_bits_in_the_index_lose_nothing() {
    let mut home = Home::new().await;
    let published = home.publish("corpus", &files()).await;
    let end = lock(&home.store.inner.segments).position();
    let mut noticed = 0;
    // One bit at a time, then many at once.
    for (first, step) in (0..16)
        .map(|n| (n, 16))
        .chain([(0, 1000), (1, 100), (2, 10)])
    {
        home = home
            .reopened(|data| {
                let file = data.join("index/db");
                // Where something is written: the rest of the file is a hole.
                let content = fs::read(&file).unwrap();
                let written: Vec<_> = (0..content.len()).filter(|at| content[*at] != 0).collect();
                if step == 16 {
                    flip_bit(&file, written[written.len() * first / step]);
                } else {
                    for at in written.iter().skip(first).step_by(step) {
                        flip_bit(&file, *at);
                    }
                }
                let copy = data.with_extension("copy");
                copy_folder(&data.join("index"), &copy);
                let (_, (), state) = Index::open(&copy, |_| Ok(())).unwrap();
                noticed += u32::from(state != State::CoversUntil(end));
                fs::remove_dir_all(copy).unwrap();
            })
            .await;
        check(&home.store, &published).await;
    }
    assert!(noticed > 0, "no damage was large enough to matter");
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_lost_outboards_are_made_again() {
    let home = Home::new().await;
    let published = home.publish("corpus", &files()).await;
    let home = home
        .reopened(|data| {
            fs::remove_dir_all(data.join("outboards")).unwrap();
            fs::remove_dir_all(data.join("index")).unwrap();
        })
        .await;
    check(&home.store, &published).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reindex_leads_to_the_same_index() {
    let home = Home::new().await;
    home.publish("corpus", &[("old", b"old".to_vec())]).await;
    let published = home.publish("corpus", &files()).await;
    let store = home.store.clone();
    blocking(move || {
        let tables = [
            Table::Records,
            Table::Datasets,
            Table::Places,
            Table::Roots,
            Table::Shards,
        ];
        let all = |store: &Store| {
            tables.map(|table| {
                let rows = store.inner.index.rows(table, &[]);
                rows.map(Result::unwrap).collect::<Vec<_>>()
            })
        };
        let before = all(&store);
        assert!(before.iter().all(|rows| !rows.is_empty()));
        store.reindex().unwrap();
        assert_eq!(all(&store), before);
    })
    .await;
    let state = home.store.dataset(&published.dataset).unwrap().unwrap();
    assert_eq!(state.manifests().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_file_that_changed_while_there_was_no_index_is_not_served() {
    let home = Home::new().await;
    home.publish("corpus", &files()).await;
    let small = home.folder("corpus/data/small.bin");
    let home = home
        .reopened(|data| {
            fs::remove_dir_all(data.join("index")).unwrap();
            // Same size, same time, one bit: only hashing can tell.
            flip_bit(&small, 20_000);
        })
        .await;
    let store = home.store.clone();
    blocking(move || {
        let hash = Hash::of(&bytes(40_000, 2));
        // Negative control: the index believes that it is there.
        assert!(store.has_shard(hash).unwrap());
        assert!(store.read_bao(hash, None, GroupRange::ALL).is_err());
        assert!(!store.has_shard(hash).unwrap());
        let location = store.shard_find(hash).unwrap().remove(0);
        assert_eq!(
            (location.path, location.stale),
            (path("data/small.bin"), true)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_damaged_segment_costs_only_what_was_in_it() {
    let home = Home::new().await;
    let first = home.publish("corpus", &files()).await;
    let home = home
        .reopened(|data| {
            let segment = data.join("records/00000001.seg");
            // In the first record.
            flip_bit(&segment, 80);
            fs::remove_dir_all(data.join("index")).unwrap();
        })
        .await;
    let damages = home.store.damages();
    assert_eq!(damages.len(), 1);
    assert_eq!(damages[0].offset, 32);
    assert!(fs::metadata(&damages[0].copy).unwrap().len() > 100);
    // The owner record is lost and has to be fetched again; the place and the manifest are not.
    assert!(home.store.dataset(&first.dataset).unwrap().is_none());
    assert!(home.store.manifest_of(&first.manifest).unwrap().is_some());
    assert_eq!(home.store.places().unwrap(), [first.place]);
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_second_process_is_told_who_has_the_data_directory() {
    let home = Home::new().await;
    let error = DataDir::open(&home.folder("data")).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&format!("process {}", std::process::id())),
        "{text}"
    );
    let dir = home.reopened(|_| ()).await.dir;
    // Negative control: without the first one it opens.
    open(&dir.path().join("other")).await;
}
