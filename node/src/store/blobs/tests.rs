use std::fs;

use tempfile::TempDir;

use super::*;
use crate::store::testing::{bytes, flip_bit};

async fn open(dir: &TempDir) -> Blobs {
    Blobs::open(&dir.path().join("blobs"), &dir.path().join("quarantine"))
        .await
        .unwrap()
}

async fn put(blobs: &Blobs, bytes: Vec<u8>) -> BlobId {
    blobs.put_all(vec![bytes]).await.unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_found_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let blobs = open(&dir).await;
    let sizes = [0, 1, 16 * 1024, 16 * 1024 + 1, 300_000, 16 * 1024 * 1024];
    let contents: Vec<_> = (1..)
        .zip(sizes)
        .map(|(seed, size)| bytes(size, seed))
        .collect();
    let ids = blobs.put_all(contents.clone()).await.unwrap();
    blobs.shutdown().await.unwrap();
    drop(blobs);
    let blobs = open(&dir).await;
    for (id, content) in ids.iter().zip(contents) {
        assert_eq!(id.hash(), Hash::of(&content));
        assert!(blobs.get(*id).await.unwrap() == Some(content));
    }
    let too_large = vec![bytes(16 * 1024 * 1024 + 1, 1)];
    assert!(matches!(
        blobs.put_all(too_large).await,
        Err(BlobError::TooLarge { .. })
    ));
    let unknown = BlobId::from_hash(Hash::of(b"unknown"));
    assert_eq!(blobs.get(unknown).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_damaged_blob_is_quarantined_and_put_again() {
    let damages: [fn(&Path); 3] = [
        |file| flip_bit(file, 70_000),
        |file| fs::write(file, bytes(50_000, 1)).unwrap(),
        |file| fs::remove_file(file).unwrap(),
    ];
    for damage in damages {
        let dir = TempDir::new().unwrap();
        let blobs = open(&dir).await;
        let content = bytes(100_000, 1);
        let id = put(&blobs, content.clone()).await;
        // Negative control.
        assert!(blobs.get(id).await.unwrap().is_some());
        blobs.shutdown().await.unwrap();
        drop(blobs);
        damage(
            &dir.path()
                .join("blobs/data")
                .join(format!("{}.data", id.hash())),
        );
        let blobs = open(&dir).await;
        let got = blobs.get(id).await;
        assert!(!matches!(got, Ok(Some(_))), "{got:?}");
        assert_eq!(put(&blobs, content.clone()).await, id);
        assert_eq!(blobs.get(id).await.unwrap(), Some(content.clone()));
        blobs.shutdown().await.unwrap();
        drop(blobs);
        assert_eq!(open(&dir).await.get(id).await.unwrap(), Some(content));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_not_named_is_removed() {
    let dir = TempDir::new().unwrap();
    let blobs = open(&dir).await;
    let (small, large) = (
        put(&blobs, b"small".to_vec()).await,
        put(&blobs, bytes(90_000, 1)).await,
    );
    let kept = put(&blobs, bytes(80_000, 2)).await;
    let live = HashSet::from([kept.hash()]);
    blobs
        .retain(async || Ok::<_, BlobError>(live.clone()))
        .await
        .unwrap();
    assert_eq!(blobs.get(small).await.unwrap(), None);
    assert_eq!(blobs.get(large).await.unwrap(), None);
    assert!(blobs.get(kept).await.unwrap().is_some());
    // A failed count removes nothing.
    let failed = blobs
        .retain(async || Err(BlobError::TooLarge { bytes: 0 }))
        .await;
    assert!(failed.is_err());
    assert!(blobs.get(kept).await.unwrap().is_some());
    blobs
        .retain(async || Ok::<_, BlobError>(HashSet::new()))
        .await
        .unwrap();
    assert_eq!(blobs.get(kept).await.unwrap(), None);
}
