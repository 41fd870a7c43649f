//! A folder below which paths of strangers are opened and written, and nothing outside is reached.

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use opendag_protocol::path::DatasetPath;
use rustix::{
    fs::{AtFlags, Mode, OFlags},
    io::Errno,
};

use super::{Access, DiskError, TEMP_PREFIX, sync_file_system, temp_name, walker::Walker};

/// What is to be done with a file that is in the way of a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Leave it and fail with [`DiskError::Exists`].
    Never,
    /// Replace it, whatever it is besides a folder; a symlink itself is replaced, not its target.
    Yes,
}

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A regular file of so many bytes.
    File {
        /// Its size.
        size: u64,
    },
    /// A folder, symlink, pipe, socket or device, or something that is no folder among the parents.
    Other,
}

/// An open folder. Paths below it are walked with `openat` and `O_NOFOLLOW`, one component at a time,
/// so that a symlink that is planted at any moment leads nowhere.
///
/// All functions block.
#[derive(Debug)]
pub struct Confined {
    folder: OwnedFd,
    path: PathBuf,
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl Confined {
    /// Opens a folder that exists. Symlinks in `root` itself are the user's and are followed.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn open(root: &Path) -> Result<Self, DiskError> {
        let folder =
            rustix::fs::open(root, FOLDER, Mode::empty()).map_err(DiskError::os("open", root))?;
        Ok(Self {
            folder,
            path: root.to_owned(),
        })
    }

    /// Opens a folder, and makes it and its parents before if need be.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn create(root: &Path) -> Result<Self, DiskError> {
        std::fs::create_dir_all(root).map_err(DiskError::io("create", root))?;
        Self::open(root)
    }

    /// The path that it was opened with; only for messages and for places.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a folder right below this one, and makes it (mode 0700) if need be.
    ///
    /// # Errors
    /// [`DiskError::Io`], [`DiskError::NotAFolder`].
    pub fn subfolder(&self, name: &str) -> Result<Self, DiskError> {
        let path = self.path.join(name);
        match rustix::fs::mkdirat(&self.folder, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(DiskError::os("create", &path)(errno)),
        }
        let folder = open_folder(self.folder.as_fd(), name, &path)?;
        Ok(Self { folder, path })
    }

    /// Creates a temporary file right below this folder. Answers its name and the open file.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn create_temp(&self) -> Result<(String, File), DiskError> {
        let name = temp_name();
        let file = self.create_file(&name, Access::Umask)?;
        Ok((name, file))
    }

    /// Creates a file right below this folder, which must not exist.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn create_file(&self, name: &str, access: Access) -> Result<File, DiskError> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(access.mode());
        let file = rustix::fs::openat(&self.folder, name, flags, mode)
            .map_err(DiskError::os("create", &self.path.join(name)))?;
        Ok(file.into())
    }

    /// Opens a regular file right below this folder, for reading and writing.
    ///
    /// # Errors
    /// [`DiskError::Io`], [`DiskError::NotAFile`].
    pub fn open_own(&self, name: &str) -> Result<File, DiskError> {
        open_regular(
            self.folder.as_fd(),
            name,
            OFlags::RDWR,
            &self.path.join(name),
        )
    }

    /// Removes a file right below this folder; one that is not there counts as removed.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn remove_own(&self, name: &str) -> Result<(), DiskError> {
        match rustix::fs::unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(DiskError::os("remove", &self.path.join(name))(errno)),
        }
    }

    /// Removes what a killed process left right below this folder: files named by [`temp_name`].
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn remove_temporary_files(&self) -> Result<(), DiskError> {
        for name in self.names()? {
            if name.starts_with(TEMP_PREFIX) {
                self.remove_own(&name)?;
            }
        }
        Ok(())
    }

    /// The names right below this folder, but for those that are no text.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn names(&self) -> Result<Vec<String>, DiskError> {
        let read_error = || DiskError::os("read", &self.path);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.folder).map_err(read_error())? {
            let entry = entry.map_err(read_error())?;
            match entry.file_name().to_str() {
                Ok(".." | ".") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    /// Renames a file right below this folder.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn rename_own(&self, from: &str, to: &str) -> Result<(), DiskError> {
        rustix::fs::renameat(&self.folder, from, &self.folder, to)
            .map_err(DiskError::os("rename", &self.path.join(from)))
    }

    /// Walks many paths: see [`Walker`].
    #[must_use]
    pub fn walker(&self) -> Walker<&Self> {
        Walker::new(self)
    }

    /// As [`Walker::rename_into`], for a single file.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn rename_into(
        &self,
        from: &Self,
        name: &str,
        to: &DatasetPath,
        replace: Replace,
    ) -> Result<(), DiskError> {
        self.walker().rename_into((from, name), to, replace)
    }

    /// As [`Walker::open_read`], for a single file.
    ///
    /// # Errors
    /// [`DiskError::Io`] (see [`DiskError::is_not_found`]), `NotAFile`, `NotAFolder`.
    pub fn open_read(&self, path: &DatasetPath) -> Result<File, DiskError> {
        self.walker().open_read(path)
    }

    /// As [`Walker::find`], for a single path.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn find(&self, path: &DatasetPath) -> Result<Found, DiskError> {
        self.walker().find(path)
    }

    /// Removes a file, and those of its parent folders that are empty then. Answers whether there was one.
    ///
    /// # Errors
    /// [`DiskError::Io`], `NotAFolder`.
    pub fn remove(&self, path: &DatasetPath) -> Result<bool, DiskError> {
        let (folder, last) = match self.walk(path, Missing::Fail) {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error),
        };
        match rustix::fs::unlinkat(&folder, last, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => {
                return Err(DiskError::os("remove", &self.path.join(path.as_str()))(
                    errno,
                ));
            }
        }
        self.remove_empty_parents(path);
        Ok(true)
    }

    /// Makes the name of a file durable: syncs its folder.
    ///
    /// # Errors
    /// [`DiskError::Io`], `NotAFolder`.
    pub fn sync_parent(&self, path: &DatasetPath) -> Result<(), DiskError> {
        let shown = self.path.join(path.as_str());
        let mut folder = self.duplicate()?;
        rustix::fs::fsync(&folder).map_err(DiskError::os("sync", &self.path))?;
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            if components.peek().is_some() {
                folder = open_folder(folder.as_fd(), component, &shown)?;
                rustix::fs::fsync(&folder).map_err(DiskError::os("sync", &shown))?;
            }
        }
        Ok(())
    }

    /// Makes the names right below this folder durable.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn sync_names(&self) -> Result<(), DiskError> {
        rustix::fs::fsync(&self.folder).map_err(DiskError::os("sync", &self.path))
    }

    /// Makes all that was written below this folder durable, names included.
    ///
    /// # Errors
    /// [`DiskError::Io`]; all that was written since the last success counts as lost then.
    pub fn sync_all(&self) -> Result<(), DiskError> {
        sync_file_system(&self.folder).map_err(DiskError::io("sync", &self.path))
    }

    /// Bytes that the user may still write here.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn free_bytes(&self) -> Result<u64, DiskError> {
        super::free_bytes(&self.folder).map_err(DiskError::io("look at", &self.path))
    }

    fn duplicate(&self) -> Result<OwnedFd, DiskError> {
        self.folder
            .try_clone()
            .map_err(DiskError::io("open", &self.path))
    }

    /// The open folder in which the last component of `path` lies, and that component.
    pub(super) fn walk<'p>(
        &self,
        path: &'p DatasetPath,
        missing: Missing,
    ) -> Result<(OwnedFd, &'p str), DiskError> {
        let mut folder = self.duplicate()?;
        let mut shown = self.path.clone();
        let mut components = path.components().peekable();
        let mut last = "";
        while let Some(component) = components.next() {
            last = component;
            if components.peek().is_none() {
                break;
            }
            shown.push(component);
            folder = match open_folder(folder.as_fd(), component, &shown) {
                Err(error) if missing == Missing::Create && error.is_not_found() => {
                    match rustix::fs::mkdirat(&folder, component, Mode::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(errno) => return Err(DiskError::os("create", &shown)(errno)),
                    }
                    open_folder(folder.as_fd(), component, &shown)?
                }
                opened => opened?,
            };
        }
        Ok((folder, last))
    }

    fn remove_empty_parents(&self, path: &DatasetPath) {
        let components: Vec<&str> = path.components().collect();
        for depth in (1..components.len()).rev() {
            let Some((name, parents)) = components.get(..depth).and_then(<[_]>::split_last) else {
                return;
            };
            let Ok(mut folder) = self.duplicate() else {
                return;
            };
            for parent in parents {
                match open_folder(folder.as_fd(), parent, &self.path) {
                    Ok(next) => folder = next,
                    Err(_) => return,
                }
            }
            // Fails on the first folder that still holds something: that one stays.
            if rustix::fs::unlinkat(&folder, *name, AtFlags::REMOVEDIR).is_err() {
                return;
            }
        }
    }
}

impl AsFd for Confined {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// What becomes of parent folders that are not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Create,
    Fail,
}

fn open_folder(parent: BorrowedFd<'_>, name: &str, shown: &Path) -> Result<OwnedFd, DiskError> {
    rustix::fs::openat(parent, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()).map_err(|errno| {
        match errno {
            Errno::NOTDIR | Errno::LOOP => DiskError::NotAFolder {
                path: shown.to_owned(),
            },
            errno => DiskError::os("open", shown)(errno),
        }
    })
}

pub(super) fn open_regular(
    folder: BorrowedFd<'_>,
    name: &str,
    access: OFlags,
    shown: &Path,
) -> Result<File, DiskError> {
    let file = open_any(folder, name, access, shown)?;
    let metadata = file.metadata().map_err(DiskError::io("open", shown))?;
    if metadata.is_file() {
        Ok(file)
    } else {
        Err(DiskError::NotAFile {
            path: shown.to_owned(),
        })
    }
}

/// Opens whatever has this name, but for a symlink.
pub(super) fn open_any(
    folder: BorrowedFd<'_>,
    name: &str,
    access: OFlags,
    shown: &Path,
) -> Result<File, DiskError> {
    // Without NONBLOCK, opening a pipe that somebody planted would wait for ever.
    let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = rustix::fs::openat(folder, name, flags, Mode::empty());
    opened.map(File::from).map_err(|errno| match errno {
        Errno::LOOP | Errno::NXIO | Errno::ISDIR => DiskError::NotAFile {
            path: shown.to_owned(),
        },
        errno => DiskError::os("open", shown)(errno),
    })
}
