//! Are two folders equal, byte by byte?

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use walkdir::WalkDir;

/// Working folder of a fetch at its target; not part of the dataset.
const WORKING_FOLDER: &str = ".opendag";
/// Bytes compared at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Files that are equal.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Paths that are in one folder only, or differ.
    pub different: Vec<PathBuf>,
}

/// Compares the regular files of two folders; names in `without` are left out at the top of both.
/// Blocks.
///
/// # Errors
/// A folder or file cannot be read.
pub fn compare(one: &Path, other: &Path, without: &[String]) -> Result<Comparison> {
    let (left, mut right) = (files(one, without)?, files(other, without)?);
    let mut comparison = Comparison::default();
    for (path, size) in left {
        let same_size = right.remove(&path) == Some(size);
        if same_size && same_bytes(&one.join(&path), &other.join(&path))? {
            comparison.files += 1;
            comparison.bytes += size;
        } else {
            comparison.different.push(path);
        }
    }
    comparison.different.extend(right.into_keys());
    Ok(comparison)
}

/// Regular files below `root` with their sizes.
pub(crate) fn files(root: &Path, without: &[String]) -> Result<BTreeMap<PathBuf, u64>> {
    let mut files = BTreeMap::new();
    let wanted = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() != 1
            || (name != WORKING_FOLDER && !without.iter().any(|other| *other == name))
    };
    for entry in WalkDir::new(root).into_iter().filter_entry(wanted) {
        let entry = entry.with_context(|| format!("cannot read {}", root.display()))?;
        if entry.file_type().is_file() {
            let size = entry.metadata()?.len();
            files.insert(entry.path().strip_prefix(root)?.to_owned(), size);
        }
    }
    Ok(files)
}

fn same_bytes(one: &Path, other: &Path) -> Result<bool> {
    let open =
        |path: &Path| File::open(path).with_context(|| format!("cannot read {}", path.display()));
    let (mut one, mut other) = (open(one)?, open(other)?);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        read_some(&mut one, &mut left)?;
        read_some(&mut other, &mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}

fn read_some(file: &mut File, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.clear();
    file.take(BUFFER_BYTES.try_into()?).read_to_end(buffer)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        dir
    }

    #[test]
    fn equal_folders_are_equal_beside_what_is_left_out() {
        let large = vec![7; BUFFER_BYTES + 1];
        let one = tree(&[("a/b", &large), ("c", b""), ("target/x", b"1")]);
        let other = tree(&[("a/b", &large), ("c", b""), (".opendag/state", b"2")]);
        let comparison = compare(one.path(), other.path(), &["target".to_owned()]).unwrap();
        let bytes = u64::try_from(large.len()).unwrap();
        assert_eq!(
            comparison,
            Comparison {
                files: 2,
                bytes,
                different: Vec::new()
            }
        );
    }

    #[test]
    fn each_difference_is_named() {
        let mut large = vec![7; BUFFER_BYTES + 1];
        let one = tree(&[
            ("last", &large),
            ("size", b"1"),
            ("only-one", b""),
            ("same", b"x"),
        ]);
        *large.last_mut().unwrap() = 8;
        let other = tree(&[
            ("last", &large),
            ("size", b"12"),
            ("only-other", b""),
            ("same", b"x"),
        ]);
        let comparison = compare(one.path(), other.path(), &[]).unwrap();
        let expected = ["last", "only-one", "size", "only-other"].map(PathBuf::from);
        assert_eq!(comparison.different, expected);
        assert_eq!((comparison.files, comparison.bytes), (1, 1));
    }
}
