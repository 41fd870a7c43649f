//! `specs/vectors/file-table.json`: tables with their blobs. Written anew when `OPENDAG_WRITE_VECTORS` is set.

use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    chunkmap::{ChunkMap, ChunkMapBuilder, Cut, MapPack},
    testing::noise,
};

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../specs/vectors/file-table.json"
);

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Vectors {
    about: String,
    boundaries: Boundaries,
    tables: Vec<TableVector>,
    chunk_maps: Vec<ChunkMapVector>,
}

/// The map of bytes that anyone can make.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct ChunkMapVector {
    noise: u64,
    size: usize,
    smallest: u32,
    average: u32,
    largest: u32,
    chunks: usize,
    first_lengths: Vec<u32>,
    blob: BlobId,
    /// Absent for maps that are too long to print.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

/// Paths after which a page ends, and as many after which it does not.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Boundaries {
    ends: Vec<String>,
    goes_on: Vec<String>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct TableVector {
    name: String,
    files: u64,
    bytes: u64,
    index: BlobId,
    index_hex: String,
    pages: Vec<PageVector>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct PageVector {
    id: BlobId,
    entries: u32,
    first_shard: ShardIndex,
    /// Absent for pages that are too long to print.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    /// The blob of its chunk maps, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maps: Option<BlobId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maps_hex: Option<String>,
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn full_entry() -> FileEntry {
    let path = DatasetPath::parse("data/naïve 🦀.parquet").unwrap();
    let mut fields = FileFields::new(path, 20_000, Hash::of(b"parquet"));
    fields.sha256 = Some(*Hash::of(b"not really SHA-256").as_bytes());
    fields.media_type = Some("application/vnd.apache.parquet".to_owned());
    fields.records = Some(1234);
    fields.license = Some("CC-BY-4.0".to_owned());
    fields.chunk_map = Some(BlobId::from_hash(Hash::of(b"chunk map")));
    FileEntry::new(fields).unwrap()
}

fn table(name: &str, entries: impl IntoIterator<Item = FileEntry>) -> TableVector {
    vector(name, &write(entries))
}

fn vector(name: &str, table: &Table) -> TableVector {
    let index = table.index();
    let pages = index.pages().iter().zip(&table.pages);
    let pages = pages.map(|(page_ref, blob)| PageVector {
        id: page_ref.page(),
        entries: page_ref.entries(),
        first_shard: page_ref.first_shard(),
        hex: (blob.bytes.len() <= 4096).then(|| hex(&blob.bytes)),
        maps: page_ref.maps(),
        maps_hex: blob.maps.as_ref().map(|maps| hex(&maps.bytes)),
    });
    TableVector {
        name: name.to_owned(),
        files: table.totals.files,
        bytes: table.totals.bytes,
        index: table.index.id,
        index_hex: hex(&table.index.bytes),
        pages: pages.collect(),
    }
}

fn chunk_map_of(number: u64, size: usize) -> ChunkMap {
    let cut = Cut::for_size(u64::try_from(size).unwrap());
    let mut builder = ChunkMapBuilder::new(cut);
    builder.push(&noise(number, size));
    builder.finish().unwrap()
}

/// Small files with their maps, and one that has none because it would be one chunk.
fn table_with_maps() -> TableVector {
    let mut writer = TableWriter::new();
    for (path, number, size) in [("a", 1, 6000), ("b", 2, 50), ("c", 3, 9000)] {
        let path = DatasetPath::parse(path).unwrap();
        let hash = Hash::of(&noise(number, size));
        let fields = FileFields::new(path, u64::try_from(size).unwrap(), hash);
        let entry = FileEntry::new(fields).unwrap();
        writer
            .push_with_map(entry, chunk_map_of(number, size))
            .unwrap();
    }
    let (page, index, totals) = writer.finish().unwrap();
    let pages = page.into_iter().collect();
    let table = Table {
        pages,
        index,
        totals,
    };
    vector("three files with chunk maps", &table)
}

fn chunk_map((number, size): (u64, usize)) -> ChunkMapVector {
    let cut = Cut::for_size(u64::try_from(size).unwrap());
    let map = chunk_map_of(number, size);
    let blob = map.encode().unwrap();
    ChunkMapVector {
        noise: number,
        size,
        smallest: cut.min(),
        average: cut.average(),
        largest: cut.max(),
        chunks: map.chunks().len(),
        first_lengths: map.chunks().iter().take(5).map(|c| c.length).collect(),
        blob: blob.id,
        hex: (blob.bytes.len() <= 4096).then(|| hex(&blob.bytes)),
    }
}

fn made() -> Vectors {
    let names: Vec<_> = (0..20_000).map(|n| format!("{n:05}")).collect();
    let ends = |name: &&String| ends_page(&DatasetPath::parse(name).unwrap());
    Vectors {
        about: "File tables with their blobs. \"three files\": README.md (5 bytes, hash of \"README.md 5\"), data/empty, and an entry \
                with every field. \"pages\": 10,000 files named 00000 to 09999, each of 1 byte with the hash of \"<name> 1\". \
                \"three files with chunk maps\" are noise 1 of 6000, 2 of 50 and 3 of 9000 bytes; \"chunk_maps\" are of noise too: \
                the extended output of BLAKE3 over the number as 8 bytes, little-endian. \
                Source: specs/file-table.md."
            .to_owned(),
        boundaries: Boundaries {
            ends: names.iter().filter(ends).take(5).cloned().collect(),
            goes_on: names.iter().filter(|name| !ends(name)).take(5).cloned().collect(),
        },
        tables: vec![
            table("no files", []),
            table("three files", [entry("README.md", 5), entry("data/empty", 0), full_entry()]),
            table("pages", names.iter().take(10_000).map(|name| entry(name, 1))),
            table_with_maps(),
        ],
        chunk_maps: [(1, 1), (2, 6_000), (3, 100_000), (4, 2 << 20)].map(chunk_map).into(),
    }
}

#[test]
fn tables_follow_the_vectors() {
    let made = made();
    if std::env::var_os("OPENDAG_WRITE_VECTORS").is_some() {
        std::fs::write(FILE, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    let kept: Vectors = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    assert_eq!(made, kept);
    assert_eq!(
        kept.tables.iter().map(|table| table.pages.len()).min(),
        Some(0)
    );
    for table in &kept.tables {
        let decode = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let totals = TableTotals {
            files: table.files,
            bytes: table.bytes,
        };
        let index = TableIndex::decode(&decode(&table.index_hex), totals).unwrap();
        for (page_ref, page) in index.pages().iter().zip(&table.pages) {
            if let Some(text) = &page.hex {
                let decoded = Page::decode(&decode(text), page_ref).unwrap();
                assert_eq!(page.maps, page_ref.maps());
                if let Some(text) = &page.maps_hex {
                    MapPack::decode(&decode(text), &decoded).unwrap();
                }
            }
        }
    }
    for map in &kept.chunk_maps {
        if let Some(text) = &map.hex {
            let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
            let size = u64::try_from(map.size).unwrap();
            let read = ChunkMap::decode(&bytes, size).unwrap();
            assert_eq!(read.chunks().len(), map.chunks);
        }
    }
}
