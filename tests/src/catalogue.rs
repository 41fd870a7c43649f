//! Records of datasets that nobody publishes: what a node that only listens would have heard.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opendag_protocol::{
    BlobId, DatasetId, Hash, Timestamp,
    key::SecretKey,
    record::{
        Dataset, DatasetFields, Head, HeadFields, Manifest, ManifestFields, Record, RecordError,
        SignedRecord,
    },
};

/// How long the heads are valid.
const LIFETIME: Duration = Duration::from_secs(60 * 24 * 60 * 60);

/// What is known of one dataset.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The dataset.
    pub dataset: DatasetId,
    /// Its first record.
    pub owners: SignedRecord,
    /// Its only version.
    pub manifest: SignedRecord,
    /// Its newest head.
    pub head: SignedRecord,
}

/// The wall clock.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::from_secs(since.map_or(0, |since| since.as_secs()))
}

impl Heard {
    /// The dataset of this number, with a head that was issued so many seconds ago.
    pub fn new(number: u32, seconds_ago: u64) -> Result<Self, RecordError> {
        let secret = SecretKey::from_bytes(Hash::of(&number.to_le_bytes()).as_bytes());
        let sign = |record: Record| SignedRecord::sign(&record, &[&secret]);
        let issued_at = Timestamp::from_secs(now().as_secs().saturating_sub(seconds_ago));
        let owners = Dataset::new(DatasetFields {
            name: format!("heard-{number}"),
            owners: vec![secret.public()],
            threshold: 1,
            sequence: 0,
            dataset: None,
            previous: None,
        })?;
        let manifest = Manifest::new(ManifestFields {
            dataset: owners.dataset_id(),
            owner_record: owners.id(),
            sequence: 0,
            parent: None,
            created_at: Timestamp::from_secs(1_700_000_000),
            label: None,
            title: Some(format!("Dataset {number}")),
            description: Some(
                "What it is about, in some words. "
                    .repeat(8)
                    .trim()
                    .to_owned(),
            ),
            license: Some("CC-BY-4.0".to_owned()),
            languages: vec!["en".to_owned()],
            tags: vec!["text".to_owned()],
            homepage: None,
            table: BlobId::from_hash(Hash::of(&number.to_be_bytes())),
            files: 1,
            bytes: 1,
            card: None,
            croissant: None,
            derived_from: Vec::new(),
            mirrors: Vec::new(),
        })?;
        let head = Head::new(HeadFields {
            dataset: owners.dataset_id(),
            owner_record: owners.id(),
            sequence: 0,
            manifest: manifest.id(),
            issued_at,
            expires_at: issued_at.saturating_add(LIFETIME),
        })?;
        Ok(Self {
            dataset: owners.dataset_id(),
            owners: sign(Record::Dataset(owners))?,
            manifest: sign(Record::Manifest(manifest))?,
            head: sign(Record::Head(head))?,
        })
    }

    /// All of it, in the order in which it is judged.
    #[must_use]
    pub fn records(&self) -> [SignedRecord; 3] {
        [
            self.owners.clone(),
            self.manifest.clone(),
            self.head.clone(),
        ]
    }
}
