//! Numbers of inodes: computed from what they mean, so that a tree of millions of files needs no table of
//! them and a file keeps its number for as long as the mount lives.

use opendag_protocol::table::ShardIndex;

/// Numbers of publishers' folders: of no slot, and behind that of the top.
const PUBLISHERS: u64 = 1 << SHARD_BITS;
/// The number of the tree's top, by FUSE's rule.
const TOP: u64 = 1;
/// Bits of a shard's number.
const SHARD_BITS: u32 = 32;
/// Bits of a depth: a path of 1,024 bytes has at most 512 parts.
const DEPTH_BITS: u32 = 10;
/// The depth that means the file itself: no folder is that deep.
const FILE: u64 = (1 << DEPTH_BITS) - 1;
/// Entries of the tree's top that can have been opened: what remains of 64 bits, without 0.
pub(super) const SLOTS_MAX: u32 = (1 << (u64::BITS - SHARD_BITS - DEPTH_BITS)) - 1;

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inode {
    /// The top, which lists datasets.
    Top,
    /// A publisher's folder, which lists the publisher's datasets.
    Publisher(u32),
    /// Something of a version.
    Of(Slot, Node),
}

/// Number of an entry of the top with one version, from 1 to [`SLOTS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u32);

/// A file or folder of a version. A folder is told by the first file in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A file.
    File(ShardIndex),
    /// The folder of the first `depth` parts of the path of `first`; with 0 the version's own.
    Folder {
        /// How many parts.
        depth: u16,
        /// The first file below it.
        first: ShardIndex,
    },
}

impl Node {
    /// The folder in which all files of a version lie.
    pub(super) const ROOT: Self = Self::Folder {
        depth: 0,
        first: ShardIndex(0),
    };
}

impl Inode {
    /// Its number.
    pub(super) fn number(self) -> u64 {
        let (Slot(slot), node) = match self {
            Self::Top => return TOP,
            Self::Publisher(number) => return PUBLISHERS | u64::from(number),
            Self::Of(slot, node) => (slot, node),
        };
        let (depth, shard) = match node {
            Node::File(shard) => (FILE, shard),
            Node::Folder { depth, first } => (u64::from(depth), first),
        };
        u64::from(slot) << (SHARD_BITS + DEPTH_BITS) | depth << SHARD_BITS | u64::from(shard.0)
    }

    /// What a number means; `None` if none was given so.
    pub(super) fn of(number: u64) -> Option<Self> {
        if number == TOP {
            return Some(Self::Top);
        }
        let slot = u32::try_from(number >> (SHARD_BITS + DEPTH_BITS)).ok()?;
        let low = u32::try_from(number & u64::from(u32::MAX)).ok()?;
        if number >> SHARD_BITS == PUBLISHERS >> SHARD_BITS {
            return Some(Self::Publisher(low));
        }
        let shard = ShardIndex(low);
        let node = match number >> SHARD_BITS & FILE {
            FILE => Node::File(shard),
            depth => Node::Folder {
                depth: u16::try_from(depth).ok()?,
                first: shard,
            },
        };
        (slot > 0).then_some(Self::Of(Slot(slot), node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_mean_what_they_were_made_of() {
        let mut seen = std::collections::BTreeSet::from([0]);
        let shards = [0, 1, u32::MAX].map(ShardIndex);
        for slot in [1, 2, SLOTS_MAX] {
            for shard in shards {
                let folder = |depth| Node::Folder {
                    depth,
                    first: shard,
                };
                for node in [Node::File(shard), folder(0), folder(1), folder(512)] {
                    let inode = Inode::Of(Slot(slot), node);
                    assert_eq!(Inode::of(inode.number()), Some(inode));
                    assert!(
                        seen.insert(inode.number()),
                        "{inode:?} has another's number"
                    );
                }
            }
        }
        assert_eq!(Inode::of(Inode::Top.number()), Some(Inode::Top));
        assert!(seen.insert(Inode::Top.number()));
        for number in [0, 1, u32::MAX] {
            let inode = Inode::Publisher(number);
            assert_eq!(Inode::of(inode.number()), Some(inode));
            assert!(seen.insert(inode.number()));
        }
        assert_eq!(Inode::of(0), None);
        assert_eq!(Inode::of(7), None);
    }
}
