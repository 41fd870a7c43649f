use opendag_protocol::{
    Hash,
    chunkmap::{ChunkMapBuilder, Cut},
    table::{FileEntry, FileFields},
    wire::GroupRange,
};
use tempfile::TempDir;

use super::*;
use crate::{
    disk::Replace,
    fetch::writer::Destination,
    store::{
        Target,
        testing::{Home, blocking, bytes},
    },
};

/// A file with its map.
fn file(shard: u32, content: &[u8]) -> (Wanted, ChunkMap) {
    let path = DatasetPath::parse(&format!("file{shard}")).unwrap();
    let size = content.len() as u64;
    let fields = FileFields::new(path, size, Hash::of(content));
    let mut builder = ChunkMapBuilder::new(Cut::for_size(size));
    builder.push(content);
    let wanted = Wanted {
        shard: ShardIndex(shard),
        entry: FileEntry::new(fields).unwrap(),
    };
    (wanted, builder.finish().unwrap())
}

/// Begins to put files together of which nothing is here.
fn assembly(home: &Home, dir: &TempDir, contents: &[Vec<u8>]) -> Assembly {
    let files: Vec<_> = (0..).zip(contents).map(|(at, one)| file(at, one)).collect();
    let wanted = files.iter().map(|(wanted, _)| wanted.clone()).collect();
    let destination = Destination {
        store: home.store.clone(),
        target: Target::open(&dir.path().join("target")).unwrap(),
        replace: Replace::Never,
        place: None,
    };
    let writer = Arc::new(Writer::new(destination, wanted));
    let found = Found {
        files,
        ..Found::default()
    };
    let (assembly, placed) = Assembly::begin(writer, found, &CancellationToken::new()).unwrap();
    assert!(placed.is_empty());
    assembly
}

/// Is the span still asked for?
fn is_asked_for(assembly: &Assembly, number: ShardIndex) -> bool {
    let specs = assembly.specs();
    let spec = specs.iter().find(|spec| spec.shard == number).unwrap();
    let groups = GroupRange::between(0, groups_in(spec.size)).unwrap();
    let item = Item {
        shard: number,
        groups,
    };
    assembly.order(item).is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_a_map_is_believed_until_two_peers_contradict_it_in_one_span() {
    let home = Home::new().await;
    let dir = TempDir::new().unwrap();
    // The first has several spans.
    let contents = [bytes(700_000, 1), bytes(50_000, 2)];
    blocking(move || {
        let assembly = assembly(&home, &dir, &contents);
        let number = |at: usize| assembly.specs()[at].shard;
        let (first, second, last) = (number(0), number(1), number(assembly.specs().len() - 1));
        let (liar, other) = (PeerKey(1), PeerKey(2));
        assembly.accuse(first, liar);
        assembly.accuse(first, liar);
        assembly.accuse(second, other);
        assert!(
            is_asked_for(&assembly, first),
            "one peer may lie again and again"
        );
        assembly.accuse(first, other);
        assert!(
            !is_asked_for(&assembly, first),
            "two peers do not lie alike"
        );
        assert!(!is_asked_for(&assembly, second), "a file goes as a whole");
        assert!(
            is_asked_for(&assembly, last),
            "another file has its own map"
        );
        assert_eq!(assembly.given_up_bytes(), 750_000, "none is whole yet");
        assembly.accuse(last, liar);
        assembly.accuse(ShardIndex(99), other);
        assert!(is_asked_for(&assembly, last));
    })
    .await;
}
