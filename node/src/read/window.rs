//! What a reader has on its way ahead of it.

use opendag_protocol::{limits::CHUNK_GROUP_BYTES, wire::GroupRange};

/// A reader that goes on in order has so many bytes on their way ahead of it; at first this many,
const AHEAD_BYTES_MIN: u64 = 1 << 20;
/// and twice as many with each step, up to this.
const AHEAD_BYTES_MAX: u64 = 16 << 20;

/// How far a reader looks ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead(u64);

impl Default for Ahead {
    fn default() -> Self {
        Self(AHEAD_BYTES_MIN)
    }
}

/// A step of a reader and what it wants behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    groups: GroupRange,
    /// Groups of the step.
    step: u64,
}

impl Ahead {
    /// The reader made a step.
    pub(super) fn grow(&mut self) {
        self.0 = (self.0 * 2).min(AHEAD_BYTES_MAX);
    }

    /// What is wanted for the step `groups`, which begins at the byte `start`, of a read up to `end`.
    pub(super) fn window(self, groups: GroupRange, start: u64, end: u64) -> Window {
        let end = start.saturating_add(self.0).min(end);
        let end = end.div_ceil(CHUNK_GROUP_BYTES).max(groups.end());
        Window {
            groups: GroupRange::between(groups.first, end).unwrap_or(groups),
            step: groups.count,
        }
    }
}

impl Window {
    /// All of it.
    pub(super) fn groups(self) -> GroupRange {
        self.groups
    }

    /// Is at least half of it in what was `told` to be wanted? Not every step is worth a word.
    pub(super) fn is_told(self, told: Option<GroupRange>) -> bool {
        let half = self.groups.count.div_ceil(2).max(self.step);
        let enough = self.groups.end().min(self.groups.first + half);
        told.is_some_and(|told| told.first <= self.groups.first && enough <= told.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: GroupRange = GroupRange {
        first: 64,
        count: 16,
    };

    fn window(ahead: Ahead, end: u64) -> Window {
        ahead.window(STEP, STEP.first * CHUNK_GROUP_BYTES, end)
    }

    #[test]
    fn it_grows_with_the_steps_and_never_beyond_the_read() {
        let mut ahead = Ahead::default();
        assert_eq!(window(ahead, u64::MAX).groups().count, 64);
        assert_eq!(window(ahead, 0).groups(), STEP, "the step itself is wanted");
        let end = 90 * CHUNK_GROUP_BYTES - 5;
        assert_eq!(window(ahead, end).groups().end(), 90);
        for _ in 0..9 {
            ahead.grow();
        }
        assert_eq!(window(ahead, u64::MAX).groups().count, 1024);
    }

    #[test]
    fn a_word_is_said_when_half_of_it_is_read() {
        let window = window(Ahead::default(), u64::MAX);
        let told = |first, count| window.is_told(Some(GroupRange { first, count }));
        assert!(!window.is_told(None));
        assert!(told(64, 32) && told(0, 200));
        assert!(!told(64, 31), "less than half is on its way");
        assert!(!told(65, 200), "the step itself is not");
    }
}
