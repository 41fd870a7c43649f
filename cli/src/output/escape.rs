//! Characters that would steer a terminal or hide what a text says.

use std::{borrow::Cow, fmt::Write as _};

/// `text` with control characters and bidirectional marks written as `\u{…}`.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_with(text, |escaped, character| {
        // Writing into a string never fails.
        let _ = write!(escaped, "\\u{{{:x}}}", u32::from(character));
    })
}

/// A line of JSON with the same characters as `\uXXXX`: JSON itself escapes only those below U+0020.
#[must_use]
pub fn escape_json(line: &str) -> Cow<'_, str> {
    escape_with(line, |escaped, character| {
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    })
}

fn escape_with(text: &str, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if steers(character) {
            write(&mut escaped, character);
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// C0, C1 and DEL; line and paragraph separators; marks, embeddings, overrides and isolates of
/// direction; tags; invisible operators and the byte order mark.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s15_nothing_steers_the_terminal() {
        assert_eq!(escape("plain é 漢 🦀"), "plain é 漢 🦀");
        assert_eq!(escape("\u{1b}[31mred\u{7}\n"), "\\u{1b}[31mred\\u{7}\\u{a}");
        assert_eq!(
            escape("a\u{202e}txt.exe\u{9b}2J"),
            "a\\u{202e}txt.exe\\u{9b}2J"
        );
    }

    #[test]
    fn s15_json_keeps_its_meaning() {
        let hostile = "\u{1b}]0;x\u{7f}\u{9b}\u{202e}\u{e0041}\"\\";
        let line = serde_json::to_string(hostile).unwrap();
        let escaped = escape_json(&line);
        assert!(escaped.is_ascii(), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), hostile);
    }
}
