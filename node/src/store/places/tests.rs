use std::fs;

use opendag_protocol::wire::GroupRange;

use super::*;
use crate::store::{
    PlaceKind,
    testing::{Home, Published, blocking, bytes},
};

const LARGE: usize = 2 * 1024 * 1024 + 11;

async fn readable(home: &Home, content: &[u8]) -> bool {
    let store = home.store.clone();
    let content = content.to_vec();
    blocking(move || {
        store
            .read_verified(Hash::of(&content), GroupRange::ALL)
            .is_ok_and(|read| read == content)
    })
    .await
}

async fn described(home: &Home, published: &Published) -> bool {
    let record = home
        .store
        .manifest_of(&published.manifest)
        .unwrap()
        .unwrap();
    home.store
        .table(record.as_manifest().unwrap())
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_one_of_two_datasets_that_share_a_shard_leaves_the_other_whole() {
    let home = Home::new().await;
    let (shared, only) = (bytes(LARGE, 1), bytes(LARGE, 2));
    let one = home
        .publish("one", &[("only", only.clone()), ("shared", shared.clone())])
        .await;
    let two = home.publish("two", &[("again", shared.clone())]).await;
    // A new process, in which no blob or folder counts as in use.
    let home = home.reopened(|_| ()).await;
    let freed = home.store.remove_place(&one.place).await.unwrap();
    assert!(freed > 0);
    assert_eq!(
        home.store.places().unwrap(),
        std::slice::from_ref(&two.place)
    );
    assert!(readable(&home, &shared).await);
    assert!(described(&home, &two).await);
    // Negative control: what only the first needed is gone, but for the user's own files.
    assert!(!readable(&home, &only).await);
    assert!(!described(&home, &one).await);
    assert!(
        home.store
            .outboards()
            .get(Hash::of(&only))
            .unwrap()
            .is_none()
    );
    assert!(
        home.store
            .outboards()
            .get(Hash::of(&shared))
            .unwrap()
            .is_some()
    );
    assert_eq!(fs::read(home.folder("one/only")).unwrap(), only);
    let home = home
        .reopened(|data| fs::remove_dir_all(data.join("index")).unwrap())
        .await;
    assert_eq!(home.store.places().unwrap(), [two.place]);
    assert!(readable(&home, &shared).await);
    assert!(!readable(&home, &only).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_in_one_folder_share_it() {
    let home = Home::new().await;
    let content = bytes(LARGE, 3);
    let one = home.publish("set", &[("file", content.clone())]).await;
    let two = home
        .publish(
            "set",
            &[("file", content.clone()), ("more", b"more".to_vec())],
        )
        .await;
    let home = home.reopened(|_| ()).await;
    assert_eq!(home.store.places().unwrap().len(), 2);
    home.store.remove_place(&one.place).await.unwrap();
    assert!(readable(&home, &content).await && described(&home, &two).await);
    home.store.remove_place(&two.place).await.unwrap();
    assert!(!readable(&home, &content).await && !described(&home, &two).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_only_files_in_the_data_directory_are_removed() {
    let home = Home::new().await;
    let published = home.publish("set", &[("file", b"content".to_vec())]).await;
    let ours = home.store.data_dir().copies_path().join("copy");
    fs::create_dir_all(&ours).unwrap();
    fs::write(ours.join("file"), b"content").unwrap();
    let copies = home.store.data_dir().copies_path();
    let roots = [
        ours.clone(),
        home.folder("set"),
        copies.join("../../set"),
        copies.clone(),
    ];
    for root in roots {
        let place = Place {
            kind: PlaceKind::Mirrored,
            root,
            ..published.place.clone()
        };
        home.store.place(&place).unwrap();
        home.store.remove_place(&place).await.unwrap();
    }
    assert!(!ours.exists());
    assert!(copies.exists() && home.folder("set/file").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_survive_a_rebuild() {
    let home = Home::new().await;
    let published = home.publish("set", &[("file", b"content".to_vec())]).await;
    let root = published.place.root.clone();
    assert!(
        home.store
            .set_pinned(&published.manifest, &root, false)
            .unwrap()
    );
    assert!(
        !home
            .store
            .set_pinned(&published.manifest, Path::new("/other"), false)
            .unwrap()
    );
    let home = home
        .reopened(|data| fs::remove_dir_all(data.join("index")).unwrap())
        .await;
    let place = home.store.places_of(&published.manifest).unwrap().remove(0);
    assert_eq!(
        place,
        Place {
            pinned: false,
            ..published.place
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_running_publish_added_is_not_collected() {
    let home = Home::new().await;
    let working = home.store.work().await;
    let blob = home.store.put_blob(b"fresh".to_vec()).await.unwrap();
    assert_eq!(home.store.collect().await.unwrap(), 0);
    assert_eq!(
        home.store.blob(&blob).await.unwrap(),
        Some(b"fresh".to_vec())
    );
    // The publish ended, and no place refers to what it added.
    drop(working);
    home.store.collect().await.unwrap();
    assert_eq!(home.store.blob(&blob).await.unwrap(), None);
}
