//! What is kept for the DHT.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use libp2p::kad::{ProviderRecord, Record, RecordKey, store::RecordStore as _};
use opendag_protocol::Hash;
use tokio::time::Instant;

use crate::net::{
    HeadRank, PeerId,
    kad_store::KadStore,
    limits::{
        ADDRESSES_PER_PROVIDER_MAX, KAD_HEADS_MAX, KAD_KEYS_PER_PROVIDER_MAX,
        KAD_PROVIDED_KEYS_MAX, KAD_PROVIDERS_PER_KEY_MAX,
    },
};

/// The first byte of a value is its rank; 0 is forged.
fn store(local: PeerId) -> KadStore {
    let rank = |value: &[u8]| value.first().copied().filter(|rank| *rank > 0);
    KadStore::new(
        local,
        Arc::new(move |_, value| {
            let sequence = u64::from(rank(value)?);
            Some(HeadRank {
                owners_known: true,
                sequence,
                issued_at: 0,
            })
        }),
        Arc::new(|_| false),
    )
}

fn key(i: usize) -> RecordKey {
    RecordKey::new(Hash::of(&i.to_be_bytes()).as_bytes())
}

fn head(i: usize, value: &[u8]) -> Record {
    Record::new(key(i), value.to_vec())
}

fn provider(i: usize, provider: PeerId) -> ProviderRecord {
    ProviderRecord::new(key(i), provider, Vec::new())
}

#[test]
fn a_head_is_replaced_by_a_newer_one_only() {
    let mut store = store(PeerId::random());
    let value = |store: &KadStore| store.get(&key(1)).map(|record| record.value.clone());
    assert!(store.put(head(1, &[0])).is_err(), "forged");
    assert!(store.put(head(1, &[1; 1025])).is_err(), "too large");
    assert!(
        store.put(Record::new(b"short".to_vec(), vec![5])).is_err(),
        "not a hash"
    );
    assert_eq!(value(&store), None);
    for (offered, kept) in [(5, 5), (4, 5), (0, 5), (6, 6), (5, 6)] {
        let _ = store.put(head(1, &[offered]));
        assert_eq!(value(&store), Some(vec![kept]), "after {offered}");
    }
}

#[test]
fn strangers_do_not_crowd_out_our_own() {
    let local = PeerId::random();
    let mut store = store(local);
    let mut own = head(0, &[1]);
    own.publisher = Some(local);
    store.put(own).unwrap();
    store.add_provider(provider(0, local)).unwrap();
    for i in 1..KAD_HEADS_MAX + 100 {
        store.put(head(i, &[1])).unwrap();
    }
    assert_eq!(store.records().count(), KAD_HEADS_MAX + 1);
    assert!(store.get(&key(0)).is_some());
    let mut stranger = PeerId::random();
    for i in 1..KAD_PROVIDED_KEYS_MAX + 100 {
        if i % KAD_KEYS_PER_PROVIDER_MAX == 0 {
            stranger = PeerId::random();
        }
        // Its keys may have been dropped in between: either way the bound holds.
        let _ = store.add_provider(provider(i, stranger));
    }
    let kept = (0..KAD_PROVIDED_KEYS_MAX + 100).filter(|i| !store.providers(&key(*i)).is_empty());
    assert_eq!(kept.count(), KAD_PROVIDED_KEYS_MAX + 1);
    assert_eq!(store.provided().count(), 1);
    assert_eq!(store.providers(&key(0)).len(), 1);
}

#[test]
fn providers_of_a_key_and_keys_of_a_provider_are_bounded() {
    let mut store = store(PeerId::random());
    for _ in 0..KAD_PROVIDERS_PER_KEY_MAX {
        store.add_provider(provider(1, PeerId::random())).unwrap();
    }
    assert!(store.add_provider(provider(1, PeerId::random())).is_err());
    assert_eq!(store.providers(&key(1)).len(), KAD_PROVIDERS_PER_KEY_MAX);
    let stranger = PeerId::random();
    for i in 10..10 + KAD_KEYS_PER_PROVIDER_MAX {
        store.add_provider(provider(i, stranger)).unwrap();
    }
    assert!(store.add_provider(provider(9, stranger)).is_err());
    assert!(store.providers(&key(9)).is_empty());
    store.remove_provider(&key(10), &stranger);
    store.add_provider(provider(9, stranger)).unwrap();

    let addr = |port: u16| format!("/ip4/8.8.8.8/tcp/{port}").parse().unwrap();
    let record = ProviderRecord::new(key(2), stranger, (1..1000).map(addr).collect());
    store.remove_provider(&key(9), &stranger);
    store.add_provider(record).unwrap();
    let [kept] = &store.providers(&key(2))[..] else {
        panic!("one provider")
    };
    assert_eq!(kept.addresses.len(), ADDRESSES_PER_PROVIDER_MAX);
}

#[test]
fn what_has_expired_is_swept() {
    let mut store = store(PeerId::random());
    let now = Instant::now().into_std();
    for (i, expires) in [(1, now), (2, now + Duration::from_secs(3600))] {
        let mut head = head(i, &[1]);
        head.expires = Some(expires);
        store.put(head).unwrap();
        let mut provider = provider(i, PeerId::random());
        provider.expires = Some(expires);
        store.add_provider(provider).unwrap();
    }
    store.sweep();
    assert!(store.get(&key(1)).is_none() && store.providers(&key(1)).is_empty());
    assert!(store.get(&key(2)).is_some() && !store.providers(&key(2)).is_empty());
}

#[test]
fn nothing_is_kept_or_told_of_a_key_that_is_denied() {
    let (local, other) = (PeerId::random(), PeerId::random());
    let denied = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&denied);
    let mut store = KadStore::new(
        local,
        Arc::new(|_, _| Some(HeadRank::default())),
        Arc::new(move |asked| asked == key(1).as_ref() && now.load(Ordering::Relaxed)),
    );
    for i in [1, 2] {
        store.put(head(i, &[1])).unwrap();
        store.add_provider(provider(i, other)).unwrap();
        store.add_provider(provider(i, local)).unwrap();
    }
    denied.store(true, Ordering::Relaxed);
    assert!(store.get(&key(1)).is_none() && store.get(&key(2)).is_some());
    assert!(store.providers(&key(1)).is_empty());
    assert_eq!(store.providers(&key(2)).len(), 2);
    assert!(store.add_provider(provider(1, PeerId::random())).is_err());
    // It is denied no more.
    denied.store(false, Ordering::Relaxed);
    assert!(store.get(&key(1)).is_some());
    assert_eq!(store.providers(&key(1)).len(), 2);
}
