//! `DatasetPath`: the name of a file inside a dataset, portable and confined.
//!
//! A path is accepted as it is or refused, never repaired: a repaired path would be another name for
//! the same entry. What one path must obey is checked by [`DatasetPath::parse`]; what paths must obey
//! beside each other by [`SiblingCheck`]. Source: `specs/paths.md`.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use unicode_normalization::is_nfc;

use crate::limits::{PATH_BYTES_MAX, PATH_COMPONENT_BYTES_MAX};

mod siblings;

pub use siblings::{SiblingCheck, SiblingError};

/// The folder in a fetch target that belongs to the node: no dataset may have it at its root.
pub const WORKING_FOLDER: &str = ".opendag";

/// Most characters of a stranger's text that an error quotes.
const QUOTED_CHARS_MAX: usize = 64;

/// The path of a file in a dataset: relative, `/` between components, NFC, the same on every system.
///
/// Ordered by its bytes. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetPath(Arc<str>);

impl DatasetPath {
    /// Accepts `text` as a path.
    ///
    /// # Errors
    /// The first rule of [`PathRule`] that it breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        match broken_rule(text) {
            None => Ok(Self(text.into())),
            Some(rule) => Err(PathError {
                path: quoted(text),
                rule,
            }),
        }
    }

    /// The whole path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its components from the root, at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The folder that it lies in, without `/` at the end; `None` at the root.
    #[must_use]
    pub fn folder(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(folder, _)| folder)
    }
}

/// Checks that `text` is a valid single component, such as the name of a dataset that becomes a folder.
///
/// # Errors
/// The first rule of [`PathRule`] that it breaks; [`PathRule::Separator`] for a `/` inside.
pub fn check_component(text: &str) -> Result<(), PathError> {
    let rule = if text.contains('/') {
        Some(PathRule::Separator)
    } else {
        broken_rule(text)
    };
    rule.map_or(Ok(()), |rule| {
        Err(PathError {
            path: quoted(text),
            rule,
        })
    })
}

/// Why a text is not a path of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{path}\" cannot be a path in a dataset: {rule}")]
pub struct PathError {
    path: String,
    rule: PathRule,
}

impl PathError {
    /// The rule that it breaks.
    #[must_use]
    pub const fn rule(&self) -> PathRule {
        self.rule
    }
}

/// The rules of a single path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathRule {
    /// At most [`PATH_BYTES_MAX`] bytes.
    #[error("it is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// No component of more than [`PATH_COMPONENT_BYTES_MAX`] bytes.
    #[error("a component is longer than {PATH_COMPONENT_BYTES_MAX} bytes")]
    ComponentTooLong,
    /// No empty path, and no `/` at the start, at the end or beside another.
    #[error("it is absolute, empty or has an empty component")]
    EmptyComponent,
    /// No `.` and no `..`.
    #[error("\".\" and \"..\" are not allowed")]
    DotComponent,
    /// No `\`, and in a name no `/`.
    #[error("\"\\\" is not allowed, and no \"/\" in a name")]
    Separator,
    /// No `:`, neither a drive nor a stream.
    #[error("\":\" is not allowed")]
    Colon,
    /// No control characters, NUL included.
    #[error("control characters are not allowed")]
    Control,
    /// No characters that turn the direction of the text around them.
    #[error("bidirectional formatting characters are not allowed")]
    Bidirectional,
    /// No component that ends in a dot or a space.
    #[error("a component ends in a dot or a space")]
    TrailingDotOrSpace,
    /// No device name of Windows, with or without extension.
    #[error("a component is a reserved device name")]
    Reserved,
    /// Unicode normalisation form C.
    #[error("it is not in Unicode normalisation form C")]
    NotNormal,
    /// Not in the node's own folder, [`WORKING_FOLDER`].
    #[error("the folder \"{WORKING_FOLDER}\" belongs to the node")]
    WorkingFolder,
}

/// The first rule that `text` breaks: size first, then each component, then what needs tables.
fn broken_rule(text: &str) -> Option<PathRule> {
    if text.len() > PATH_BYTES_MAX {
        return Some(PathRule::TooLong);
    }
    if let Some(rule) = text.split('/').find_map(broken_component_rule) {
        return Some(rule);
    }
    if !text.is_ascii() && !is_nfc(text) {
        return Some(PathRule::NotNormal);
    }
    let root = text.split('/').next().unwrap_or_default();
    // The folder's name is ASCII, and no other character folds to one of its letters and is NFC.
    root.eq_ignore_ascii_case(WORKING_FOLDER)
        .then_some(PathRule::WorkingFolder)
}

fn broken_component_rule(component: &str) -> Option<PathRule> {
    match component {
        "" => return Some(PathRule::EmptyComponent),
        "." | ".." => return Some(PathRule::DotComponent),
        _ => {}
    }
    if component.len() > PATH_COMPONENT_BYTES_MAX {
        return Some(PathRule::ComponentTooLong);
    }
    if let Some(rule) = component.chars().find_map(broken_character_rule) {
        return Some(rule);
    }
    if component.ends_with(['.', ' ']) {
        return Some(PathRule::TrailingDotOrSpace);
    }
    is_reserved(component).then_some(PathRule::Reserved)
}

fn broken_character_rule(character: char) -> Option<PathRule> {
    match character {
        '\\' => Some(PathRule::Separator),
        ':' => Some(PathRule::Colon),
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => Some(PathRule::Bidirectional),
        // Unicode's line and paragraph separators end a line just as the controls do.
        '\u{2028}' | '\u{2029}' => Some(PathRule::Control),
        _ if character.is_control() => Some(PathRule::Control),
        _ => None,
    }
}

/// Windows opens the device for these names in any folder, with any extension, in any case, and with
/// spaces before the extension.
fn is_reserved(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default();
    let stem = stem.trim_end_matches(' ');
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
        .iter()
        .any(|name| stem.eq_ignore_ascii_case(name))
    {
        return true;
    }
    let Some((port, number)) = stem.split_at_checked(3) else {
        return false;
    };
    let is_port = ["COM", "LPT"]
        .iter()
        .any(|name| port.eq_ignore_ascii_case(name));
    is_port
        && matches!(
            number,
            "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "\u{B9}" | "\u{B2}" | "\u{B3}"
        )
}

/// A stranger's text for an error message: escaped, and cut.
fn quoted(text: &str) -> String {
    let mut quoted: String = text
        .chars()
        .take(QUOTED_CHARS_MAX)
        .flat_map(|character| match broken_character_rule(character) {
            Some(PathRule::Bidirectional) => character.escape_unicode().collect::<Vec<_>>(),
            _ => character.escape_debug().collect(),
        })
        .collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        quoted.push('…');
    }
    quoted
}

impl fmt::Display for DatasetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DatasetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for DatasetPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatasetPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

impl Serialize for DatasetPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DatasetPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = DatasetPath;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path in a dataset")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DatasetPath, E> {
                DatasetPath::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests;
