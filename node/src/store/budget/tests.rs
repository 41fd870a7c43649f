use std::fs;

use opendag_protocol::record::SignedRecord;

use super::*;
use crate::store::testing::{Heard, Home, NOW, blocking, key};

const LIMIT: u64 = 300 * 1024;

/// Bytes of all segments.
fn on_disk(home: &Home) -> u64 {
    let files = fs::read_dir(home.folder("data/records")).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_records_of_strangers_keep_to_their_limit_on_disk_too() {
    let home = Home::within(LIMIT).await;
    let published = home.publish("mine", &[("file", b"one".to_vec())]).await;
    let store = home.store.clone();
    let (kept, told) = blocking(move || {
        let followed = Heard::new(0, 0);
        store.protect_followed(BTreeSet::from([followed.dataset]));
        followed.tell(&store);
        let used = Heard::new(1, 1);
        used.tell(&store);
        store.mark_used(used.dataset);
        let mut changes = store.catalogue_changes();
        let mut told = BTreeSet::new();
        for number in 2..600 {
            Heard::new(number, number.into()).tell(&store);
            store.make_room().unwrap();
            assert!(store.catalogue_bytes().0 <= LIMIT);
            while let Ok(change) = changes.try_recv() {
                told.insert(change);
            }
        }
        ([followed, used], told)
    })
    .await;
    assert!(on_disk(&home) <= LIMIT, "{} bytes", on_disk(&home));
    let forgotten = |heard: &Heard| told.contains(&CatalogueChange::Forgotten(heard.dataset));
    let home = home.reopened(|_| ()).await;
    for heard in &kept {
        assert!(heard.is_known(&home.store) && !forgotten(heard));
    }
    let mine = home.store.dataset(&published.dataset).unwrap().unwrap();
    assert_eq!(mine.newest_record(), Some(&published.head));
    assert!(
        home.store
            .manifest_of(&published.manifest)
            .unwrap()
            .is_some()
    );
    // The oldest are gone as if they had never been heard of, the newest are there.
    let (old, new) = (Heard::new(2, 2), Heard::new(599, 599));
    assert!(forgotten(&old));
    assert_eq!(home.store.dataset(&old.dataset).unwrap(), None);
    assert_eq!(home.store.by_name("heard-2").unwrap(), []);
    assert!(
        old.records()
            .iter()
            .all(|record| home.store.record(&record.id()).unwrap().is_none())
    );
    assert!(new.is_known(&home.store));
    assert_eq!(home.store.by_name("heard-599").unwrap(), [new.dataset]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_here_owns_is_not_forgotten() {
    let home = Home::within(LIMIT).await;
    let store = home.store.clone();
    let own = home.publish("own", &[("file", b"one".to_vec())]).await;
    let place = own.place.clone();
    home.store.remove_place(&place).await.unwrap();
    home.store
        .protect_owned_by(BTreeSet::from([key().public()]));
    let forgets = move |from: u32| {
        let store = store.clone();
        blocking(move || {
            for number in from..from + 400 {
                // Far newer than what is owned here.
                Heard::new(number, 1000 + u64::from(number)).tell(&store);
                store.make_room().unwrap();
            }
        })
    };
    forgets(0).await;
    let newest = |state: Option<DatasetState>| {
        state.and_then(|state| state.newest_record().map(SignedRecord::id))
    };
    assert_eq!(
        newest(home.store.dataset(&own.dataset).unwrap()),
        Some(own.head.id())
    );
    // Negative control: nobody's any more, it goes.
    home.store.protect_owned_by(BTreeSet::new());
    forgets(1000).await;
    assert_eq!(newest(home.store.dataset(&own.dataset).unwrap()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_with_room_nothing_is_forgotten() {
    let home = Home::new().await;
    let store = home.store.clone();
    blocking(move || {
        for number in 0..50 {
            Heard::new(number, number.into()).tell(&store);
        }
        assert_eq!(store.make_room().unwrap(), 0);
        for number in 0..50 {
            let heard = Heard::new(number, number.into());
            assert!(heard.is_known(&store));
            assert!(matches!(
                store.apply(&heard.head, NOW),
                Ok(opendag_protocol::catalogue::Applied::Known)
            ));
        }
    })
    .await;
}
