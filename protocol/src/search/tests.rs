use proptest::prelude::*;

use super::*;

fn parts(text: &str) -> Vec<Part> {
    text.parse::<Query>().unwrap().parts
}

fn yes(term: Term) -> Part {
    Part {
        want: Want::Yes,
        term,
    }
}

fn word(text: &str, extent: Extent) -> Part {
    yes(Term::Word(text.to_owned(), extent))
}

#[test]
fn a_query_is_words_phrases_and_facets() {
    let phrase = |text: &str| Term::Phrase(text.to_owned());
    let expected = vec![
        word("speech", Extent::Whole),
        yes(phrase("to text")),
        yes(Term::Is(
            Facet::License,
            vec!["mit".to_owned(), "apache-2.0".to_owned()],
        )),
        word("中文", Extent::Beginning),
        Part {
            want: Want::No,
            term: Term::Is(Facet::Tag, vec!["toy set".to_owned()]),
        },
        Part {
            want: Want::No,
            term: Term::Word("noise".to_owned(), Extent::Whole),
        },
    ];
    let text = " speech \"to text\" license:MIT,Apache-2.0 中文  -tag:\"Toy Set\" -noise ";
    assert_eq!(parts(text), expected);
}

#[test]
fn sizes_and_ages_are_ranges() {
    assert_eq!(
        parts("size:>10GB size:<=1kB updated:<30d updated:>=1y"),
        vec![
            yes(Term::Size(10_000_000_001..=u64::MAX)),
            yes(Term::Size(0..=1000)),
            yes(Term::Age(0..=30 * 86_400 - 1)),
            yes(Term::Age(365 * 86_400..=u64::MAX)),
        ]
    );
}

#[test]
fn what_says_nothing_is_left_out() {
    for text in ["", "  ", "-", "\"\"", "- \" \""] {
        assert_eq!(parts(text), vec![], "{text}");
    }
}

#[test]
fn a_wrong_facet_is_named_with_what_would_be_right() {
    let said = |text: &str| text.parse::<Query>().unwrap_err().to_string();
    let wrong = [
        ("cats licence:", "license: needs a value"),
        ("licens:mit", "no facet \"licens:\""),
        ("http://example.org", "no facet \"http:\""),
        ("size:10GB", "size: cannot be \"10GB\""),
        ("size:>10", "size:>10GB"),
        ("updated:>yesterday", "updated:<30d"),
        ("has:everything", "has: cannot be \"everything\""),
        ("tag:\"open", "before \"open\" is not closed"),
        ("size:¥5", "size: cannot be"),
    ];
    for (text, expected) in wrong {
        assert!(said(text).contains(expected), "{text}: {}", said(text));
    }
    assert_eq!(
        "a ".repeat(QUERY_PARTS_MAX + 1).parse::<Query>(),
        Err(QueryError::TooManyParts)
    );
    let long = "a".repeat(QUERY_BYTES_MAX + 1);
    assert_eq!(
        long.parse::<Query>(),
        Err(QueryError::TooLong(QUERY_BYTES_MAX + 1))
    );
    let many = format!("tag:{}", "a,".repeat(QUERY_VALUES_MAX + 1));
    assert_eq!(
        many.parse::<Query>(),
        Err(QueryError::TooManyValues { facet: "tag" })
    );
}

proptest! {
    #[test]
    fn any_text_is_a_query_within_limits_or_an_error(text in "[-a-z:\"<>=, \u{4e2d}0-9GBd]{0,60}") {
        if let Ok(query) = text.parse::<Query>() {
            prop_assert!(query.parts().len() <= QUERY_PARTS_MAX);
            let beginnings = query.parts().iter().filter(|part| {
                matches!(part.term, Term::Word(_, Extent::Beginning))
            });
            prop_assert!(beginnings.count() <= 1);
        }
    }
}
