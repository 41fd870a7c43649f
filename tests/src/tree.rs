//! Folders with generated content, and their comparison.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use walkdir::WalkDir;

/// Sizes at which something changes, each with its reason.
pub const INTERESTING_SIZES: &[(u64, &str)] = &[
    (0, "empty"),
    (1, "the smallest"),
    (1023, "below a BLAKE3 chunk"),
    (1024, "a BLAKE3 chunk"),
    (1025, "over a BLAKE3 chunk"),
    (16 * 1024 - 1, "below a chunk group"),
    (16 * 1024, "a chunk group, one leaf"),
    (16 * 1024 + 1, "two chunk groups, the first with a parent"),
    (64 * 1024 + 1, "over a frame"),
    (
        1024 * 1024 - 1,
        "below a piece; the last size without a stored outboard",
    ),
    (1024 * 1024, "a piece"),
    (1024 * 1024 + 1, "the first with a stored outboard"),
    (8 * 1024 * 1024 + 1, "over the window in flight"),
];

/// A plan of files: path and size. The content follows from seed and path.
#[derive(Clone, Debug)]
pub struct Tree {
    seed: u64,
    files: BTreeMap<String, u64>,
}

impl Tree {
    /// An empty plan.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            files: BTreeMap::new(),
        }
    }

    /// One file of each interesting size, in nested folders, with names that need care.
    #[must_use]
    pub fn interesting(seed: u64) -> Self {
        let mut tree = Self::new(seed);
        for (size, _) in INTERESTING_SIZES {
            tree = tree.file(&format!("sizes/{size}.bin"), *size);
        }
        let long = "n".repeat(255);
        for name in [
            "a b/c d",
            "percent%20/plus+",
            "täßt/日本語.txt",
            "deep/1/2/3/4/5/6/7/8/9",
            ".hidden/.x",
            "-dash",
            &long,
        ] {
            tree = tree.file(name, 1000);
        }
        tree
    }

    /// `count` files of at most `size_max` bytes, spread over folders of a hundred.
    #[must_use]
    pub fn many(seed: u64, count: u64, size_max: u64) -> Self {
        let mut tree = Self::new(seed);
        for index in 0..count {
            let size = index.wrapping_mul(2_654_435_761) % (size_max + 1);
            tree = tree.file(&format!("d{:03}/f{index:06}.txt", index / 100), size);
        }
        tree
    }

    /// One file more.
    #[must_use]
    pub fn file(mut self, path: &str, size: u64) -> Self {
        self.files.insert(path.to_owned(), size);
        self
    }

    /// Number of files.
    #[must_use]
    pub fn files(&self) -> u64 {
        u64::try_from(self.files.len()).unwrap_or(u64::MAX)
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.values().sum()
    }

    /// The files in memory, for a peer that serves them without a disk.
    pub fn read(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::new();
        for (path, size) in &self.files {
            let mut bytes = Vec::new();
            content(self.seed, path)
                .take(*size)
                .read_to_end(&mut bytes)?;
            files.insert(path.clone(), bytes);
        }
        Ok(files)
    }

    /// Writes the files below `root` and returns it.
    pub fn write(&self, root: &Path) -> Result<PathBuf> {
        for (path, size) in &self.files {
            let target = root.join(path);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut content = content(self.seed, path).take(*size);
            let mut file = io::BufWriter::with_capacity(1 << 20, fs::File::create(&target)?);
            io::copy(&mut content, &mut file)
                .with_context(|| format!("cannot write {}", target.display()))?;
            file.flush()?;
        }
        Ok(root.to_path_buf())
    }
}

/// Endless bytes that follow from seed and name: 1 GB/s or so, and no two alike.
pub fn content(seed: u64, name: &str) -> impl Read {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(name.as_bytes());
    hasher.finalize_xof()
}

/// What differs between two folders, a sentence each; empty when they are equal byte by byte.
///
/// Folders without files do not count. Anything that is neither file nor folder is a difference.
pub fn differences(left: &Path, right: &Path) -> Result<Vec<String>> {
    let (left_files, right_files) = (list(left)?, list(right)?);
    let mut found = Vec::new();
    for path in left_files
        .keys()
        .filter(|path| !right_files.contains_key(*path))
    {
        found.push(format!(
            "{} is missing in {}",
            path.display(),
            right.display()
        ));
    }
    for (path, kind) in &right_files {
        match left_files.get(path) {
            None => found.push(format!(
                "{} is too much in {}",
                path.display(),
                right.display()
            )),
            Some(other) if other != kind => {
                found.push(format!("{} is of another kind", path.display()));
            }
            Some(Kind::Other) => {
                found.push(format!("{} is neither file nor folder", path.display()));
            }
            Some(Kind::File) if !same_bytes(&left.join(path), &right.join(path))? => {
                found.push(format!("{} has other bytes", path.display()));
            }
            Some(Kind::File) => {}
        }
    }
    Ok(found)
}

#[derive(PartialEq)]
enum Kind {
    File,
    Other,
}

fn list(root: &Path) -> Result<BTreeMap<PathBuf, Kind>> {
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(root).follow_root_links(true) {
        let entry = entry?;
        if entry.file_type().is_dir() {
            continue;
        }
        let kind = if entry.file_type().is_file() {
            Kind::File
        } else {
            Kind::Other
        };
        files.insert(entry.path().strip_prefix(root)?.to_path_buf(), kind);
    }
    Ok(files)
}

fn same_bytes(left: &Path, right: &Path) -> Result<bool> {
    let (mut left, mut right) = (fs::File::open(left)?, fs::File::open(right)?);
    if left.metadata()?.len() != right.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = left.read(&mut a)?;
        if read == 0 {
            return Ok(true);
        }
        let (Some(a), Some(b)) = (a.get(..read), b.get_mut(..read)) else {
            return Ok(false);
        };
        right.read_exact(b)?;
        if a != b {
            return Ok(false);
        }
    }
}

/// Flips one bit of a file; its length stays, and with `keep_mtime` its modification time too.
pub fn flip_bit(path: &Path, offset: u64, mtime: Mtime) -> Result<()> {
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    let modified = file.metadata()?.modified()?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset)?;
    file.write_all_at(&byte.map(|byte| byte ^ 1), offset)?;
    match mtime {
        Mtime::Keep => file.set_modified(modified)?,
        Mtime::Move => file.set_modified(modified + std::time::Duration::from_secs(2))?,
    }
    Ok(())
}

/// What [`flip_bit`] does to the file's modification time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mtime {
    /// As before: the change cannot be seen without reading the file.
    Keep,
    /// Moved on, as an editor would.
    Move,
}

/// All files below `root`, sorted: for "nothing was written".
pub fn paths(root: &Path) -> Result<Vec<PathBuf>> {
    if !root.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in WalkDir::new(root).min_depth(1) {
        paths.push(entry?.path().to_path_buf());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_finds_each_kind_of_difference() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let (left, right) = (dir.path().join("left"), dir.path().join("right"));
        let tree = Tree::interesting(1);
        tree.write(&left)?;
        tree.write(&right)?;
        assert_eq!(differences(&left, &right)?, Vec::<String>::new());

        flip_bit(&right.join("sizes/1048577.bin"), 1_048_576, Mtime::Keep)?;
        fs::remove_file(right.join("sizes/0.bin"))?;
        fs::write(right.join("extra"), b"")?;
        std::os::unix::fs::symlink("extra", right.join("link"))?;
        assert_eq!(differences(&left, &right)?.len(), 4);
        Ok(())
    }

    #[test]
    fn content_follows_from_seed_and_path() -> Result<()> {
        let read = |seed, name| -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            content(seed, name).take(100).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        assert_eq!(read(1, "a")?, read(1, "a")?);
        assert_ne!(read(1, "a")?, read(2, "a")?);
        assert_ne!(read(1, "a")?, read(1, "b")?);
        Ok(())
    }
}
