//! Which files belong together, and the patterns that name them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    publish::{
        readers::{self, Reader},
        walk::Walk,
    },
    schema::{Format, of_local_file},
};

/// Files whose fields are looked at. Where there are more, all are taken to have the same.
const LOOKED_AT_MAX: usize = 256;
/// Patterns in a card: with more it says nothing of files, which clients then find by themselves.
const PATTERNS_MAX: usize = 500;

/// Files that are loaded as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) name: String,
    /// Patterns of paths.
    pub(super) splits: BTreeMap<Split, Vec<String>>,
}

/// What files are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Split {
    Train,
    Validation,
    Test,
}

impl Split {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// The split that a path names, the nearest to its end; what names none is for training.
    fn of(path: &str) -> Self {
        let mut words = path.rsplit(|c: char| "/-._ ".contains(c) || c.is_ascii_digit());
        let found = words.find_map(|word| match word.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "validation" | "valid" | "dev" | "val" => Some(Self::Validation),
            "test" | "testing" | "eval" | "evaluation" => Some(Self::Test),
            _ => None,
        });
        found.unwrap_or(Self::Train)
    }
}

/// The configs of a folder, the one with most files first; none if clients do better without.
pub(super) fn configs(walk: &Walk) -> Vec<Config> {
    let all = || walk.files.iter().map(|found| found.path.as_str());
    let Some(reader) = readers::count(all()).1.filter(|reader| reader.has_fields()) else {
        return Vec::new();
    };
    let files: Vec<&str> = all()
        .filter(|path| Reader::of(path).is_some_and(|(other, _)| other == reader))
        .collect();
    let mut groups: Vec<Vec<&str>> = by_fields(walk, &files).into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let is_one = groups.len() == 1;
    let (mut configs, mut names) = (Vec::new(), BTreeSet::new());
    for group in groups {
        let mut splits: BTreeMap<Split, Vec<&str>> = BTreeMap::new();
        for &path in &group {
            splits.entry(Split::of(path)).or_default().push(path);
        }
        let splits = splits
            .into_iter()
            .map(|(split, paths)| (split, patterns(&paths, &files)));
        let name = match is_one {
            true => "default".to_owned(),
            false => unique(name(&group), &mut names),
        };
        let splits = splits.collect();
        configs.push(Config { name, splits });
    }
    let patterns = configs
        .iter()
        .flat_map(|config| config.splits.values().flatten());
    match patterns.count() <= PATTERNS_MAX {
        true => configs,
        false => Vec::new(),
    }
}

/// The files by the names of their fields.
fn by_fields<'a>(walk: &Walk, files: &[&'a str]) -> BTreeMap<Vec<String>, Vec<&'a str>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for path in files {
        let format = Format::of(path).filter(|_| files.len() <= LOOKED_AT_MAX);
        let schema = format.and_then(|format| of_local_file(&walk.root.join(path), format));
        let mut fields: Vec<_> = schema
            .iter()
            .flat_map(|schema| schema.fields())
            .map(|field| field.name.clone())
            .collect();
        fields.sort_unstable();
        groups.entry(fields).or_default().push(*path);
    }
    groups
}

/// Patterns that match these paths and no other file of the same reader.
fn patterns(paths: &[&str], all: &[&str]) -> Vec<String> {
    let mut patterns = Vec::new();
    let mut endings: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for &path in paths {
        let ending = Reader::of(path).map_or("", |(_, ending)| ending);
        endings.entry(ending).or_default().push(path);
    }
    for (ending, paths) in endings {
        let has_ending = |path: &&&str| Reader::of(path).is_some_and(|(_, other)| other == ending);
        let others: Vec<&str> = all.iter().filter(has_ending).copied().collect();
        let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for &path in &paths {
            folders.entry(parts(path).0).or_default().push(path);
        }
        if folders.len() > 1 && others.len() == paths.len() {
            patterns.push(format!("**/*.{ending}"));
            continue;
        }
        for (folder, paths) in folders {
            let beside = others.iter().filter(|path| parts(path).0 == folder);
            let beside: Vec<&str> = beside.copied().collect();
            match prefix(&paths, &beside) {
                Some(prefix) if paths.len() > 1 || beside.len() == 1 => {
                    patterns.push(format!("{folder}{prefix}*.{ending}"));
                }
                Some(_) | None => patterns.extend(paths.iter().map(|path| (*path).to_owned())),
            }
        }
    }
    patterns
}

/// What the names of `paths` begin with, and those of no other file beside them; empty if there is none.
fn prefix<'a>(paths: &[&'a str], beside: &[&str]) -> Option<&'a str> {
    if paths.len() == beside.len() {
        return Some("");
    }
    let first = parts(paths.first()?).1;
    let is_common = |prefix: &str, paths: &[&str]| {
        paths
            .iter()
            .filter(|path| parts(path).1.starts_with(prefix))
            .count()
    };
    let ends = first.char_indices().map(|(at, c)| at + c.len_utf8()).rev();
    let mut prefixes = ends.filter_map(|end| first.get(..end));
    let longest = prefixes.find(|prefix| is_common(prefix, paths) == paths.len())?;
    (is_common(longest, beside) == paths.len()).then_some(longest)
}

/// The folder of a path with its slash, and the name.
fn parts(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |slash| slash + 1))
}

/// A name for files: their folder, or their own if they lie at the root.
fn name(paths: &[&str]) -> String {
    let first = paths.first().copied().unwrap_or_default();
    let is_alone = paths.len() == 1;
    let (folder, file) = parts(first);
    let same = paths.iter().all(|path| parts(path).0 == folder);
    let stem = file.split('.').next().unwrap_or_default();
    let text = match (same && !folder.is_empty(), is_alone) {
        (true, false) => folder.trim_end_matches('/'),
        (_, true) => stem,
        (false, false) => "rows",
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let name: String = text
        .chars()
        .map(|c| if is_plain(c) { c } else { '-' })
        .collect();
    match name.is_empty() {
        true => "rows".to_owned(),
        false => name,
    }
}

fn unique(name: String, taken: &mut BTreeSet<String>) -> String {
    let numbers = (2_u64..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbers);
    let free = names.find(|name| !taken.contains(name)).unwrap_or(name);
    taken.insert(free.clone());
    free
}
