//! What HTTP clients ask of the gateway, parsed: paths, ranges, queries. Strangers choose all of it.

pub mod accept;
pub mod alias;
pub mod hf;
pub mod plain;
pub mod range;
pub mod s3;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What needs no `%` in a path: RFC 3986's unreserved characters and the slash.
const PATH: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The same, for one segment.
const SEGMENT: AsciiSet = PATH.add(b'/');

/// A path as it stands in a URL.
#[must_use]
pub fn encode_path(path: &str) -> String {
    utf8_percent_encode(path, &PATH).to_string()
}

/// One segment of a path as it stands in a URL: a slash in it is `%2F`.
#[must_use]
pub fn encode_segment(segment: &str) -> String {
    utf8_percent_encode(segment, &SEGMENT).to_string()
}

/// What a part of a URL means; `None`: it is not UTF-8.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_odd_characters_come_back() {
        for path in [
            "a b/c+d%e.txt",
            "ä/é\u{301}",
            "%2F",
            "?#&=",
            "plain/x-1_2.bin",
        ] {
            let encoded = encode_path(path);
            assert!(
                encoded.is_ascii() && !encoded.contains([' ', '?', '#', '+']),
                "{encoded}"
            );
            assert_eq!(decode(&encoded).as_deref(), Some(path));
            let segment = encode_segment(path);
            assert!(!segment.contains('/'), "{segment}");
            assert_eq!(decode(&segment).as_deref(), Some(path));
        }
        assert_eq!(decode("%ff"), None);
        assert_eq!(decode("%zz").as_deref(), Some("%zz"));
    }
}
