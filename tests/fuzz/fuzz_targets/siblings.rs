//! Paths beside each other: the check over a sorted stream agrees with a naive one over all of them.
#![no_main]

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use opendag_protocol::{DatasetPath, path::SiblingCheck};

/// Few names, so that they collide often. `-` and `.` are before `/` in the order of bytes, `0` is after.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Name {
    Lower,
    Upper,
    Dash,
    Dot,
    Zero,
    Long,
}

impl Name {
    fn text(self) -> &'static str {
        match self {
            Self::Lower => "a",
            Self::Upper => "A",
            Self::Dash => "a-b",
            Self::Dot => "a.b",
            Self::Zero => "a0",
            Self::Long => "A.B",
        }
    }
}

fuzz_target!(|input: (bool, Vec<[Option<Name>; 4]>)| {
    let (is_sorted, lists) = input;
    let text = |names: &[Option<Name>; 4]| -> Option<String> {
        let names: Vec<&str> = names
            .iter()
            .map_while(|name| name.map(Name::text))
            .collect();
        (!names.is_empty()).then(|| names.join("/"))
    };
    let mut texts: Vec<String> = lists.iter().take(40).filter_map(text).collect();
    if is_sorted {
        texts.sort();
    }
    let mut check = SiblingCheck::new();
    for (pushed, text) in texts.iter().enumerate() {
        let path = DatasetPath::parse(text).unwrap();
        let result = check.push(&path);
        let expected = may_follow(&texts[..pushed], text);
        assert_eq!(
            result.is_ok(),
            expected,
            "{text} after {:?}: {result:?}",
            &texts[..pushed]
        );
        if result.is_err() {
            return;
        }
    }
});

fn may_follow(before: &[String], text: &str) -> bool {
    if before.last().is_some_and(|last| last.as_str() >= text) {
        return false;
    }
    let inside = |file: &str, path: &str| {
        path.strip_prefix(file)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    if before
        .iter()
        .any(|other| inside(other, text) || inside(text, other))
    {
        return false;
    }
    // All files and folders: as many names as there are names without regard to case.
    let entries: BTreeSet<&str> = before
        .iter()
        .map(String::as_str)
        .chain([text])
        .flat_map(prefixes)
        .collect();
    let folded: BTreeSet<String> = entries
        .iter()
        .map(|entry| entry.to_ascii_lowercase())
        .collect();
    entries.len() == folded.len()
}

fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/')
        .map(|(at, _)| &path[..at])
        .chain([path])
}
