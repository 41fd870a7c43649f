use std::fs;

use opendag_protocol::path::DatasetPath;

use super::*;
use crate::{
    disk::Replace,
    store::{
        Expect, PieceDecoder, ReadError, bao,
        testing::{Home, blocking, bytes, path},
    },
};

const SIZE: usize = 40_000;

/// A staged file, and a range of it as a peer gets it.
fn stage(home: &Home, name: &str) -> (Target, Staged, Vec<u8>) {
    let content = bytes(SIZE, 1);
    let hash = Hash::of(&content);
    let encoded = bao::encode_memory(&content, hash, GroupRange::ALL).unwrap();
    let mut decoder = PieceDecoder::new(hash, Expect::Size(40_000), GroupRange::ALL);
    decoder.push(&encoded).unwrap();
    let target = Target::open(&home.folder(name)).unwrap();
    let staged = target.stage(&file(), decoder.into_piece(), hash).unwrap();
    home.store.add_staged(&target, &staged);
    (target, staged, encoded)
}

fn file() -> DatasetPath {
    path("sub/file")
}

fn read(store: &Store) -> Result<Vec<u8>, ReadError> {
    store.read_bao(Hash::of(&bytes(SIZE, 1)), None, GroupRange::ALL)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_file_is_read_before_it_has_its_name_and_while_it_gets_it() {
    let home = Home::new().await;
    let (target, staged, encoded) = stage(&home, "target");
    let store = home.store.clone();
    blocking(move || {
        let hash = staged.placed().hash;
        assert_eq!(read(&store).unwrap(), encoded);
        let wrong_size = store.read_bao(hash, Some(7), GroupRange::ALL);
        assert!(matches!(wrong_size, Err(ReadError::NotFound { .. })));
        let behind = GroupRange { first: 9, count: 1 };
        let behind = store.read_verified(hash, behind);
        assert!(matches!(behind, Err(ReadError::OutOfRange { .. })));

        let mut batch = target.batch(store.outboards(), Replace::Never);
        batch.add(staged);
        batch.commit().unwrap();
        assert_eq!(read(&store).unwrap(), encoded, "not in the index yet");
        store.remove_staged(&target, [hash]);
        assert!(matches!(read(&store), Err(ReadError::NotFound { .. })));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_staged_file_that_somebody_changed_is_not_given_out() {
    let home = Home::new().await;
    let (target, staged, encoded) = stage(&home, "target");
    let store = home.store.clone();
    blocking(move || {
        let working = target.work().path().join(staged.name());
        assert_eq!(read(&store).unwrap(), encoded);
        // As many bytes, written so soon that the fingerprint may not tell.
        fs::write(&working, bytes(SIZE, 2)).unwrap();
        assert!(matches!(read(&store), Err(ReadError::NotFound { .. })));
        fs::remove_file(&working).unwrap();
        assert!(matches!(read(&store), Err(ReadError::NotFound { .. })));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_fetch_does_not_end_what_another_one_shows() {
    let home = Home::new().await;
    let (one, ..) = stage(&home, "one");
    let (two, staged, encoded) = stage(&home, "two");
    let store = home.store.clone();
    blocking(move || {
        let hash = staged.placed().hash;
        store.remove_staged(&one, [hash]);
        assert_eq!(read(&store).unwrap(), encoded);
        store.remove_staged(&two, [hash]);
        assert!(matches!(read(&store), Err(ReadError::NotFound { .. })));
    })
    .await;
}
