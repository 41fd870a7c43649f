//! `opendag.lock`: which versions a project uses, made to be kept in version control.
//!
//! TOML, entries sorted by target, so that two branches that lock different datasets merge. It comes
//! with a stranger's project as well: nothing in it may lead out of the folder that it lies in.
//! Source: `specs/lockfile.md`.

use std::collections::BTreeMap;

use opendag_protocol::{
    DatasetId, DatasetPath, ManifestId,
    limits::SEQUENCE_MAX,
    link::Link,
    record::FieldProblem,
    revision::{Called, Revision},
};
use serde::{Deserialize, Serialize};

use crate::selection::{GlobError, Selection};

/// What the file is called.
pub(crate) const FILE_NAME: &str = "opendag.lock";
/// Bytes of a file: far more than [`ENTRIES_MAX`] datasets take.
pub(crate) const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Datasets in a file: what a project fetches one after the other.
const ENTRIES_MAX: usize = 1000;
/// The version of the format.
const VERSION: u64 = 1;
/// The first lines, for whoever finds the file.
const HEADER: &str = "# Written by `opendag lock`; keep it in version control.\n\
                      # `opendag fetch --locked` restores exactly these versions.\n";

/// Why a text is no lockfile, or an entry does not go into one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockFileError {
    /// Not TOML, or a field that is missing, unknown or of another type.
    #[error("it is not a lockfile: {0}")]
    Form(#[source] Box<toml::de::Error>),
    /// Another version of the format.
    #[error("it has version {0} of the format of lockfiles, which needs another OpenDAG")]
    Version(u64),
    /// More than [`ENTRIES_MAX`].
    #[error("it has more than {ENTRIES_MAX} datasets")]
    TooMany,
    /// Something that no dataset is called.
    #[error("\"{name}\" cannot be the name of a dataset")]
    Name {
        /// What it says.
        name: String,
    },
    /// Something that no version is called.
    #[error("the label of \"{name}\" is not valid: {problem}")]
    Label {
        /// Of which dataset.
        name: String,
        /// Why.
        problem: FieldProblem,
    },
    /// A number that no version has.
    #[error("the number of \"{name}\" is out of range")]
    Sequence {
        /// Of which dataset.
        name: String,
    },
    /// A target outside of the folder, or one that hides.
    #[error(
        "the target \"{target}\" is refused: it must be a folder below that of the lockfile, written with /, and no part of it may begin with a dot"
    )]
    Target {
        /// What it says.
        target: String,
    },
    /// Two targets, of which one lies in the other or is the other.
    #[error(
        "the targets \"{one}\" and \"{other}\" lie in each other; give one of them another folder with -o"
    )]
    Nested {
        /// The outer.
        one: String,
        /// The inner.
        other: String,
    },
    /// A pattern that does not parse.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// It cannot be written.
    #[error("the lockfile cannot be written: {0}")]
    Encode(#[source] Box<toml::ser::Error>),
}

/// A version that a project uses, as the file says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// What the dataset was called.
    pub(crate) name: String,
    /// The dataset.
    pub(crate) id: DatasetId,
    /// The version.
    pub(crate) manifest: ManifestId,
    /// Its number.
    pub(crate) sequence: u64,
    /// Its label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    /// Where it goes, from the folder of the file.
    pub(crate) target: String,
    /// Globs of the files that are wanted; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) include: Vec<String>,
    /// Globs of files that are not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) exclude: Vec<String>,
}

impl Entry {
    fn check(&self) -> Result<(), LockFileError> {
        let name = || self.name.clone();
        let link = Link::new(self.id.into(), Some(name()), Vec::new());
        if link.is_err() {
            return Err(LockFileError::Name { name: name() });
        }
        if let Some(label) = &self.label {
            let problem = label.parse::<Revision>().err();
            if let Some(problem) = problem {
                return Err(LockFileError::Label {
                    name: name(),
                    problem,
                });
            }
        }
        if self.sequence > SEQUENCE_MAX {
            return Err(LockFileError::Sequence { name: name() });
        }
        if !is_target(&self.target) {
            let target = self.target.clone();
            return Err(LockFileError::Target { target });
        }
        Selection::new(&self.include, &self.exclude)?;
        Ok(())
    }

    /// What the version is called.
    pub(crate) fn called(&self) -> Called<'_> {
        Called {
            manifest: self.manifest,
            sequence: self.sequence,
            label: self.label.as_deref(),
        }
    }
}

/// A portable path that leads down, and not into what configures a program.
fn is_target(target: &str) -> bool {
    let shown = target.split('/').all(|part| !part.starts_with('.'));
    shown && DatasetPath::parse(target).is_ok()
}

/// What a lockfile says.
///
/// Invariant: every entry is valid, and no target lies in another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lock {
    /// By target.
    entries: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u64,
    #[serde(default, rename = "dataset")]
    datasets: Vec<Entry>,
}

impl Lock {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// [`LockFileError`].
    pub(crate) fn parse(text: &str) -> Result<Self, LockFileError> {
        let form = |error| LockFileError::Form(Box::new(error));
        // The version first: what a later one says is not for us to judge.
        let Versioned { version } = toml::from_str(text).map_err(form)?;
        if version != VERSION {
            return Err(LockFileError::Version(version));
        }
        let Form { datasets, .. } = toml::from_str(text).map_err(form)?;
        let mut lock = Self::default();
        for entry in datasets {
            if let Some(other) = lock.entries.get(&entry.target) {
                return Err(nested(&other.target, &entry.target));
            }
            lock.put(entry)?;
        }
        Ok(lock)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// [`LockFileError::Encode`].
    pub(crate) fn to_text(&self) -> Result<String, LockFileError> {
        let form = Form {
            version: VERSION,
            datasets: self.entries.values().cloned().collect(),
        };
        let text = toml::to_string(&form);
        let text = text.map_err(|error| LockFileError::Encode(Box::new(error)))?;
        Ok(format!("{HEADER}{text}"))
    }

    /// Puts an entry in the place of the one with its target.
    ///
    /// # Errors
    /// [`LockFileError`]: nothing is changed.
    pub(crate) fn put(&mut self, entry: Entry) -> Result<(), LockFileError> {
        entry.check()?;
        for other in self.entries.keys() {
            if is_in(other, &entry.target) || is_in(&entry.target, other) {
                return Err(nested(other, &entry.target));
            }
        }
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&entry.target) {
            return Err(LockFileError::TooMany);
        }
        self.entries.insert(entry.target.clone(), entry);
        Ok(())
    }

    /// All entries, by their targets.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }
}

fn is_in(inner: &str, outer: &str) -> bool {
    let rest = inner.strip_prefix(outer);
    rest.is_some_and(|rest| rest.starts_with('/'))
}

fn nested(one: &str, other: &str) -> LockFileError {
    LockFileError::Nested {
        one: one.to_owned(),
        other: other.to_owned(),
    }
}

#[cfg(test)]
mod tests;
