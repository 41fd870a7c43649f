//! What stays on a disk that has a budget: which versions go when there is no room, and which are worth having.
//!
//! Files that several versions share are counted once: they go with the last of them. Pure; source:
//! `specs/storage.md`, section *Budget*.

use std::collections::{BTreeMap, BTreeSet};

/// Tells files apart: two versions that have the same one need its bytes once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileKey(pub u128);

/// The files of a version, with their bytes.
pub type Files = Vec<(FileKey, u64)>;

/// Why a version is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// Nothing holds it any more.
    Nothing,
    /// A mirror, which keeps what there is room for.
    Mirror,
    /// The user or a pin: it is never let go unasked.
    Kept,
}

/// A version whose files are ours to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Why it is here.
    pub hold: Hold,
    /// What it consists of here.
    pub files: Files,
}

/// What a node has on its disk, and may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes that all of it may have.
    pub limit: u64,
    /// Bytes that never make room: records, and what the user had put elsewhere.
    pub fixed: u64,
    /// Bytes of the cache.
    pub cache: u64,
    /// Versions; of those with the same hold, what should go first stands first.
    pub holdings: Vec<Holding>,
}

/// How room is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes of the cache that go.
    pub cache: u64,
    /// Versions that go, by their position, in the order in which they go.
    pub remove: Vec<usize>,
    /// Bytes that are missing although all goes that may.
    pub lacks: u64,
}

/// How many versions have each file.
#[derive(Default)]
struct Shared(BTreeMap<FileKey, (u64, u32)>);

impl Shared {
    /// Adds a version. Answers the bytes that it takes.
    fn add(&mut self, files: &Files) -> u64 {
        let mut taken = 0_u64;
        for (key, bytes) in files {
            let (known, count) = self.0.entry(*key).or_insert((*bytes, 0));
            if *count == 0 {
                taken = taken.saturating_add(*known);
            }
            *count = count.saturating_add(1);
        }
        taken
    }

    /// Takes a version out. Answers the bytes that this frees.
    fn remove(&mut self, files: &Files) -> u64 {
        let mut freed = 0_u64;
        for (key, _) in files {
            if let Some((bytes, count)) = self.0.get_mut(key) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    freed = freed.saturating_add(*bytes);
                }
            }
        }
        freed
    }
}

impl Usage {
    /// Bytes that all of it has.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mut shared = Shared::default();
        let files = self.holdings.iter().map(|holding| &holding.files);
        files.fold(self.fixed.saturating_add(self.cache), |sum, files| {
            sum.saturating_add(shared.add(files))
        })
    }

    /// How room is made for so many bytes more: the cache goes first, then what nothing holds, then what mirrors hold.
    /// Nothing goes in vain: without any one of them there would be too little room.
    #[must_use]
    pub fn make_room(&self, needed: u64) -> Room {
        let excess = self
            .bytes()
            .saturating_add(needed)
            .saturating_sub(self.limit);
        let cache = excess.min(self.cache);
        let excess = excess - cache;
        let mut shared = Shared::default();
        for holding in &self.holdings {
            shared.add(&holding.files);
        }
        let (mut freed, mut gone) = (0_u64, Vec::new());
        for hold in [Hold::Nothing, Hold::Mirror] {
            for (at, holding) in self.holdings.iter().enumerate() {
                if freed < excess && holding.hold == hold {
                    freed = freed.saturating_add(shared.remove(&holding.files));
                    gone.push(at);
                }
            }
        }
        // What freed too little to matter comes back, the last first.
        let mut remove = Vec::new();
        for at in gone.into_iter().rev() {
            let Some(holding) = self.holdings.get(at) else {
                continue;
            };
            let costs = shared.add(&holding.files);
            if costs <= freed.saturating_sub(excess) {
                freed -= costs;
            } else {
                shared.remove(&holding.files);
                remove.push(at);
            }
        }
        remove.reverse();
        Room {
            cache,
            remove,
            lacks: excess.saturating_sub(freed),
        }
    }
}

/// A version that a mirror would like to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its files, if their list is known.
    pub files: Option<Files>,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// What a mirror has room for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// For each candidate: `None` if there is room, or the bytes that it would need besides.
    pub left_out: Vec<Option<u64>>,
    /// Bytes of those for which there is room.
    pub bytes: u64,
}

/// Chooses from candidates, the most wanted first, what fits into `budget`. What does not is left out, and smaller ones
/// behind it may fit.
#[must_use]
pub fn choose(candidates: &[Candidate], budget: u64) -> Choice {
    let mut chosen = BTreeSet::new();
    let mut choice = Choice::default();
    for candidate in candidates {
        let costs = match &candidate.files {
            None => candidate.bytes,
            Some(files) => {
                let mut new = BTreeSet::new();
                files
                    .iter()
                    .filter(|(key, _)| !chosen.contains(key) && new.insert(*key))
                    .fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes))
            }
        };
        let fits = choice
            .bytes
            .checked_add(costs)
            .is_some_and(|sum| sum <= budget);
        if fits {
            choice.bytes += costs;
            let files = candidate.files.iter().flatten();
            chosen.extend(files.map(|(key, _)| *key));
        }
        choice.left_out.push((!fits).then_some(costs));
    }
    choice
}

#[cfg(test)]
mod tests;
