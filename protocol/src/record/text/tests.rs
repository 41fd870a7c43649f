use proptest::prelude::*;

use super::*;

#[test]
fn names_that_are_good_everywhere() {
    for name in [
        "a",
        "corpus",
        "My Corpus 2",
        "données",
        "日本語コーパス",
        "v1.1",
        "a.b-c_d",
        "(x) [y] {z}",
        "console",
        "CONSUL",
        "com10",
        "lpt",
        "emoji 🦀",
        "100%",
        "x'y",
        "a&b",
        "Ω",
    ] {
        assert_eq!(check_name(name), Ok(()), "{name}");
    }
    assert_eq!(check_name(&"a".repeat(100)), Ok(()));
}

#[test]
fn names_that_are_not() {
    for name in [
        "",
        " ",
        " a",
        "a ",
        "a.",
        ".",
        "..",
        ".ssh",
        "-rf",
        "a/b",
        "/a",
        "a\\b",
        "C:",
        "a:b",
        "a*",
        "a?",
        "\"a\"",
        "<a>",
        "a|b",
        "CON",
        "con",
        "Con.txt",
        "con .txt",
        "NUL.tar.gz",
        "COM1",
        "lpt9.x",
        "COM¹",
        "CONIN$",
        "a\0b",
        "a\nb",
        "a\tb",
        "a\u{7f}",
        "a\u{85}b",
        "a\u{202e}b",
        "a\u{2066}b",
        "a\u{200f}b",
        "a\u{2028}b",
        "\u{feff}a",
        "a\u{ffff}",
        "a\u{fdd0}",
        "e\u{301}",
        "\u{212b}",
    ] {
        assert!(check_name(name).is_err(), "{name:?}");
    }
    let long = FieldProblem::TooLong { bytes_max: 100 };
    assert_eq!(check_name(&"a".repeat(101)), Err(long));
    assert_eq!(check_name(&"é".repeat(51)), Err(long));
}

#[test]
fn paragraphs_may_break_and_turn_but_not_override() {
    let check = |text| check_text(text, 100, Shape::Paragraphs);
    assert_eq!(check("a\n\tb \u{200f}c"), Ok(()));
    for bad in [
        "a\r\nb",
        "a\u{1b}[0m",
        "a\u{202e}b",
        "a\u{2067}b",
        "\na",
        "a\n",
    ] {
        assert!(check(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn urls() {
    for good in [
        "http://a",
        "https://example.org:8080/a/b?c=d&e#f",
        "https://[2001:db8::1]/",
        "https://xn--bcher-kva.example/%C3%A9",
        "https://a/@b",
    ] {
        assert_eq!(check_url(good), Ok(()), "{good}");
    }
    for bad in [
        "ftp://a",
        "HTTP://a",
        "https:/a",
        "https://",
        "https:///x",
        "https://:80/",
        "http://?x",
        "javascript:alert(1)",
        "https://user@host/",
        "https://a b/",
        "https://é/",
        "http://a/<b>",
        "http://a\\b",
        "//a",
        "",
        "file:///etc/passwd",
        "data:text/html,x",
    ] {
        assert!(check_url(bad).is_err(), "{bad}");
    }
}

#[test]
fn languages() {
    for good in ["en", "pt-BR", "zh-Hans-CN", "x-klingon", "de-1996"] {
        assert_eq!(check_language(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "e n",
        "en_US",
        "en-",
        "-en",
        "1x",
        "abcdefghi",
        "en--us",
        "日本",
    ] {
        assert!(check_language(bad).is_err(), "{bad}");
    }
}

proptest! {
    /// An accepted name is one component of a path, shown as it is.
    #[test]
    fn an_accepted_name_stays_below_its_folder(name in "\\PC{0,8}|[.a-cC/O\\\\: N]{0,6}") {
        if check_name(&name).is_ok() {
            let path = std::path::Path::new(&name);
            let mut components = path.components();
            let is_plain = matches!(components.next(), Some(std::path::Component::Normal(_)));
            prop_assert!(is_plain && components.next().is_none());
            prop_assert!(!name.chars().any(char::is_control));
        }
    }

    #[test]
    fn every_list_without_repeats_is_taken(items in prop::collection::btree_set(any::<u8>(), 0..20)) {
        let items: Vec<u8> = items.into_iter().rev().collect();
        prop_assert_eq!(check_list(&items, 20), Ok(()));
        if let Some(item) = items.first() {
            let twice = [items.as_slice(), &[*item]].concat();
            prop_assert!(check_list(&twice, 21).is_err());
        }
    }
}
