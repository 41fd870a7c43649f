use opendag_protocol::{DatasetId, Hash, ManifestId, revision::commit};

use super::*;

fn entry() -> Entry {
    Entry {
        name: "corpus".to_owned(),
        id: DatasetId::from_hash(Hash::of(b"dataset")),
        manifest: ManifestId::from_hash(Hash::of(b"manifest")),
        sequence: 3,
        label: Some("v1".to_owned()),
        target: "data/corpus".to_owned(),
        include: Vec::new(),
        exclude: Vec::new(),
    }
}

#[test]
fn a_link_means_an_entry_by_its_dataset_and_disputes_its_version() {
    let entry = entry();
    let (id, manifest) = (entry.id, entry.manifest);
    for this in [
        "corpus",
        "data/corpus",
        "corpus@v1",
        "corpus@3",
        "corpus@main",
        &format!("{id}"),
        &format!("opendag:{id}@v1?name=other"),
        &format!("{manifest}"),
        &format!("{id}@{}", commit(manifest)),
    ] {
        assert_eq!(means(&entry, this), Means::This, "{this}");
    }
    for disputed in [
        "corpus@v2",
        "corpus@4",
        &format!("{id}@2"),
        &format!("{manifest}@v2"),
    ] {
        assert_eq!(means(&entry, disputed), Means::Disputed, "{disputed}");
    }
    let other = DatasetId::from_hash(Hash::of(b"other"));
    for another in ["corpora", "v1", "corpus@", &other.to_string()] {
        assert_eq!(means(&entry, another), Means::Another, "{another}");
    }
}

#[test]
fn a_target_lies_below_the_file() {
    let target = |output: &str| target(Path::new("/project"), Path::new(output)).ok();
    assert_eq!(target("/project/data/x"), Some("data/x".to_owned()));
    for bad in [
        "/project",
        "/projects/x",
        "/other",
        "/project/../x",
        "/project/a/../../x",
    ] {
        assert_eq!(target(bad), None, "{bad}");
    }
}

#[test]
fn p3_no_symbolic_link_is_followed_on_the_way_to_a_target() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("data")).unwrap();
    assert!(check_way(dir.path(), "data/corpus").is_err());
    assert!(check_way(dir.path(), "data").is_err());
    assert!(check_way(dir.path(), "other/corpus").is_ok());
}
