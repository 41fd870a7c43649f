//! Ranges and sets of chunk groups: which parts of a blob are asked for, held or missing.
//!
//! A chunk group is 16 KiB, the last one of a blob may be shorter. The empty blob has none.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits::CHUNK_GROUP_BYTES;

/// How many chunk groups a blob of `size` bytes has; 0 for the empty blob.
#[must_use]
pub const fn groups_in(size: u64) -> u64 {
    size.div_ceil(CHUNK_GROUP_BYTES)
}

/// A run of chunk groups of one blob. On the wire `[first, count]`.
///
/// A count of 0 means: to the end of the blob, wherever that is. So no range is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupRange {
    /// The first group.
    pub first: u64,
    /// How many; 0: to the end of the blob.
    pub count: u64,
}

impl GroupRange {
    /// The whole blob, of whatever size.
    pub const ALL: Self = Self { first: 0, count: 0 };

    /// The groups `first..end`; `None` if that is empty. An `end` of `u64::MAX` is the blob's end.
    #[must_use]
    pub const fn between(first: u64, end: u64) -> Option<Self> {
        if end <= first {
            return None;
        }
        Some(Self {
            first,
            count: if end == u64::MAX { 0 } else { end - first },
        })
    }

    /// The groups that hold any byte of `start..end`; `None` if that is empty.
    #[must_use]
    pub const fn covering(start: u64, end: u64) -> Option<Self> {
        if end <= start {
            return None;
        }
        Self::between(start / CHUNK_GROUP_BYTES, groups_in(end))
    }

    /// One past the last group; `u64::MAX` if the range is open.
    #[must_use]
    pub const fn end(self) -> u64 {
        if self.count == 0 {
            u64::MAX
        } else {
            self.first.saturating_add(self.count)
        }
    }

    /// Does it go to the end of the blob, wherever that is?
    #[must_use]
    pub const fn is_open(self) -> bool {
        self.end() == u64::MAX
    }

    /// Is `group` one of them?
    #[must_use]
    pub const fn contains(self, group: u64) -> bool {
        self.first <= group && group < self.end()
    }

    /// What of it lies in a blob of `groups` groups; `None` if nothing does. The result is not open.
    #[must_use]
    pub fn within(self, groups: u64) -> Option<Self> {
        let end = self.end().min(groups);
        (self.first < end).then(|| Self {
            first: self.first,
            count: end - self.first,
        })
    }

    /// The bytes of a blob of `size` bytes that it covers, as start and end; empty beyond the blob's end.
    #[must_use]
    pub fn bytes(self, size: u64) -> std::ops::Range<u64> {
        let start = self.first.saturating_mul(CHUNK_GROUP_BYTES);
        let end = self.end().saturating_mul(CHUNK_GROUP_BYTES);
        start.min(size)..end.min(size)
    }
}

impl Serialize for GroupRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.first, self.count).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for GroupRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (first, count) = <(u64, u64)>::deserialize(deserializer)?;
        match first.checked_add(count.max(1)) {
            Some(end) if end < u64::MAX => Ok(Self { first, count }),
            _ => Err(de::Error::custom(
                "a range of chunk groups ends beyond any blob",
            )),
        }
    }
}

/// The groups `start..end`, never empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Span {
    start: u64,
    end: u64,
}

/// A set of chunk groups of one blob, kept as ranges. On the wire the list of its ranges.
///
/// Invariant: the ranges are not empty, sorted, and neither overlap nor touch.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct GroupRanges {
    spans: Vec<Span>,
}

impl GroupRanges {
    /// No group at all.
    #[must_use]
    pub const fn new() -> Self {
        Self { spans: Vec::new() }
    }

    /// The groups `0..groups`.
    #[must_use]
    pub fn full(groups: u64) -> Self {
        GroupRange::between(0, groups).into_iter().collect()
    }

    /// Adds a range.
    pub fn insert(&mut self, range: GroupRange) {
        let (start, end) = (range.first, range.end());
        if start >= end {
            return;
        }
        let low = self.spans.partition_point(|span| span.end < start);
        let high = self.spans.partition_point(|span| span.start <= end);
        let touched = self.spans.get(low..high).unwrap_or_default();
        let start = touched.first().map_or(start, |span| span.start.min(start));
        let end = touched.last().map_or(end, |span| span.end.max(end));
        self.spans.splice(low..high, [Span { start, end }]);
        self.check();
    }

    /// Takes a range out.
    pub fn remove(&mut self, range: GroupRange) {
        let (start, end) = (range.first, range.end());
        let low = self.spans.partition_point(|span| span.end <= start);
        let high = self.spans.partition_point(|span| span.start < end);
        if low >= high {
            return;
        }
        let touched = self.spans.get(low..high).unwrap_or_default();
        let before = touched
            .first()
            .filter(|span| span.start < start)
            .map(|span| Span {
                start: span.start,
                end: start,
            });
        let after = touched
            .last()
            .filter(|span| span.end > end)
            .map(|span| Span {
                start: end,
                end: span.end,
            });
        self.spans
            .splice(low..high, before.into_iter().chain(after));
        self.check();
    }

    /// Is `group` in it?
    #[must_use]
    pub fn contains(&self, group: u64) -> bool {
        let at = self.spans.partition_point(|span| span.end <= group);
        self.spans.get(at).is_some_and(|span| span.start <= group)
    }

    /// Is every group of `range` in it?
    #[must_use]
    pub fn contains_all(&self, range: GroupRange) -> bool {
        let at = self.spans.partition_point(|span| span.end <= range.first);
        self.spans
            .get(at)
            .is_some_and(|span| span.start <= range.first && range.end() <= span.end)
    }

    /// Does it hold all groups of a blob of `groups` groups?
    #[must_use]
    pub fn is_complete(&self, groups: u64) -> bool {
        GroupRange::between(0, groups).is_none_or(|range| self.contains_all(range))
    }

    /// Is there no group in it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Its ranges, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = GroupRange> + '_ {
        self.spans
            .iter()
            .filter_map(|span| GroupRange::between(span.start, span.end))
    }

    /// How many ranges it has.
    #[must_use]
    pub fn len_ranges(&self) -> usize {
        self.spans.len()
    }

    /// How many groups it has. An open range counts to `u64::MAX`.
    #[must_use]
    pub fn len_groups(&self) -> u64 {
        self.spans
            .iter()
            .map(|span| span.end - span.start)
            .fold(0, u64::saturating_add)
    }

    /// The bytes of a blob of `size` bytes that lie in its groups.
    #[must_use]
    pub fn len_bytes(&self, size: u64) -> u64 {
        self.iter()
            .map(|range| range.bytes(size))
            .map(|bytes| bytes.end - bytes.start)
            .sum()
    }

    /// The groups that are in both. With a set of few ranges it costs little, however many the other
    /// has.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let mut spans = Vec::new();
        let (left, right) = (self.reaching(other), other.reaching(self));
        let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            let (start, end) = (a.start.max(b.start), a.end.min(b.end));
            if start < end {
                spans.push(Span { start, end });
            }
            if a.end <= b.end {
                left.next();
            } else {
                right.next();
            }
        }
        Self { spans }
    }

    /// Its spans from the first on that does not end before the other set begins.
    fn reaching(&self, other: &Self) -> &[Span] {
        let start = other.spans.first().map_or(0, |span| span.start);
        let skip = self.spans.partition_point(|span| span.end <= start);
        self.spans.get(skip..).unwrap_or_default()
    }

    /// Adds all groups of another set.
    pub fn insert_all(&mut self, other: &Self) {
        for range in other.iter() {
            self.insert(range);
        }
    }

    /// Takes all groups of another set out.
    pub fn remove_all(&mut self, other: &Self) {
        for range in other.iter() {
            self.remove(range);
        }
    }

    /// The groups of a blob of `groups` groups that are not in it.
    #[must_use]
    pub fn missing_within(&self, groups: u64) -> Self {
        let mut spans = Vec::new();
        let mut start = 0;
        for span in self.spans.iter().take_while(|span| span.start < groups) {
            if start < span.start {
                spans.push(Span {
                    start,
                    end: span.start,
                });
            }
            start = span.end;
        }
        if start < groups {
            spans.push(Span { start, end: groups });
        }
        Self { spans }
    }

    /// The part of it that lies in a blob of `groups` groups.
    #[must_use]
    pub fn within(&self, groups: u64) -> Self {
        let mut ranges = self.clone();
        if let Some(beyond) = GroupRange::between(groups, u64::MAX) {
            ranges.remove(beyond);
        }
        ranges
    }

    fn check(&self) {
        debug_assert!(self.spans.iter().all(|span| span.start < span.end));
        debug_assert!(
            self.spans
                .iter()
                .zip(self.spans.iter().skip(1))
                .all(|(a, b)| a.end < b.start)
        );
    }
}

impl From<GroupRange> for GroupRanges {
    fn from(range: GroupRange) -> Self {
        std::iter::once(range).collect()
    }
}

impl FromIterator<GroupRange> for GroupRanges {
    fn from_iter<I: IntoIterator<Item = GroupRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        set.extend(ranges);
        set
    }
}

impl Extend<GroupRange> for GroupRanges {
    fn extend<I: IntoIterator<Item = GroupRange>>(&mut self, ranges: I) {
        for range in ranges {
            self.insert(range);
        }
    }
}

impl fmt::Debug for GroupRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.spans.iter().map(|span| span.start..span.end))
            .finish()
    }
}

impl Serialize for GroupRanges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for GroupRanges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ranges = Vec::<GroupRange>::deserialize(deserializer)?;
        let set: Self = ranges.iter().copied().collect();
        if set.iter().eq(ranges) {
            Ok(set)
        } else {
            Err(de::Error::custom(
                "ranges of chunk groups are not sorted and apart",
            ))
        }
    }
}

#[cfg(test)]
mod tests;
