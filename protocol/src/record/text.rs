//! Rules for texts in records, so that each can be shown anywhere and compared by its bytes.

use crate::{
    limits::{LANGUAGE_BYTES_MAX, LICENSE_BYTES_MAX, NAME_BYTES_MAX, URL_BYTES_MAX},
    path,
};

/// What is wrong with a field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldProblem {
    /// A text or list with nothing in it; such a field is left out instead.
    #[error("it is empty")]
    Empty,
    /// More bytes than allowed.
    #[error("it is longer than {bytes_max} bytes")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// More items than allowed.
    #[error("it has more than {items_max} items")]
    TooMany {
        /// The limit.
        items_max: usize,
    },
    /// Not in Unicode normalisation form C.
    #[error("it is not in Unicode form NFC")]
    NotNfc,
    /// A control character, line separator, noncharacter or bidirectional control.
    #[error("it has a character that is not allowed: U+{code:04X}")]
    Character {
        /// Its code point.
        code: u32,
    },
    /// Whitespace at an end.
    #[error("it begins or ends with whitespace")]
    Surrounded,
    /// Not a name that every file system can hold as a folder.
    #[error(
        "it cannot be the name of a folder everywhere: no / \\ : * ? \" < > |, no dot or dash at the \
         start, no dot at the end, no reserved name such as CON"
    )]
    NotAName,
    /// Not a URL with http or https and a host.
    #[error("it is not an http or https URL")]
    NotAUrl,
    /// Not an SPDX licence expression.
    #[error("it is not an SPDX licence expression such as CC-BY-4.0 or MIT OR Apache-2.0")]
    NotSpdx,
    /// Not of the form of a language tag.
    #[error("it is not a language tag such as en or pt-BR")]
    NotALanguage,
    /// Items that are not unique, or not in order where an order is needed.
    #[error("its items are not unique, or not in order")]
    Order,
    /// A number outside of its range.
    #[error("it is out of range")]
    Range,
    /// Missing where it must be, or there where it must not be.
    #[error("it is missing, or there although it must not be")]
    Presence,
}

/// Line breaks and directions of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One line, no control of direction.
    Line,
    /// Line feeds, tabs and marks (not overrides) of direction are allowed.
    Paragraphs,
}

/// Checks a text that people read.
pub(crate) fn check_text(text: &str, bytes_max: usize, shape: Shape) -> Result<(), FieldProblem> {
    if text.is_empty() {
        return Err(FieldProblem::Empty);
    }
    if text.len() > bytes_max {
        return Err(FieldProblem::TooLong { bytes_max });
    }
    if let Some(bad) = text.chars().find(|char| !is_allowed(*char, shape)) {
        return Err(FieldProblem::Character { code: bad.into() });
    }
    if text.trim().len() != text.len() {
        return Err(FieldProblem::Surrounded);
    }
    if !unicode_normalization::is_nfc(text) {
        return Err(FieldProblem::NotNfc);
    }
    Ok(())
}

fn is_allowed(char: char, shape: Shape) -> bool {
    match char {
        '\n' | '\t' | '\u{200e}' | '\u{200f}' | '\u{61c}' => shape == Shape::Paragraphs,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => false,
        '\u{2028}' | '\u{2029}' | '\u{feff}' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        '\u{fdd0}'..='\u{fdef}' => false,
        other => u32::from(other) & 0xfffe != 0xfffe,
    }
}

/// Checks the name of a dataset: one line that is also the name of a folder on every system. A dot at
/// the start is refused, because such a folder is hidden and may configure programs (`.ssh`).
pub(crate) fn check_name(name: &str) -> Result<(), FieldProblem> {
    check_text(name, NAME_BYTES_MAX, Shape::Line)?;
    let forbidden = |char| matches!(char, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    if name.contains(forbidden)
        || name.starts_with(['.', '-'])
        || path::check_component(name).is_err()
    {
        return Err(FieldProblem::NotAName);
    }
    Ok(())
}

/// Checks the form of a licence as it is received: the characters of SPDX expressions. Lists of
/// licences grow, so a received record is not measured by the list of this program.
pub(crate) fn check_license_form(license: &str) -> Result<(), FieldProblem> {
    check_text(license, LICENSE_BYTES_MAX, Shape::Line)?;
    let allowed = |char: char| char.is_ascii_alphanumeric() || " .-+():".contains(char);
    if license.chars().all(allowed) {
        Ok(())
    } else {
        Err(FieldProblem::NotSpdx)
    }
}

/// Checks a licence that is to be published: SPDX identifiers that this program knows.
pub(crate) fn check_license_known(license: &str) -> Result<(), FieldProblem> {
    check_license_form(license)?;
    match spdx::Expression::parse(license) {
        Ok(_) => Ok(()),
        Err(_) => Err(FieldProblem::NotSpdx),
    }
}

/// Checks a language tag by its form: alphanumeric parts of at most eight, joined by `-`.
pub(crate) fn check_language(tag: &str) -> Result<(), FieldProblem> {
    check_text(tag, LANGUAGE_BYTES_MAX, Shape::Line)?;
    let is_part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let starts_well = tag.starts_with(|char: char| char.is_ascii_alphabetic());
    if starts_well && tag.split('-').all(is_part) {
        Ok(())
    } else {
        Err(FieldProblem::NotALanguage)
    }
}

/// Checks a URL: http or https, a host, no user, only characters that a URL may have.
pub(crate) fn check_url(url: &str) -> Result<(), FieldProblem> {
    check_text(url, URL_BYTES_MAX, Shape::Line)?;
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .ok_or(FieldProblem::NotAUrl)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.trim_end_matches(|char: char| char.is_ascii_digit());
    let host = host.strip_suffix(':').unwrap_or(authority);
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    let good = !host.is_empty() && !authority.contains('@') && url.bytes().all(allowed);
    if good {
        Ok(())
    } else {
        Err(FieldProblem::NotAUrl)
    }
}

/// Checks a list: at most so many items, none twice.
pub(crate) fn check_list<T: Ord>(items: &[T], items_max: usize) -> Result<(), FieldProblem> {
    if items.len() > items_max {
        return Err(FieldProblem::TooMany { items_max });
    }
    let mut sorted: Vec<&T> = items.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() == items.len() {
        Ok(())
    } else {
        Err(FieldProblem::Order)
    }
}

#[cfg(test)]
mod tests;
