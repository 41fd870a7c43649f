//! Walking what versions were made from, or what was made from them, without going on for ever.
//!
//! Manifests name what they were made from by its hash, so honest lineage has no cycles; what strangers
//! tell may still be as wide and deep as they like. [`Walk`] is pure: it says which version to look at
//! next, and is told where that one leads.

use std::collections::{BTreeSet, VecDeque};

use crate::{
    ManifestId,
    limits::{LINEAGE_DEPTH_MAX, LINEAGE_VERSIONS_MAX},
};

/// A walk, broad before deep, so that what is near is not crowded out by what is far.
///
/// Invariants: `queue` holds no version that was handed out; `seen` holds all that were or are in it, at
/// most [`LINEAGE_VERSIONS_MAX`].
#[derive(Debug)]
pub struct Walk {
    depth_max: u32,
    seen: BTreeSet<ManifestId>,
    queue: VecDeque<(ManifestId, u32)>,
    is_cut: bool,
}

impl Walk {
    /// Begins at a version and goes so many steps far, at most [`LINEAGE_DEPTH_MAX`].
    #[must_use]
    pub fn start(root: ManifestId, depth_max: u32) -> Self {
        Self {
            depth_max: depth_max.min(LINEAGE_DEPTH_MAX),
            seen: BTreeSet::from([root]),
            queue: VecDeque::from([(root, 0)]),
            is_cut: false,
        }
    }

    /// All versions that are as near as the nearest that was not looked at yet, with their distance.
    pub fn next_level(&mut self) -> Option<(u32, Vec<ManifestId>)> {
        let (_, depth) = *self.queue.front()?;
        let end = self.queue.partition_point(|(_, other)| *other <= depth);
        let level = self.queue.drain(..end).map(|(id, _)| id).collect();
        Some((depth, level))
    }

    /// A version at this distance leads to others.
    pub fn leads_to(&mut self, depth: u32, others: impl IntoIterator<Item = ManifestId>) {
        for other in others {
            if self.seen.contains(&other) {
                continue;
            }
            if depth >= self.depth_max || self.seen.len() >= LINEAGE_VERSIONS_MAX {
                self.is_cut = true;
                continue;
            }
            self.seen.insert(other);
            self.queue.push_back((other, depth + 1));
        }
    }

    /// Is a version part of the walk?
    #[must_use]
    pub fn has_seen(&self, version: &ManifestId) -> bool {
        self.seen.contains(version)
    }

    /// Was something left out because it was too far, or too much?
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Something was left out for another reason.
    pub const fn cut(&mut self) {
        self.is_cut = true;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Hash;

    fn id(number: u32) -> ManifestId {
        ManifestId::from_hash(Hash::of(&number.to_le_bytes()))
    }

    /// Walks a graph to its end; what was looked at, in order, and whether something was left out.
    fn walk(graph: &BTreeMap<u32, Vec<u32>>, depth_max: u32) -> (Vec<(u32, u32)>, bool) {
        let names: BTreeMap<ManifestId, u32> =
            (0..5000).map(|number| (id(number), number)).collect();
        let mut walk = Walk::start(id(0), depth_max);
        let mut looked = Vec::new();
        while let Some((depth, level)) = walk.next_level() {
            for version in level {
                looked.push((names[&version], depth));
                let others = graph.get(&names[&version]).cloned().unwrap_or_default();
                walk.leads_to(depth, others.into_iter().map(id));
            }
        }
        (looked, walk.is_cut())
    }

    #[test]
    fn a_diamond_is_looked_at_once() {
        let graph = BTreeMap::from([(0, vec![1, 2]), (1, vec![3]), (2, vec![3]), (3, vec![4])]);
        let (looked, is_cut) = walk(&graph, 8);
        assert_eq!(looked, [(0, 0), (1, 1), (2, 1), (3, 2), (4, 3)]);
        assert!(!is_cut);
    }

    #[test]
    fn p6_a_cycle_ends() {
        let graph = BTreeMap::from([(0, vec![1]), (1, vec![2, 1]), (2, vec![0])]);
        let (looked, is_cut) = walk(&graph, 8);
        assert_eq!(looked.len(), 3);
        assert!(!is_cut, "nothing of it is left out");
    }

    #[test]
    fn p6_depth_and_breadth_have_an_end_and_say_so() {
        let chain: BTreeMap<u32, Vec<u32>> =
            (0..3000).map(|number| (number, vec![number + 1])).collect();
        let (looked, is_cut) = walk(&chain, u32::MAX);
        assert_eq!(looked.last(), Some(&(LINEAGE_DEPTH_MAX, LINEAGE_DEPTH_MAX)));
        assert!(is_cut);
        let (looked, is_cut) = walk(&chain, 2);
        assert_eq!((looked.len(), is_cut), (3, true));
        let broad = BTreeMap::from([(0, (1..3000).collect())]);
        let (looked, is_cut) = walk(&broad, 8);
        assert_eq!((looked.len(), is_cut), (LINEAGE_VERSIONS_MAX, true));
    }
}
