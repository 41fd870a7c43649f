use std::{fs, path::Path, sync::Arc};

use opendag_protocol::{
    DatasetPath,
    chunkmap::{ChunkMapBuilder, Cut},
    table::{FileEntry, FileFields, ShardIndex},
};
use tempfile::TempDir;

use super::*;
use crate::{disk::Confined, store::testing::bytes};

const MIB: usize = 1024 * 1024;

fn map(content: &[u8]) -> ChunkMap {
    let mut builder = ChunkMapBuilder::new(Cut::for_size(content.len() as u64));
    builder.push(content);
    builder.finish().unwrap()
}

fn wanted(content: &[u8]) -> Wanted {
    let path = DatasetPath::parse("file").unwrap();
    let fields = FileFields::new(path, content.len() as u64, Hash::of(content));
    Wanted {
        shard: ShardIndex(0),
        entry: FileEntry::new(fields).unwrap(),
    }
}

/// A folder with a base and a target.
struct Scene {
    dir: TempDir,
    target: Target,
    bases: Bases,
    chunks: Chunks,
}

impl Scene {
    /// Looks for the chunks of `new` in `base`.
    fn new(base: &[u8], new: &[u8]) -> Self {
        let dir = TempDir::new().unwrap();
        let target = Target::open(&dir.path().join("target")).unwrap();
        fs::write(dir.path().join("base"), base).unwrap();
        let folder = Arc::new(Confined::open(dir.path()).unwrap());
        let mut bases = Bases::default();
        let id = bases
            .add(&folder, &DatasetPath::parse("base").unwrap())
            .unwrap();
        let mut chunks = Chunks::default();
        chunks.want(&map(new));
        let cut = Cut::for_size(new.len() as u64);
        let cancel = CancellationToken::new();
        let of_base = super::super::bases::cut(bases.file(id).unwrap(), (cut, u64::MAX), &cancel);
        for (offset, chunk) in of_base.unwrap().unwrap().with_offsets() {
            chunks.offer(chunk.hash, Source { base: id, offset });
        }
        Self {
            dir,
            target,
            bases,
            chunks,
        }
    }

    fn draft(&self, new: &[u8]) -> Draft {
        Draft::open(&self.target, wanted(new), map(new)).unwrap()
    }

    fn fill(&mut self, draft: &Draft) -> Vec<bool> {
        let cancel = CancellationToken::new();
        draft.fill(&self.chunks, &mut self.bases, &cancel).unwrap()
    }
}

fn content(draft: &Draft) -> Vec<u8> {
    match draft.finish().unwrap() {
        Finished::Memory(bytes) => bytes,
        Finished::Disk { name: _, file } => {
            let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        }
    }
}

/// Writes what is missing, as if it had arrived, and compares the whole.
fn complete(draft: &Draft, here: &[bool], new: &[u8]) {
    for ((start, chunk), here) in draft.map.with_offsets().zip(here) {
        if !here {
            let at = usize::try_from(start).unwrap();
            let end = at + usize::try_from(chunk.length).unwrap();
            draft.write(start, &new[at..end]).unwrap();
        }
    }
    assert!(content(draft) == new);
}

fn missing_bytes(draft: &Draft, here: &[bool]) -> usize {
    let chunks = draft.map.chunks().iter().zip(here);
    let missing = chunks.filter(|(_, here)| !**here);
    missing
        .map(|(chunk, _)| usize::try_from(chunk.length).unwrap())
        .sum()
}

#[test]
fn small_and_large_files_are_filled_from_a_base_wherever_its_chunks_lie() {
    for size in [60_000, 3 * MIB] {
        let old = bytes(size, 1);
        // At the same place, at another one in the same way within a block, and in another way.
        for inserted in [0, 4096, 100] {
            let new = [&old[..size / 3], &bytes(inserted, 2), &old[size / 3..]].concat();
            let mut scene = Scene::new(&old, &new);
            let draft = scene.draft(&new);
            let here = scene.fill(&draft);
            let missing = missing_bytes(&draft, &here);
            assert!(missing <= inserted + 20_000, "{missing} of {size}");
            assert_eq!(missing == 0, inserted == 0);
            complete(&draft, &here, &new);
        }
    }
}

#[test]
fn p2_chunks_of_a_base_that_changed_meanwhile_are_not_believed() {
    for size in [60_000, 3 * MIB] {
        let old = bytes(size, 1);
        let half = |old: &[u8]| [&bytes(old.len() / 2, 9), &old[old.len() / 2..]].concat();
        let changes: [&dyn Fn(&Path); 3] = [
            &|file| fs::write(file, half(&old)).unwrap(),
            &|file| fs::write(file, &old[..size / 2]).unwrap(),
            &|file| fs::remove_file(file).unwrap(),
        ];
        for change in changes {
            let mut scene = Scene::new(&old, &old);
            // Another base was read meanwhile: this one is opened again.
            fs::write(scene.dir.path().join("other"), b"other").unwrap();
            let folder = Arc::new(Confined::open(scene.dir.path()).unwrap());
            scene
                .bases
                .add(&folder, &DatasetPath::parse("other").unwrap());
            change(&scene.dir.path().join("base"));
            let draft = scene.draft(&old);
            let here = scene.fill(&draft);
            let missing = missing_bytes(&draft, &here);
            assert!(missing >= size / 2 - 20_000, "{missing} of {size}");
            complete(&draft, &here, &old);
        }
    }
}

#[test]
fn p4_a_large_draft_is_found_again_and_only_right_chunks_of_it_count() {
    let old = bytes(3 * MIB, 1);
    let new = bytes(3 * MIB, 2);
    let mut scene = Scene::new(&old, &new);
    let draft = scene.draft(&new);
    let here = scene.fill(&draft);
    assert!(here.iter().all(|here| !here), "nothing is shared");
    draft.write(0, &new[..MIB]).unwrap();
    draft.write(2 * MIB as u64, &bytes(1000, 3)).unwrap();
    drop(draft);
    let draft = scene.draft(&new);
    let here = scene.fill(&draft);
    let missing = missing_bytes(&draft, &here);
    assert!((2 * MIB..2 * MIB + 10_000).contains(&missing), "{missing}");
    complete(&draft, &here, &new);
    draft.abandon(&scene.target);
    let again = scene.draft(&new);
    assert!(scene.fill(&again).iter().all(|here| !here));
}
