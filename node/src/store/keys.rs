//! Publisher keys: a file each, readable by the owner only.

use std::path::PathBuf;

use opendag_protocol::key::SecretKey;
use zeroize::{Zeroize, Zeroizing};

use super::datadir::{DataDirError, random_seed, read_secret};
use crate::disk::{self, Access, DiskError};

/// How the text of an exported key begins; 64 hexadecimal digits follow.
const PREFIX: &str = "opendag-secret-key:";
/// Longest local name of a key.
const NAME_BYTES_MAX: usize = 64;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// There is no key of that name.
    #[error("there is no key named \"{name}\"; see: opendag key list")]
    NotFound {
        /// The name.
        name: String,
    },
    /// There is one already, and keys are never overwritten.
    #[error("there is a key named \"{name}\" already; choose another name")]
    Exists {
        /// The name.
        name: String,
    },
    /// Names are 1 to 64 letters, digits, `.`, `_` or `-`, and do not begin with a dot.
    #[error("\"{name}\" is no name for a key: take 1 to 64 of a-z A-Z 0-9 . _ -")]
    BadName {
        /// The name.
        name: String,
    },
    /// What is imported is not an exported key.
    #[error("this is not an exported key (a text that begins with \"{PREFIX}\")")]
    NotAKey,
    /// The data directory refused.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

impl From<DiskError> for KeyStoreError {
    fn from(error: DiskError) -> Self {
        Self::DataDir(error.into())
    }
}

/// The publisher keys of a data directory. All functions block.
#[derive(Clone, Debug)]
pub struct Keys {
    folder: PathBuf,
}

impl Keys {
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The names of all keys, sorted.
    ///
    /// # Errors
    /// [`KeyStoreError::DataDir`].
    pub fn names(&self) -> Result<Vec<String>, KeyStoreError> {
        let read_error = || DiskError::io("read", &self.folder);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(read_error())? {
            let name = entry.map_err(read_error())?.file_name();
            if let Some(name) = name.to_str().filter(|name| check_name(name).is_ok()) {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The key of that name.
    ///
    /// # Errors
    /// [`KeyStoreError::NotFound`]; [`DataDirError::Exposed`] if others may read it.
    pub fn get(&self, name: &str) -> Result<SecretKey, KeyStoreError> {
        let text = self.export(name)?;
        parse(&text).ok_or_else(|| {
            DataDirError::Damaged {
                path: self.folder.join(name),
                expected: "an exported key",
            }
            .into()
        })
    }

    /// The key of that name, made if there is none.
    ///
    /// # Errors
    /// As [`Keys::get`] and [`Keys::create`].
    pub fn get_or_create(&self, name: &str) -> Result<SecretKey, KeyStoreError> {
        match self.get(name) {
            Err(KeyStoreError::NotFound { .. }) => self.create(name),
            key => key,
        }
    }

    /// Makes a key; durable when it returns.
    ///
    /// # Errors
    /// [`KeyStoreError::Exists`], `BadName`.
    pub fn create(&self, name: &str) -> Result<SecretKey, KeyStoreError> {
        let mut seed = random_seed()?;
        let key = SecretKey::generate(*seed);
        seed.zeroize();
        self.add(name, &key)?;
        Ok(key)
    }

    /// The text that [`Keys::import`] takes. A secret.
    ///
    /// # Errors
    /// As [`Keys::get`].
    pub fn export(&self, name: &str) -> Result<Zeroizing<String>, KeyStoreError> {
        check_name(name)?;
        let bytes =
            read_secret(&self.folder.join(name))?.ok_or_else(|| KeyStoreError::NotFound {
                name: name.to_owned(),
            })?;
        Ok(Zeroizing::new(
            String::from_utf8_lossy(&bytes).trim_end().to_owned(),
        ))
    }

    /// Keeps an exported key under a name; durable when it returns.
    ///
    /// # Errors
    /// [`KeyStoreError::NotAKey`], `Exists`, `BadName`.
    pub fn import(&self, name: &str, text: &str) -> Result<SecretKey, KeyStoreError> {
        let key = parse(text.trim()).ok_or(KeyStoreError::NotAKey)?;
        self.add(name, &key)?;
        Ok(key)
    }

    fn add(&self, name: &str, key: &SecretKey) -> Result<(), KeyStoreError> {
        check_name(name)?;
        let path = self.folder.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(KeyStoreError::Exists {
                name: name.to_owned(),
            });
        }
        let digits = Zeroizing::new(data_encoding::HEXLOWER.encode(key.to_bytes().as_slice()));
        let text = Zeroizing::new(format!("{PREFIX}{}\n", digits.as_str()));
        disk::write_durable(&path, text.as_bytes(), Access::Owner)?;
        Ok(())
    }
}

fn parse(text: &str) -> Option<SecretKey> {
    let digits = text.strip_prefix(PREFIX)?;
    let bytes = Zeroizing::new(data_encoding::HEXLOWER.decode(digits.as_bytes()).ok()?);
    let seed = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).ok()?);
    Some(SecretKey::from_bytes(&seed))
}

fn check_name(name: &str) -> Result<(), KeyStoreError> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || name.starts_with(['.', '-'])
        || name.contains(disk::TEMP_PREFIX)
        || !name.bytes().all(fine)
    {
        return Err(KeyStoreError::BadName {
            name: name.to_owned(),
        });
    }
    Ok(())
}
