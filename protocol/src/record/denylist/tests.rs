use super::*;
use crate::{Hash, testing::*};

fn entry(number: u32) -> DenylistEntry {
    DenylistEntry {
        what: Denied::Blob(BlobId::from_hash(Hash::of(&number.to_le_bytes()))),
        reason: Some("Not theirs".to_owned()),
        expires_at: Some(Timestamp::from_secs(500)),
    }
}

fn said(entries: Vec<DenylistEntry>) -> Result<Statement, RecordError> {
    let at = Timestamp::from_secs;
    Denylist::statement(key(1).public(), at(100), Some(at(900)), entries)
}

#[test]
fn a_denylist_round_trips_through_its_record() {
    let first = first_record(&[1], 1);
    let bare = |what| DenylistEntry {
        what,
        reason: None,
        expires_at: None,
    };
    let all = vec![
        bare(Denied::Dataset(first.id().into())),
        bare(Denied::Manifest(manifest(&first, 0, None).id().into())),
        bare(Denied::Publisher(key(3).public())),
        entry(1),
    ];
    for entries in [all, Vec::new()] {
        let record = sign(said(entries.clone()).unwrap(), &[1]);
        let again = crate::record::SignedRecord::decode(record.bytes()).unwrap();
        let list = Denylist::read(again.as_statement().unwrap());
        let list = list.unwrap().unwrap();
        assert_eq!(list.entries(), entries);
        assert_eq!((list.id(), list.author()), (record.id(), key(1).public()));
        assert_eq!(list.expires_at(), Some(Timestamp::from_secs(900)));
    }
}

#[test]
fn a_list_that_breaks_a_rule_is_neither_said_nor_read() {
    let with = |change: fn(&mut DenylistEntry)| {
        let mut entry = entry(1);
        change(&mut entry);
        vec![entry]
    };
    let most = u32::try_from(DENYLIST_ENTRIES_MAX).unwrap();
    for broken in [
        with(|entry| entry.reason = Some(String::new())),
        with(|entry| entry.reason = Some("a\nb".to_owned())),
        with(|entry| entry.reason = Some("x".repeat(DENYLIST_REASON_BYTES_MAX + 1))),
        with(|entry| entry.expires_at = Some(Timestamp::from_secs(u64::MAX))),
        vec![entry(1), entry(1)],
        (0..=most).map(entry).collect(),
    ] {
        assert!(said(broken.clone()).is_err(), "{broken:?}");
        let plain = cbor::to_vec(&Fields { entries: broken }).unwrap();
        let mut fields = said(Vec::new()).unwrap().fields().clone();
        fields.more = cbor::from_slice_canonical(&plain).unwrap();
        assert!(Denylist::read(&Statement::new(fields).unwrap()).is_err());
    }
    let mut fields = said(vec![entry(1)]).unwrap().fields().clone();
    assert!(Denylist::read(&Statement::new(fields.clone()).unwrap()).is_ok());
    fields.subject = Some(first_record(&[1], 1).id().into());
    assert!(Denylist::read(&Statement::new(fields).unwrap()).is_err());
}
