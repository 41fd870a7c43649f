//! What the user decided, kept as one small file of JSON in the data directory.

use std::{fs, io::ErrorKind, marker::PhantomData, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};

use super::datadir::DataDirError;
use crate::disk::{self, Access, DiskError};

/// A file with a `T`. All functions block.
#[derive(Debug)]
pub(crate) struct Saved<T> {
    path: PathBuf,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned + Default> Saved<T> {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self {
            path,
            of: PhantomData,
        }
    }

    /// What was saved last, or nothing yet.
    ///
    /// # Errors
    /// [`DataDirError::Damaged`]; it must not pass for nothing. `Disk`.
    pub(crate) fn load(&self) -> Result<T, DataDirError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(T::default()),
            Err(error) => return Err(DiskError::io("read", &self.path)(error).into()),
        };
        serde_json::from_slice(&bytes).map_err(|_| DataDirError::Damaged {
            path: self.path.clone(),
            expected: "what this node saved; mend it, or move it away to begin anew",
        })
    }

    /// Saves `value` in place of what was there; durable when it returns.
    ///
    /// # Errors
    /// [`DiskError`].
    pub(crate) fn save(&self, value: &T) -> Result<(), DiskError> {
        let damaged = |error: serde_json::Error| DiskError::io("write", &self.path)(error.into());
        let mut bytes = serde_json::to_vec_pretty(value).map_err(damaged)?;
        bytes.push(b'\n');
        disk::write_durable(&self.path, &bytes, Access::Owner)
    }
}
