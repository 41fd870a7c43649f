//! Many paths below one folder: neighbours share their parent's open handle.

use std::{
    fs::File,
    ops::Deref,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use opendag_protocol::path::DatasetPath;
use rustix::{
    fs::{AtFlags, FileType, OFlags},
    io::Errno,
};

use super::{
    DiskError,
    confined::{Confined, Found, Missing, Replace, open_any, open_regular},
};

/// Walks paths below a [`Confined`] folder, and keeps the last parent open: files come folder by folder, and a walk for
/// each costs more than what is then done to it. To be held for one piece of work, not for long: a folder that is
/// moved meanwhile is still written to where it is then.
#[derive(Debug)]
pub struct Walker<R> {
    root: R,
    last: Option<(String, OwnedFd)>,
}

impl<R: Deref<Target = Confined>> Walker<R> {
    /// A walker below `root`.
    pub fn new(root: R) -> Self {
        Self { root, last: None }
    }

    /// Moves the file `name` of a folder to its final path, making folders.
    ///
    /// Not durable before [`Confined::sync_parent`] or [`Confined::sync_all`].
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn rename_into(
        &mut self,
        (from, name): (&Confined, &str),
        to: &DatasetPath,
        replace: Replace,
    ) -> Result<(), DiskError> {
        let path = self.shown(to);
        let (folder, last) = self.parent(to, Missing::Create)?;
        let renamed = match replace {
            Replace::Yes => rustix::fs::renameat(from, name, folder, last),
            Replace::Never => rename_new(from.as_fd(), name, folder, last),
        };
        renamed.map_err(|errno| match errno {
            Errno::EXIST => DiskError::Exists { path },
            Errno::ISDIR | Errno::NOTEMPTY => DiskError::NotAFile { path },
            errno => DiskError::os("write", &path)(errno),
        })
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// [`DiskError::Io`] (see [`DiskError::is_not_found`]), `NotAFile`, `NotAFolder`.
    pub fn open_read(&mut self, path: &DatasetPath) -> Result<File, DiskError> {
        let shown = self.shown(path);
        let (folder, last) = self.parent(path, Missing::Fail)?;
        open_regular(folder, last, OFlags::RDONLY, &shown)
    }

    /// Opens for reading what may be no regular file: for whoever compares its [`Fingerprint`](super::Fingerprint) with
    /// that of one anyway.
    ///
    /// # Errors
    /// [`DiskError::Io`] (see [`DiskError::is_not_found`]), `NotAFile`, `NotAFolder`.
    pub fn open_unseen(&mut self, path: &DatasetPath) -> Result<File, DiskError> {
        let shown = self.shown(path);
        let (folder, last) = self.parent(path, Missing::Fail)?;
        open_any(folder, last, OFlags::RDONLY, &shown)
    }

    /// What lies at a path; symlinks are not followed.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn find(&mut self, path: &DatasetPath) -> Result<Found, DiskError> {
        let shown = self.shown(path);
        let (folder, last) = match self.parent(path, Missing::Fail) {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Ok(Found::Nothing),
            Err(DiskError::NotAFolder { .. }) => return Ok(Found::Other),
            Err(error) => return Err(error),
        };
        match rustix::fs::statat(folder, last, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Ok(Found::File {
                    size: u64::try_from(stat.st_size).unwrap_or(0),
                })
            }
            Ok(_) => Ok(Found::Other),
            Err(Errno::NOENT) => Ok(Found::Nothing),
            Err(errno) => Err(DiskError::os("read", &shown)(errno)),
        }
    }

    fn shown(&self, path: &DatasetPath) -> PathBuf {
        self.root.path().join(path.as_str())
    }

    /// The open folder in which the last component of `path` lies, and that component.
    fn parent<'p>(
        &mut self,
        path: &'p DatasetPath,
        missing: Missing,
    ) -> Result<(BorrowedFd<'_>, &'p str), DiskError> {
        let Some(folder) = path.folder() else {
            return Ok((self.root.as_fd(), path.as_str()));
        };
        if self.last.as_ref().is_none_or(|(last, _)| last != folder) {
            self.last = None;
            let (handle, _) = self.root.walk(path, missing)?;
            self.last = Some((folder.to_owned(), handle));
        }
        let handle = self.last.as_ref().map(|(_, handle)| handle.as_fd());
        Ok((handle.unwrap_or(self.root.as_fd()), path.file_name()))
    }
}

/// Renames without replacing anything.
fn rename_new(
    from: BorrowedFd<'_>,
    name: &str,
    to: BorrowedFd<'_>,
    last: &str,
) -> Result<(), Errno> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::RenameFlags;
        match rustix::fs::renameat_with(from, name, to, last, RenameFlags::NOREPLACE) {
            // The file system cannot: look first, then rename.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return done,
        }
    }
    match rustix::fs::statat(to, last, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => rustix::fs::renameat(from, name, to, last),
        Err(errno) => Err(errno),
    }
}
