use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn locations_round_trip(size: u64, mtime_ns: i64, inode: u64, stale: bool, name in "[a-z]{1,40}") {
        let location = ShardLocation {
            root: RootId::of(Path::new("/data")),
            path: DatasetPath::parse(&name).unwrap(),
            fingerprint: Fingerprint { size, mtime_ns, inode },
            stale,
        };
        let key = location.key(Hash::of(b"shard"));
        prop_assert!(key.starts_with(&shard_prefix(Hash::of(b"shard"))));
        prop_assert_eq!(ShardLocation::file_of(&location.encode()), Some((inode, size)));
        prop_assert_eq!(ShardLocation::decode(&key, &location.encode()), Some(location));
    }
}

#[test]
fn places_keep_paths_that_are_no_text() {
    let place = Place {
        manifest: ManifestId::from_hash(Hash::of(b"manifest")),
        root: PathBuf::from(OsString::from_vec(b"/data/\xff\xfe".to_vec())),
        kind: PlaceKind::Fetched,
        pinned: true,
        include: vec!["*.txt".to_owned()],
        exclude: Vec::new(),
    };
    let bytes = place.encode().unwrap();
    assert_eq!(Place::decode(&bytes), Some(place));
    assert_eq!(Place::decode(&bytes[1..]), None);
}
