//! Which files of a version a user wants.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use opendag_protocol::DatasetPath;

/// A pattern that does not parse.
#[derive(Debug, thiserror::Error)]
#[error("\"{pattern}\" is not a glob pattern: {source}")]
pub(crate) struct GlobError {
    pattern: String,
    source: globset::Error,
}

/// Includes and excludes, as `fetch` and `publish` take them. No include means all.
///
/// `*` does not cross a `/`, `**` does; a pattern without a `/` matches the file name at any depth,
/// as in `.gitignore`; one that names a folder matches all below it.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Selection {
    /// Parses the patterns.
    pub(crate) fn new(include: &[String], exclude: &[String]) -> Result<Self, GlobError> {
        let include = if include.is_empty() {
            None
        } else {
            Some(globs(include)?)
        };
        Ok(Self {
            include,
            exclude: globs(exclude)?,
        })
    }

    /// Is this file wanted?
    #[must_use]
    pub(crate) fn wants(&self, path: &DatasetPath) -> bool {
        let included = self
            .include
            .as_ref()
            .is_none_or(|globs| globs.is_match(path.as_str()));
        included && !self.exclude.is_match(path.as_str())
    }

    /// Are all files wanted?
    #[must_use]
    pub(crate) fn is_all(&self) -> bool {
        self.include.is_none() && self.exclude.is_empty()
    }
}

/// Parses glob patterns as [`Selection`] understands them.
pub(crate) fn globs(patterns: &[String]) -> Result<GlobSet, GlobError> {
    let mut set = GlobSetBuilder::new();
    let error = |pattern: &String| {
        let pattern = pattern.clone();
        move |source| GlobError { pattern, source }
    };
    for pattern in patterns {
        let bare = pattern.trim_matches('/');
        let anchored = if bare.contains('/') {
            bare.to_owned()
        } else {
            format!("**/{bare}")
        };
        for text in [anchored.clone(), format!("{anchored}/**")] {
            let glob = GlobBuilder::new(&text)
                .literal_separator(true)
                .build()
                .map_err(error(pattern))?;
            set.add(glob);
        }
    }
    set.build().map_err(|source| GlobError {
        pattern: patterns.join(" "),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(include: &[&str], exclude: &[&str], path: &str) -> bool {
        let owned =
            |patterns: &[&str]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>();
        let selection = Selection::new(&owned(include), &owned(exclude)).unwrap();
        selection.wants(&DatasetPath::parse(path).unwrap())
    }

    #[test]
    fn patterns_match_as_gitignore_users_expect() {
        assert!(wants(&[], &[], "a/b.parquet"));
        assert!(wants(&["*.parquet"], &[], "a/b.parquet"));
        assert!(!wants(&["a/*.parquet"], &[], "a/b/c.parquet"));
        assert!(wants(&["a/**/*.parquet"], &[], "a/b/c.parquet"));
        assert!(wants(&["a"], &[], "a/b/c.parquet"));
        assert!(!wants(&["*.parquet"], &["test"], "test/b.parquet"));
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = Selection::new(&["a[".to_owned()], &[]).unwrap_err();
        assert!(error.to_string().contains("a["), "{error}");
    }
}
