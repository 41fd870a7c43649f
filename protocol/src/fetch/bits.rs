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
        if self.levels.is_empty() {
            self.make();
        }
        let mut at = at;
        for level in &mut self.levels {
            let (index, bit) = (at / WORD_BITS, at % WORD_BITS);
            if let Some(word) = level.get_mut(index) {
                *word |= 1 << bit;
            }
            at = index;
        }
        self.ones += 1;
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

    /// Adds a range; returns what of it is new. Costs little where nothing is.
    pub(super) fn insert_range(&mut self, range: Range<usize>) -> Vec<usize> {
        let (mut new, mut at) = (Vec::new(), range.start);
        let end = range.end.min(self.len);
        while at < end {
            let next = (at / WORD_BITS + 1) * WORD_BITS;
            let known = self.word(0, at / WORD_BITS);
            if known != u64::MAX {
                new.extend((at..next.min(end)).filter(|at| (known >> (at % WORD_BITS)) & 1 == 0));
            }
            at = next;
        }
        for at in &new {
            self.insert(*at);
        }
        new
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

    /// All positions, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let at = self.first_in(next..self.len, &mut 0)?;
            next = at + 1;
            Some(at)
        })
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
