use std::fs;

use opendag_protocol::wire::GroupRange;
use tempfile::TempDir;

use super::*;
use crate::store::{
    Existing, TargetError, bao,
    testing::{SIZES, bytes, outboards, path},
};

struct Fixture {
    dir: TempDir,
    outboards: Outboards,
    target: Target,
}

impl Fixture {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let outboards = outboards(&dir);
        let target = Target::open(&dir.path().join("target")).unwrap();
        Self {
            dir,
            outboards,
            target,
        }
    }

    fn batch(&self) -> Batch {
        self.target.batch(&self.outboards, Replace::Never)
    }

    fn content(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.dir.path().join("target").join(name)).ok()
    }

    fn working_files(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.dir.path().join("target/.opendag"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "lock")
            .collect();
        names.sort();
        names
    }
}

#[test]
fn files_of_all_sizes_are_put_in_place_together() {
    let fixture = Fixture::new();
    let source = fixture.dir.path().join("source");
    let mut batch = fixture.batch();
    for (size, why) in SIZES {
        let content = bytes(*size, 1);
        let hash = Hash::of(&content);
        batch
            .put_small(&path(&format!("small/{size}")), &content, hash)
            .unwrap();
        fs::write(&source, &content).unwrap();
        let file = File::open(&source).unwrap();
        batch
            .put_copy(&path(&format!("copy/{size}")), &file, hash)
            .unwrap();
        let partial = fixture.target.partial(hash, bao::len64(*size)).unwrap();
        let all = bao::encode_memory(&content, hash, GroupRange::ALL).unwrap();
        partial.write_bao(GroupRange::ALL, &all).unwrap();
        batch
            .put_partial(&path(&format!("partial/{size}")), &partial)
            .expect(why);
    }
    assert!(!fixture.dir.path().join("target/small").exists());
    let committed = batch.commit().unwrap();
    assert_eq!(
        (committed.placed.len(), committed.failed.len()),
        (3 * SIZES.len(), 0)
    );
    for placed in committed.placed {
        let content = fixture.content(placed.path.as_str()).unwrap();
        assert_eq!(Hash::of(&content), placed.hash);
        let file = fixture.target.open_read(&placed.path).unwrap();
        assert_eq!(Fingerprint::of(&file).unwrap(), placed.fingerprint);
        let known = (placed.hash, placed.fingerprint.size);
        let existing = fixture
            .target
            .existing(&placed.path, known, &fixture.outboards);
        assert_eq!(existing.unwrap(), Existing::Same(placed.fingerprint));
        let large = placed.fingerprint.size > OUTBOARD_BYTES_MIN;
        assert_eq!(fixture.outboards.get(placed.hash).unwrap().is_some(), large);
    }
    assert_eq!(fixture.working_files(), [""; 0]);
    fixture.target.tidy();
    assert!(!fixture.dir.path().join("target/.opendag").exists());
}

#[test]
fn p2_wrong_bytes_never_get_a_name() {
    let fixture = Fixture::new();
    let mut batch = fixture.batch();
    let hash = Hash::of(b"right");
    let put = batch.put_small(&path("file"), b"wrong", hash);
    assert!(matches!(put, Err(BatchError::WrongBytes { .. })));
    let source = fixture.dir.path().join("source");
    fs::write(&source, b"wrong").unwrap();
    let put = batch.put_copy(&path("file"), &File::open(&source).unwrap(), hash);
    assert!(matches!(put, Err(BatchError::WrongBytes { .. })));
    let partial = fixture.target.partial(hash, 5).unwrap();
    let put = batch.put_partial(&path("file"), &partial);
    assert!(matches!(put, Err(BatchError::Incomplete { .. })));
    assert!(batch.is_empty());
    // Negative control.
    batch.put_small(&path("file"), b"right", hash).unwrap();
    batch.commit().unwrap();
    assert_eq!(fixture.content("file").unwrap(), b"right");
}

#[test]
fn what_is_in_the_way_stays_and_the_rest_is_placed() {
    let fixture = Fixture::new();
    let root = fixture.dir.path().join("target");
    fs::write(root.join("mine"), b"mine").unwrap();
    fs::create_dir(root.join("folder")).unwrap();
    let mut batch = fixture.batch();
    let hash = Hash::of(b"new");
    for name in ["mine", "folder", "mine/below", "other"] {
        batch.put_small(&path(name), b"new", hash).unwrap();
    }
    let committed = batch.commit().unwrap();
    assert_eq!((committed.placed.len(), committed.failed.len()), (1, 3));
    assert_eq!(fixture.content("mine").unwrap(), b"mine");
    assert_eq!(fixture.content("other").unwrap(), b"new");
    assert_eq!(fixture.working_files(), [""; 0]);
    let existing = |name: &str| {
        fixture
            .target
            .existing(&path(name), (hash, 3), &fixture.outboards)
            .unwrap()
    };
    assert_eq!(
        (existing("mine"), existing("folder")),
        (Existing::Other, Existing::Other)
    );
    assert_eq!(existing("nothing"), Existing::Absent);
    assert!(matches!(existing("other"), Existing::Same(_)));
}

#[test]
fn p3_the_working_folder_is_no_place_for_a_dataset() {
    for name in [".opendag/lock", ".OpenDAG/x", ".opendag"] {
        assert!(DatasetPath::parse(name).is_err(), "{name}");
    }
    assert_eq!(crate::store::WORK_FOLDER, ".opendag");
}

#[test]
fn p4_a_batch_that_is_not_committed_leaves_only_partial_shards() {
    let fixture = Fixture::new();
    let mut batch = fixture.batch();
    batch
        .put_small(&path("file"), b"content", Hash::of(b"content"))
        .unwrap();
    let hash = Hash::of(b"partial");
    let partial = fixture.target.partial(hash, 7).unwrap();
    let all = bao::encode_memory(b"partial", hash, GroupRange::ALL).unwrap();
    partial.write_bao(GroupRange::ALL, &all).unwrap();
    partial.checkpoint().unwrap();
    batch.put_partial(&path("other"), &partial).unwrap();
    drop(batch);
    let left = ["bits", "obao", "part"].map(|ending| format!("{hash}.{ending}"));
    assert_eq!(fixture.working_files(), left);
    // A killed process cannot tidy up: the next one does.
    fs::write(
        fixture
            .dir
            .path()
            .join("target/.opendag")
            .join(crate::disk::temp_name()),
        b"x",
    )
    .unwrap();
    let Fixture {
        dir,
        outboards,
        target,
    } = fixture;
    drop((target, partial));
    let target = Target::open(&dir.path().join("target")).unwrap();
    assert!(target.partial(hash, 7).unwrap().is_complete());
    let fixture = Fixture {
        dir,
        outboards,
        target,
    };
    assert_eq!(fixture.working_files(), left);
    // Killed right after the file got its name: what belonged to it is tidied up, and nothing else.
    let work = fixture.dir.path().join("target/.opendag");
    let orphans = ["bits", "obao"].map(|ending| format!("{}.{ending}", Hash::of(b"done")));
    for orphan in orphans {
        fs::write(work.join(orphan), b"").unwrap();
    }
    fixture.target.tidy();
    assert_eq!(fixture.working_files(), left);
}

#[test]
fn p8_two_fetches_into_one_folder_do_not_mix() {
    let fixture = Fixture::new();
    let path = fixture.dir.path().join("target");
    assert!(matches!(Target::open(&path), Err(TargetError::Busy { .. })));
    drop(fixture.target);
    // Negative control.
    Target::open(&path).unwrap();
}
