use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root};

use super::*;
use crate::{limits::CHUNK_GROUP_BYTES, testing::noise};

/// The same, one group after another, with documented functions only.
fn one_by_one(block: &[u8], offset: u64, pairs: &mut Vec<u8>) -> [u8; NODE] {
    if block.len() as u64 == CHUNK_GROUP_BYTES {
        let mut hasher = blake3::Hasher::new();
        return hasher
            .set_input_offset(offset)
            .update(block)
            .finalize_non_root();
    }
    let (left, right) = block.split_at(block.len() / 2);
    let left = one_by_one(left, offset, pairs);
    let right = one_by_one(right, offset + block.len() as u64 / 2, pairs);
    pairs.extend_from_slice(&left);
    pairs.extend_from_slice(&right);
    merge_subtrees_non_root(&left, &right, Mode::Hash)
}

#[test]
fn a_subtree_is_that_of_blake3() {
    let content = noise(4, 1 << 20);
    let mut hasher = SubtreeHasher::default();
    // Larger and smaller ones in turn: nothing of one may be left in the next.
    for bytes in [1 << 18, 1 << 14, 1 << 20, 1 << 15, 1 << 17, 1 << 16] {
        for offset in [0, 1 << 20, 5 << 40] {
            let block = &content[..bytes];
            let (mut pairs, mut wanted) = (vec![7], vec![7]);
            let top = hasher.hash(block, offset, &mut pairs);
            assert_eq!(top, Some(one_by_one(block, offset, &mut wanted)), "{bytes}");
            assert_eq!(pairs, wanted, "{bytes} bytes at {offset}");
        }
    }
}

#[test]
fn what_is_no_subtree_of_groups_is_not_hashed() {
    let content = noise(4, 1 << 16);
    let mut hasher = SubtreeHasher::default();
    for bytes in [0, 1, 1 << 13, (1 << 14) + 1, 3 << 14, (1 << 16) - 1] {
        let mut pairs = Vec::new();
        assert_eq!(
            hasher.hash(&content[..bytes], 0, &mut pairs),
            None,
            "{bytes}"
        );
        assert!(pairs.is_empty(), "{bytes}");
    }
}
