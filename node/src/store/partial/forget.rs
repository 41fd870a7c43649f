//! Giving back the room of parts that nobody needs, for the cache.

use std::io;

use opendag_protocol::wire::GroupRanges;

use super::{DiskError, PartialShard, name};

impl PartialShard {
    /// Forgets groups and gives their room back to the file system. The bitmap on disk may claim them
    /// until the next checkpoint: who opens the shard hashes what it claims. Blocks.
    ///
    /// # Errors
    /// [`DiskError::Io`]; the groups are forgotten all the same.
    pub(crate) fn forget(&self, groups: &GroupRanges) -> Result<(), DiskError> {
        let inner = &*self.inner;
        let mut state = self.state();
        state.have.remove_all(groups);
        drop(state);
        let path = inner.work.path().join(name(inner.hash, "part"));
        for range in groups.iter() {
            let bytes = range.bytes(inner.size);
            free(inner.data.file(), bytes.start, bytes.end - bytes.start)
                .map_err(DiskError::io("free a part of", &path))?;
        }
        Ok(())
    }
}

/// Makes a hole in a file. A file system that cannot keeps the room until the file is removed.
#[cfg(target_os = "linux")]
fn free(file: &std::fs::File, start: u64, len: u64) -> io::Result<()> {
    use rustix::{
        fs::{FallocateFlags, fallocate},
        io::Errno,
    };
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match fallocate(file, flags, start, len) {
        Err(Errno::OPNOTSUPP) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn free(_file: &std::fs::File, _start: u64, _len: u64) -> io::Result<()> {
    Ok(())
}
