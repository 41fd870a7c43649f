//! The only module that creates, renames, syncs and removes files.
//!
//! The recipe is always the same: write a temporary file, sync it, rename it, sync its folder, and
//! only then say "done". Paths that come from strangers are walked component by component below an
//! open folder ([`Confined`]); no symlink is followed. Everything here blocks: call it from
//! `spawn_blocking` or from a thread of your own.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

mod confined;
mod link;
mod walker;

pub use confined::{Confined, Found, Replace};
pub use walker::Walker;

/// Why something on disk could not be done.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The operating system refused.
    #[error("cannot {operation} {path}", path = path.display())]
    Io {
        /// What was tried, such as `open`.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is something that is not a regular file: a folder, symlink, pipe, socket or device.
    #[error("{path} is not a regular file", path = path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
    },
    /// A parent of a path is a symlink or a file.
    #[error("{path} is not a folder (symlinks are not followed)", path = path.display())]
    NotAFolder {
        /// Where.
        path: PathBuf,
    },
    /// A file must not be replaced, and there is one.
    #[error("{path} exists already", path = path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
}

impl DiskError {
    pub(crate) fn io(
        operation: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            operation,
            path,
            source,
        }
    }

    pub(crate) fn os(
        operation: &'static str,
        path: &Path,
    ) -> impl FnOnce(rustix::io::Errno) -> Self + use<> {
        let path = path.to_owned();
        move |errno| Self::Io {
            operation,
            path,
            source: errno.into(),
        }
    }

    /// Is the disk, or the user's quota on it, full? Waiting may help then.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_full(source),
            Self::NotAFile { .. } | Self::NotAFolder { .. } | Self::Exists { .. } => false,
        }
    }

    /// Is there something of that name already?
    #[must_use]
    pub fn is_taken(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::AlreadyExists,
            Self::Exists { .. } => true,
            Self::NotAFile { .. } | Self::NotAFolder { .. } => false,
        }
    }

    /// Does the path not exist?
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Is it the error of a full disk, or of a quota that is used up?
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// What tells cheaply that a file is still the one that was hashed: size, time of change and inode.
///
/// Equal fingerprints do not prove equal bytes; what is read is verified anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Number of the file in its file system.
    pub inode: u64,
}

impl Fingerprint {
    /// The fingerprint of an open file.
    ///
    /// # Errors
    /// The operating system's.
    pub fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            size: metadata.len(),
            mtime_ns: metadata
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(metadata.mtime_nsec()),
            inode: metadata.ino(),
        })
    }
}

/// Who may read a file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only the owner: keys and tokens (0600).
    Owner,
    /// As the user's umask says (0666 less the umask).
    Umask,
}

impl Access {
    const fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Umask => 0o666,
        }
    }
}

/// Replaces the file at `path` with `bytes`, durably: after a crash there is the old or the new file.
///
/// # Errors
/// [`DiskError::Io`]; the old file is untouched then.
pub fn write_durable(path: &Path, bytes: &[u8], access: Access) -> Result<(), DiskError> {
    write_durable_with(path, access, |file| file.write_all(bytes))
}

/// As [`write_durable`], for what is written bit by bit.
///
/// # Errors
/// As [`write_durable`].
pub fn write_durable_with(
    path: &Path,
    access: Access,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), DiskError> {
    let folder = parent(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!("{name}.{}", temp_name()));
    let written = write_new(&temporary, access, write)
        .and_then(|()| std::fs::rename(&temporary, path).map_err(DiskError::io("write", path)));
    if let Err(error) = written {
        // Nothing refers to it; what cannot be removed now is removed at the next start.
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    sync_folder(folder)
}

fn write_new(
    path: &Path,
    access: Access,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), DiskError> {
    let mut file = BufWriter::new(create_new(path, access)?);
    write(&mut file)
        .and_then(|()| file.flush())
        .map_err(DiskError::io("write", path))?;
    file.get_ref()
        .sync_all()
        .map_err(DiskError::io("sync", path))
}

/// Creates a file that must not exist, for reading and writing.
///
/// # Errors
/// [`DiskError::Io`].
pub fn create_new(path: &Path, access: Access) -> Result<File, DiskError> {
    File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(access.mode())
        .open(path)
        .map_err(DiskError::io("create", path))
}

/// Renames a file whose bytes are durable already, durably.
///
/// # Errors
/// [`DiskError::Io`].
pub fn rename_durable(from: &Path, to: &Path) -> Result<(), DiskError> {
    std::fs::rename(from, to).map_err(DiskError::io("rename", from))?;
    sync_folder(parent(to))
}

/// Makes the names in a folder durable.
///
/// # Errors
/// [`DiskError::Io`].
pub fn sync_folder(folder: &Path) -> Result<(), DiskError> {
    let handle = File::open(folder).map_err(DiskError::io("open", folder))?;
    handle.sync_all().map_err(DiskError::io("sync", folder))
}

/// Creates a folder and its parents with mode 0700, if it is not there.
///
/// # Errors
/// [`DiskError::Io`].
pub fn create_private_folder(path: &Path) -> Result<(), DiskError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(DiskError::io("create", path))
}

/// Removes a file; one that is not there counts as removed. Answers whether there was one.
///
/// # Errors
/// [`DiskError::Io`].
pub fn remove_file(path: &Path) -> Result<bool, DiskError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(DiskError::io("remove", path)(error)),
    }
}

/// Removes a folder with all that is in it; one that is not there counts as removed.
/// Symlinks inside are removed, not followed.
///
/// # Errors
/// [`DiskError::Io`].
pub fn remove_folder(path: &Path) -> Result<(), DiskError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(DiskError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes durable all that was written to the file system on which `handle` lies.
///
/// # Errors
/// The operating system's; all that was written since the last success counts as lost then.
#[cfg(target_os = "linux")]
pub fn sync_file_system(handle: impl AsFd) -> io::Result<()> {
    rustix::fs::syncfs(handle).map_err(io::Error::from)
}

/// Makes durable all that was written to the file system on which `handle` lies.
///
/// # Errors
/// None: this system's call reports nothing.
#[cfg(not(target_os = "linux"))]
pub fn sync_file_system(_handle: impl AsFd) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

/// A name for a temporary file: it begins with `tmp-`, and nobody else has it, now or later.
#[must_use]
pub fn temp_name() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    // Process numbers are used again. Without randomness a name that is taken is an error of `create`.
    let mut random = [0; 4];
    let _ = getrandom::fill(&mut random);
    let random = u32::from_le_bytes(random);
    format!("{TEMP_PREFIX}{}-{count}-{random:08x}", std::process::id())
}

/// How names of temporary files begin.
pub const TEMP_PREFIX: &str = "tmp-";

/// Removes what a killed process left in a folder: files named by [`temp_name`], also as an ending.
///
/// # Errors
/// [`DiskError::Io`].
pub fn remove_temporary_files(folder: &Path) -> Result<(), DiskError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(DiskError::io("read", folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(DiskError::io("read", folder))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let temporary = name.starts_with(TEMP_PREFIX) || name.contains(".tmp-");
        if temporary && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            remove_file(&entry.path())?;
        }
    }
    Ok(())
}

/// Asks the system to begin to write a part of a file out. It promises nothing: what must last is synced.
pub fn begin_writing_out(file: &File, bytes: std::ops::Range<u64>) {
    #[cfg(target_os = "linux")]
    {
        // Pages that are dirty are written out and stay: Linux drops only clean ones.
        let len = std::num::NonZeroU64::new(bytes.end.saturating_sub(bytes.start));
        let _ = rustix::fs::fadvise(file, bytes.start, len, rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, bytes);
}

/// Bytes that the user may still write to the file system of an open folder or file.
///
/// # Errors
/// The operating system's.
pub fn free_bytes(handle: impl AsFd) -> io::Result<u64> {
    let stat = rustix::fs::fstatvfs(handle)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
