//! Searches: any text is a query within its limits, or is refused; white space between parts makes no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_protocol::{
    limits::{QUERY_PARTS_MAX, QUERY_VALUES_MAX},
    search::{Extent, Query, Term},
};

fuzz_target!(|text: &str| {
    let Ok(query) = text.parse::<Query>() else {
        return;
    };
    assert!(query.parts().len() <= QUERY_PARTS_MAX);
    let mut beginnings = 0;
    for part in query.parts() {
        match &part.term {
            Term::Word(word, extent) => {
                assert!(!word.is_empty() && !word.contains(char::is_whitespace));
                beginnings += usize::from(*extent == Extent::Beginning);
            }
            Term::Phrase(phrase) => assert!(!phrase.trim().is_empty() && !phrase.contains('"')),
            Term::Is(_, values) => {
                assert!((1..=QUERY_VALUES_MAX).contains(&values.len()));
                assert!(values.iter().all(|value| !value.is_empty()));
            }
            Term::Size(range) | Term::Age(range) => {
                assert!(*range.start() == 0 || *range.end() == u64::MAX);
            }
        }
    }
    assert!(beginnings <= 1);
    let spaced = format!("  {text} ");
    assert!(spaced.parse::<Query>().is_ok_and(|again| again == query) || text.len() > 1000);
});
