//! Ranges of the gateway: what is read is what a naive reader of the header finds, and lies in the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_protocol::http::range::{Wanted, wanted};

fuzz_target!(|input: (u64, Option<u64>, Option<u64>, bool, &str)| {
    let (size, first, last, is_small, text) = input;
    // Numbers near each other are of most interest.
    let cut = |number: u64| if is_small { number % 8 } else { number };
    let (size, first, last) = (cut(size), first.map(cut), last.map(cut));
    check(text, size);
    check(&format!("bytes={text}"), size);
    let show = |number: Option<u64>| number.map_or(String::new(), |number| number.to_string());
    let value = format!("bytes={}-{}", show(first), show(last));
    assert_eq!(
        wanted(&value, size),
        of_numbers(first, last, size),
        "{value} of {size}"
    );
    check(&value, size);
});

fn check(value: &str, size: u64) {
    let found = wanted(value, size);
    if let Wanted::Part(range) = &found {
        assert!(
            range.start < range.end && range.end <= size,
            "{value} of {size}"
        );
    }
    let numbers = value.strip_prefix("bytes=").and_then(|range| {
        let (first, last) = range.split_once('-')?;
        Some((number(first.trim())?, number(last.trim())?))
    });
    let expected = numbers.map_or(Wanted::Whole, |(first, last)| of_numbers(first, last, size));
    assert_eq!(found, expected, "{value} of {size}");
}

/// No number, or one; what is beyond 64 bits is beyond every file.
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let mut number = 0_u64;
    for char in text.chars() {
        let digit = char.to_digit(10)?;
        number = number.saturating_mul(10).saturating_add(digit.into());
    }
    Some(Some(number))
}

fn of_numbers(first: Option<u64>, last: Option<u64>, size: u64) -> Wanted {
    let (start, end) = match (first, last) {
        (None, None) => return Wanted::Whole,
        (Some(first), Some(last)) if last < first => return Wanted::Whole,
        (Some(first), Some(last)) => (u128::from(first), u128::from(last) + 1),
        (Some(first), None) => (first.into(), size.into()),
        (None, Some(suffix)) => (u128::from(size - suffix.min(size)), size.into()),
    };
    let end = end.min(size.into());
    if start >= end {
        return Wanted::Unsatisfiable;
    }
    Wanted::Part(start.try_into().unwrap()..end.try_into().unwrap())
}
