//! Which files of a version a user wants.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use opendag_protocol::{
    DatasetPath,
    table::{PageRef, TableIndex},
};

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
    /// What the paths of wanted files begin with; one empty text: anything.
    prefixes: Vec<String>,
}

impl Selection {
    /// Parses the patterns.
    pub(crate) fn new(patterns: &[String], exclude: &[String]) -> Result<Self, GlobError> {
        let include = if patterns.is_empty() {
            None
        } else {
            Some(globs(patterns)?)
        };
        let mut prefixes: Vec<_> = patterns.iter().map(|text| literal_prefix(text)).collect();
        if prefixes.is_empty() {
            prefixes.push(String::new());
        }
        Ok(Self {
            include,
            exclude: globs(exclude)?,
            prefixes,
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

    /// The pages of a table that can hold wanted files, in order.
    pub(crate) fn pages<'a>(&self, index: &'a TableIndex) -> Vec<&'a PageRef> {
        let pages = self
            .prefixes
            .iter()
            .flat_map(|prefix| index.pages_for(prefix));
        let mut pages: Vec<_> = pages.collect();
        pages.sort_unstable_by_key(|page| page.first_shard());
        pages.dedup_by_key(|page| page.first_shard());
        pages
    }

    /// Are all files wanted?
    #[must_use]
    pub(crate) fn is_all(&self) -> bool {
        self.include.is_none() && self.exclude.is_empty()
    }
}

/// What every path that a pattern matches begins with. A pattern without a folder matches anywhere.
fn literal_prefix(pattern: &str) -> String {
    let bare = pattern.trim_matches('/');
    let literal = bare.split(['*', '?', '[', '{', '\\']).next();
    literal
        .filter(|_| bare.contains('/'))
        .unwrap_or_default()
        .to_owned()
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
    use opendag_protocol::{
        Hash,
        table::{FileEntry, FileFields, TableWriter},
    };

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
    fn only_pages_that_can_hold_wanted_files_are_read() {
        assert_eq!(literal_prefix("train/en-*.parquet"), "train/en-");
        assert_eq!(literal_prefix("/train/en/"), "train/en");
        assert_eq!(literal_prefix("**/x"), "");
        assert_eq!(literal_prefix("*.parquet"), "");
        assert_eq!(
            literal_prefix("train"),
            "",
            "a folder of that name may lie anywhere"
        );
        let path = |text: &str| DatasetPath::parse(text).unwrap();
        let mut writer = TableWriter::new();
        for number in 0..30_000 {
            let fields = FileFields::new(
                path(&format!("d{:02}/{number:05}", number / 1000)),
                0,
                Hash::of(&[]),
            );
            writer.push(FileEntry::new(fields).unwrap()).unwrap();
        }
        let (_, index, totals) = writer.finish().unwrap();
        let index = TableIndex::decode(&index.bytes, totals).unwrap();
        let pages = |include: &[&str]| {
            let include: Vec<_> = include.iter().map(ToString::to_string).collect();
            Selection::new(&include, &[]).unwrap().pages(&index).len()
        };
        assert_eq!(pages(&[]), index.pages().len());
        assert_eq!(pages(&["*5"]), index.pages().len());
        assert!(
            pages(&["d07/07500"]) == 1 && pages(&["d07/*", "d07/0*"]) < index.pages().len() / 2
        );
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = Selection::new(&["a[".to_owned()], &[]).unwrap_err();
        assert!(error.to_string().contains("a["), "{error}");
    }
}
