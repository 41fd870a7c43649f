//! Finding the files to publish: regular files only, each with a portable path.
//!
//! Nothing is left out silently. What cannot be published stops the publish with its name, and the
//! user decides: `--exclude` it, or `--copy` what a symbolic link points to.

use std::{
    fs,
    path::{Path, PathBuf},
};

use globset::GlobSet;
use opendag_protocol::{DatasetPath, path::PathError};
use walkdir::{DirEntry, WalkDir};

use crate::fault::Fault;

/// Folders that are never part of a dataset: other programs' and our own working data.
const WORKING_FOLDERS: [&str; 2] = [".git", ".opendag"];

/// What a symbolic link to a file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// An error: a file that is served in place must be a file.
    Refuse,
    /// The file that it points to (publishing a copy).
    Follow,
}

/// A file to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its path in the dataset, and below the folder of the walk.
    pub(crate) path: DatasetPath,
    /// Its size when it was found, in bytes; the hash decides.
    pub(crate) size: u64,
}

/// Why a folder cannot be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    /// A folder or file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The name has no place in a dataset.
    #[error("{file} cannot be published: {source}; rename it, or leave it out with --exclude", file = file.display())]
    Name {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: PathError,
    },
    /// The name is not text.
    #[error(
        "{path:?} cannot be published: its name is not UTF-8; rename it, or leave it out with --exclude"
    )]
    NotUtf8 {
        /// Which file.
        path: PathBuf,
    },
    /// A symbolic link in a publish in place.
    #[error("{path} is a symbolic link; publish what it points to with --copy, or leave it out with --exclude", path = path.display())]
    Link {
        /// Which.
        path: PathBuf,
    },
    /// A FIFO, socket or device.
    #[error("{path} is not a regular file; leave it out with --exclude", path = path.display())]
    Special {
        /// Which.
        path: PathBuf,
    },
    /// Nothing to publish.
    #[error("{path} has no files to publish", path = path.display())]
    Empty {
        /// Where.
        path: PathBuf,
    },
}

impl WalkError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Fault::Input
            }
            Self::Read { .. } => Fault::Local,
            Self::Name { .. }
            | Self::NotUtf8 { .. }
            | Self::Link { .. }
            | Self::Special { .. }
            | Self::Empty { .. } => Fault::Input,
        }
    }
}

/// The folder below which the files lie, and the files in the order of their paths' bytes.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Absolute, without symbolic links.
    pub(crate) root: PathBuf,
    /// At least one.
    pub(crate) files: Vec<Found>,
}

impl Walk {
    /// The path of a file on disk. It is not kept with each: a walk may find millions.
    pub(crate) fn file(&self, found: &Found) -> PathBuf {
        self.root.join(found.path.as_str())
    }
}

/// Finds all regular files below `path`, or `path` itself if it is one.
///
/// Blocking. Two paths that differ only in case are found later, by the table.
pub(crate) fn walk(path: &Path, exclude: &GlobSet, links: Links) -> Result<Walk, WalkError> {
    let path = fs::canonicalize(path).map_err(|source| WalkError::Read {
        path: path.to_owned(),
        source,
    })?;
    let metadata = fs::metadata(&path).map_err(|source| WalkError::Read {
        path: path.clone(),
        source,
    })?;
    if metadata.is_dir() {
        return walk_folder(path, exclude, links);
    }
    if !metadata.is_file() {
        return Err(WalkError::Special { path });
    }
    let root = path.parent().unwrap_or(Path::new("/")).to_owned();
    let found = Found {
        path: dataset_path(&root, &path)?,
        size: metadata.len(),
    };
    Ok(Walk {
        root,
        files: vec![found],
    })
}

/// Finds the regular files with these paths below `root`, in the order of their paths' bytes, whatever else
/// is there. Blocking.
pub(crate) fn only<'a>(
    root: &Path,
    paths: impl Iterator<Item = &'a String>,
) -> Result<Walk, WalkError> {
    let root = fs::canonicalize(root).map_err(|source| WalkError::Read {
        path: root.to_owned(),
        source,
    })?;
    let mut files = Vec::new();
    for path in paths {
        let file = root.join(path);
        let path = dataset_path(&root, &file)?;
        let read = |source| WalkError::Read {
            path: file.clone(),
            source,
        };
        // No symbolic link on the way: what is served is opened without following any.
        if fs::canonicalize(&file).map_err(read)? != file {
            return Err(WalkError::Link { path: file });
        }
        let metadata = fs::metadata(&file).map_err(read)?;
        if !metadata.is_file() {
            return Err(WalkError::Special { path: file });
        }
        files.push(Found {
            path,
            size: metadata.len(),
        });
    }
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(Walk { root, files })
}

fn walk_folder(root: PathBuf, exclude: &GlobSet, links: Links) -> Result<Walk, WalkError> {
    let kept = |entry: &DirEntry| {
        let below = entry.path().strip_prefix(&root).unwrap_or(entry.path());
        let working = entry.file_type().is_dir()
            && WORKING_FOLDERS
                .iter()
                .any(|name| entry.file_name() == *name);
        entry.depth() == 0 || (!working && !exclude.is_match(below))
    };
    let mut files = Vec::new();
    for entry in WalkDir::new(&root)
        .follow_links(false)
        .into_iter()
        .filter_entry(kept)
    {
        let entry = entry.map_err(|error| read_error(&root, error))?;
        if !entry.file_type().is_dir() {
            files.push(found(&root, &entry, links)?);
        }
    }
    if files.is_empty() {
        return Err(WalkError::Empty { path: root });
    }
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(Walk { root, files })
}

fn found(root: &Path, entry: &DirEntry, links: Links) -> Result<Found, WalkError> {
    let file = entry.path().to_owned();
    if entry.file_type().is_symlink() && links == Links::Refuse {
        return Err(WalkError::Link { path: file });
    }
    let metadata = fs::metadata(&file).map_err(|source| WalkError::Read {
        path: file.clone(),
        source,
    })?;
    if !metadata.is_file() {
        return Err(WalkError::Special { path: file });
    }
    Ok(Found {
        path: dataset_path(root, &file)?,
        size: metadata.len(),
    })
}

fn dataset_path(root: &Path, file: &Path) -> Result<DatasetPath, WalkError> {
    let below = file.strip_prefix(root).unwrap_or(file);
    let text = below.to_str().ok_or_else(|| WalkError::NotUtf8 {
        path: file.to_owned(),
    })?;
    DatasetPath::parse(text).map_err(|source| WalkError::Name {
        file: file.to_owned(),
        source,
    })
}

fn read_error(root: &Path, error: walkdir::Error) -> WalkError {
    let path = error.path().unwrap_or(root).to_owned();
    let source = error
        .into_io_error()
        .unwrap_or_else(|| std::io::Error::other("a loop of symbolic links"));
    WalkError::Read { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use globset::{Glob, GlobSetBuilder};

    use super::*;

    fn globs(patterns: &[&str]) -> GlobSet {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(Glob::new(pattern).unwrap());
        }
        set.build().unwrap()
    }

    fn names(walk: &Walk) -> Vec<&str> {
        walk.files.iter().map(|found| found.path.as_str()).collect()
    }

    #[test]
    fn files_come_in_the_order_of_their_paths_without_working_folders() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b/c", "b-c", "a", ".git/HEAD", "b/.opendag/x", "skip.tmp"] {
            fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            fs::write(dir.path().join(path), path).unwrap();
        }
        let walk = walk(dir.path(), &globs(&["*.tmp"]), Links::Refuse).unwrap();
        assert_eq!(names(&walk), ["a", "b-c", "b/c"]);
    }

    #[test]
    fn a_single_file_lies_below_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("data.bin"), [0; 10]).unwrap();
        let walk = walk(&dir.path().join("data.bin"), &globs(&[]), Links::Refuse).unwrap();
        assert_eq!(names(&walk), ["data.bin"]);
        assert_eq!(walk.root, dir.path().canonicalize().unwrap());
    }

    #[test]
    fn nothing_is_left_out_silently() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            walk(dir.path(), &globs(&[]), Links::Refuse),
            Err(WalkError::Empty { .. })
        ));
        fs::write(dir.path().join("a"), "a").unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        assert!(matches!(
            walk(dir.path(), &globs(&[]), Links::Refuse),
            Err(WalkError::Link { .. })
        ));
        assert_eq!(
            names(&walk(dir.path(), &globs(&[]), Links::Follow).unwrap()),
            ["a", "b"]
        );
        symlink("nowhere", dir.path().join("c")).unwrap();
        assert!(matches!(
            walk(dir.path(), &globs(&[]), Links::Follow),
            Err(WalkError::Read { .. })
        ));
        assert_eq!(
            names(&walk(dir.path(), &globs(&["[bc]"]), Links::Refuse).unwrap()),
            ["a"]
        );
        fs::write(dir.path().join("CON"), "").unwrap();
        assert!(matches!(
            walk(dir.path(), &globs(&["[bc]"]), Links::Refuse),
            Err(WalkError::Name { .. })
        ));
    }
}
