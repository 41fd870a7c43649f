use opendag_protocol::{
    DatasetPath, Hash,
    chunkmap::ChunkMapBuilder,
    table::{FileEntry, FileFields, TableIndex, TableWriter},
};

use super::*;
use crate::store::testing::bytes;

/// A page of `count` files of some KiB, and the bytes of its pack.
fn page(count: u64) -> (PageRef, Page, Vec<u8>) {
    let mut writer = TableWriter::new();
    for at in 0..count {
        let content = bytes(3000 + usize::try_from(at % 17).unwrap() * 1500, at);
        let path = DatasetPath::parse(&format!("f{at:05}")).unwrap();
        let fields = FileFields::new(path, content.len() as u64, Hash::of(&content));
        let mut map = ChunkMapBuilder::new(Cut::for_size(content.len() as u64));
        map.push(&content);
        let entry = FileEntry::new(fields).unwrap();
        let ended = writer.push_with_map(entry, map.finish().unwrap()).unwrap();
        assert!(ended.is_none(), "no page ends here");
    }
    let (page, index, totals) = writer.finish().unwrap();
    let page = page.unwrap();
    let index = TableIndex::decode(&index.bytes, totals).unwrap();
    let page_ref = index.pages()[0].clone();
    let decoded = Page::decode(&page.bytes, &page_ref).unwrap();
    (page_ref, decoded, page.maps.unwrap().bytes)
}

fn slice(pack: &[u8], range: GroupRange) -> Vec<u8> {
    let bytes = range.bytes(pack.len() as u64);
    pack[usize::try_from(bytes.start).unwrap()..usize::try_from(bytes.end).unwrap()].to_vec()
}

/// Reads the maps of some files, `part` bytes at a time. Answers the bytes asked for as well.
fn read(
    (page_ref, page, pack_bytes): &(PageRef, Page, Vec<u8>),
    files: impl Iterator<Item = u32>,
    part: u64,
) -> (Vec<(Wanted, ChunkMap)>, u64) {
    let mut pack = Pack::of(page_ref).unwrap();
    for file in files {
        pack.want(ShardIndex(file));
    }
    let (mut maps, mut asked) = (Vec::new(), 0);
    while !pack.is_read() {
        let next = pack.next(page, part);
        asked += next.cost_bytes(pack_bytes.len() as u64);
        let got: Vec<_> = next
            .ranges()
            .into_iter()
            .map(|range| slice(pack_bytes, range))
            .collect();
        maps.extend(pack.take(&next, &got, page));
    }
    (maps, asked)
}

#[test]
fn maps_that_are_read_in_parts_are_those_of_the_pack() {
    let pack = page(600);
    let whole = MapPack::decode(&pack.2, &pack.1).unwrap();
    for part in [1, 40_000, 100_000, u64::MAX] {
        for step in [1, 2, 7, 90, 599] {
            let files: Vec<u32> = (0..600).step_by(step).collect();
            let (maps, _) = read(&pack, files.iter().copied(), part);
            assert_eq!(maps.len(), files.len(), "{part} {step}");
            for ((wanted, map), file) in maps.iter().zip(files) {
                assert_eq!(wanted.shard, ShardIndex(file));
                assert_eq!(Some(map), whole.map(wanted.shard), "{part} {step} {file}");
            }
        }
    }
}

#[test]
fn a_few_files_cost_the_front_and_the_groups_of_their_maps() {
    let pack = page(600);
    let (maps, asked) = read(&pack, 400..430, u64::MAX);
    assert_eq!(maps.len(), 30);
    assert!(
        asked <= 4 * CHUNK_GROUP_BYTES,
        "{asked} of {}",
        pack.2.len()
    );
    // All of it is one request.
    let (maps, asked) = read(&pack, 0..600, u64::MAX);
    assert_eq!((maps.len(), asked), (600, pack.2.len() as u64));
}

#[test]
fn a_pack_is_worth_it_only_if_much_of_its_page_changed() {
    let (page_ref, page, _) = page(600);
    for (files, expected) in [(600, true), (200, true), (1, false)] {
        let mut pack = Pack::of(&page_ref).unwrap();
        (0..files).for_each(|file| pack.want(ShardIndex(file)));
        assert_eq!(pack.is_worth(&page), expected, "{files}");
    }
}

#[test]
fn what_is_no_pack_ends_the_reading() {
    let (page_ref, page, bytes) = page(100);
    let mut pack = Pack::of(&page_ref).unwrap();
    pack.want(ShardIndex(7));
    let part = pack.next(&page, 1);
    assert!(pack.take(&part, &[vec![7; bytes.len()]], &page).is_empty());
    assert!(pack.is_read());
}
