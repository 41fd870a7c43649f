use super::*;
use crate::{Hash, testing::*};

const NOW: Timestamp = Timestamp::from_secs(1000);

fn entry(what: Denied, expires_at: Option<u64>) -> DenylistEntry {
    DenylistEntry {
        what,
        reason: Some("spam".to_owned()),
        expires_at: expires_at.map(Timestamp::from_secs),
    }
}

fn list(author: u8, expires_at: Option<u64>, entries: Vec<DenylistEntry>) -> Denylist {
    let at = Timestamp::from_secs;
    let expires_at = expires_at.map(at);
    let statement = Denylist::statement(key(author).public(), at(100), expires_at, entries);
    Denylist::read(&statement.unwrap()).unwrap().unwrap()
}

fn ids() -> (DatasetId, ManifestId, BlobId) {
    let first = first_record(&[1], 1);
    let version = manifest(&first, 0, None).id();
    (
        first.id().into(),
        version.into(),
        BlobId::from_hash(Hash::of(b"blob")),
    )
}

#[test]
fn each_kind_of_entry_stops_what_it_names_and_nothing_else() {
    let (dataset, version, blob) = ids();
    let other = ManifestId::from_hash(Hash::of(b"other"));
    let owners = [key(1).public(), key(2).public()];
    let told = |what| {
        let denials = Denials::new(&[entry(what, None)], &[]);
        [
            denials.of_version(version, dataset, &owners, NOW),
            denials.of_version(other, dataset, &owners, NOW),
            denials.of_dataset(dataset, &owners, NOW),
            denials.of_blob(blob, NOW),
            denials.of_author(key(2).public(), NOW),
        ]
        .map(|denial| denial.is_some_and(|denial| denial.what == what))
    };
    let (t, f) = (true, false);
    assert_eq!(told(Denied::Manifest(version)), [t, f, f, f, f]);
    assert_eq!(told(Denied::Dataset(dataset)), [t, t, t, f, f]);
    assert_eq!(told(Denied::Blob(blob)), [f, f, f, t, f]);
    assert_eq!(told(Denied::Publisher(key(2).public())), [t, t, t, f, t]);
    assert_eq!(told(Denied::Publisher(key(3).public())), [f; 5]);
    assert!(Denials::default().is_empty());
}

#[test]
fn what_has_expired_does_nothing() {
    let what = Denied::Blob(ids().2);
    let holds = |entry_until: Option<u64>, list_until: Option<u64>| {
        let subscribed = [list(5, list_until, vec![entry(what, entry_until)])];
        let denials = Denials::new(&[], &subscribed);
        denials.of_blob(ids().2, NOW).is_some()
    };
    assert!(holds(None, None));
    assert!(holds(Some(1001), Some(1001)));
    assert!(!holds(Some(1000), None));
    assert!(!holds(None, Some(1000)));
    assert!(!holds(Some(2000), Some(900)));
    // One that has expired does not hide another one.
    let lists = [
        list(5, Some(900), vec![entry(what, None)]),
        list(6, None, vec![entry(what, None)]),
    ];
    let denials = Denials::new(&[], &lists);
    let author = ListOwner::Author(key(6).public());
    assert_eq!(denials.of_blob(ids().2, NOW).unwrap().list, author);
}

#[test]
fn a_denial_says_whose_list_and_why() {
    let (dataset, ..) = ids();
    let what = Denied::Dataset(dataset);
    let theirs = list(5, None, vec![entry(what, None)]);
    let both = Denials::new(&[entry(what, None)], std::slice::from_ref(&theirs));
    let text = |denials: &Denials| denials.of_dataset(dataset, &[], NOW).unwrap().to_string();
    assert_eq!(
        text(&both),
        format!("the dataset {dataset} is on your own denylist, because: spam")
    );
    let author = key(5).public();
    assert_eq!(
        text(&Denials::new(&[], &[theirs])),
        format!(
            "the dataset {dataset} is on the denylist of {author}, to which you subscribed, because: spam"
        )
    );
}
