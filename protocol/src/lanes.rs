//! BLAKE3 with the lanes of the processor filled by different inputs of one length.
//!
//! `blake3::platform` is not documented, so a minor version may change it; the tests of those who call this compare
//! with what `blake3` itself computes. Source: the BLAKE3 paper, sections 2.1 (tree) and 5.3 (many inputs at once).

use blake3::{
    IncrementCounter,
    platform::{MAX_SIMD_DEGREE, Platform},
};

/// Bytes of a leaf of BLAKE3's tree.
pub(crate) const LEAF: usize = 1024;
/// Bytes that are compressed at a time, and of a pair of nodes.
pub(crate) const BLOCK: usize = 64;
/// Bytes of the value of a node.
pub(crate) const NODE: usize = 32;

/// The words that a hash begins with.
pub(crate) const KEY: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];
pub(crate) const CHUNK_START: u8 = 1;
pub(crate) const CHUNK_END: u8 = 2;
pub(crate) const PARENT: u8 = 4;
pub(crate) const ROOT: u8 = 8;

/// The flags of inputs: of all their blocks, of the first and of the last.
pub(crate) type Flags = (u8, u8, u8);

/// How the inputs are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    /// All have this number.
    Same(u64),
    /// The first has this one, and each further one the next.
    Up(u64),
}

/// Hashes inputs of one length at once: their values one after another, in as much of `made` as they need.
pub(crate) fn many<const N: usize>(
    platform: Platform,
    inputs: &[&[u8; N]],
    count: Count,
    (flags, start, end): Flags,
    made: &mut [u8],
) {
    let together = inputs.chunks(MAX_SIMD_DEGREE);
    let mut before = 0;
    for (some, made) in together.zip(made.chunks_mut(MAX_SIMD_DEGREE * NODE)) {
        let (counter, counts) = match count {
            Count::Same(number) => (number, IncrementCounter::No),
            Count::Up(first) => (first.saturating_add(before), IncrementCounter::Yes),
        };
        platform.hash_many(some, &KEY, counter, counts, flags, start, end, made);
        before += u64::try_from(some.len()).unwrap_or(0);
    }
}
