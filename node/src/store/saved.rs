//! What the user decided, kept as one small file of JSON in the data directory.

use std::{
    fs,
    io::ErrorKind,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};

use super::datadir::DataDirError;
use crate::disk::{self, Access, DiskError};

/// A `T`, in memory and in its file. All functions block.
#[derive(Debug)]
pub(crate) struct Saved<T> {
    path: PathBuf,
    value: Mutex<T>,
}

impl<T: Clone + PartialEq + Serialize + DeserializeOwned + Default> Saved<T> {
    /// What was saved last, or the default.
    ///
    /// # Errors
    /// [`DataDirError::Damaged`]; it must not pass for nothing. `Disk`.
    pub(crate) fn open(path: PathBuf) -> Result<Self, DataDirError> {
        let value = match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(value) => value,
                Err(_) => {
                    let expected = "what this node saved; mend it, or move it away to begin anew";
                    return Err(DataDirError::Damaged { path, expected });
                }
            },
            Err(error) if error.kind() == ErrorKind::NotFound => T::default(),
            Err(error) => return Err(DiskError::io("read", &path)(error).into()),
        };
        Ok(Self {
            path,
            value: Mutex::new(value),
        })
    }

    /// What holds now.
    pub(crate) fn get(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it, unless `change` refuses; durable when it returns.
    ///
    /// # Errors
    /// That of `change`; [`DiskError`]. It is as it was then.
    pub(crate) fn change<R, E: From<DiskError>>(
        &self,
        change: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut value = self.get();
        let mut changed = value.clone();
        let result = change(&mut changed)?;
        if changed != *value {
            let unsaid =
                |error: serde_json::Error| DiskError::io("write", &self.path)(error.into());
            let mut bytes = serde_json::to_vec_pretty(&changed).map_err(unsaid)?;
            bytes.push(b'\n');
            disk::write_durable(&self.path, &bytes, Access::Owner)?;
            *value = changed;
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests;
