use std::{fs, time::Duration};

use opendag_protocol::{
    Hash,
    record::{Dataset, DatasetFields, Head, HeadFields, Record},
};

use super::*;
use crate::store::testing::{Home, NOW, Published, flip_bit, key};

fn sign(record: &Record) -> SignedRecord {
    SignedRecord::sign(record, &[&key()]).unwrap()
}

/// Another head for the same version, issued so many seconds later.
fn later(head: &SignedRecord, seconds: u64) -> SignedRecord {
    let fields = head.as_head().unwrap().fields();
    let span = Duration::from_secs(seconds);
    sign(&Record::Head(
        Head::new(HeadFields {
            issued_at: fields.issued_at.saturating_add(span),
            expires_at: fields.expires_at.saturating_add(span),
            ..fields.clone()
        })
        .unwrap(),
    ))
}

fn newest(store: &Store, published: &Published) -> RecordId {
    let state = store.dataset(&published.dataset).unwrap().unwrap();
    state.newest_record().unwrap().id()
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_an_old_head_changes_nothing_also_after_a_restart() {
    let home = Home::new().await;
    let old = home.publish("set", &[("file", b"one".to_vec())]).await;
    let new = home.publish("set", &[("file", b"two".to_vec())]).await;
    assert_eq!(old.dataset, new.dataset);
    // The clock is at the beginning of time, and at its end.
    for now in [Timestamp::from_secs(0), NOW, Timestamp::from_secs(u64::MAX)] {
        let damages: [fn(&std::path::Path); 2] = [
            |_| (),
            |data| fs::remove_dir_all(data.join("index")).unwrap(),
        ];
        for damage in damages {
            let home = Home::new().await;
            let old = home.publish("set", &[("file", b"one".to_vec())]).await;
            let new = home.publish("set", &[("file", b"two".to_vec())]).await;
            let replay = |store: &Store| match store.apply(&old.head, now) {
                Ok(applied) => applied == Applied::Stale,
                Err(error) => matches!(error, StoreError::Refused { .. }),
            };
            assert!(replay(&home.store));
            let home = home.reopened(damage).await;
            assert_eq!(newest(&home.store, &new), new.head.id());
            assert!(replay(&home.store));
            assert_eq!(newest(&home.store, &new), new.head.id());
        }
    }
    // Negative control: a later head does replace it.
    let renewed = later(&new.head, 60);
    assert_eq!(home.store.apply(&renewed, NOW).unwrap(), Applied::Newer);
    assert_eq!(newest(&home.store, &new), renewed.id());
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_head_that_was_taken_is_there_after_a_kill() {
    let home = Home::new().await;
    let published = home.publish("set", &[("file", b"one".to_vec())]).await;
    for seconds in 1..20 {
        let head = later(&published.head, seconds);
        assert_eq!(home.store.apply(&head, NOW).unwrap(), Applied::Newer);
        if seconds % 6 == 0 {
            let killed = home.killed().await;
            assert_eq!(newest(&killed, &published), head.id());
            assert_eq!(killed.record(&head.id()).unwrap(), Some(head));
        }
    }
}

/// Killed after the segment was synced and before the index was: the next start catches up.
#[tokio::test(flavor = "multi_thread")]
async fn p1_the_index_catches_up_with_the_segments() {
    let home = Home::new().await;
    let published = home.publish("set", &[("file", b"one".to_vec())]).await;
    let head = later(&published.head, 60);
    {
        let mut segments = lock(&home.store.inner.segments);
        segments.append(EntryKind::Record, head.bytes()).unwrap();
        segments.sync().unwrap();
    }
    assert_eq!(newest(&home.store, &published), published.head.id());
    assert_eq!(newest(&home.killed().await, &published), head.id());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_judged_yet_says_what_is_missing() {
    let (home, other) = (Home::new().await, Home::new().await);
    let published = home.publish("set", &[("file", b"one".to_vec())]).await;
    let applied = other.store.apply(&published.head, NOW);
    assert!(
        matches!(applied, Err(StoreError::UnknownDataset { dataset }) if dataset == published.dataset)
    );
    let first = home
        .store
        .record(&published.dataset.into())
        .unwrap()
        .unwrap();
    assert_eq!(other.store.apply(&first, NOW).unwrap(), Applied::New);
    assert_eq!(other.store.apply(&first, NOW).unwrap(), Applied::Known);
    let before = first.as_dataset().unwrap();
    let rotation = |sequence, previous| {
        let fields = DatasetFields {
            sequence,
            dataset: Some(published.dataset),
            previous: Some(previous),
            ..before.fields().clone()
        };
        sign(&Record::Dataset(Dataset::new(fields).unwrap()))
    };
    let second = rotation(1, first.id());
    let third = rotation(2, second.id());
    let applied = other.store.apply(&third, NOW);
    assert!(
        matches!(applied, Err(StoreError::NeedsOwners { record, .. }) if record == second.id())
    );
    assert_eq!(other.store.apply(&second, NOW).unwrap(), Applied::Newer);
    assert_eq!(other.store.apply(&third, NOW).unwrap(), Applied::Newer);
    let stranger = SignedRecord::sign(
        later(&published.head, 5).record(),
        &[&opendag_protocol::key::SecretKey::from_bytes(&[9; 32])],
    );
    let applied = other.store.apply(&stranger.unwrap(), NOW);
    assert!(matches!(applied, Err(StoreError::Refused { .. })));
    assert_eq!(other.store.dataset_count(), 1);
    assert_eq!(other.store.by_name("set").unwrap(), [published.dataset]);
    assert_eq!(other.store.by_name("other").unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_damaged_record_is_noticed_and_taken_again() {
    let home = Home::new().await;
    let published = home.publish("set", &[("file", b"one".to_vec())]).await;
    let manifest = home
        .store
        .manifest_of(&published.manifest)
        .unwrap()
        .unwrap();
    let row = home
        .store
        .inner
        .index
        .get(Table::Records, published.manifest.hash().as_bytes());
    let position = Lies::decode(&row.unwrap().unwrap()).unwrap().at;
    let offset = usize::try_from(position.offset).unwrap() + 60;
    flip_bit(&home.folder("data/records/00000001.seg"), offset);
    assert_eq!(home.store.record(&manifest.id()).unwrap(), None);
    assert_eq!(home.store.apply(&manifest, NOW).unwrap(), Applied::Known);
    assert_eq!(home.store.record(&manifest.id()).unwrap(), Some(manifest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_can_be_kept_for_its_id_alone() {
    let (home, other) = (Home::new().await, Home::new().await);
    let published = home.publish("set", &[("file", b"one".to_vec())]).await;
    other.store.keep_record(&published.head).unwrap();
    other.store.keep_record(&published.head).unwrap();
    let other = other
        .reopened(|data| fs::remove_dir_all(data.join("index")).unwrap())
        .await;
    assert_eq!(
        other.store.record(&published.head.id()).unwrap(),
        Some(published.head)
    );
    assert_eq!(other.store.dataset(&published.dataset).unwrap(), None);
    let unknown = RecordId::from_hash(Hash::of(b"unknown"));
    assert_eq!(other.store.record(&unknown).unwrap(), None);
}
