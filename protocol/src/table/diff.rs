//! What differs between two tables.

use std::{cmp::Ordering, iter::Peekable};

use super::FileEntry;

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
