//! Packs of chunk maps: exactly those whose maps make up the files of their page are accepted, and the front of a pack
//! places the same maps as the whole.
#![no_main]

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use opendag_protocol::{
    DatasetPath, Hash,
    cbor::to_vec,
    chunkmap::{ChunkMap, Cut, MapPack, PackIndex},
    limits::DESCRIPTION_BLOB_BYTES_MAX,
    table::{FileEntry, FileFields, Page, ShardIndex, TableIndex, TableWriter},
};

#[derive(Arbitrary, Debug)]
struct Input {
    /// For each file: its size, if its chunks do not tell it, and their lengths.
    files: Vec<(Option<u32>, Vec<u16>)>,
    hashes: u64,
    /// Bytes that are changed in the pack, and bytes that are cut off or added behind.
    changes: Vec<(u16, u8)>,
    tail: i8,
}

fuzz_target!(|input: Input| {
    let Some(page) = page(&input) else { return };
    let mut bytes = pack(&input);
    let is_right = input.files.iter().all(|(size, lengths)| {
        let sum = sum(lengths);
        lengths.is_empty() || (size.is_none_or(|size| u64::from(size) == sum) && fit(lengths, sum))
    });
    assert_eq!(MapPack::decode(&bytes, &page).is_ok(), is_right);
    check(&bytes, &page, &input);
    for (at, byte) in &input.changes {
        if let Some(changed) = bytes.get_mut(usize::from(*at)) {
            *changed ^= byte;
        }
    }
    match usize::try_from(input.tail) {
        Ok(more) => bytes.resize(bytes.len() + more, 0),
        Err(_) => bytes.truncate(
            bytes
                .len()
                .saturating_sub(usize::from(input.tail.unsigned_abs())),
        ),
    }
    check(&bytes, &page, &input);
});

/// The front and the whole say the same.
fn check(bytes: &[u8], page: &Page, input: &Input) {
    let pack = MapPack::decode(bytes, page);
    let index = PackIndex::decode(bytes, page);
    let groups = PackIndex::groups(page);
    let front = usize::try_from(groups.bytes(u64::MAX).end)
        .unwrap()
        .min(bytes.len());
    let from_front = PackIndex::decode(&bytes[..front], page);
    assert_eq!(index.as_ref().ok(), from_front.as_ref().ok());
    let shards = (0..).map(ShardIndex).take(input.files.len() + 1);
    if let Ok(index) = &index {
        assert!(index.blob_bytes() <= DESCRIPTION_BLOB_BYTES_MAX);
        let mut end = 0;
        for range in shards.clone().filter_map(|shard| index.bytes_of(shard)) {
            assert!(range.start >= end && range.end > range.start);
            end = range.end;
        }
        assert!(end <= index.blob_bytes());
    }
    let (Ok(pack), Ok(index)) = (&pack, &index) else {
        return;
    };
    for (shard, entry) in shards.zip(page.entries()) {
        let map = index.bytes_of(shard).map(|range| {
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            PackIndex::map(&bytes[range], entry.size()).unwrap()
        });
        assert_eq!(map.as_ref(), pack.map(shard));
    }
    if u64::try_from(bytes.len()).unwrap() == index.blob_bytes() {
        assert_eq!(pack.encode().unwrap().bytes, bytes);
    }
    let whole = ChunkMap::front(bytes);
    assert!(whole.is_empty(), "a pack is no map");
}

fn sum(lengths: &[u16]) -> u64 {
    lengths.iter().map(|length| u64::from(*length)).sum()
}

/// May a file have such chunks?
fn fit(lengths: &[u16], size: u64) -> bool {
    let cut = Cut::for_size(size);
    let (last, before) = lengths.split_last().unwrap();
    let fits = |length: u32, min| (min..=cut.max()).contains(&length);
    fits(u32::from(*last), 1)
        && before
            .iter()
            .all(|length| fits(u32::from(*length), cut.min()))
}

/// A page of these files; `None` if they are too many for one, or end one early.
fn page(input: &Input) -> Option<Page> {
    let mut writer = TableWriter::new();
    for (at, (size, lengths)) in input.files.iter().enumerate() {
        let path = DatasetPath::parse(&format!("f{at:06}")).unwrap();
        let size = size.map_or_else(|| sum(lengths), u64::from);
        let fields = FileFields::new(path, size, Hash::of(b"some file"));
        if writer.push(FileEntry::new(fields).ok()?).ok()?.is_some() {
            return None;
        }
    }
    let (page, index, totals) = writer.finish().ok()?;
    let index = TableIndex::decode(&index.bytes, totals).unwrap();
    Some(Page::decode(&page?.bytes, &index.pages()[0]).unwrap())
}

/// A pack, put together by hand.
fn pack(input: &Input) -> Vec<u8> {
    let (mut each, mut maps) = (Vec::new(), Vec::new());
    for (at, (_, lengths)) in (0_u64..).zip(&input.files) {
        each.extend_from_slice(&u16::try_from(lengths.len()).unwrap().to_le_bytes());
        for length in lengths {
            maps.extend_from_slice(&u32::from(*length).to_le_bytes()[..3]);
            maps.extend_from_slice(&(input.hashes ^ at).to_le_bytes());
        }
    }
    let parts: [Vec<u8>; 11] = [
        vec![0xa4],
        to_vec("each").unwrap(),
        head(each.len()),
        each,
        to_vec("maps").unwrap(),
        head(maps.len()),
        maps,
        to_vec("type").unwrap(),
        to_vec("chunk-maps").unwrap(),
        to_vec("version").unwrap(),
        vec![2],
    ];
    parts.concat()
}

/// The head of a byte string of `len` bytes, in its shortest form.
fn head(len: usize) -> Vec<u8> {
    let bytes = u32::try_from(len).unwrap().to_be_bytes();
    match len {
        0..24 => vec![0x40 + bytes[3]],
        24..0x100 => vec![0x58, bytes[3]],
        0x100..0x1_0000 => [&[0x59], &bytes[2..]].concat(),
        _ => [&[0x5a], &bytes[..]].concat(),
    }
}
