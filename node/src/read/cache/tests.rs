use opendag_protocol::wire::GroupRange;

use super::*;
use crate::store::testing::{Home, bytes, piece};

const SIZE: usize = 8 * 1024 * 1024 - 5;

const MIB: u64 = 1024 * 1024;
const HALF_MIB: usize = 512 * 1024;

fn groups(first: u64, count: u64) -> GroupRange {
    GroupRange { first, count }
}

struct Fixture {
    home: Home,
    cache: Cache,
    blobs: Vec<Vec<u8>>,
}

impl Fixture {
    async fn new(bytes_max: u64) -> Self {
        let home = Home::new().await;
        let cache = Cache::new(home.store.clone(), home.folder("cache"), bytes_max);
        let blobs = (0..3).map(|seed| bytes(SIZE, seed)).collect();
        Self { home, cache, blobs }
    }

    fn open(&self, blob: usize) -> Arc<CachedFile> {
        let blob = &self.blobs[blob];
        let size = u64::try_from(blob.len()).unwrap();
        self.cache.open(Hash::of(blob), size).unwrap()
    }

    /// All of a blob comes, from its end on.
    fn fill(&self, blob: usize, file: &CachedFile) {
        for part in (0..16).rev() {
            let first = part * 32;
            let came = piece(&self.blobs[blob], groups(first, 32));
            file.write(came).unwrap();
        }
    }

    /// What the cache takes of the disk.
    fn disk_bytes(&self) -> u64 {
        let files = std::fs::read_dir(self.home.folder("cache")).unwrap();
        let blocks = files.map(|file| file.unwrap().metadata().unwrap().blocks());
        blocks.sum::<u64>() * 512
    }
}

fn has_any(file: &CachedFile) -> bool {
    !file.have().is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reader_waits_for_comes_out_of_memory_and_the_rest_from_the_disk() {
    let fixture = Fixture::new(u64::MAX).await;
    let file = fixture.open(0);
    let interest = file.interest(groups(0, 64));
    let mut changed = file.watch();
    fixture.fill(0, &file);
    assert!(changed.has_changed().unwrap());
    changed.mark_unchanged();
    let fresh = file.fresh(&(5..MIB)).unwrap();
    assert_eq!(fresh, fixture.blobs[0][5..HALF_MIB]);
    assert_eq!(file.fresh(&(2 * MIB..3 * MIB)), None, "nobody waits for it");
    interest.moved(groups(32, 64));
    assert_eq!(file.fresh(&(0..MIB)), None, "it was read");
    assert!(file.fresh(&(MIB / 2..MIB)).is_some());
    drop(interest);
    assert_eq!(file.fresh(&(MIB / 2..MIB)), None, "the reader left");
    assert_eq!(
        file.read(groups(0, 32)).unwrap(),
        fixture.blobs[0][..HALF_MIB]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_readers_wait_for_is_never_freed_and_the_budget_holds_for_the_rest() {
    for bytes_max in [0, 2 * MIB, 9 * MIB] {
        let fixture = Fixture::new(bytes_max).await;
        let idle = fixture.open(2);
        fixture.fill(2, &idle);
        drop(idle);
        let (one, two) = (fixture.open(0), fixture.open(1));
        let waits = [one.interest(groups(100, 32)), two.interest(groups(480, 32))];
        fixture.fill(0, &one);
        fixture.fill(1, &two);
        assert!(one.has(groups(100, 32)) && two.has(groups(480, 32)));
        assert_eq!(
            two.read(groups(480, 32)).unwrap(),
            fixture.blobs[1][480 * 16 * 1024..]
        );
        assert!(!has_any(&fixture.open(2)), "nobody reads the oldest");
        // A piece of each reader, the proofs, and bitmaps.
        let most = bytes_max + 2 * MIB;
        let taken = fixture.disk_bytes();
        assert!(taken <= most, "{taken} of {bytes_max}");
        drop(waits);
        let more = piece(&fixture.blobs[0], groups(0, 1));
        one.write(more).unwrap();
        if bytes_max == 0 {
            assert!(!has_any(&one) && !has_any(&two), "nobody waits any more");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_finds_what_was_read_before_a_restart_and_makes_no_folder_for_it() {
    let fixture = Fixture::new(u64::MAX).await;
    let hash = Hash::of(&fixture.blobs[0]);
    let size = u64::try_from(SIZE).unwrap();
    assert!(fixture.cache.find(hash, size).unwrap().is_none());
    assert!(!fixture.home.folder("cache").exists());
    let file = fixture.open(0);
    file.write(piece(&fixture.blobs[0], groups(7, 3))).unwrap();
    fixture.cache.save();
    let later = Cache::new(
        fixture.home.store.clone(),
        fixture.home.folder("cache"),
        u64::MAX,
    );
    let found = later.find(hash, size).unwrap().unwrap();
    assert_eq!(found.have(), groups(7, 3).into());
    assert!(later.find(Hash::of(b"other"), 5).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_come_at_once_open_one_file() {
    let fixture = Fixture::new(u64::MAX).await;
    for blob in 0..fixture.blobs.len() {
        let start = std::sync::Barrier::new(16);
        let open = || {
            start.wait();
            fixture.open(blob)
        };
        let opened: Vec<_> = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..16).map(|_| scope.spawn(open)).collect();
            let readers = readers.into_iter();
            readers.map(|reader| reader.join().unwrap()).collect()
        });
        assert!(opened.iter().all(|file| Arc::ptr_eq(file, &opened[0])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_the_cache_has_what_the_disk_budget_leaves_and_never_more_than_its_own() {
    let fixture = Fixture::new(20 * MIB).await;
    let allowed = |bytes| {
        fixture.cache.allow(bytes);
        fixture.cache.in_use()
    };
    for blob in 0..2 {
        let file = fixture.open(blob);
        fixture.fill(blob, &file);
    }
    let before = fixture.cache.in_use().bytes;
    assert!(before > 15 * MIB);
    assert_eq!(allowed(u64::MAX).bytes_max, 20 * MIB);
    assert_eq!(allowed(16 * MIB + MIB).bytes, before);
    let less = allowed(10 * MIB);
    assert!(less.bytes <= 10 * MIB && less.bytes_max == 10 * MIB);
    assert!(fixture.disk_bytes() <= 10 * MIB);
    // What comes keeps to it.
    let file = fixture.open(2);
    fixture.fill(2, &file);
    drop(file);
    assert!(fixture.cache.in_use().bytes <= 10 * MIB);
    assert_eq!(allowed(0).bytes, 0);
}
