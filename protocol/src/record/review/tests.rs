use ipld_core::ipld::Ipld;

use super::*;
use crate::{BlobId, Hash, testing::*};

fn subject() -> RecordId {
    first_record(&[1], 1).id()
}

fn opinion() -> Opinion {
    Opinion {
        rating: 4,
        text: Some("Clean.\nA few duplicates.".to_owned()),
        tags: vec!["clean".to_owned()],
    }
}

fn said(opinion: Option<&Opinion>) -> Result<Statement, RecordError> {
    Review::statement(
        key(1).public(),
        Timestamp::from_secs(100),
        subject(),
        opinion,
    )
}

#[test]
fn a_review_round_trips_through_its_record() {
    let bare = Opinion {
        text: None,
        tags: Vec::new(),
        ..opinion()
    };
    for expected in [Some(opinion()), Some(bare), None] {
        let record = sign(said(expected.as_ref()).unwrap(), &[1]);
        let again = crate::record::SignedRecord::decode(record.bytes()).unwrap();
        let review = Review::read(again.as_statement().unwrap())
            .unwrap()
            .unwrap();
        assert_eq!(review.opinion(), expected.as_ref());
        assert_eq!((review.id(), review.subject()), (record.id(), subject()));
        assert_eq!(
            (review.author(), review.issued_at()),
            (key(1).public(), Timestamp::from_secs(100))
        );
    }
}

#[test]
fn an_opinion_that_breaks_a_rule_is_not_said() {
    let breaks: [fn(&mut Opinion); 8] = [
        |opinion| opinion.rating = 0,
        |opinion| opinion.rating = 6,
        |opinion| opinion.text = Some(String::new()),
        |opinion| opinion.text = Some("a\u{202e}b".to_owned()),
        |opinion| opinion.text = Some("x".repeat(REVIEW_TEXT_BYTES_MAX + 1)),
        |opinion| opinion.tags = vec!["a\nb".to_owned()],
        |opinion| opinion.tags = vec!["a".to_owned(), "a".to_owned()],
        |opinion| opinion.tags = (0..=REVIEW_TAGS_MAX).map(|n| n.to_string()).collect(),
    ];
    for change in breaks {
        let mut broken = opinion();
        change(&mut broken);
        assert!(said(Some(&broken)).is_err(), "{broken:?}");
        // Nor is it read when a stranger says it.
        let plain = cbor::to_vec(&broken).unwrap();
        let mut fields = said(None).unwrap().fields().clone();
        fields.more = cbor::from_slice_canonical(&plain).unwrap();
        let statement = Statement::new(fields).unwrap();
        assert!(Review::read(&statement).is_err(), "{broken:?}");
    }
}

#[test]
fn what_is_no_review_of_a_record_is_not_read_as_one() {
    let with = |change: fn(&mut StatementFields)| {
        let mut fields = said(Some(&opinion())).unwrap().fields().clone();
        change(&mut fields);
        Review::read(&Statement::new(fields).unwrap())
    };
    assert!(matches!(with(|_| ()), Ok(Some(_))));
    let another = with(|fields| fields.kind = "rating".to_owned());
    assert!(matches!(another, Ok(None)));
    let breaks: [fn(&mut StatementFields); 6] = [
        |fields| fields.subject = None,
        |fields| fields.subject = Some(BlobId::from_hash(Hash::of(b"x")).into()),
        |fields| drop(fields.more.remove("rating")),
        |fields| drop(fields.more.insert("rating".to_owned(), Ipld::Null)),
        |fields| fields.more = BTreeMap::from([("rating".to_owned(), Ipld::Null)]),
        |fields| {
            drop(
                fields
                    .more
                    .insert("tags".to_owned(), Ipld::List(Vec::new())),
            );
        },
    ];
    for change in breaks {
        assert!(with(change).is_err());
    }
    // Fields that this program does not know change nothing.
    let more = with(|fields| drop(fields.more.insert("mood".to_owned(), Ipld::Bool(true))));
    assert_eq!(more.unwrap().unwrap().opinion(), Some(&opinion()));
}
