//! What the files of a folder were when they were hashed last, so that who publishes the folder again reads
//! only what changed, as git's index does.
//!
//! A cache: what is lost or damaged is hashed again. One file for each folder. Source: `specs/storage.md`,
//! section *Hashed files*.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use blake3::Hasher;
use opendag_protocol::{DatasetPath, Hash};

use super::{
    open::Store,
    place::{RootId, ShardLocation},
};
use crate::disk::{self, Access, DiskError, Fingerprint};

/// A file that changed so shortly before it was read may change again within the same tick of its file
/// system's clock: it is not remembered. Some count in steps of two seconds.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// What the file begins with.
const MAGIC: &[u8; 8] = b"ODHASH1\n";
/// Bytes that name a path: the first of its hash.
const KEY_BYTES: usize = 16;
/// Path, four numbers, BLAKE3, whether there is a SHA-256, and it.
const ROW_BYTES: usize = KEY_BYTES + 4 * 8 + 32 + 1 + 32;

type Key = [u8; KEY_BYTES];
type Row = [u8; ROW_BYTES];

/// What tells whether a file was touched: its fingerprint, and when anything of it changed, which no
/// program can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) fingerprint: Fingerprint,
    changed_ns: i64,
}

impl Stamp {
    /// The stamp of an open file.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            fingerprint: Fingerprint::of(file)?,
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Would a change after `read_at` be seen in the stamp?
    pub(crate) fn is_settled(&self, read_at: SystemTime) -> bool {
        let Ok(read_at) = read_at.duration_since(UNIX_EPOCH) else {
            return false;
        };
        let before = read_at.saturating_sub(SETTLED_AFTER).as_nanos();
        let last = self.changed_ns.max(self.fingerprint.mtime_ns);
        i64::try_from(before).is_ok_and(|before| last < before)
    }
}

fn nanoseconds(seconds: i64, more: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(more)
}

/// What a file was when it was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) stamp: Stamp,
    pub(crate) hash: Hash,
    pub(crate) sha256: Option<[u8; 32]>,
}

/// What is known of the files of a folder.
#[derive(Debug, Default)]
pub(crate) struct HashedFiles {
    /// Sorted by key once it is read.
    rows: Vec<Row>,
}

impl HashedFiles {
    /// What a file was; `None` if that is not known.
    pub(crate) fn get(&self, path: &DatasetPath) -> Option<Known> {
        let key = key(path);
        let at = self
            .rows
            .binary_search_by(|row| row.get(..KEY_BYTES).cmp(&Some(&key[..])))
            .ok()?;
        decode(self.rows.get(at)?)
    }

    /// Is nothing known?
    pub(crate) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds what a file is.
    pub(crate) fn push(&mut self, path: &DatasetPath, known: &Known) {
        self.rows.push(encode(path, known));
    }

    /// Writes it row by row: a copy of a million would take 110 MB.
    fn write(mut self, to: &mut impl Write) -> io::Result<()> {
        self.rows.sort_unstable();
        let mut hasher = Hasher::new();
        let rows = self.rows.iter().map(Row::as_slice);
        for bytes in std::iter::once(MAGIC.as_slice()).chain(rows) {
            hasher.update(bytes);
            to.write_all(bytes)?;
        }
        to.write_all(hasher.finalize().as_bytes())
    }

    /// `None` if it is damaged.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (content, hash) = bytes.split_last_chunk::<32>()?;
        let (rows, rest) = content.strip_prefix(MAGIC)?.as_chunks::<ROW_BYTES>();
        let is_whole = rest.is_empty() && Hash::of(content).as_bytes() == hash;
        let rows = rows.to_vec();
        is_whole.then_some(Self { rows })
    }
}

impl Store {
    /// What is known of the files of a folder; nothing if it was not published before. Blocks.
    pub(crate) fn hashed_files(&self, root: RootId) -> HashedFiles {
        let bytes = std::fs::read(self.hashed_path(root));
        let known = bytes.ok().and_then(|bytes| HashedFiles::from_bytes(&bytes));
        known.unwrap_or_default()
    }

    /// Remembers it instead of what was known. Blocks.
    ///
    /// # Errors
    /// [`DiskError`]: then more is read next time.
    pub(crate) fn remember_hashed(
        &self,
        root: RootId,
        files: HashedFiles,
    ) -> Result<(), DiskError> {
        let path = self.hashed_path(root);
        disk::write_durable_with(&path, Access::Owner, |file| files.write(file))
    }

    /// Forgets it. Blocks.
    pub(super) fn forget_hashed(&self, root: RootId) -> Result<(), DiskError> {
        disk::remove_file(&self.hashed_path(root)).map(drop)
    }

    /// Can the file that was hashed be served as it is: is it not known to be damaged, and its outboard here?
    /// Blocks.
    pub(crate) fn is_served(&self, root: RootId, path: &DatasetPath, known: &Known) -> bool {
        let fingerprint = known.stamp.fingerprint;
        let location = ShardLocation {
            root,
            path: path.clone(),
            fingerprint,
            stale: false,
        };
        let found = self.shard_find(known.hash);
        found.is_ok_and(|found| found.contains(&location))
            && (fingerprint.size <= super::OUTBOARD_BYTES_MIN
                || matches!(self.inner.outboards.get(known.hash), Ok(Some(_))))
    }

    fn hashed_path(&self, root: RootId) -> PathBuf {
        let name = data_encoding::HEXLOWER.encode(&root.0);
        self.inner.data_dir.hashed_path().join(name)
    }
}

fn key(path: &DatasetPath) -> Key {
    let hash = Hash::of(path.as_str().as_bytes());
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

fn encode(path: &DatasetPath, known: &Known) -> Row {
    let Fingerprint {
        size,
        mtime_ns,
        inode,
    } = known.stamp.fingerprint;
    let parts: [&[u8]; 8] = [
        &key(path),
        &size.to_le_bytes(),
        &mtime_ns.to_le_bytes(),
        &inode.to_le_bytes(),
        &known.stamp.changed_ns.to_le_bytes(),
        known.hash.as_bytes(),
        &[u8::from(known.sha256.is_some())],
        &known.sha256.unwrap_or_default(),
    ];
    let mut row = [0; ROW_BYTES];
    for (to, from) in row.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    row
}

fn decode(row: &Row) -> Option<Known> {
    let (_, row) = row.split_first_chunk::<KEY_BYTES>()?;
    let (size, row) = row.split_first_chunk()?;
    let (mtime_ns, row) = row.split_first_chunk()?;
    let (inode, row) = row.split_first_chunk()?;
    let (changed_ns, row) = row.split_first_chunk()?;
    let (hash, row) = row.split_first_chunk()?;
    let ([has_sha256], sha256) = row.split_first_chunk()?;
    Some(Known {
        stamp: Stamp {
            fingerprint: Fingerprint {
                size: u64::from_le_bytes(*size),
                mtime_ns: i64::from_le_bytes(*mtime_ns),
                inode: u64::from_le_bytes(*inode),
            },
            changed_ns: i64::from_le_bytes(*changed_ns),
        },
        hash: Hash::from_bytes(*hash),
        sha256: (*has_sha256 == 1).then_some(*sha256.first_chunk()?),
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::store::testing;

    fn known(number: u8, sha256: Option<[u8; 32]>) -> Known {
        let n = u64::from(number);
        Known {
            stamp: Stamp {
                fingerprint: Fingerprint {
                    size: n,
                    mtime_ns: -5,
                    inode: u64::MAX - n,
                },
                changed_ns: i64::MAX,
            },
            hash: Hash::of(&[number]),
            sha256,
        }
    }

    fn path(text: &str) -> DatasetPath {
        DatasetPath::parse(text).unwrap()
    }

    #[test]
    fn what_was_remembered_is_known() {
        let mut files = HashedFiles::default();
        for number in 0..200 {
            let sha256 = (number % 2 == 0).then_some([number; 32]);
            files.push(&path(&format!("d/{number}")), &known(number, sha256));
        }
        let mut bytes = Vec::new();
        files.write(&mut bytes).unwrap();
        let read = HashedFiles::from_bytes(&bytes).unwrap();
        assert_eq!(read.get(&path("d/7")), Some(known(7, None)));
        assert_eq!(read.get(&path("d/8")), Some(known(8, Some([8; 32]))));
        assert_eq!(read.get(&path("d/200")), None);
        for cut in 0..400 {
            assert!(HashedFiles::from_bytes(&bytes[..cut]).is_none(), "{cut}");
        }
        for at in [0, 8, 100, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(HashedFiles::from_bytes(&damaged).is_none(), "{at}");
        }
    }

    #[test]
    fn only_a_file_at_rest_is_settled() {
        let read_at = UNIX_EPOCH + Duration::from_secs(100);
        let stamp = |mtime_s: i64, changed_s: i64| {
            let mut stamp = known(1, None).stamp;
            stamp.fingerprint.mtime_ns = mtime_s * 1_000_000_000;
            stamp.changed_ns = changed_s * 1_000_000_000;
            stamp.is_settled(read_at)
        };
        assert!(stamp(97, 97));
        assert!(!stamp(98, 97), "written within two seconds");
        assert!(!stamp(10, 98), "written within two seconds, and dated back");
        assert!(!stamp(10, 101), "the clock went backwards");
        assert!(!stamp(101, 10), "dated in the future");
    }

    #[test]
    fn a_change_that_hides_its_time_is_seen() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, b"before").unwrap();
        let open = || File::options().write(true).open(&file).unwrap();
        let before = Stamp::of(&open()).unwrap();
        let dated = open().metadata().unwrap().modified().unwrap();
        // The clock of a file system ticks every few milliseconds.
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        loop {
            std::fs::write(&file, b"after!").unwrap();
            open().set_modified(dated).unwrap();
            let after = Stamp::of(&open()).unwrap();
            assert_eq!(after.fingerprint, before.fingerprint);
            if after != before {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "never seen");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_folder_is_remembered_and_forgotten() {
        let dir = TempDir::new().unwrap();
        let store = testing::open(&dir.path().join("data")).await;
        let root = RootId::of(dir.path());
        testing::blocking(move || {
            assert!(store.hashed_files(root).is_empty());
            let mut files = HashedFiles::default();
            files.push(&path("a"), &known(1, None));
            store.remember_hashed(root, files).unwrap();
            assert_eq!(
                store.hashed_files(root).get(&path("a")),
                Some(known(1, None))
            );
            store.forget_hashed(root).unwrap();
            assert!(store.hashed_files(root).is_empty());
        })
        .await;
    }
}
