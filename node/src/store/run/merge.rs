//! Several sources of rows as one.

use std::iter::Peekable;

use super::{IndexError, Row};

/// Rows in the order of their keys.
pub(crate) type Source<'a> = Box<dyn Iterator<Item = Result<Row, IndexError>> + 'a>;

/// The rows of several sources, the newest source first, in the order of their keys; of equal keys that of the newest.
/// What a source cannot read is passed on as an error, and the merge goes on behind it.
pub(crate) fn merge<'a>(
    sources: impl IntoIterator<Item = Source<'a>>,
) -> impl Iterator<Item = Result<Row, IndexError>> + 'a {
    Merge {
        sources: sources.into_iter().map(Iterator::peekable).collect(),
    }
}

struct Merge<'a> {
    /// There are few: they are looked at one by one.
    sources: Vec<Peekable<Source<'a>>>,
}

impl Iterator for Merge<'_> {
    type Item = Result<Row, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut first = None;
        for (at, source) in self.sources.iter_mut().enumerate() {
            let key = match source.peek() {
                None => continue,
                Some(Err(_)) => return source.next(),
                Some(Ok((key, _))) => *key,
            };
            if first.is_none_or(|(_, least)| key < least) {
                first = Some((at, key));
            }
        }
        let (at, key) = first?;
        let row = self.sources.get_mut(at)?.next();
        for older in self.sources.iter_mut().skip(at + 1) {
            older.next_if(|row| row.as_ref().is_ok_and(|(other, _)| *other == key));
        }
        row
    }
}
