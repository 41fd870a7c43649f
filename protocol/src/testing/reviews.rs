//! `specs/vectors/reviews.json`: reviews as records, and statements of that type that break its rules.

use serde::{Deserialize, Serialize};

use super::{
    vectors::{check, hex, unhex},
    *,
};
use crate::{
    RecordId,
    key::PublicKey,
    record::{Opinion, Review},
};

#[derive(Serialize, Deserialize)]
struct Reviews {
    about: String,
    reviews: Vec<Said>,
    not_shown: Vec<NotShown>,
}

#[derive(Serialize, Deserialize)]
struct Said {
    author: PublicKey,
    issued_at: Timestamp,
    subject: RecordId,
    opinion: Option<Opinion>,
    id: RecordId,
    signed_hex: String,
}

#[derive(Serialize, Deserialize)]
struct NotShown {
    why: String,
    signed_hex: String,
}

fn said(subject: RecordId, opinion: Option<Opinion>) -> Said {
    let (author, issued_at) = (key(5).public(), Timestamp::from_secs(10_000));
    let statement = Review::statement(author, issued_at, subject, opinion.as_ref()).unwrap();
    let signed = sign(statement, &[5]);
    Said {
        author,
        issued_at,
        subject,
        opinion,
        id: signed.id(),
        signed_hex: hex(signed.bytes()),
    }
}

fn not_shown(why: &str, subject: Option<Subject>, more: &[(&str, Ipld)]) -> NotShown {
    let mut fields = statement(5, subject, 10_000).fields().clone();
    let more = more.iter().cloned();
    fields.more = more.map(|(name, value)| (name.to_owned(), value)).collect();
    let signed = sign(Statement::new(fields).unwrap(), &[5]);
    NotShown {
        why: why.to_owned(),
        signed_hex: hex(signed.bytes()),
    }
}

fn reviews() -> Reviews {
    let first = first_record(&[1], 1);
    let (dataset, version) = (first.id(), manifest(&first, 0, None).id());
    let opinion = |rating, text: Option<&str>, tags: &[&str]| Opinion {
        rating,
        text: text.map(str::to_owned),
        tags: tags.iter().map(ToString::to_string).collect(),
    };
    let (rating, text) = (
        ("rating", Ipld::Integer(4)),
        ("text", Ipld::String("x".to_owned())),
    );
    let about = Some(dataset.into());
    Reviews {
        about: "Reviews with what they say, and statements of the type review that are kept and \
                forwarded but not shown. Source: specs/records.md, review."
            .to_owned(),
        reviews: vec![
            said(dataset, Some(opinion(1, None, &[]))),
            said(
                version,
                Some(opinion(5, Some("Clean.\nSmall."), &["clean", "small"])),
            ),
            said(dataset, None),
        ],
        not_shown: vec![
            not_shown("about nothing", None, std::slice::from_ref(&rating)),
            not_shown(
                "about a blob",
                Some(BlobId::from_hash(Hash::of(b"blob")).into()),
                std::slice::from_ref(&rating),
            ),
            not_shown(
                "a text without a rating",
                about,
                std::slice::from_ref(&text),
            ),
            not_shown("a rating of 0", about, &[("rating", Ipld::Integer(0))]),
            not_shown("a rating of 6", about, &[("rating", Ipld::Integer(6))]),
            not_shown("a rating of null", about, &[("rating", Ipld::Null)]),
            not_shown(
                "a tag twice",
                about,
                &[rating, ("tags", Ipld::List(vec![text.1.clone(), text.1]))],
            ),
        ],
    }
}

#[test]
fn reviews_follow_the_vectors() {
    let kept = check("reviews", &reviews());
    let decode = |text: &str| SignedRecord::decode(&unhex(text)).unwrap();
    for vector in &kept.reviews {
        let signed = decode(&vector.signed_hex);
        let review = Review::read(signed.as_statement().unwrap());
        let review = review.unwrap().unwrap();
        assert_eq!(review.opinion(), vector.opinion.as_ref());
        assert_eq!((review.id(), review.subject()), (vector.id, vector.subject));
    }
    for vector in &kept.not_shown {
        let signed = decode(&vector.signed_hex);
        let read = Review::read(signed.as_statement().unwrap());
        assert!(read.is_err(), "{}", vector.why);
    }
}
