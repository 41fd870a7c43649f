//! The `Range` header of RFC 9110, for one range of bytes.

use std::ops::Range;

/// What a client wants of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// These bytes; never empty, and inside the file.
    Part(Range<u64>),
    /// Nothing that the file has: 416.
    Unsatisfiable,
}

/// Reads the header's value for a file of `size` bytes.
///
/// A value that is not understood, of another unit, or with several ranges is ignored, as the
/// standard allows: the client gets the whole file.
#[must_use]
pub fn wanted(value: &str, size: u64) -> Wanted {
    let Some((first, last)) = value
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Wanted::Whole;
    };
    let range = match (number(first.trim()), number(last.trim())) {
        (Number::Is(first), Number::Is(last)) if first > last => return Wanted::Whole,
        (Number::Is(first), Number::Is(last)) => first..last.saturating_add(1).min(size),
        (Number::Is(first), Number::Absent) => first..size,
        (Number::Absent, Number::Is(suffix)) => size.saturating_sub(suffix)..size,
        (Number::Absent, Number::Absent) | (Number::Bad, _) | (_, Number::Bad) => {
            return Wanted::Whole;
        }
    };
    if range.is_empty() {
        Wanted::Unsatisfiable
    } else {
        Wanted::Part(range)
    }
}

enum Number {
    Absent,
    Is(u64),
    Bad,
}

fn number(text: &str) -> Number {
    if text.is_empty() {
        Number::Absent
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number beyond 2^64 is beyond every file.
        Number::Is(text.parse().unwrap_or(u64::MAX))
    } else {
        Number::Bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_the_standard() {
        let cases = [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=0-99", Wanted::Part(0..100)),
            ("bytes=10-1000", Wanted::Part(10..100)),
            ("bytes=99-", Wanted::Part(99..100)),
            ("bytes=-1", Wanted::Part(99..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=5-18446744073709551615", Wanted::Part(5..100)),
            ("bytes=5-99999999999999999999999", Wanted::Part(5..100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
        ];
        for (value, expected) in cases {
            assert_eq!(wanted(value, 100), expected, "{value}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn what_is_not_understood_is_ignored() {
        let cases = [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "items=0-1",
            "bytes=2-1",
            "bytes=0-1,3-4",
            "bytes=+1-2",
        ];
        for value in cases {
            assert_eq!(wanted(value, 100), Wanted::Whole, "{value}");
        }
    }
}
