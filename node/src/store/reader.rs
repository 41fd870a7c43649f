//! Reading many blobs one after another.

use std::{fs::File, sync::Arc};

use opendag_protocol::{Hash, wire::GroupRange};

use super::{
    open::Store,
    place::{RootId, ShardLocation},
    read::{Form, ReadError},
};
use crate::disk::{Confined, Walker};

/// Reads blobs; neighbours in one folder share its open handle. For the items of one request, not to be held for long:
/// see [`Walker`]. All functions block.
#[derive(Debug)]
pub struct Reader {
    store: Store,
    folder: Folder,
}

/// The folder of shards that was read from last.
#[derive(Debug, Default)]
pub(super) struct Folder(Option<(RootId, Walker<Arc<Confined>>)>);

impl Store {
    /// A reader of many blobs.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader {
            store: self.clone(),
            folder: Folder::default(),
        }
    }
}

impl Reader {
    /// As [`Store::read_bao`], of a blob of any size.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_bao(&mut self, hash: Hash, range: GroupRange) -> Result<Vec<u8>, ReadError> {
        let wanted = (range, Form::Bao);
        self.store.read(&mut self.folder, (hash, None), wanted)
    }
}

impl Folder {
    /// Opens what lies where a shard was. Whether it is a file, and what it was, its fingerprint tells.
    pub(super) fn open(&mut self, store: &Store, location: &ShardLocation) -> Option<File> {
        if self
            .0
            .as_ref()
            .is_none_or(|(root, _)| *root != location.root)
        {
            let root = store.open_root(location.root)?;
            self.0 = Some((location.root, Walker::new(root)));
        }
        let (_, walker) = self.0.as_mut()?;
        match walker.open_unseen(&location.path) {
            Ok(file) => Some(file),
            Err(error) => {
                if !error.is_not_found() {
                    tracing::debug!(%error, "a shard cannot be opened");
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
