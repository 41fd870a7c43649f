//! What a perfect delta would move: the chunks that version 1 does not have, and the parts of the
//! description of version 2 that are new.
//!
//! Chunks are cut, and the file table is written, by the code that publishes: the figure follows the
//! format as it is.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Result;
use opendag_protocol::{
    chunkmap::{ChunkHash, ChunkMap, ChunkMapBuilder, Cut},
    id::{BlobId, Hash},
    path::DatasetPath,
    table::{FileEntry, FileFields, TableWriter},
};
use walkdir::WalkDir;

/// Files above this size have a chunk map of their own: `specs/file-table.md`.
const OWN_MAP_BYTES: u64 = 1024 * 1024;
/// About what manifest, head and the frames around them take.
const RECORDS_BYTES: u64 = 2048;

/// What a perfect delta would move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ideal {
    /// Bytes of chunks of version 2 that no file of version 1 has, each once.
    pub(super) changed: u64,
    /// Bytes of blobs that describe version 2 and not version 1: pages, maps, index, records.
    pub(super) description: u64,
}

/// Chunks and description of a version.
struct Version {
    chunks: BTreeMap<ChunkHash, u64>,
    blobs: BTreeMap<BlobId, u64>,
}

/// Compares two folders.
pub(super) fn ideal(old: &Path, new: &Path) -> Result<Ideal> {
    // A file that grew into another class is cut anew by it: the old one is cut likewise.
    let (before, after) = (version(old, Some(new))?, version(new, None)?);
    let chunks = after.chunks.iter();
    let changed = chunks.filter(|(hash, _)| !before.chunks.contains_key(*hash));
    let blobs = after.blobs.iter();
    let described = blobs.filter(|(id, _)| !before.blobs.contains_key(*id));
    Ok(Ideal {
        changed: changed.map(|(_, bytes)| bytes).sum(),
        description: described.map(|(_, bytes)| bytes).sum::<u64>() + RECORDS_BYTES,
    })
}

fn version(folder: &Path, cut_like: Option<&Path>) -> Result<Version> {
    let mut version = Version {
        chunks: BTreeMap::new(),
        blobs: BTreeMap::new(),
    };
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(folder) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(folder)?.display().to_string();
            files.insert(path, entry.path().to_path_buf());
        }
    }
    let mut writer = TableWriter::new();
    for (path, file) in files {
        let bytes = fs::read(file)?;
        let size = u64::try_from(bytes.len())?;
        let mut cuts = vec![size];
        if let Some(other) = cut_like {
            cuts.extend(fs::metadata(other.join(&path)).map(|metadata| metadata.len()));
        }
        for size in cuts {
            version.add(cut(&bytes, size).as_ref(), &bytes);
        }
        let hash = Hash::of(&bytes);
        let mut fields = FileFields::new(DatasetPath::parse(&path)?, size, hash);
        // As long as a real one, and follows from the content like it.
        fields.sha256 = Some(*hash.as_bytes());
        let is_text = path.ends_with(".txt");
        fields.media_type = is_text.then(|| "text/plain".to_owned());
        let map = cut(&bytes, size).filter(ChunkMap::is_useful);
        let page = match map {
            Some(map) if size > OWN_MAP_BYTES => {
                let map = map.encode()?;
                fields.chunk_map = Some(map.id);
                version.blob(map.id, &map.bytes)?;
                writer.push(FileEntry::new(fields)?)?
            }
            Some(map) => writer.push_with_map(FileEntry::new(fields)?, map)?,
            None => writer.push(FileEntry::new(fields)?)?,
        };
        for blob in page.into_iter().flat_map(|page| page.into_blobs()) {
            version.blob(blob.id, &blob.bytes)?;
        }
    }
    let (page, index, _) = writer.finish()?;
    for blob in page.into_iter().flat_map(|page| page.into_blobs()) {
        version.blob(blob.id, &blob.bytes)?;
    }
    version.blob(index.id, &index.bytes)?;
    Ok(version)
}

impl Version {
    fn add(&mut self, map: Option<&ChunkMap>, bytes: &[u8]) {
        match map {
            Some(map) => {
                for chunk in map.chunks() {
                    self.chunks.insert(chunk.hash, u64::from(chunk.length));
                }
            }
            None => {
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                self.chunks.insert(ChunkHash::of(bytes), length);
            }
        }
    }

    fn blob(&mut self, id: BlobId, bytes: &[u8]) -> Result<()> {
        self.blobs.insert(id, u64::try_from(bytes.len())?);
        Ok(())
    }
}

/// The chunks of a file, cut as one of `size` bytes would be.
fn cut(bytes: &[u8], size: u64) -> Option<ChunkMap> {
    let mut builder = ChunkMapBuilder::new(Cut::for_size(size));
    builder.push(bytes);
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opendag_tests::Tree;

    #[test]
    fn what_is_equal_costs_its_records_alone() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let tree = Tree::many(1, 50, 40_000);
        let old = tree.write(&dir.path().join("old"))?;
        let new = tree.write(&dir.path().join("new"))?;
        let same = ideal(&old, &new)?;
        assert_eq!((same.changed, same.description), (0, RECORDS_BYTES));
        Ok(())
    }

    #[test]
    fn an_edit_costs_about_a_chunk_and_a_new_file_all_of_it() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let tree = Tree::new(1).file("a", 5_000_000).file("b", 20_000);
        let old = tree.write(&dir.path().join("old"))?;
        let new = tree.file("c", 10_000).write(&dir.path().join("new"))?;
        let mut bytes = fs::read(new.join("a"))?;
        bytes.splice(2_000_000..2_000_000, *b"inserted");
        fs::write(new.join("a"), bytes)?;
        let ideal = ideal(&old, &new)?;
        let edited = ideal.changed - 10_000;
        assert!(edited > 0 && edited < 100_000, "{edited}");
        assert!(ideal.description > RECORDS_BYTES);
        Ok(())
    }
}
