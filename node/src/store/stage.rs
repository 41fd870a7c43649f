//! Small files that are verified and written, but have no name yet.
//!
//! Their working names tell what they are, so that a fetch that was cut off takes them over: a crash costs no more than
//! what was not synced, however late the names are given.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Write},
};

use opendag_protocol::{DatasetPath, Hash};

use super::{
    bao::len64,
    batch::{BatchError, Entry, Placed},
    outboards::OUTBOARD_BYTES_MIN,
    piece::Piece,
    target::Target,
};
use crate::disk::{Access, DiskError, Fingerprint};

/// How the working names of staged files end.
const ENDING: &str = ".small";
/// Hexadecimal digits of the hash in a working name: 16 bytes, so that no two contents can be made to share one.
const NAME_DIGITS: usize = 32;

/// A small file with a working name, to be added to a batch. If it never is, the next fetch takes it over.
#[derive(Debug)]
pub struct Staged(Entry);

impl Staged {
    pub(super) fn new((name, file): (String, File), placed: Placed) -> Self {
        Self(Entry {
            name,
            file: Some(file),
            partial: None,
            placed,
        })
    }

    /// Is it so small that it needs no outboard?
    pub(super) fn is_small(&self) -> bool {
        self.0.placed.fingerprint.size <= OUTBOARD_BYTES_MIN
    }

    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    pub(super) fn placed(&self) -> &Placed {
        &self.0.placed
    }

    pub(super) fn into_file(self) -> (String, Option<File>) {
        (self.0.name, self.0.file)
    }

    pub(super) fn into_entry(self) -> Entry {
        self.0
    }
}

impl Target {
    /// Writes a small file that arrived whole. Blocks; several threads may write at once, but not the same shard.
    ///
    /// # Errors
    /// [`BatchError::Incomplete`] if it is not the whole of a small shard; `WrongBytes` if it is another one; `Disk`.
    pub fn stage(
        &self,
        path: &DatasetPath,
        piece: Piece,
        hash: Hash,
    ) -> Result<Staged, BatchError> {
        let path_owned = || path.clone();
        if piece.hash() != hash {
            return Err(BatchError::WrongBytes {
                path: path_owned(),
                hash,
            });
        }
        let whole = piece.into_whole();
        let small = whole.filter(|bytes| len64(bytes.len()) <= OUTBOARD_BYTES_MIN);
        let bytes = small.ok_or_else(|| BatchError::Incomplete { path: path_owned() })?;
        self.write_staged(path, &bytes, hash)
    }

    /// Makes an empty file.
    ///
    /// # Errors
    /// [`BatchError::WrongBytes`] if the hash is another one; `Disk`.
    pub fn stage_empty(&self, path: &DatasetPath, hash: Hash) -> Result<Staged, BatchError> {
        if hash != Hash::of(&[]) {
            return Err(BatchError::WrongBytes {
                path: path.clone(),
                hash,
            });
        }
        self.write_staged(path, &[], hash)
    }

    /// Writes bytes that the caller knows to be those of `hash`.
    pub(super) fn write_staged(
        &self,
        path: &DatasetPath,
        bytes: &[u8],
        hash: Hash,
    ) -> Result<Staged, BatchError> {
        let name = name(hash);
        let (name, mut file) = match self.work().create_file(&name, Access::Umask) {
            Ok(file) => (name, file),
            // It may be in a batch already: it is never written over.
            Err(error) if error.is_taken() => self.work().create_temp()?,
            Err(error) => return Err(error.into()),
        };
        let shown = || self.path().join(path.as_str());
        let written = file
            .write_all(bytes)
            .and_then(|()| Fingerprint::of(&file))
            .map_err(|error| DiskError::io("write", &shown())(error));
        match written {
            Ok(fingerprint) => Ok(Staged::new(
                (name, file),
                Placed {
                    path: path.clone(),
                    hash,
                    fingerprint,
                },
            )),
            Err(error) => {
                self.work().remove_own(&name)?;
                Err(error.into())
            }
        }
    }

    /// What a fetch that was cut off left staged. Empty most of the time.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn left_staged(&self) -> Result<LeftStaged, DiskError> {
        let mut names = self.work().names()?;
        names.retain(|name| name.ends_with(ENDING));
        Ok(LeftStaged(names.into_iter().collect()))
    }

    /// Takes over a file that was left staged, if it is the shard: it is hashed again.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn take_staged(
        &self,
        left: &LeftStaged,
        path: &DatasetPath,
        (hash, size): (Hash, u64),
    ) -> Result<Option<Staged>, DiskError> {
        let name = name(hash);
        if !left.0.contains(&name) || size > OUTBOARD_BYTES_MIN {
            return Ok(None);
        }
        let file = self.work().open_own(&name)?;
        let shown = self.work().path().join(&name);
        let fingerprint = Fingerprint::of(&file).map_err(DiskError::io("read", &shown))?;
        let mut bytes = Vec::new();
        if fingerprint.size == size {
            let mut bounded = (&file).take(size);
            bounded
                .read_to_end(&mut bytes)
                .map_err(DiskError::io("read", &shown))?;
        }
        if fingerprint.size != size || Hash::of(&bytes) != hash {
            self.work().remove_own(&name)?;
            return Ok(None);
        }
        let placed = Placed {
            path: path.clone(),
            hash,
            fingerprint,
        };
        Ok(Some(Staged::new((name, file), placed)))
    }

    /// Removes what is staged and was not asked for: to be called when a fetch is complete.
    pub(super) fn drop_staged(&self) {
        // Whatever stays does no harm.
        let names = self.left_staged().unwrap_or_default();
        for name in names.0 {
            let _ = self.work().remove_own(&name);
        }
    }
}

/// Working names that a fetch left.
#[derive(Debug, Default)]
pub struct LeftStaged(BTreeSet<String>);

fn name(hash: Hash) -> String {
    let mut name = hash.to_string();
    name.truncate(NAME_DIGITS);
    name.push_str(ENDING);
    name
}

#[cfg(test)]
mod tests;
