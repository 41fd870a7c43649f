//! A set of positions as bits, with a summary that lets searches skip what is empty.

const WORD_BITS: usize = 64;

/// A set of the positions `0..len`.
///
/// Invariant: bit `i` of the summary is set exactly if word `i` is not zero.
#[derive(Clone, Debug)]
pub(super) struct Bits {
    words: Vec<u64>,
    summary: Vec<u64>,
    len: usize,
    ones: usize,
}

impl Bits {
    pub(super) fn new(len: usize) -> Self {
        let words = len.div_ceil(WORD_BITS);
        Self {
            words: vec![0; words],
            summary: vec![0; words.div_ceil(WORD_BITS)],
            len,
            ones: 0,
        }
    }

    pub(super) const fn ones(&self) -> usize {
        self.ones
    }

    pub(super) fn contains(&self, at: usize) -> bool {
        self.word(at / WORD_BITS) >> (at % WORD_BITS) & 1 == 1
    }

    /// Adds a position; was it new? A position beyond the end never is.
    pub(super) fn insert(&mut self, at: usize) -> bool {
        if at >= self.len || self.contains(at) {
            return false;
        }
        let (word, bit) = (at / WORD_BITS, at % WORD_BITS);
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << bit;
        }
        if let Some(summary) = self.summary.get_mut(word / WORD_BITS) {
            *summary |= 1 << (word % WORD_BITS);
        }
        self.ones += 1;
        true
    }

    /// Takes a position out; was it there?
    pub(super) fn remove(&mut self, at: usize) -> bool {
        if !self.contains(at) {
            return false;
        }
        let (index, bit) = (at / WORD_BITS, at % WORD_BITS);
        if let Some(word) = self.words.get_mut(index) {
            *word &= !(1 << bit);
            if *word == 0
                && let Some(summary) = self.summary.get_mut(index / WORD_BITS)
            {
                *summary &= !(1 << (index % WORD_BITS));
            }
        }
        self.ones -= 1;
        true
    }

    pub(super) fn word(&self, index: usize) -> u64 {
        self.words.get(index).copied().unwrap_or(0)
    }

    pub(super) fn summary(&self, index: usize) -> u64 {
        self.summary.get(index).copied().unwrap_or(0)
    }

    /// The first position in `start..end`.
    pub(super) fn first_in(&self, start: usize, end: usize, steps: &mut u64) -> Option<usize> {
        self.first_common(&Everything, start..end, steps)
    }

    /// The first position of `range` that is also in `mask`. Each word looked at is a step.
    pub(super) fn first_common(
        &self,
        mask: &impl Mask,
        range: std::ops::Range<usize>,
        steps: &mut u64,
    ) -> Option<usize> {
        let end = range.end.min(self.len);
        let mut at = range.start;
        while at < end {
            let index = at / WORD_BITS;
            *steps += 1;
            let found = self.word(index) & mask.word(index) & (u64::MAX << (at % WORD_BITS));
            if found != 0 {
                let position = index * WORD_BITS + trailing_zeros(found);
                return (position < end).then_some(position);
            }
            at = self.next_word(mask, index + 1, steps)? * WORD_BITS;
        }
        None
    }

    /// The first word from `index` on that may have something in common with `mask`.
    fn next_word(&self, mask: &impl Mask, index: usize, steps: &mut u64) -> Option<usize> {
        let mut at = index;
        while at < self.words.len() {
            let group = at / WORD_BITS;
            *steps += 1;
            let found = self.summary(group) & mask.summary(group) & (u64::MAX << (at % WORD_BITS));
            if found != 0 {
                return Some(group * WORD_BITS + trailing_zeros(found));
            }
            at = (group + 1) * WORD_BITS;
        }
        None
    }

    /// All positions, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let at = self.first_in(next, self.len, &mut 0)?;
            next = at + 1;
            Some(at)
        })
    }
}

/// Positions that a search may return.
pub(super) trait Mask {
    /// The 64 positions from `index * 64` on.
    fn word(&self, index: usize) -> u64;
    /// Which of the 64 words from `index * 64` on may have any.
    fn summary(&self, index: usize) -> u64;
}

/// All positions.
struct Everything;

impl Mask for Everything {
    fn word(&self, _index: usize) -> u64 {
        u64::MAX
    }

    fn summary(&self, _index: usize) -> u64 {
        u64::MAX
    }
}

/// At most 64.
fn trailing_zeros(word: u64) -> usize {
    usize::try_from(word.trailing_zeros()).unwrap_or(WORD_BITS)
}
