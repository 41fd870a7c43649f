//! Small files that can be read before they have their names.
//!
//! A small file gets its name with the next batch, seconds later if little arrives. Others who fetch the same version
//! need it at once: what nobody else has yet, they ask of the seed.

use std::{collections::HashMap, fs::File};

use opendag_protocol::{Hash, wire::GroupRange};

use super::{
    batch::Placed,
    open::{Store, lock},
    read::{FileFault, Form, read_file},
    stage::Staged,
    target::Target,
};

/// Where staged files can be read. If two fetches stage the same content, the later one is read.
pub(crate) type Staging = HashMap<Hash, Early>;

/// A staged file.
#[derive(Clone, Debug)]
pub(crate) struct Early {
    target: Target,
    name: String,
    placed: Placed,
}

impl Early {
    /// Opens it where it lies now.
    fn open(&self) -> Option<File> {
        // When it has got its name, that is where it lies; the index hears of it a moment later.
        let staged = self.target.work().open_own(&self.name);
        let opened = staged.or_else(|_| self.target.open_read(&self.placed.path));
        opened.ok()
    }
}

impl Store {
    /// Lets peers and readers read a staged file, until [`Store::remove_staged`].
    pub fn add_staged(&self, target: &Target, staged: &Staged) {
        let placed = staged.placed().clone();
        let hash = placed.hash;
        let early = Early {
            target: target.clone(),
            name: staged.name().to_owned(),
            placed,
        };
        lock(&self.inner.staging).insert(hash, early);
    }

    /// Ends what [`Store::add_staged`] began at `target`: the index knows these files now, or they are gone.
    pub fn remove_staged(&self, target: &Target, hashes: impl IntoIterator<Item = Hash>) {
        let mut staging = lock(&self.inner.staging);
        for hash in hashes {
            if staging
                .get(&hash)
                .is_some_and(|early| early.target.is(target))
            {
                staging.remove(&hash);
            }
        }
    }

    /// A range of a staged file, verified; `None` if there is no such file, or it is not what it was.
    pub(super) fn read_staged(
        &self,
        hash: Hash,
        size: Option<u64>,
        wanted: (GroupRange, Form),
    ) -> Option<Result<Vec<u8>, FileFault>> {
        let early = lock(&self.inner.staging).get(&hash)?.clone();
        let fingerprint = &early.placed.fingerprint;
        if size.is_some_and(|size| fingerprint.size != size) {
            return None;
        }
        let file = early.open()?;
        let read = read_file(&file, fingerprint, (hash, &self.inner.outboards), wanted);
        match read {
            Ok(_) | Err(FileFault::OutOfRange) => Some(read),
            Err(fault) => {
                tracing::debug!(?fault, path = %early.placed.path, "a staged file cannot be read");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
