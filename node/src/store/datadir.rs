//! The data directory: one folder, one lock, one process.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use zeroize::Zeroizing;

use super::{aliases::Aliases, keys::Keys, outboards::Outboards};
use crate::disk::{self, Access, DiskError};

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process uses it.
    #[error(
        "the data directory {path} is in use by another process{who}; stop that one, or choose another directory with --data-dir",
        path = path.display(),
        who = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// Number of that process, if it wrote it down.
        pid: Option<u32>,
    },
    /// It is a symlink, no folder, or others own it or may write to it.
    #[error("the data directory {path} {why}", path = path.display())]
    Unsafe {
        /// The data directory.
        path: PathBuf,
        /// What is wrong with it, as the rest of a sentence.
        why: &'static str,
    },
    /// A secret can be read by others.
    #[error("others may read the secret in {path}; make it private with: chmod 600 {path}", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// A file of ours is not what we wrote.
    #[error("{path} is damaged: it should hold {expected}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// An open and locked data directory. Clones share the lock, which ends with the last one.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: Arc<Path>,
    _lock: Arc<File>,
}

impl DataDir {
    /// Opens a data directory, makes it (0700) if need be, locks it, and removes what a killed process
    /// left half written. Blocks.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        check_folder(path)?;
        disk::create_private_folder(path)?;
        let path = std::fs::canonicalize(path).map_err(DiskError::io("open", path))?;
        let lock = lock(&path)?;
        let data_dir = Self {
            path: path.into(),
            _lock: Arc::new(lock),
        };
        disk::remove_temporary_files(&data_dir.path)?;
        for folder in ["aliases", "keys", "quarantine", "hashed", "drafts"] {
            disk::create_private_folder(&data_dir.path.join(folder))?;
            disk::remove_temporary_files(&data_dir.path.join(folder))?;
        }
        Ok(data_dir)
    }

    /// Its absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the configuration is.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Where the address and token of a running daemon are.
    #[must_use]
    pub fn api_path(&self) -> PathBuf {
        self.path.join("api.json")
    }

    /// Folder of mirrored and copied versions: one folder for each, right in it. Only such folders are
    /// removed with their files.
    #[must_use]
    pub fn copies_path(&self) -> PathBuf {
        self.path.join("copies")
    }

    /// What was read of files that are not kept here. Nothing is lost with it but time.
    pub(crate) fn cache_path(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// What the user mirrors.
    pub(crate) fn mirrors_path(&self) -> PathBuf {
        self.path.join("mirrors.json")
    }

    /// How much may lie here, if the user said so with a command.
    pub(crate) fn quota_path(&self) -> PathBuf {
        self.path.join("quota")
    }

    /// What the user denies, and whose lists they heed.
    pub(crate) fn denylists_path(&self) -> PathBuf {
        self.path.join("denylists.json")
    }

    /// What the user follows.
    pub(crate) fn follows_path(&self) -> PathBuf {
        self.path.join("follows.json")
    }

    pub(crate) fn records_path(&self) -> PathBuf {
        self.path.join("records")
    }

    pub(crate) fn blobs_path(&self) -> PathBuf {
        self.path.join("blobs")
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.path.join("index")
    }

    /// The search index. Nothing is lost with it but time.
    pub(crate) fn search_path(&self) -> PathBuf {
        self.index_path().join("search")
    }

    /// What the files of published folders were: a file for each folder. Nothing is lost with it but time.
    pub(crate) fn hashed_path(&self) -> PathBuf {
        self.path.join("hashed")
    }

    /// Where the files of drafts lie that wait for signatures: a request for each.
    pub(crate) fn drafts_path(&self) -> PathBuf {
        self.path.join("drafts")
    }

    pub(crate) fn quarantine_path(&self) -> PathBuf {
        self.path.join("quarantine")
    }

    /// The outboards of complete shards.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn outboards(&self) -> Result<Outboards, DiskError> {
        Outboards::open(&self.outboards_path())
    }

    pub(crate) fn outboards_path(&self) -> PathBuf {
        self.path.join("outboards")
    }

    /// The seed of the node's own key; made at the first use. Blocks.
    ///
    /// # Errors
    /// [`DataDirError::Exposed`], `Damaged`, `Random`, `Disk`.
    pub fn identity(&self) -> Result<Zeroizing<[u8; 32]>, DataDirError> {
        let path = self.path.join("identity");
        if let Some(bytes) = read_secret(&path)? {
            let seed = <[u8; 32]>::try_from(bytes.as_slice());
            return seed.map(Zeroizing::new).map_err(|_| DataDirError::Damaged {
                path,
                expected: "32 bytes",
            });
        }
        let seed = random_seed()?;
        disk::write_durable(&path, seed.as_slice(), Access::Owner)?;
        Ok(seed)
    }

    /// The user's names for publishers.
    #[must_use]
    pub fn aliases(&self) -> Aliases {
        Aliases::new(self.path.join("aliases"))
    }

    /// The publisher keys of this directory.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys::new(self.path.join("keys"))
    }
}

/// 32 random bytes from the system.
pub(crate) fn random_seed() -> Result<Zeroizing<[u8; 32]>, DataDirError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|_| DataDirError::Random)?;
    Ok(seed)
}

/// Reads a file that only its owner may read; `None` if there is none.
pub(crate) fn read_secret(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, DataDirError> {
    let opened = File::options()
        .read(true)
        .custom_flags(nofollow())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DiskError::io("open", path)(error).into()),
    };
    let metadata = file.metadata().map_err(DiskError::io("open", path))?;
    if !metadata.is_file() {
        return Err(DiskError::NotAFile {
            path: path.to_owned(),
        }
        .into());
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(DataDirError::Exposed {
            path: path.to_owned(),
        });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(256));
    file.take(4096)
        .read_to_end(&mut bytes)
        .map_err(DiskError::io("read", path))?;
    Ok(Some(bytes))
}

fn nofollow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

/// Refuses what another user could have laid there for us.
fn check_folder(path: &Path) -> Result<(), DataDirError> {
    let refuse = |why| {
        Err(DataDirError::Unsafe {
            path: path.to_owned(),
            why,
        })
    };
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(DiskError::io("open", path)(error).into()),
    };
    if metadata.is_symlink() {
        return refuse("is a symlink: name the folder itself");
    }
    if !metadata.is_dir() {
        return refuse("is not a folder");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return refuse("belongs to another user");
    }
    if metadata.mode() & 0o022 != 0 {
        return refuse("can be written by others: make it private with chmod 700");
    }
    let empty = std::fs::read_dir(path)
        .map_err(DiskError::io("read", path))?
        .next()
        .is_none();
    if empty {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
            .map_err(DiskError::io("make private", path))?;
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<File, DataDirError> {
    let path = folder.join("lock");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nofollow())
        .open(&path)
        .map_err(DiskError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = file.take(32).read_to_string(&mut text);
            return Err(DataDirError::Locked {
                path: folder.to_owned(),
                pid: read.ok().and_then(|_| text.trim().parse().ok()),
            });
        }
        Err(TryLockError::Error(error)) => return Err(DiskError::io("lock", &path)(error).into()),
    }
    // Only for the message of a second process: need not be durable.
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(DiskError::io("write", &path))?;
    Ok(file)
}

#[cfg(test)]
mod tests;
