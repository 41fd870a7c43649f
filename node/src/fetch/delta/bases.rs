//! Bases: files on this node from which chunks are copied.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    sync::Arc,
};

use opendag_protocol::{
    DatasetPath,
    chunkmap::{ChunkMap, ChunkMapBuilder, Cut},
};
use tokio_util::sync::CancellationToken;

use crate::disk::Confined;

/// Bytes that are read of a base at once.
const READ_BYTES: usize = 1024 * 1024;

/// Names a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BaseId(pub(super) u32);

#[derive(Debug)]
struct Base {
    folder: Arc<Confined>,
    path: DatasetPath,
}

/// Files that chunks are copied from. They need not be what any table says: each chunk is hashed when it
/// is found, and again when it was copied.
#[derive(Debug, Default)]
pub(super) struct Bases {
    list: Vec<Base>,
    /// The one that was read last stays open: chunks of one base come together.
    open: Option<(BaseId, File)>,
}

impl Bases {
    /// Adds a file that lies in `folder`; `None` if there is no such file.
    pub(super) fn add(&mut self, folder: &Arc<Confined>, path: &DatasetPath) -> Option<BaseId> {
        let file = folder.open_read(path).ok()?;
        let id = BaseId(u32::try_from(self.list.len()).ok()?);
        self.list.push(Base {
            folder: Arc::clone(folder),
            path: path.clone(),
        });
        self.open = Some((id, file));
        Some(id)
    }

    /// The file of a base, if it is still there.
    pub(super) fn file(&mut self, id: BaseId) -> Option<&File> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != id) {
            let base = self.list.get(usize::try_from(id.0).ok()?)?;
            self.open = Some((id, base.folder.open_read(&base.path).ok()?));
        }
        self.open.as_ref().map(|(_, file)| file)
    }

    /// Reads bytes of a base; false if they are not there.
    pub(super) fn read(&mut self, id: BaseId, offset: u64, to: &mut [u8]) -> bool {
        self.file(id)
            .is_some_and(|file| file.read_exact_at(to, offset).is_ok())
    }
}

/// The chunks of the first `most` bytes of a file as it is now; `None` if it is too long to have a map. Blocks.
pub(super) fn cut(
    file: &File,
    (cut, most): (Cut, u64),
    cancel: &CancellationToken,
) -> io::Result<Option<ChunkMap>> {
    let mut builder = ChunkMapBuilder::new(cut);
    let mut block = vec![0; READ_BYTES];
    let mut file = file;
    io::Seek::rewind(&mut file)?;
    let mut file = file.take(most);
    loop {
        if cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match file.read(&mut block) {
            Ok(0) => return Ok(builder.finish()),
            Ok(read) => builder.push(block.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
