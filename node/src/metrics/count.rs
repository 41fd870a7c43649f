//! Numbers that many tasks change.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// One more.
    pub(crate) fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level(Arc<AtomicU64>);

/// One of those that a [`Level`] counts, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Level);

impl Level {
    /// One more, as long as the answer lives.
    pub(crate) fn enter(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    /// The number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
