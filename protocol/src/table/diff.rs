//! What differs between two tables.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, VecDeque},
    iter::Peekable,
};

use super::FileEntry;
use crate::Hash;

/// A difference between two versions, at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the newer has the file.
    Added(FileEntry),
    /// Only the older has it.
    Removed(FileEntry),
    /// Both have it, with other content.
    Changed {
        /// As it was.
        old: FileEntry,
        /// As it is.
        new: FileEntry,
    },
}

/// The differences between two sorted sequences of entries, sorted by path.
///
/// It is enough to give the entries of the pages that the other table does not have
/// ([`super::TableIndex::pages_not_in`]): entries of shared pages are equal on both sides. Entries that
/// differ only in what they say of the same content are no change.
pub fn changes(
    old: impl IntoIterator<Item = FileEntry>,
    new: impl IntoIterator<Item = FileEntry>,
) -> impl Iterator<Item = Change> {
    Merge {
        old: old.into_iter().peekable(),
        new: new.into_iter().peekable(),
    }
    .filter(|change| !matches!(change, Change::Changed { old, new } if old.hash() == new.hash()))
}

struct Merge<A: Iterator<Item = FileEntry>, B: Iterator<Item = FileEntry>> {
    old: Peekable<A>,
    new: Peekable<B>,
}

impl<A: Iterator<Item = FileEntry>, B: Iterator<Item = FileEntry>> Iterator for Merge<A, B> {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        let order = match (self.old.peek(), self.new.peek()) {
            (Some(old), Some(new)) => old.path().cmp(new.path()),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => self.old.next().map(Change::Removed),
            Ordering::Greater => self.new.next().map(Change::Added),
            Ordering::Equal => Some(Change::Changed {
                old: self.old.next()?,
                new: self.new.next()?,
            }),
        }
    }
}

/// What was moved, and what was added and removed besides. All sorted by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Content that no removed file had.
    pub added: Vec<FileEntry>,
    /// Content that no added file has.
    pub removed: Vec<FileEntry>,
    /// The same content under another path: as it was and as it is, by the new path.
    pub moved: Vec<(FileEntry, FileEntry)>,
}

impl Moves {
    /// Finds a removed file of the same content for each added one, both sorted by path.
    ///
    /// Where several come into question, a file of the same name (the last component) is taken before
    /// others, and the first path before later ones; each removed file is used once. A file that stays
    /// and comes up at one more path was copied, which is an addition; and empty files, which are all of
    /// the same content, never move.
    #[must_use]
    pub fn find(added: Vec<FileEntry>, removed: Vec<FileEntry>) -> Self {
        let mut gone: BTreeMap<Hash, VecDeque<FileEntry>> = BTreeMap::new();
        let mut moves = Self::default();
        for entry in removed {
            match entry.size() {
                0 => moves.removed.push(entry),
                _ => gone.entry(entry.hash()).or_default().push_back(entry),
            }
        }
        let mut other_names = Vec::new();
        for new in added {
            let same = gone.get_mut(&new.hash()).and_then(|gone| {
                let at = gone.iter().position(|old| name(old) == name(&new))?;
                gone.remove(at)
            });
            match same {
                Some(old) => moves.moved.push((old, new)),
                None => other_names.push(new),
            }
        }
        for new in other_names {
            match gone.get_mut(&new.hash()).and_then(VecDeque::pop_front) {
                Some(old) => moves.moved.push((old, new)),
                None => moves.added.push(new),
            }
        }
        moves.removed.extend(gone.into_values().flatten());
        moves
            .removed
            .sort_by(|one, other| one.path().cmp(other.path()));
        moves
            .moved
            .sort_by(|one, other| one.1.path().cmp(other.1.path()));
        moves
    }
}

fn name(entry: &FileEntry) -> Option<&str> {
    entry.path().as_str().rsplit('/').next()
}

#[cfg(test)]
mod tests;
