use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;
use proptest::prelude::*;

use super::*;
use crate::{
    cbor,
    limits::{
        DESCRIPTION_BLOB_BYTES_MAX, ENTRY_LICENSE_BYTES_MAX, MEDIA_TYPE_BYTES_MAX,
        PAGE_ENTRIES_MAX, PATH_BYTES_MAX,
    },
};

mod hostile;
mod vectors;

/// A table as its blobs.
struct Table {
    pages: Vec<EncodedPage>,
    index: EncodedIndex,
    totals: TableTotals,
}

fn entry(path: &str, size: u64) -> FileEntry {
    let content = if size == 0 {
        String::new()
    } else {
        format!("{path} {size}")
    };
    let path = DatasetPath::parse(path).unwrap_or_else(|error| panic!("{error}"));
    FileEntry::new(FileFields::new(path, size, Hash::of(content.as_bytes()))).unwrap()
}

fn write(entries: impl IntoIterator<Item = FileEntry>) -> Table {
    let mut writer = TableWriter::new();
    let mut pages = Vec::new();
    for entry in entries {
        pages.extend(writer.push(entry).unwrap());
    }
    let (last, index, totals) = writer.finish().unwrap();
    pages.extend(last);
    Table {
        pages,
        index,
        totals,
    }
}

impl Table {
    fn index(&self) -> TableIndex {
        TableIndex::decode(&self.index.bytes, self.totals).unwrap_or_else(|error| panic!("{error}"))
    }

    fn read(&self) -> Vec<FileEntry> {
        let index = self.index();
        let mut checker = TableChecker::new();
        let mut entries = Vec::new();
        assert_eq!(index.pages().len(), self.pages.len());
        for (page_ref, blob) in index.pages().iter().zip(&self.pages) {
            let page = Page::decode(&blob.bytes, page_ref).unwrap();
            checker.push(&page).unwrap();
            for (shard, entry) in page.shards() {
                assert_eq!(usize::try_from(shard.0).unwrap(), entries.len());
                entries.push(entry.clone());
            }
        }
        entries
    }
}

fn numbered(count: u64) -> impl Iterator<Item = FileEntry> {
    (0..count).map(|n| entry(&format!("part-{:04}/{n:08}.bin", n / 1000), n % 5 * 1000))
}

/// What an index says of a page.
fn line(first: &str, entries: i128, bytes: i128) -> Ipld {
    let page = BlobId::from_hash(Hash::of(first.as_bytes())).cid();
    Ipld::Map(BTreeMap::from([
        ("first".to_owned(), Ipld::String(first.to_owned())),
        ("entries".to_owned(), Ipld::Integer(entries)),
        ("bytes".to_owned(), Ipld::Integer(bytes)),
        ("page".to_owned(), Ipld::Link(page)),
    ]))
}

#[test]
fn an_empty_table_has_an_index_and_no_page() {
    let table = write([]);
    assert!(table.pages.is_empty());
    assert_eq!(table.totals, TableTotals::default());
    assert!(table.index().pages().is_empty());
    assert!(table.index().pages_for("a").is_empty());
    assert!(table.index().page_of_shard(ShardIndex(0)).is_none());
}

#[test]
fn a_million_entries_come_back_in_pages_that_end_where_they_must() {
    let table = write(numbered(1_000_000));
    let index = table.index();
    assert_eq!(
        index.totals(),
        TableTotals {
            files: 1_000_000,
            bytes: 200_000 * 10_000
        }
    );
    assert!(
        (300..800).contains(&table.pages.len()),
        "{} pages",
        table.pages.len()
    );
    let mut checker = TableChecker::new();
    let mut expected = numbered(1_000_000);
    for (page_ref, blob) in index.pages().iter().zip(&table.pages) {
        let page = Page::decode(&blob.bytes, page_ref).unwrap();
        checker.push(&page).unwrap();
        for (shard, entry) in page.shards() {
            assert!(page_ref.shards().contains(&shard.0));
            assert_eq!(Some(entry), expected.next().as_ref());
        }
    }
    assert!(expected.next().is_none());
}

#[test]
fn a_page_without_boundaries_ends_at_the_limit() {
    let entries: Vec<_> = (0..50_000_u32)
        .map(|n| entry(&format!("{n:08}"), 1))
        .filter(|entry| !ends_page(entry.path()))
        .take(2 * PAGE_ENTRIES_MAX + 1)
        .collect();
    let table = write(entries.clone());
    let counts: Vec<_> = table.index().pages().iter().map(PageRef::entries).collect();
    assert_eq!(counts, [8192, 8192, 1]);
    assert_eq!(table.read(), entries);
}

#[test]
fn the_largest_page_fits_a_description() {
    let mut fields = FileFields::new(DatasetPath::parse("x").unwrap(), u64::MAX, Hash::of(b"x"));
    fields.sha256 = Some([0; 32]);
    fields.media_type = Some(format!("{}/{}", "a".repeat(127), "b".repeat(127)));
    fields.records = Some(u64::MAX);
    fields.license = Some("L".repeat(ENTRY_LICENSE_BYTES_MAX));
    fields.chunk_map = Some(BlobId::from_hash(Hash::of(b"map")));
    assert_eq!(
        fields.media_type.as_ref().unwrap().len(),
        MEDIA_TYPE_BYTES_MAX
    );
    let bytes = cbor::to_vec(&FileEntry::new(fields).unwrap())
        .unwrap()
        .len()
        + PATH_BYTES_MAX
        + 2;
    let largest = u64::try_from(bytes * PAGE_ENTRIES_MAX + 3).unwrap();
    assert!(largest <= DESCRIPTION_BLOB_BYTES_MAX, "{largest}");
}

#[test]
fn the_index_of_ten_million_files_fits_a_description() {
    // A page ends after each entry with a chance of 1 in 2,048; a tenth more pages than on average
    // is 22 standard deviations away.
    let pages = 10_000_000_u64.div_ceil(2048) * 11 / 10;
    let longest = "x".repeat(250);
    let first = [longest.as_str(); 4].join("/");
    let bytes = cbor::to_vec(&line(&first, 8192, u64::MAX.into()))
        .unwrap()
        .len();
    let index = u64::try_from(bytes).unwrap() * pages;
    assert!(index <= DESCRIPTION_BLOB_BYTES_MAX / 2, "{index}");
}

#[test]
fn adding_a_file_changes_one_page() {
    let entries: Vec<_> = numbered(40_000).collect();
    let old = write(entries.clone());
    let mut grown = entries;
    grown.push(entry("part-0020/00020000x", 7));
    grown.sort_by(|a, b| a.path().cmp(b.path()));
    let new = write(grown);
    let (old_index, new_index) = (old.index(), new.index());
    assert!(old_index.pages().len() > 5);
    assert_eq!(old_index.pages_not_in(&new_index).count(), 1);
    assert!(new_index.pages_not_in(&old_index).count() <= 2);
    let entries_of = |table: &Table, index: &TableIndex, other: &TableIndex| {
        let only: Vec<_> = index.pages_not_in(other).cloned().collect();
        let blobs = only.iter().map(|page| {
            (
                page.clone(),
                table
                    .pages
                    .iter()
                    .find(|blob| blob.id == page.page())
                    .unwrap(),
            )
        });
        blobs
            .flat_map(|(page, blob)| Page::decode(&blob.bytes, &page).unwrap().into_entries())
            .collect::<Vec<_>>()
    };
    let found: Vec<_> = changes(
        entries_of(&old, &old_index, &new_index),
        entries_of(&new, &new_index, &old_index),
    )
    .collect();
    assert_eq!(found, [Change::Added(entry("part-0020/00020000x", 7))]);
}

#[test]
fn pages_are_found_by_prefix_path_and_shard() {
    let table = write(numbered(30_000));
    let index = table.index();
    assert_eq!(index.pages_for("").len(), index.pages().len());
    assert!(index.pages_for("zzz").len() == 1 && index.pages_for("a").len() <= 1);
    for (n, file) in numbered(30_000).enumerate().step_by(97) {
        let shard = ShardIndex(u32::try_from(n).unwrap());
        let page_ref = index.page_of_shard(shard).unwrap();
        assert_eq!(
            index.page_of_path(file.path()).unwrap().page(),
            page_ref.page()
        );
        let blob = table
            .pages
            .iter()
            .find(|blob| blob.id == page_ref.page())
            .unwrap();
        let page = Page::decode(&blob.bytes, page_ref).unwrap();
        assert_eq!(page.find(file.path()), Some((shard, &file)));
        let folder = file.path().folder().unwrap();
        assert!(
            index
                .pages_for(folder)
                .iter()
                .any(|page| page.page() == page_ref.page())
        );
        assert!(index.pages_for(folder).len() <= 4);
    }
    assert!(index.page_of_shard(ShardIndex(30_000)).is_none());
}

#[test]
fn an_entry_agrees_with_itself() {
    let path = || DatasetPath::parse("a").unwrap();
    let empty = FileFields::new(path(), 0, Hash::of(b""));
    assert!(FileEntry::new(empty.clone()).is_ok());
    assert!(matches!(
        FileEntry::new(FileFields {
            size: 1,
            ..empty.clone()
        }),
        Err(EntryError::Empty { .. })
    ));
    assert!(matches!(
        FileEntry::new(FileFields {
            hash: Hash::of(b"x"),
            ..empty.clone()
        }),
        Err(EntryError::Empty { .. })
    ));
    let with_type = |text: &str| {
        FileEntry::new(FileFields {
            media_type: Some(text.to_owned()),
            ..empty.clone()
        })
    };
    assert!(with_type("application/vnd.apache.parquet").is_ok());
    for text in [
        "",
        "/",
        "text/",
        "/csv",
        "text",
        "a/b/c",
        "text/csv; charset=utf-8",
        "té/x",
    ] {
        assert!(with_type(text).is_err(), "{text}");
    }
    let with_license = |text: String| {
        FileEntry::new(FileFields {
            license: Some(text),
            ..empty.clone()
        })
    };
    assert!(with_license("MIT OR Apache-2.0".to_owned()).is_ok());
    assert!(with_license(String::new()).is_err());
    assert!(with_license("x".repeat(ENTRY_LICENSE_BYTES_MAX + 1)).is_err());
}

fn files() -> impl Strategy<Value = BTreeMap<String, u64>> {
    proptest::collection::btree_map("[a-e]{1,3}/x[a-z0-9]{0,5}", 0..1_000_000_u64, 0..60)
}

proptest! {
    #[test]
    fn any_table_comes_back(files in files()) {
        let entries: Vec<_> = files.iter().map(|(path, size)| entry(path, *size)).collect();
        prop_assert_eq!(write(entries.clone()).read(), entries);
    }

    #[test]
    fn changes_turn_one_table_into_the_other(old in files(), new in files()) {
        let entries = |files: &BTreeMap<String, u64>| files.iter().map(|(path, size)| entry(path, *size)).collect::<Vec<_>>();
        let mut patched = old.clone();
        for change in changes(entries(&old), entries(&new)) {
            match change {
                Change::Added(file) => prop_assert!(patched.insert(file.path().to_string(), file.size()).is_none()),
                Change::Removed(file) => prop_assert_eq!(patched.remove(file.path().as_str()), Some(file.size())),
                Change::Changed { old, new } => {
                    prop_assert_eq!(patched.insert(new.path().to_string(), new.size()), Some(old.size()));
                }
            }
        }
        prop_assert_eq!(patched, new);
    }
}
