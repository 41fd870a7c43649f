//! What several targets need: keys, the records of a dataset, a naive DAG-CBOR, and a driver of the
//! fetch machine.

pub mod cbor;
pub mod fetching;

use std::sync::OnceLock;

use opendag_protocol::{
    DatasetId, ManifestId, RecordId, Timestamp,
    key::SecretKey,
    record::{Dataset, DatasetFields, Head, HeadFields, Record, SignedRecord},
};

/// How many keys there are.
pub const KEYS: usize = 4;

/// One of [`KEYS`] keys, always the same; beyond the last it begins anew.
///
/// # Panics
/// Never.
pub fn key(number: usize) -> &'static SecretKey {
    static ALL: OnceLock<Vec<SecretKey>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        (1..)
            .take(KEYS)
            .map(|n| SecretKey::generate([n; 32]))
            .collect()
    });
    &all[number % KEYS]
}

/// Signs with the keys whose bits are set; with the first if none is.
///
/// # Panics
/// If a record of the targets is larger than a record may be.
pub fn sign(record: impl Into<Record>, keys: u8) -> SignedRecord {
    let mut signers: Vec<_> = (0..KEYS).filter(|n| keys >> n & 1 == 1).map(key).collect();
    if signers.is_empty() {
        signers.push(key(0));
    }
    SignedRecord::sign(&record.into(), &signers).expect("a small record can be signed")
}

/// The first record of a dataset that the first key owns.
///
/// # Panics
/// Never.
pub fn first_record() -> SignedRecord {
    let first = Dataset::new(DatasetFields {
        name: "corpus".to_owned(),
        owners: vec![key(0).public()],
        threshold: 1,
        sequence: 0,
        dataset: None,
        previous: None,
    });
    sign(first.expect("the fields hold all rules"), 1)
}

/// A head that stands for a thousand seconds.
///
/// # Panics
/// If a number is beyond what a head may say.
pub fn head(
    dataset: DatasetId,
    owner_record: RecordId,
    sequence: u64,
    manifest: ManifestId,
    issued_at: u64,
) -> Head {
    let head = Head::new(HeadFields {
        dataset,
        owner_record,
        sequence,
        manifest,
        issued_at: Timestamp::from_secs(issued_at),
        expires_at: Timestamp::from_secs(issued_at + 1000),
    });
    head.expect("the fields hold all rules")
}
