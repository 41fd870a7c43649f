//! Taking over files that were put together elsewhere, after checking them.

use std::{
    fs::File,
    io::{self, Seek},
};

use super::{FILE_COST_BYTES, SMALL_BYTES_MAX, Wanted, WriteError, Writer};
use crate::{
    disk::DiskError,
    store::{BatchError, Digests, HashError, Target},
};

impl Writer {
    /// The folder that it writes into.
    pub(in crate::fetch) fn target(&self) -> &Target {
        &self.destination.target
    }

    /// Counts bytes that were written below the target by somebody else and are not durable yet.
    pub(in crate::fetch) fn count_dirty(&self, bytes: usize) {
        self.add_dirty(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Takes over the content of a small file; false, and nothing is kept, if it is not that of the file.
    pub(in crate::fetch) fn adopt_bytes(
        &self,
        wanted: &Wanted,
        bytes: &[u8],
    ) -> Result<bool, WriteError> {
        let entry = &wanted.entry;
        let put = {
            let mut state = self.state();
            state.batch.put_small(entry.path(), bytes, entry.hash())
        };
        match put {
            Ok(()) => self.adopted(wanted),
            Err(BatchError::WrongBytes { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        self.add_dirty(FILE_COST_BYTES.saturating_add(entry.size().min(SMALL_BYTES_MAX)));
        Ok(true)
    }

    /// Takes over a file of the working folder; false, and it is removed, if it has not the content of the file.
    pub(in crate::fetch) fn adopt_file(
        &self,
        wanted: &Wanted,
        name: String,
        mut file: File,
    ) -> Result<bool, WriteError> {
        let (path, hash) = (wanted.entry.path(), wanted.entry.hash());
        let shown = self.target().path().join(path.as_str());
        let read = |error: io::Error| DiskError::io("read", &shown)(error);
        file.rewind().map_err(read)?;
        let hashed = self
            .outboards
            .hash_file(&file, &shown, Digests::Blake3, &mut |_| {});
        match hashed {
            Ok(hashed) if hashed.hash == hash => {
                self.state().batch.take(path, hash, (name, file))?;
                self.adopted(wanted);
                self.add_dirty(FILE_COST_BYTES);
                Ok(true)
            }
            Ok(_) | Err(HashError::Changed { .. }) => {
                self.target().work().remove_own(&name)?;
                Ok(false)
            }
            Err(HashError::Disk(error)) => Err(error.into()),
        }
    }

    fn adopted(&self, wanted: &Wanted) {
        let position = self.position(wanted.shard);
        let mut state = self.state();
        if let Some(taken) = position.and_then(|at| state.taken.get_mut(at)) {
            *taken = true;
        }
        state.staged.push(wanted.shard);
    }

    fn add_dirty(&self, bytes: u64) {
        let mut state = self.state();
        state.dirty_bytes = state.dirty_bytes.saturating_add(bytes);
        if state.dirty_bytes >= super::DIRTY_BYTES_ENOUGH {
            self.due.notify_one();
        }
    }
}
