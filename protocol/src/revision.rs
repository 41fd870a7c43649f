//! Revisions: which version of a dataset the text behind an `@` means.
//!
//! Links, the gateway and mounts all ask here, so that one text means one version everywhere.
//! Source: `specs/links.md`, section *Revisions*.

use std::{cmp::Reverse, fmt, str::FromStr};

use crate::{
    ManifestId,
    limits::{LABEL_BYTES_MAX, REVISION_HINTS_MAX},
    record::{FieldProblem, Shape, check_text},
};

/// The revision that means the newest version, as clients of the Hub call it.
const MAIN: &str = "main";
/// Bytes of a commit.
const COMMIT_BYTES: usize = 20;
/// Digits that stand for a whole commit where only one version begins with them: fewer are more likely
/// a number or a word.
const COMMIT_DIGITS_MIN: usize = 8;

/// The short id of a version: the first 20 bytes of its manifest's hash as 40 hexadecimal digits, as
/// clients of the Hub want of what never changes.
#[must_use]
pub fn commit(manifest: ManifestId) -> String {
    let hash = manifest.hash();
    let bytes = hash.as_bytes().get(..COMMIT_BYTES).unwrap_or_default();
    data_encoding::HEXLOWER.encode(bytes)
}

/// The ways to read a text as a name and a revision behind an `@`. A name may have an `@` itself, so the
/// longest name comes first.
pub fn split(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let marks = text.rmatch_indices('@');
    marks.filter_map(|(at, mark)| Some((text.get(..at)?, text.get(at + mark.len()..)?)))
}

/// A text that names a version of a dataset: a label, a sequence number, a manifest id, a commit or the
/// beginning of one; or `main`, which is the newest.
///
/// Invariant: a line of at most 64 bytes, as a label is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(String);

impl Revision {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Does it mean the newest version, whatever that is called?
    #[must_use]
    pub fn is_newest(&self) -> bool {
        self.0 == MAIN
    }

    /// The number that it is, if it is one as sequences are written.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        let number: u64 = self.0.parse().ok()?;
        (number.to_string() == self.0).then_some(number)
    }

    /// Is this one of the names of a version?
    #[must_use]
    pub fn is(&self, called: &Called<'_>) -> bool {
        called.label == Some(self.as_str())
            || self.sequence() == Some(called.sequence)
            || self.0 == called.manifest.to_string()
            || self.0 == commit(called.manifest)
    }

    /// Which of these versions it means. The beginning of a commit counts only if nothing is called
    /// so whole.
    pub fn among<'a>(&self, versions: impl Iterator<Item = Called<'a>> + Clone) -> Meaning {
        let exactly = |called: &Called<'_>| self.is(called);
        let begins = |called: &Called<'_>| commit(called.manifest).starts_with(&self.0);
        match Meaning::of(versions.clone().filter(exactly)) {
            Meaning::None if self.0.len() >= COMMIT_DIGITS_MIN => {
                Meaning::of(versions.filter(begins))
            }
            meaning => meaning,
        }
    }

    /// The names among these that are most like it, the most like first.
    pub fn nearest<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut names: Vec<(u32, &str)> = names.map(|name| (self.likeness(name), name)).collect();
        names.sort_by_key(|(likeness, _)| Reverse(*likeness));
        let mut nearest: Vec<String> = Vec::new();
        for (_, name) in names {
            if nearest.len() < REVISION_HINTS_MAX && !nearest.iter().any(|known| known == name) {
                nearest.push(name.to_owned());
            }
        }
        nearest
    }

    /// From 0, nothing in common, to 1,000.
    fn likeness(&self, name: &str) -> u32 {
        let (this, name) = (self.0.to_lowercase(), name.to_lowercase());
        let edits = strsim::levenshtein(&this, &name);
        let longer = this.chars().count().max(name.chars().count()).max(1);
        let same = longer.saturating_sub(edits).saturating_mul(1000) / longer;
        u32::try_from(same).unwrap_or(0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Revision {
    type Err = FieldProblem;

    fn from_str(text: &str) -> Result<Self, FieldProblem> {
        check_text(text, LABEL_BYTES_MAX, Shape::Line)?;
        Ok(Self(text.to_owned()))
    }
}

/// What a version is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called<'a> {
    /// Its id.
    pub manifest: ManifestId,
    /// Its number.
    pub sequence: u64,
    /// Its label.
    pub label: Option<&'a str>,
}

/// Which versions a revision means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// None of them.
    None,
    /// This one.
    One(ManifestId),
    /// Each of these: a label that was given twice, one that is another's number, or a fork.
    Several(Vec<ManifestId>),
}

impl Meaning {
    fn of<'a>(versions: impl Iterator<Item = Called<'a>>) -> Self {
        let mut ids: Vec<ManifestId> = versions.map(|called| called.manifest).collect();
        ids.dedup();
        match ids.as_slice() {
            [] => Self::None,
            [one] => Self::One(*one),
            [_, _, ..] => Self::Several(ids),
        }
    }
}

#[cfg(test)]
mod tests;
