//! Paths in URLs: decoded as a naive reader does, and encoded so that they come back; what names a dataset
//! names it in one way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_protocol::{
    RecordId,
    http::{
        alias::{Alias, OWN_NAMESPACE},
        decode, encode_path, encode_segment,
        plain::{Source, Target},
    },
};

fuzz_target!(|text: &str| {
    assert_eq!(decode(text), naive(text));
    for encoded in [encode_path(text), encode_segment(text)] {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte);
        assert!(encoded.bytes().all(plain), "{encoded}");
        assert_eq!(decode(&encoded).as_deref(), Some(text));
    }
    assert!(!encode_segment(text).contains('/'));

    for path in [text.to_owned(), format!("/d/{text}")] {
        let Some(target) = Target::parse(&path) else {
            continue;
        };
        assert!(path.starts_with("/d/"));
        let printed = target.to_string();
        assert_eq!(Target::parse(&printed), Some(target.clone()), "{path}");
        if let Source::Named(repo) = &target.source {
            assert!(repo.namespace.parse::<RecordId>().is_err() || path.contains('%'));
            assert!(!repo.namespace.is_empty() && !repo.name.is_empty());
        }
    }

    if let Ok(alias) = text.parse::<Alias>() {
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!((3..=63).contains(&text.len()) && text.bytes().all(fine));
        assert!(alias.as_str() == text && text != OWN_NAMESPACE && encode_segment(text) == text);
        let path = format!("/d/{text}/data/x");
        let target = Target::parse(&path).expect("an alias is a namespace");
        assert!(matches!(target.source, Source::Named(_)));
    }
});

/// Percent-decoding by hand.
fn naive(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |at: usize| {
        bytes
            .get(at)
            .and_then(|byte| char::from(*byte).to_digit(16))
    };
    let (mut decoded, mut at) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap());
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).ok()
}
