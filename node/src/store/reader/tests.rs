use std::fs;

use super::*;
use crate::store::{
    bao,
    testing::{Home, blocking, bytes},
};

const SIZE: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn files_of_several_folders_and_places_are_read_in_turn() {
    let home = Home::new().await;
    let names = ["a/1", "a/b/2", "a/3", "4"];
    let contents: Vec<_> = (0..8).map(|seed| bytes(SIZE, seed)).collect();
    for (dataset, contents) in ["one", "two"].iter().zip(contents.chunks(names.len())) {
        let files = names.iter().copied().zip(contents.iter().cloned());
        home.publish(dataset, &files.collect::<Vec<_>>()).await;
    }
    let store = home.store.clone();
    blocking(move || {
        let mut reader = store.reader();
        // Forwards, backwards, and between the two places.
        for at in [0, 1, 2, 3, 7, 3, 6, 2, 5, 1, 4, 0] {
            let content: &Vec<u8> = &contents[at];
            let hash = Hash::of(content);
            let read = reader.read_bao(hash, GroupRange::ALL).unwrap();
            let encoded = bao::encode_memory(content, hash, GroupRange::ALL);
            assert_eq!(read, encoded.unwrap(), "{at}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_what_changed_since_the_folder_was_opened_is_not_given_out() {
    let home = Home::new().await;
    let contents = [bytes(SIZE, 1), bytes(SIZE, 2), bytes(SIZE, 3)];
    let names = ["a/1", "a/2", "a/3"];
    let files = names.iter().copied().zip(contents.iter().cloned());
    home.publish("one", &files.collect::<Vec<_>>()).await;
    let folder = home.folder("one");
    let store = home.store.clone();
    blocking(move || {
        let mut reader = store.reader();
        let mut read = |at: usize| reader.read_bao(Hash::of(&contents[at]), GroupRange::ALL);
        read(0).unwrap();
        fs::write(folder.join("a/2"), bytes(SIZE, 9)).unwrap();
        assert!(matches!(read(1), Err(ReadError::NotFound { .. })));
        fs::rename(folder.join("a"), folder.join("gone")).unwrap();
        // Still what it was: the open folder is the same one.
        read(2).unwrap();
        assert!(
            store
                .read_bao(Hash::of(&contents[2]), None, GroupRange::ALL)
                .is_err()
        );
    })
    .await;
}
