//! A set of positions as bits, with summaries that let searches skip what is empty.

use std::ops::Range;

const WORD_BITS: usize = 64;

/// A set of the positions `0..len`.
///
/// Invariant: bit `i` of a level is set exactly if word `i` of the level below is not zero.
#[derive(Clone, Debug)]
pub(super) struct Bits {
    /// The positions, then summaries of summaries up to a single word. Made with the first.
    levels: Vec<Vec<u64>>,
    len: usize,
    ones: usize,
}

impl Bits {
    pub(super) const fn new(len: usize) -> Self {
        Self {
            levels: Vec::new(),
            len,
            ones: 0,
        }
    }

    fn make(&mut self) {
        let mut words = self.len.div_ceil(WORD_BITS).max(1);
        self.levels.push(vec![0; words]);
        while words > 1 {
            words = words.div_ceil(WORD_BITS);
            self.levels.push(vec![0; words]);
        }
    }

    /// Positions that could be in it.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn ones(&self) -> usize {
        self.ones
    }

    pub(super) fn contains(&self, at: usize) -> bool {
        (self.word(0, at / WORD_BITS) >> (at % WORD_BITS)) & 1 == 1
    }

    /// Adds a position; was it new? A position beyond the end never is.
    pub(super) fn insert(&mut self, at: usize) -> bool {
        if at >= self.len || self.contains(at) {
            return false;
        }
        self.insert_word(at / WORD_BITS, 1 << (at % WORD_BITS));
        true
    }

    /// Takes a position out; was it there?
    pub(super) fn remove(&mut self, at: usize) -> bool {
        if !self.contains(at) {
            return false;
        }
        let mut at = at;
        for level in &mut self.levels {
            let (index, bit) = (at / WORD_BITS, at % WORD_BITS);
            let Some(word) = level.get_mut(index) else {
                break;
            };
            *word &= !(1 << bit);
            if *word != 0 {
                break;
            }
            at = index;
        }
        self.ones -= 1;
        true
    }

    /// Adds a range; returns what of it is new, as ranges. Costs a step for 64 positions.
    pub(super) fn insert_range(&mut self, range: Range<usize>) -> Vec<Range<usize>> {
        let mut new: Vec<Range<usize>> = Vec::new();
        let (mut at, end) = (range.start, range.end.min(self.len));
        while at < end {
            let index = at / WORD_BITS;
            let stop = ((index + 1) * WORD_BITS).min(end);
            let asked = (u64::MAX >> (WORD_BITS - (stop - at))) << (at % WORD_BITS);
            let fresh = asked & !self.word(0, index);
            self.insert_word(index, fresh);
            append(&mut new, index * WORD_BITS, fresh);
            at = stop;
        }
        new
    }

    /// Adds bits, none of which is there, to a word.
    fn insert_word(&mut self, index: usize, fresh: u64) {
        if fresh == 0 {
            return;
        }
        if self.levels.is_empty() {
            self.make();
        }
        let (mut index, mut bits) = (index, fresh);
        for level in &mut self.levels {
            let Some(word) = level.get_mut(index) else {
                break;
            };
            let was = *word;
            *word |= bits;
            if was != 0 {
                break;
            }
            (index, bits) = (index / WORD_BITS, 1 << (index % WORD_BITS));
        }
        self.ones += usize::try_from(fresh.count_ones()).unwrap_or(0);
    }

    /// A word of a level; level 0 holds the positions.
    pub(super) fn word(&self, level: usize, index: usize) -> u64 {
        let words = self.levels.get(level);
        words
            .and_then(|words| words.get(index))
            .copied()
            .unwrap_or(0)
    }

    /// The first position in `start..end`.
    pub(super) fn first_in(&self, range: Range<usize>, steps: &mut u64) -> Option<usize> {
        self.first_common(&Everything, range, steps)
    }

    /// The first position of `range` that is also in `mask`. Each word looked at is a step.
    pub(super) fn first_common(
        &self,
        mask: &impl Mask,
        range: Range<usize>,
        steps: &mut u64,
    ) -> Option<usize> {
        let (mut level, mut at) = (0, range.start);
        while level < self.levels.len() {
            *steps += 1;
            let index = at / WORD_BITS;
            let from = u64::MAX << (at % WORD_BITS);
            let found = self.word(level, index) & mask.word(level, index) & from;
            if found == 0 {
                // Nothing more in this word: look in the summary for the next that has any.
                level += 1;
                at = index + 1;
                continue;
            }
            let position = index * WORD_BITS + trailing_zeros(found);
            if level == 0 {
                return (position < range.end).then_some(position);
            }
            level -= 1;
            at = position * WORD_BITS;
        }
        None
    }

    /// All positions, as ranges that do not touch. Costs a step for 64 positions, and one for each range.
    pub(super) fn ranges(&self) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        for (index, word) in self.levels.first().into_iter().flatten().enumerate() {
            append(&mut ranges, index * WORD_BITS, *word);
        }
        ranges
    }

    /// All positions, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let words = self.levels.first().into_iter().flatten();
        words.enumerate().flat_map(|(index, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let at = (left != 0).then(|| index * WORD_BITS + trailing_zeros(left));
                left &= left.wrapping_sub(1);
                at
            })
        })
    }
}

/// Appends the bits of a word that begins at `base`, behind all of `ranges`.
fn append(ranges: &mut Vec<Range<usize>>, base: usize, word: u64) {
    let mut left = word;
    while left != 0 {
        let first = trailing_zeros(left);
        let count = trailing_zeros(!(left >> first)).min(WORD_BITS - first);
        let start = base + first;
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = start + count,
            _ => ranges.push(start..start + count),
        }
        left &= u64::MAX
            .checked_shl(u32::try_from(first + count).unwrap_or(64))
            .unwrap_or(0);
    }
}

/// Positions that a search may return.
pub(super) trait Mask {
    /// Word `index` of a level, as in [`Bits`]. Above level 0 it may have bits too many.
    fn word(&self, level: usize, index: usize) -> u64;
}

impl Mask for Bits {
    fn word(&self, level: usize, index: usize) -> u64 {
        Self::word(self, level, index)
    }
}

/// All positions.
struct Everything;

impl Mask for Everything {
    fn word(&self, _level: usize, _index: usize) -> u64 {
        u64::MAX
    }
}

/// At most 64.
fn trailing_zeros(word: u64) -> usize {
    usize::try_from(word.trailing_zeros()).unwrap_or(WORD_BITS)
}
