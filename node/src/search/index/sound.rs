//! Is the index as it was written? tantivy panics over some files that are not.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use tantivy::{TantivyError, error::DataCorruption, index::SegmentComponent};

/// Bytes whose checksums are compared when an index is opened, of the smallest files first: all of an index of
/// some hundred thousand datasets, in a tenth of a second. Of the others only the ends are looked at.
const CHECKED_BYTES_MAX: u64 = 256 << 20;
/// The end of each file: the length of its footer and a magic number, both little endian.
const END: i64 = 8;
/// What tantivy ends its files with.
const MAGIC: u32 = 1337;
/// Longer footers are refused by tantivy.
const FOOTER_MAX: u32 = 50_000;

/// The files of a segment that tantivy reads.
const COMPONENTS: [SegmentComponent; 7] = [
    SegmentComponent::Postings,
    SegmentComponent::Positions,
    SegmentComponent::FastFields,
    SegmentComponent::FieldNorms,
    SegmentComponent::Terms,
    SegmentComponent::Store,
    SegmentComponent::Delete,
];

/// Looks at all files of the last commit, before any is opened.
pub(super) fn check(index: &tantivy::Index, folder: &Path) -> Result<(), TantivyError> {
    let mut files = BTreeSet::new();
    for segment in index.searchable_segment_metas()? {
        for component in COMPONENTS {
            if component == SegmentComponent::Delete && !segment.has_deletes() {
                continue;
            }
            let name = segment.relative_path(component);
            let bytes = end(&folder.join(&name))
                .map_err(|error| DataCorruption::new(name.clone(), error.to_string()))?;
            files.insert((bytes, name));
        }
    }
    let mut left = CHECKED_BYTES_MAX;
    for (bytes, name) in files {
        let Some(rest) = left.checked_sub(bytes) else {
            break;
        };
        left = rest;
        if !index.directory().validate_checksum(&name)? {
            let what = "its checksum differs".to_owned();
            return Err(DataCorruption::new(name, what).into());
        }
    }
    Ok(())
}

/// The length of a file that ends as tantivy's do.
fn end(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut end = [0; 8];
    file.seek(SeekFrom::End(-END))?;
    file.read_exact(&mut end)?;
    let bytes = file.stream_position()?;
    let [a, b, c, d, magic @ ..] = end;
    let footer = u32::from_le_bytes([a, b, c, d]);
    let fits = footer <= FOOTER_MAX && u64::from(footer).saturating_add(8) <= bytes;
    if fits && u32::from_le_bytes(magic) == MAGIC {
        Ok(bytes)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "it has no end"))
    }
}
