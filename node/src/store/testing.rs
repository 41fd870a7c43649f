//! What several tests of the store share.

use std::{fs, path::Path};

use opendag_protocol::DatasetPath;
use tempfile::TempDir;

use super::outboards::Outboards;

const GROUP: usize = 16 * 1024;
const MIB: usize = 1024 * 1024;

/// Sizes at which something changes, each with its reason.
pub(crate) const SIZES: &[(usize, &str)] = &[
    (0, "no chunk group at all"),
    (1, "the smallest chunk"),
    (1024, "one whole chunk"),
    (1025, "a second chunk in the group"),
    (GROUP - 1, "one chunk group, not full"),
    (GROUP, "one full chunk group: the root is a leaf"),
    (GROUP + 1, "the first hash pair"),
    (2 * GROUP + 1, "an odd number of groups: an unbalanced tree"),
    (MIB - 1, "the largest read whole, not full"),
    (MIB, "the largest without an outboard"),
    (MIB + 1, "the smallest with an outboard"),
    (5 * MIB + 12_345, "several pieces, unbalanced"),
    (
        8 * MIB + 1,
        "more than one outboard window, one byte in the last group",
    ),
];

/// Bytes that differ from group to group, the same for the same length and seed.
pub(crate) fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

pub(crate) fn path(text: &str) -> DatasetPath {
    DatasetPath::parse(text).unwrap()
}

pub(crate) fn outboards(dir: &TempDir) -> Outboards {
    Outboards::open(&dir.path().join("outboards")).unwrap()
}

/// Flips one bit of a file without changing its fingerprint.
pub(crate) fn flip_bit(path: &Path, offset: usize) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut content = fs::read(path).unwrap();
    content[offset] ^= 0x40;
    let file = fs::File::options().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &content, 0).unwrap();
    file.set_modified(modified).unwrap();
}
