use proptest::prelude::*;

use super::*;
use crate::{
    DatasetPath,
    limits::CHUNK_GROUP_BYTES,
    table::{EncodedPage, FileEntry, FileFields, Page, ShardIndex, TableIndex, TableWriter},
    testing::noise,
};

/// Sizes at which something changes: the class of the cut, or the number of chunks.
const SIZES: [usize; 10] = [
    0,
    1,
    63,
    1024,
    1025,
    32 << 10,
    (32 << 10) + 1,
    256 << 10,
    (256 << 10) + 1,
    (8 << 20) + 1,
];

fn cut_of(content: &[u8]) -> Cut {
    Cut::for_size(u64::try_from(content.len()).unwrap())
}

fn build_with(cut: Cut, content: &[u8], step: usize) -> ChunkMap {
    let mut builder = ChunkMapBuilder::new(cut);
    for part in content.chunks(step) {
        builder.push(part);
    }
    builder.finish().unwrap()
}

fn build(content: &[u8], step: usize) -> ChunkMap {
    build_with(cut_of(content), content, step)
}

fn decode(chunks: Vec<Chunk>, size: u64) -> Result<ChunkMap, ChunkMapError> {
    let blob = ChunkMap { chunks }.encode().unwrap();
    ChunkMap::decode(&blob.bytes, size)
}

fn chunk(length: u32) -> Chunk {
    let hash = ChunkHash::of(b"x");
    Chunk { length, hash }
}

fn shared(new: &ChunkMap, old: &ChunkMap) -> usize {
    let known = |chunk: &&Chunk| old.chunks().contains(chunk);
    new.chunks().iter().filter(known).count()
}

#[test]
fn a_chunk_is_named_by_the_first_bytes_of_its_hash() {
    let hash = Hash::of(b"chunk");
    assert_eq!(ChunkHash::of(b"chunk").as_bytes(), &hash.as_bytes()[..8]);
    assert_eq!(
        ChunkHash::from(hash).to_string(),
        hash.to_string().get(..16).unwrap()
    );
}

#[test]
fn chunks_make_up_the_content() {
    for len in SIZES {
        let content = noise(1, len);
        let map = build(&content, 100_000);
        for (offset, chunk) in map.with_offsets() {
            let start = usize::try_from(offset).unwrap();
            let end = start + usize::try_from(chunk.length).unwrap();
            assert_eq!(ChunkHash::of(&content[start..end]), chunk.hash);
        }
        let size = u64::try_from(len).unwrap();
        let sum = |map: &ChunkMap| {
            map.chunks()
                .iter()
                .map(|c| u64::from(c.length))
                .sum::<u64>()
        };
        assert_eq!(sum(&map), size);
        let blob = map.encode().unwrap();
        assert_eq!(ChunkMap::decode(&blob.bytes, size).unwrap(), map);
        assert!(ChunkMap::decode(&blob.bytes, size + 1).is_err());
    }
}

#[test]
fn chunks_are_as_long_as_their_cut_says() {
    for len in [30_000, 200_000, 24 << 20] {
        let content = noise(2, len);
        let cut = cut_of(&content);
        let average = len / build(&content, 1 << 20).chunks().len();
        let wanted = usize::try_from(cut.average()).unwrap();
        assert!(
            (wanted * 2 / 3..wanted * 2).contains(&average),
            "{average} bytes for {cut:?}"
        );
    }
}

#[test]
fn every_cut_is_within_the_limits_and_a_map_goes_far() {
    let mut size = 1_u64;
    while size < 1 << 50 {
        let cut = Cut::for_size(size);
        assert!(cut.min() < cut.average() && cut.average() < cut.max());
        assert!(cut.max() <= CHUNK_BYTES_MAX, "{size}");
        assert!(Cut::map_bytes_about(size) <= DESCRIPTION_BLOB_BYTES_MAX);
        size *= 2;
    }
    let size = 160 << 30;
    let chunks = size / u64::from(Cut::for_size(size).average());
    assert!(chunks < u64::try_from(CHUNKS_MAX).unwrap());
}

#[test]
fn an_insertion_changes_few_chunks() {
    for len in [60_000, 900_000, 4 << 20] {
        let old = noise(3, len);
        let middle = len / 3;
        let new = [&old[..middle], b"inserted", &old[middle..]].concat();
        let (old, new) = (build(&old, 70_000), build(&new, 70_000));
        let changed = new.chunks().len() - shared(&new, &old);
        assert!((1..=4).contains(&changed), "{changed} of {len} bytes");
    }
}

#[test]
fn another_size_class_is_cut_alike_with_the_same_cut() {
    let old = noise(5, 32 << 10);
    let new = [&old[..], &noise(6, 1000)].concat();
    assert_ne!(cut_of(&old), cut_of(&new));
    let map = build(&new, 1000);
    let kept = shared(&map, &build_with(cut_of(&new), &old, 1000));
    assert!(kept + 8 >= map.chunks().len(), "{kept}");
    // Each with its own, fewer chunks are found.
    assert!(shared(&map, &build(&old, 1000)) < kept);
}

#[test]
fn zeros_are_cut_at_the_limit() {
    let content = vec![0; 1 << 20];
    let max = cut_of(&content).max();
    assert!(
        build(&content, 1000)
            .chunks()
            .iter()
            .all(|c| c.length == max)
    );
}

#[test]
fn hostile_maps_are_refused() {
    let size = 1_000_000;
    let cut = Cut::for_size(size);
    assert!(decode(vec![], 0).is_ok());
    let smallest = decode(vec![chunk(cut.min()); 977], 977 * u64::from(cut.min()));
    assert!(smallest.is_ok(), "{smallest:?}");
    let lengths = |chunks: Vec<Chunk>, size: u64| {
        matches!(decode(chunks, size), Err(ChunkMapError::Lengths { .. }))
    };
    assert!(lengths(vec![], 1));
    assert!(lengths(vec![chunk(0)], 0));
    assert!(lengths(vec![chunk(1), chunk(0)], 1));
    assert!(lengths(vec![chunk(63), chunk(1)], 64));
    assert!(!lengths(vec![chunk(64), chunk(1)], 65));
    assert!(lengths(vec![chunk(1025)], 1025));
    assert!(!lengths(vec![chunk(1024)], 1024));
    let most = vec![chunk((1 << 24) - 1); 3];
    assert!(lengths(most, 3 * ((1 << 24) - 1)));
    // Whole chunks, but not a whole number of bytes of them.
    for cut in 1..ENCODED_CHUNK_BYTES {
        let list = ChunkMap {
            chunks: vec![chunk(1)],
        }
        .to_list();
        assert!(ChunkMap::from_list(&list[..cut], 1).is_err(), "{cut}");
    }
    let blob = build(&noise(4, 30_000), 1000).encode().unwrap();
    for cut in 0..blob.bytes.len() {
        let cut_off = ChunkMap::decode(&blob.bytes[..cut], 30_000);
        assert!(cut_off.is_err(), "{cut}");
    }
    assert!(ChunkMap::decode(&[&blob.bytes[..], &[0]].concat(), 30_000).is_err());
    let longest = usize::try_from(DESCRIPTION_BLOB_BYTES_MAX).unwrap();
    assert!(matches!(
        ChunkMap::decode(&vec![0; longest + 1], 0),
        Err(ChunkMapError::TooLarge { .. })
    ));
}

#[test]
fn another_version_or_type_is_refused() {
    let form = |r#type: &str, version| ChunkMapForm {
        r#type: r#type.to_owned(),
        version,
        chunks: ChunkMap {
            chunks: vec![chunk(1)],
        }
        .to_list(),
    };
    let read = |form: &ChunkMapForm| ChunkMap::decode(&cbor::to_vec(form).unwrap(), 1);
    assert!(read(&form(TYPE, CHUNK_MAP_VERSION)).is_ok());
    for (r#type, version) in [(TYPE, 1), (TYPE, 3), ("chunk-maps", CHUNK_MAP_VERSION)] {
        let refused = matches!(read(&form(r#type, version)), Err(ChunkMapError::OtherType));
        assert!(refused, "{type} {version}");
    }
}

#[test]
fn the_longest_map_fits_a_description() {
    let chunks = vec![chunk(CHUNK_BYTES_MAX); CHUNKS_MAX];
    let size = u64::from(CHUNK_BYTES_MAX) * u64::try_from(CHUNKS_MAX).unwrap();
    let blob = ChunkMap {
        chunks: chunks.clone(),
    }
    .encode()
    .unwrap();
    assert!(ChunkMap::decode(&blob.bytes, size).is_ok());
    let mut builder = ChunkMapBuilder::new(Cut::for_size(size));
    builder.chunks = chunks;
    builder.push(b"one more");
    assert!(builder.finish().is_none());
    let mut builder = ChunkMapBuilder::new(Cut::for_size(1));
    builder.chunks = vec![chunk(1); CHUNKS_MAX];
    builder.push(&vec![0; 1 << 20]);
    assert!(builder.pending.is_empty() && builder.finish().is_none());
}

/// Files with a map each, and one without.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a", noise(10, 20_000)),
        ("b", noise(11, 50)),
        ("c", Vec::new()),
        ("d", noise(12, 300_000)),
    ]
}

fn entry(path: &str, content: &[u8]) -> FileEntry {
    let path = DatasetPath::parse(path).unwrap();
    let size = u64::try_from(content.len()).unwrap();
    FileEntry::new(FileFields::new(path, size, Hash::of(content))).unwrap()
}

fn page(files: &[(&str, Vec<u8>)]) -> (EncodedPage, TableIndex, Page) {
    let mut writer = TableWriter::new();
    for (path, content) in files {
        let map = build(content, 1000);
        assert_eq!(
            writer.push_with_map(entry(path, content), map).unwrap(),
            None
        );
    }
    let (page, index, totals) = writer.finish().unwrap();
    let index = TableIndex::decode(&index.bytes, totals).unwrap();
    let encoded = page.unwrap();
    let page = Page::decode(&encoded.bytes, &index.pages()[0]).unwrap();
    (encoded, index, page)
}

fn about(content: &[u8]) -> usize {
    let size = u64::try_from(content.len()).unwrap();
    usize::try_from(Cut::map_bytes_about(size)).unwrap()
}

#[test]
fn a_pack_holds_the_maps_of_a_page() {
    let files = files();
    let (encoded, index, page) = page(&files);
    let blob = encoded.maps.clone().unwrap();
    assert_eq!(index.pages()[0].maps(), Some(blob.id));
    assert_eq!(encoded.into_blobs().count(), 2);
    let pack = MapPack::decode(&blob.bytes, &page).unwrap();
    for (at, (_, content)) in (0..).zip(&files) {
        let map = build(content, 1000);
        let (about, is) = (about(content), map.list_bytes());
        assert!(
            (is / 2..=is * 2).contains(&about) || !map.is_useful(),
            "{about} {is}"
        );
        let expected = map.is_useful().then_some(&map);
        assert_eq!(pack.map(ShardIndex(at)), expected, "{at}");
    }
    assert_eq!(pack.map(ShardIndex(4)), None);
    assert_eq!(pack.encode().unwrap(), blob);
}

#[test]
fn the_front_of_a_pack_tells_where_each_map_lies() {
    let mut names = Vec::new();
    for at in 0..300 {
        names.push((
            format!("f{at:03}"),
            noise(100 + at, 20 + 90 * usize::try_from(at).unwrap()),
        ));
    }
    let many: Vec<_> = names
        .iter()
        .map(|(name, content)| (name.as_str(), content.clone()))
        .collect();
    for files in [files(), many] {
        let (encoded, _, page) = page(&files);
        let bytes = encoded.maps.unwrap().bytes;
        let pack = MapPack::decode(&bytes, &page).unwrap();
        let groups = PackIndex::groups(&page);
        let front = usize::try_from(groups.count * CHUNK_GROUP_BYTES)
            .unwrap()
            .min(bytes.len());
        let index = PackIndex::decode(&bytes[..front], &page).unwrap();
        assert_eq!(index, PackIndex::decode(&bytes, &page).unwrap());
        assert_eq!(index.blob_bytes(), u64::try_from(bytes.len()).unwrap());
        for (at, (_, content)) in (0..).map(ShardIndex).zip(&files) {
            let size = u64::try_from(content.len()).unwrap();
            let map = index.bytes_of(at).map(|range| {
                let range =
                    usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                PackIndex::map(&bytes[range], size).unwrap()
            });
            assert_eq!(map.as_ref(), pack.map(at), "{at:?}");
        }
        let behind = ShardIndex(u32::try_from(files.len()).unwrap());
        assert_eq!(index.bytes_of(behind), None);
    }
}

#[test]
fn the_front_of_something_else_is_refused() {
    let files = files();
    let (encoded, _, with_four) = page(&files);
    let bytes = encoded.maps.unwrap().bytes;
    let (_, _, with_three) = page(&files[..3]);
    assert!(PackIndex::decode(&bytes, &with_three).is_err());
    let end = usize::try_from(
        PackIndex::decode(&bytes, &with_four)
            .unwrap()
            .bytes_of(ShardIndex(0))
            .unwrap()
            .start,
    )
    .unwrap();
    for cut in 0..end {
        assert!(
            PackIndex::decode(&bytes[..cut], &with_four).is_err(),
            "{cut}"
        );
    }
    assert!(PackIndex::decode(&bytes[..end], &with_four).is_ok());
    // Counts that make up more than a description may have.
    let mut huge = bytes.clone();
    huge[7..15].fill(0xff);
    assert!(PackIndex::decode(&huge, &with_four).is_err());
}

#[test]
fn the_front_of_a_map_tells_its_first_chunks() {
    for len in [1, 900, 3000, 100_000, 6 << 20] {
        let map = build(&noise(8, len), 100_000);
        let bytes = map.encode().unwrap().bytes;
        let front = ChunkMap::front(&bytes[..bytes.len().min(16_384)]);
        assert!(!front.is_empty() && map.chunks().starts_with(&front));
        let all = ChunkMap::front(&bytes);
        assert!(all.starts_with(map.chunks()), "{len}");
    }
    assert!(ChunkMap::front(b"something else").is_empty());
    assert!(ChunkMap::front(&[]).is_empty());
}

#[test]
fn a_page_without_useful_maps_has_no_pack() {
    let (encoded, index, _) = page(&[("a", b"short".to_vec()), ("b", Vec::new())]);
    assert_eq!((encoded.maps, index.pages()[0].maps()), (None, None));
}

#[test]
fn hostile_packs_are_refused() {
    let files = files();
    let (encoded, _, with_four) = page(&files);
    let bytes = encoded.maps.unwrap().bytes;
    let (_, _, with_three) = page(&files[..3]);
    assert!(matches!(
        MapPack::decode(&bytes, &with_three),
        Err(ChunkMapError::Entries {
            maps: 4,
            entries: 3
        })
    ));
    let mut other = files.clone();
    other[3].1.push(0);
    let (_, _, longer) = page(&other);
    assert!(matches!(
        MapPack::decode(&bytes, &longer),
        Err(ChunkMapError::Lengths { size: 300_001 })
    ));
    for cut in 0..bytes.len() {
        assert!(MapPack::decode(&bytes[..cut], &with_four).is_err(), "{cut}");
    }
    let map = build(&files[0].1, 1000).encode().unwrap();
    assert!(MapPack::decode(&map.bytes, &with_four).is_err());
    let longest = usize::try_from(DESCRIPTION_BLOB_BYTES_MAX).unwrap();
    assert!(matches!(
        MapPack::decode(&vec![0; longest + 1], &with_four),
        Err(ChunkMapError::TooLarge { .. })
    ));
}

#[test]
fn a_pack_stays_within_a_blob() {
    let mut builder = PackBuilder::default();
    for _ in 0..27 {
        let chunks = vec![chunk(1); 60_000];
        builder.push(Some(ChunkMap { chunks }));
    }
    // More than its count can say.
    let chunks = vec![chunk(1); 1 << 16];
    builder.push(Some(ChunkMap { chunks }));
    let kept: Vec<bool> = builder.maps.iter().map(Option::is_some).collect();
    assert_eq!(kept, [[true; 25].as_slice(), &[false; 3]].concat());
    let blob = builder.take().unwrap().unwrap();
    assert!(u64::try_from(blob.bytes.len()).unwrap() <= DESCRIPTION_BLOB_BYTES_MAX);
    let mut builder = PackBuilder::default();
    let chunks = vec![chunk(1); 1 << 16];
    builder.push(Some(ChunkMap { chunks }));
    assert!(builder.take().unwrap().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_split_gives_the_same_chunks(seed in any::<u64>(), len in 0..2_000_000_usize, scale in 0..21_u32, step in 1..700_000_usize) {
        let content = noise(seed, len >> scale);
        let len = content.len();
        prop_assert_eq!(build(&content, step.max(len / 200 + 1)), build(&content, len.max(1)));
    }

    #[test]
    fn p8_a_flipped_byte_never_panics_and_changes_the_map_or_fails(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let map = build(&noise(7, 30_000), 1000);
        let mut bytes = map.encode().unwrap().bytes;
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = ChunkMap::decode(&bytes, 30_000) {
            prop_assert_ne!(other, map);
        }
    }
}
