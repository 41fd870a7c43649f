//! Paths of the plain listener: `/d/<dataset>[@revision]/<path>`.
//!
//! A dataset is an id, or a namespace and a name: `/d/<id>/…` and `/d/<namespace>/<name>/…`. No namespace is
//! an id ([`super::alias`]), so that no path can be read in two ways.

use std::fmt;

use super::{decode, encode_path, encode_segment, hf::Repo};
use crate::RecordId;

/// What all of these paths begin with.
pub const ROOT: &str = "/d/";

/// A dataset as a path names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// By the id of the dataset or of one version.
    Id(RecordId),
    /// By a namespace and a name.
    Named(Repo),
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The dataset.
    pub source: Source,
    /// The revision, if it is not the newest.
    pub revision: Option<String>,
    /// What follows behind the slash: a file, or a folder if it is empty or ends with a slash. `None`:
    /// there is no slash.
    pub path: Option<String>,
}

impl Target {
    /// Parses the path of a URL as it came, still percent-encoded. `None`: it names no dataset.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix(ROOT)?;
        let (first, behind) = split(rest);
        let (first, first_revision) = at(first);
        if let Ok(id) = first.parse() {
            return Self::new(Source::Id(id), first_revision, behind);
        }
        if first_revision.is_some() {
            return None;
        }
        let (second, behind) = split(behind?);
        let (second, revision) = at(second);
        let repo = Repo {
            namespace: filled(first)?,
            name: filled(second)?,
        };
        Self::new(Source::Named(repo), revision, behind)
    }

    fn new(source: Source, revision: Option<&str>, path: Option<&str>) -> Option<Self> {
        let revision = match revision {
            Some(revision) => Some(filled(revision)?),
            None => None,
        };
        let path = match path {
            Some(path) => Some(decode(path)?),
            None => None,
        };
        Some(Self {
            source,
            revision,
            path,
        })
    }
}

/// As it stands in a URL.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Id(id) => write!(f, "{ROOT}{id}")?,
            Source::Named(Repo { namespace, name }) => {
                write!(
                    f,
                    "{ROOT}{}/{}",
                    encode_segment(namespace),
                    encode_segment(name)
                )?;
            }
        }
        if let Some(revision) = &self.revision {
            write!(f, "@{}", encode_segment(revision))?;
        }
        match &self.path {
            Some(path) => write!(f, "/{}", encode_path(path)),
            None => Ok(()),
        }
    }
}

/// A segment, and what follows behind its slash.
fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((segment, rest)) => (segment, Some(rest)),
        None => (path, None),
    }
}

/// A dataset and its revision; an `@` of a name comes as `%40`.
fn at(segment: &str) -> (&str, Option<&str>) {
    match segment.split_once('@') {
        Some((dataset, revision)) => (dataset, Some(revision)),
        None => (segment, None),
    }
}

fn filled(text: &str) -> Option<String> {
    decode(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hash;

    fn named(namespace: &str, name: &str) -> Source {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Source::Named(Repo { namespace, name })
    }

    #[test]
    fn datasets_have_ids_or_names_and_perhaps_a_revision() {
        let id = RecordId::from_hash(Hash::of(b"x"));
        let cases = [
            (format!("/d/{id}"), Source::Id(id), None, None),
            (format!("/d/{id}/"), Source::Id(id), None, Some("")),
            (
                format!("/d/{id}@v1/a/b"),
                Source::Id(id),
                Some("v1"),
                Some("a/b"),
            ),
            (
                format!("/d/{id}@a%2Fb%40c/d%2Fe%20f%25/"),
                Source::Id(id),
                Some("a/b@c"),
                Some("d/e f%/"),
            ),
            (
                "/d/alice/corpus".to_owned(),
                named("alice", "corpus"),
                None,
                None,
            ),
            (
                "/d/alice/a%40b@2/".to_owned(),
                named("alice", "a@b"),
                Some("2"),
                Some(""),
            ),
            (
                "/d/alice/corpus//x".to_owned(),
                named("alice", "corpus"),
                None,
                Some("/x"),
            ),
        ];
        for (text, source, revision, path) in cases {
            let (revision, path) = (revision.map(str::to_owned), path.map(str::to_owned));
            let target = Target {
                source,
                revision,
                path,
            };
            assert_eq!(Target::parse(&text).as_ref(), Some(&target), "{text}");
            assert_eq!(Target::parse(&target.to_string()), Some(target), "{text}");
        }
    }

    #[test]
    fn what_names_no_dataset_is_none() {
        for text in [
            "",
            "/",
            "/d",
            "/d/",
            "/d/alice",
            "/d/alice/",
            "/d//corpus/x",
            "/d/alice@v1/corpus",
            "/d/alice/corpus@/x",
            "/d/alice/%ff/x",
            "/d/alice/corpus/%ff",
            "/e/alice/corpus/x",
        ] {
            assert_eq!(Target::parse(text), None, "{text}");
        }
    }
}
