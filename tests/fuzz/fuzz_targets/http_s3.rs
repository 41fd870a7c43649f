//! What S3 clients ask for: a query says what was put into it, whatever else stands there.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use opendag_protocol::http::s3::{KEYS_MAX, List, Target, has};

#[derive(Debug, Arbitrary)]
struct Question<'a> {
    is_v2: bool,
    prefix: &'a str,
    delimiter: Option<&'a str>,
    keys_max: Option<u16>,
    token: Option<&'a str>,
    start: Option<&'a str>,
    is_encoded: bool,
    more: &'a str,
}

fuzz_target!(|question: Question<'_>| {
    let filled = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let keys_max = question
        .keys_max
        .map_or(KEYS_MAX, usize::from)
        .min(KEYS_MAX);
    let expected = List {
        is_v2: question.is_v2,
        prefix: question.prefix.to_owned(),
        delimiter: filled(question.delimiter),
        keys_max,
        after: filled(question.token).max(filled(question.start)),
        is_encoded: question.is_encoded,
    };
    assert_eq!(List::parse(&query(&question)), Some(expected));

    if let Some(list) = List::parse(question.more) {
        assert!(list.keys_max <= KEYS_MAX);
        let is_empty = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
        assert!(!is_empty(&list.delimiter) && !is_empty(&list.after));
    }
    assert!(has(&format!("{}&location", question.more), "location"));

    // A path: the bucket ends at the first slash, and nothing is lost.
    let path = format!("/{}", encode(question.prefix));
    let target = match question.prefix {
        "" => Target::Buckets,
        bucket => Target::Bucket(bucket.to_owned()),
    };
    assert_eq!(Target::parse(&path), Some(target));
    if let ("" | "/", _) | (_, "") = (question.prefix, question.more) {
        return;
    }
    let path = format!("/{}/{}", encode(question.prefix), encode(question.more));
    let target = Target::Object(question.prefix.to_owned(), question.more.to_owned());
    assert_eq!(Target::parse(&path), Some(target));
});

fn query(question: &Question<'_>) -> String {
    let mut query = format!(
        "x={}&prefix={}",
        encode(question.more),
        encode(question.prefix)
    );
    let mut set = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            query += &format!("&{name}={}", encode(value));
        }
    };
    set("list-type", question.is_v2.then_some("2"));
    set("delimiter", question.delimiter);
    set(
        "max-keys",
        question.keys_max.map(|max| max.to_string()).as_deref(),
    );
    set("continuation-token", question.token);
    set("start-after", question.start);
    set("encoding-type", question.is_encoded.then_some("url"));
    query
}

/// Every byte as `%` and two digits: nothing is left to be read as a sign.
fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
