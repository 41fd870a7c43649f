use std::fs;

use opendag_protocol::catalogue::Applied;

use super::*;
use crate::store::testing::{Heard, Home, NOW, Published, blocking, copy_folder, flip_bit, open};

const LIMIT: u64 = 512 * 1024;

/// A home with records in three closed segments of which every other one is needless: an older head.
async fn home() -> (Home, Published, Vec<Heard>) {
    let home = Home::within(LIMIT).await;
    let published = home.publish("set", &[("file", b"one".to_vec())]).await;
    let store = home.store.clone();
    let heard = blocking(move || {
        let mut kept = Vec::new();
        for number in 0..90 {
            Heard::new(number, 0).tell(&store);
            let newer = Heard::new(number, 1);
            assert!(matches!(store.apply(&newer.head, NOW), Ok(Applied::Newer)));
            kept.push(newer);
            if number % 30 == 29 {
                lock(&store.inner.segments).close_current().unwrap();
            }
        }
        kept
    })
    .await;
    (home, published, heard)
}

async fn check(store: &Store, published: &Published, heard: &[Heard]) {
    for one in heard {
        assert!(one.is_known(store), "{}", one.dataset);
    }
    let state = store.dataset(&published.dataset).unwrap().unwrap();
    assert_eq!(state.newest_record(), Some(&published.head));
    assert_eq!(
        store.places().unwrap(),
        std::slice::from_ref(&published.place)
    );
    assert_eq!(store.by_name("set").unwrap(), [published.dataset]);
    let old = Heard::new(0, 0);
    assert!(matches!(store.apply(&old.head, NOW), Ok(Applied::Stale)));
}

fn sizes(home: &Home) -> Vec<u64> {
    let files = fs::read_dir(home.folder("data/records")).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .collect()
}

/// Rewrites the run by all its steps, with a look at what a kill leaves after each.
#[tokio::test(flavor = "multi_thread")]
async fn p1_p9_a_kill_while_segments_are_written_again_loses_nothing() {
    let (home, published, heard) = home().await;
    let before: u64 = sizes(&home).iter().sum();
    let original = home.folder("original");
    copy_folder(&home.folder("data/records"), &original);
    let store = &home.store;
    let needed = store.needed_in(&(1..=3)).unwrap();
    let written = store.written_again(&lock(&store.inner.segments), 1..=3, &needed);
    let written = written.unwrap().unwrap();
    check(&home.killed().await, &published, &heard).await;
    written.take_place().unwrap();
    check(&home.killed().await, &published, &heard).await;
    // The new file is there, and some of the old ones, too.
    for left in [[true, false], [false, true], [true, true]] {
        let copy = home.folder(&format!("torn-{}-{}", left[0], left[1]));
        copy_folder(&home.folder("data"), &copy);
        for (number, left) in [2, 3].into_iter().zip(left) {
            if left {
                let name = format!("{number:08}.seg");
                fs::copy(original.join(&name), copy.join("records").join(&name)).unwrap();
            }
        }
        check(&open(&copy).await, &published, &heard).await;
    }
    let pointed = store.point_to(&lock(&store.inner.segments), &written, &needed);
    pointed.unwrap();
    check(&home.killed().await, &published, &heard).await;
    check(&home.store, &published, &heard).await;
    let after: u64 = sizes(&home).iter().sum();
    assert!(after < before * 9 / 10, "{before} bytes became {after}");
    let home = home
        .reopened(|data| fs::remove_dir_all(data.join("index")).unwrap())
        .await;
    check(&home.store, &published, &heard).await;
}

/// What a kill leaves that comes before the old files are replaced must not be trusted less.
#[tokio::test(flavor = "multi_thread")]
async fn p9_without_the_mark_in_the_index_records_would_be_lost() {
    let (home, published, heard) = home().await;
    let store = &home.store;
    {
        let segments = lock(&store.inner.segments);
        let needed = store.needed_in(&(1..=3)).unwrap();
        let written = store
            .written_again(&segments, 1..=3, &needed)
            .unwrap()
            .unwrap();
        written.take_place().unwrap();
        // Negative control: the mark is taken back, as if it had not been made.
        store.inner.index.set_covers(segments.position()).unwrap();
        store.inner.index.flush().unwrap();
    }
    let killed = home.killed().await;
    assert!(!heard.iter().all(|one| one.is_known(&killed)));
    let _ = published;
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_keeps_what_is_needed_and_can_be_repeated() {
    let (home, published, heard) = home().await;
    for _ in 0..3 {
        let store = home.store.clone();
        blocking(move || store.compact().unwrap()).await;
        check(&home.store, &published, &heard).await;
    }
    let live = home.store.live_bytes();
    let size: u64 = sizes(&home).iter().sum();
    assert!(
        size <= live + LIMIT / NEEDLESS_PART + 4096,
        "{size} for {live}"
    );
    let home = home.reopened(|_| ()).await;
    check(&home.store, &published, &heard).await;
    assert_eq!(home.store.live_bytes(), live);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_not_thrown_away() {
    let (home, published, heard) = home().await;
    let segment = home.folder("data/records/00000002.seg");
    flip_bit(&segment, 5000);
    let before = fs::read(&segment).unwrap();
    let segments = lock(&home.store.inner.segments);
    let needed = home.store.needed_in(&(2..=2)).unwrap();
    let written = home.store.written_again(&segments, 2..=2, &needed).unwrap();
    assert!(written.is_none());
    drop(segments);
    assert_eq!(fs::read(&segment).unwrap(), before);
    let left = fs::read_dir(home.folder("data/records")).unwrap();
    assert_eq!(left.count(), 4, "no temporary file is left");
    let _ = (published, heard);
}
