use std::fs;

use tempfile::TempDir;

use super::*;
use crate::store::testing::bytes;

const KIB: usize = 1024;

/// Length, position, and whether all, some or nothing of it may go past the cache.
const WRITES: &[(usize, u64, usize)] = &[
    (1024 * KIB, 0, 1024 * KIB),
    (512 * KIB, 16 * 1024, 512 * KIB),
    (128 * KIB - 1, 0, 0),
    (300 * KIB + 5, 64 * 1024, 300 * KIB),
    (256 * KIB, 1, 0),
];

fn open(path: &std::path::Path) -> File {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).unwrap()
}

fn block(content: &[u8]) -> Block {
    let mut block = Block::for_bytes(u64::try_from(content.len()).unwrap());
    for part in content.chunks(7 * KIB) {
        block.extend(part);
    }
    block
}

#[test]
fn blocks_are_written_whole_with_the_cache_and_past_it() {
    let dir = TempDir::new().unwrap();
    for (number, (len, position, direct)) in WRITES.iter().enumerate() {
        let path = dir.path().join(number.to_string());
        let file = DataFile::new(open(&path), Some(open(&path)));
        let block = block(&bytes(*len, 5));
        if file.direct.is_some() {
            assert_eq!(
                file.directly(block.as_slice(), *position).end,
                *direct,
                "{number}"
            );
        }
        file.write_all_at(block.as_slice(), *position).unwrap();
        let written = fs::read(&path).unwrap();
        let start = usize::try_from(*position).unwrap();
        assert_eq!(&written[start..], block.as_slice(), "{number}");
    }
}

/// A file whose writes fail as those of a file system that wants another alignment.
#[cfg(target_os = "linux")]
#[test]
fn what_is_refused_directly_goes_through_the_cache() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("file");
    let refuses = File::options()
        .write(true)
        .open("/proc/self/oom_score_adj")
        .unwrap();
    let file = DataFile {
        file: open(&path),
        direct: Some(refuses),
        refused: AtomicBool::new(false),
    };
    let block = block(&bytes(256 * KIB, 6));
    file.write_all_at(block.as_slice(), 0).unwrap();
    assert_eq!(fs::read(&path).unwrap(), block.as_slice());
    assert!(file.refused.load(Ordering::Relaxed));
}

#[test]
fn a_block_is_what_was_put_in() {
    let content = bytes(200 * KIB, 7);
    let mut filled = block(&content);
    assert_eq!(misaligned(filled.as_slice().as_ptr().addr()), 0);
    filled.truncate(150 * KIB);
    assert_eq!(filled.len(), 150 * KIB);
    assert_eq!(filled.into_vec(), content[..150 * KIB]);
}
