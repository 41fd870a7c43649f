//! Looking into files at other paths: of older versions whose paths are gone, and of other datasets.

use std::collections::{HashMap, HashSet};

use opendag_protocol::chunkmap::{Chunk, ChunkMap, Cut};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    WORTH,
    assembly::Found,
    bases, cut_base, offer,
    older::{Kin, Kind, Older, Other},
};
use crate::fetch::table::Wanted;

/// Other files of older versions are read up to so many times the bytes that are still missing, and those of other
/// datasets up to as many.
const OLDER_READ: u64 = 8;
/// Files that may be a wanted one under another name, looked at for a sample, or because they have the same name.
const LOOKED_AT_MAX: usize = 4;

/// Looks for what is still missing: in files of the same name, then in others of the same kind. `None` if the fetch was
/// cancelled.
pub(super) fn find(
    found: &mut Found,
    older: &Older,
    files: &[(Wanted, ChunkMap)],
    cancel: &CancellationToken,
) -> Option<()> {
    let mut cuts = HashMap::new();
    let mut missing_bytes = 0_u64;
    let mut seen = HashSet::new();
    for (wanted, map) in files {
        let (path, size) = (wanted.entry.path(), wanted.entry.size());
        let cut = Cut::for_size(size);
        for at in older.namesakes(path, size).take(LOOKED_AT_MAX) {
            if missing(found, map, size) == 0 {
                break;
            }
            if let Some(other) = older.others().get(at).filter(|_| seen.insert((at, cut))) {
                look_into(found, older, (other, cut), cancel)?;
            }
        }
        let missing = missing(found, map, size);
        missing_bytes = missing_bytes.saturating_add(missing);
        if missing > 0 {
            let kind = Kind::of(path, size);
            cuts.extend(kind.near().map(|near| (near, cut)));
        }
    }
    let mut older_read = missing_bytes.saturating_mul(OLDER_READ);
    let mut strangers_read = missing_bytes;
    for (at, other) in older.others().iter().enumerate() {
        if found.chunks.is_complete() {
            break;
        }
        let may_read = match other.kin {
            Kin::Older => &mut older_read,
            Kin::Stranger => &mut strangers_read,
        };
        if let Some(cut) = cuts.get(&other.kind)
            && !seen.contains(&(at, *cut))
            && let Some(left) = may_read.checked_sub(other.size)
        {
            *may_read = left;
            look_into(found, older, (other, *cut), cancel)?;
        }
    }
    Some(())
}

fn missing(found: &Found, map: &ChunkMap, size: u64) -> u64 {
    size - found.chunks.found_bytes(map).min(size)
}

/// Offers the chunks of a file: as its map says if that is here, else as it is now.
fn look_into(
    found: &mut Found,
    older: &Older,
    (other, cut): (&Other, Cut),
    cancel: &CancellationToken,
) -> Option<()> {
    let Some(id) = found.bases.add(&other.folder, &other.path) else {
        return Some(());
    };
    match other.map.and_then(|_| kept_map(older, other, cut)) {
        Some(map) => offer(found, id, &map),
        None => cut_base(found, id, cut, cancel)?,
    }
    Some(())
}

/// The chunk map of a file, if it is in the store and was cut alike. Blocks.
fn kept_map(older: &Older, other: &Other, cut: Cut) -> Option<ChunkMap> {
    let blob = other.map.filter(|_| Cut::for_size(other.size) == cut)?;
    let bytes = Handle::current().block_on(older.store.blob(&blob)).ok()??;
    ChunkMap::decode(&bytes, other.size).ok()
}

/// Do other datasets hold some of the first chunks of some large files? Only then all chunks are asked for. Blocks.
pub(super) fn help(
    older: &Older,
    samples: &[(Wanted, Vec<Chunk>)],
    cancel: &CancellationToken,
) -> bool {
    samples.iter().any(|(wanted, chunks)| {
        let (path, size) = (wanted.entry.path(), wanted.entry.size());
        let sum: u64 = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
        let kind = Kind::of(path, size);
        let near = |other: &&Other| kind.near().any(|near| near == other.kind);
        let others = older.others();
        let named = older.namesakes(path, size).take(LOOKED_AT_MAX);
        let named = named.filter_map(|at| others.get(at));
        let others = named.chain(others.iter().filter(near).take(LOOKED_AT_MAX));
        let mut bases = bases::Bases::default();
        for other in others {
            // What was inserted before them moves chunks back.
            let most = sum.saturating_add(sum / 4);
            let id = bases.add(&other.folder, &other.path);
            let file = id.and_then(|id| bases.file(id));
            let map = file.map(|file| bases::cut(file, (Cut::for_size(size), most), cancel));
            let Some(Ok(Some(map))) = map else {
                continue;
            };
            let here: HashSet<_> = map.chunks().iter().map(|chunk| chunk.hash).collect();
            let shared = chunks.iter().filter(|chunk| here.contains(&chunk.hash));
            let shared: u64 = shared.map(|chunk| u64::from(chunk.length)).sum();
            if sum > 0 && shared.saturating_mul(WORTH) >= sum {
                return true;
            }
        }
        false
    })
}
