use std::{collections::BTreeMap, fs};

use opendag_protocol::{
    BlobId, Hash,
    key::SecretKey,
    record::{Ipld, StatementFields},
};

use super::*;
use crate::store::testing::{Home, NOW};

fn subject(number: u8) -> Subject {
    BlobId::from_hash(Hash::of(&[number])).into()
}

/// What the author `number` says of a subject, `later` seconds after the first.
fn said(kind: &str, author: u8, about: u8, later: u64) -> SignedRecord {
    let key = SecretKey::from_bytes(&[author; 32]);
    let statement = Statement::new(StatementFields {
        kind: kind.to_owned(),
        author: key.public(),
        issued_at: Timestamp::from_secs(NOW.as_secs() - 10_000 + later),
        subject: Some(subject(about)),
        expires_at: None,
        more: BTreeMap::from([("text".to_owned(), Ipld::String("fine".to_owned()))]),
    });
    SignedRecord::sign(&statement.unwrap().into(), &[&key]).unwrap()
}

fn ids(records: &[SignedRecord]) -> Vec<RecordId> {
    records.iter().map(SignedRecord::id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_the_newest_statement_stays_also_after_a_restart() {
    let damages: [fn(&std::path::Path); 2] = [
        |_| (),
        |data| fs::remove_dir_all(data.join("index")).unwrap(),
    ];
    for damage in damages {
        let home = Home::new().await;
        let (old, new) = (said("review", 1, 1, 0), said("review", 1, 1, 5));
        let (by_another, of_no_known_type) = (said("review", 2, 1, 3), said("xyz", 1, 1, 4));
        let put = |store: &Store, record: &SignedRecord| store.put_statement(record, NOW).unwrap();
        assert_eq!(put(&home.store, &old), Applied::New);
        assert_eq!(put(&home.store, &new), Applied::Newer);
        assert_eq!(put(&home.store, &by_another), Applied::New);
        assert_eq!(put(&home.store, &of_no_known_type), Applied::New);
        let expected = ids(&[new.clone(), of_no_known_type, by_another]);
        let home = home.reopened(damage).await;
        for store in [&home.store, &home.killed().await] {
            assert_eq!(ids(&store.statements(&subject(1)).unwrap()), expected);
            assert_eq!(put(store, &old), Applied::Stale);
            assert_eq!(put(store, &new), Applied::Known);
            assert_eq!(store.record(&old.id()).unwrap(), None);
            assert_eq!(store.record(&new.id()).unwrap(), Some(new.clone()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_of() {
    use crate::store::CatalogueChange as Change;
    let home = Home::new().await;
    let mut changes = home.store.catalogue_changes();
    let record = said("review", 1, 1, 0);
    home.store.put_statement(&record, NOW).unwrap();
    assert_eq!(changes.try_recv().unwrap(), Change::Statement(record.id()));
    home.store.put_statement(&record, NOW).unwrap();
    assert!(changes.try_recv().is_err(), "known already");
    let published = home.publish("set", &[("file", b"one".to_vec())]).await;
    let told: BTreeSet<_> = std::iter::from_fn(|| changes.try_recv().ok()).collect();
    assert_eq!(told, BTreeSet::from([Change::Dataset(published.dataset)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_statement_yet_or_no_more_is_refused() {
    let home = Home::new().await;
    let published = home.publish("set", &[("file", b"one".to_vec())]).await;
    assert!(home.store.put_statement(&published.head, NOW).is_err());
    let future = said("review", 1, 1, 10_000 + 3601);
    assert!(matches!(
        home.store.put_statement(&future, NOW),
        Err(StoreError::Refused { .. })
    ));
    assert_eq!(home.store.statements(&subject(1)).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_the_oldest_make_room_also_on_disk() {
    let home = Home::new().await;
    let key = SecretKey::from_bytes(&[1; 32]).public();
    let most = opendag_protocol::limits::STATEMENTS_PER_AUTHOR_MAX;
    let all: Vec<_> = (0..most + 3)
        .map(|number| said(&format!("t{number}"), 1, 1, u64::try_from(number).unwrap()))
        .collect();
    let applied = home.store.apply_all(&all, NOW).unwrap();
    assert!(applied.iter().all(Result::is_ok));
    for store in [&home.store, &home.killed().await] {
        let kept = store.statements_by(&key).unwrap();
        assert_eq!(kept.len(), most);
        for gone in &all[..3] {
            assert_eq!(store.record(&gone.id()).unwrap(), None);
            assert_eq!(store.put_statement(gone, NOW).unwrap(), Applied::Unneeded);
        }
    }
}
