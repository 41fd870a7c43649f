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

/// The index form, to be bent by tests.
fn index_value(pages: Vec<Ipld>) -> BTreeMap<String, Ipld> {
    BTreeMap::from([
        ("type".to_owned(), Ipld::String("table".to_owned())),
        ("version".to_owned(), Ipld::Integer(1)),
        ("pages".to_owned(), Ipld::List(pages)),
    ])
}

fn line(first: &str, entries: i128, bytes: i128) -> Ipld {
    let page = BlobId::from_hash(Hash::of(first.as_bytes())).cid();
    Ipld::Map(BTreeMap::from([
        ("first".to_owned(), Ipld::String(first.to_owned())),
        ("entries".to_owned(), Ipld::Integer(entries)),
        ("bytes".to_owned(), Ipld::Integer(bytes)),
        ("page".to_owned(), Ipld::Link(page)),
    ]))
}

fn decode_index(pages: Vec<Ipld>, files: u64, bytes: u64) -> Result<TableIndex, IndexError> {
    let blob = cbor::to_vec(&index_value(pages)).unwrap();
    TableIndex::decode(&blob, TableTotals { files, bytes })
}

/// Decodes `entries` as the page of an index that agrees with them, followed by a page at `next`.
fn decode_page(
    entries: &[Ipld],
    first: &str,
    bytes: u64,
    next: Option<&str>,
) -> Result<Page, PageError> {
    let blob = EncodedPage::new(cbor::to_vec(entries).unwrap());
    let mut of_blob = line(first, entries.len().try_into().unwrap(), bytes.into());
    if let Ipld::Map(fields) = &mut of_blob {
        fields.insert("page".to_owned(), Ipld::Link(blob.id.cid()));
    }
    let mut files = u64::try_from(entries.len()).unwrap();
    let mut pages = vec![of_blob];
    if let Some(next) = next {
        pages.push(line(next, 1, 0));
        files += 1;
    }
    let index = decode_index(pages, files, bytes).unwrap();
    Page::decode(&blob.bytes, &index.pages()[0])
}

fn value(entry: &FileEntry) -> Ipld {
    cbor::from_slice_canonical(&cbor::to_vec(entry).unwrap()).unwrap()
}

fn with(entry: &FileEntry, field: &str, new: Ipld) -> Ipld {
    let Ipld::Map(mut fields) = value(entry) else {
        panic!("an entry is a map")
    };
    fields.insert(field.to_owned(), new);
    Ipld::Map(fields)
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
fn p3_the_writer_refuses_paths_that_cannot_be_beside_each_other() {
    for (first, second) in [
        ("b", "a"),
        ("a", "a"),
        ("a", "a/b"),
        ("A", "a"),
        ("X/a", "x/b"),
    ] {
        let mut writer = TableWriter::new();
        writer.push(entry(first, 1)).unwrap();
        assert!(
            matches!(writer.push(entry(second, 1)), Err(TableError::Path(_))),
            "{first} {second}"
        );
    }
}

#[test]
fn p3_the_checker_finds_what_pages_hide_from_each_other() {
    let mut entries: Vec<_> = numbered(20_000).collect();
    let checked = |entries: &[FileEntry]| {
        // Pages are cut as the writer would, without its check.
        let mut checker = TableChecker::new();
        entries
            .split_inclusive(|entry| ends_page(entry.path()))
            .try_for_each(|part| {
                checker.push(&Page {
                    entries: part.to_vec(),
                    first_shard: ShardIndex(0),
                })
            })
    };
    assert_eq!(checked(&entries), Ok(()));
    entries.insert(0, entry("PART-0019/x", 1));
    assert!(matches!(
        checked(&entries),
        Err(SiblingError::Collision { .. })
    ));
    entries[0] = entry("part-0000", 1);
    assert!(matches!(
        checked(&entries),
        Err(SiblingError::FileIsFolder { .. })
    ));
}

#[test]
fn sums_over_64_bits_are_refused() {
    let mut writer = TableWriter::new();
    writer.push(entry("a", u64::MAX)).unwrap();
    writer.push(entry("b", 0)).unwrap();
    assert!(matches!(
        writer.push(entry("c", 1)),
        Err(TableError::Bytes { .. })
    ));
    let pages = vec![line("a", 1, u64::MAX.into()), line("b", 1, 1)];
    assert!(matches!(
        decode_index(pages, 2, 0),
        Err(IndexError::Totals { .. })
    ));
    let longest = usize::try_from(DESCRIPTION_BLOB_BYTES_MAX).unwrap();
    assert!(matches!(
        TableIndex::decode(&vec![0; longest + 1], TableTotals::default()),
        Err(IndexError::TooLarge { .. })
    ));
    let entries = [value(&entry("a", u64::MAX)), value(&entry("b", 2))];
    assert!(matches!(
        decode_page(&entries, "a", 1, None),
        Err(PageError::NotAsIndexed { .. })
    ));
}

#[test]
fn a_hostile_index_is_refused() {
    assert!(decode_index(vec![line("a", 2, 5), line("b", 1, 0)], 3, 5).is_ok());
    assert!(matches!(
        decode_index(vec![line("b", 1, 0), line("a", 1, 0)], 2, 0),
        Err(IndexError::NotSorted { .. })
    ));
    assert!(matches!(
        decode_index(vec![line("a", 1, 0), line("a", 1, 0)], 2, 0),
        Err(IndexError::NotSorted { .. })
    ));
    for entries in [0, 8193, i128::from(u32::MAX)] {
        let files = u64::try_from(entries).unwrap();
        assert!(matches!(
            decode_index(vec![line("a", entries, 0)], files, 0),
            Err(IndexError::Entries { .. })
        ));
    }
    for (files, bytes) in [(0, 5), (2, 5), (1, 4), (1, 6)] {
        assert!(matches!(
            decode_index(vec![line("a", 1, 5)], files, bytes),
            Err(IndexError::Totals { .. })
        ));
    }
    assert!(matches!(
        decode_index(vec![line("../a", 1, 5)], 1, 5),
        Err(IndexError::Form(_))
    ));
    assert!(matches!(
        decode_index(vec![Ipld::Null], 1, 5),
        Err(IndexError::Form(_))
    ));
    let totals = TableTotals::default();
    let mut newer = index_value(Vec::new());
    newer.insert("version".to_owned(), Ipld::Integer(2));
    let newer = cbor::to_vec(&newer).unwrap();
    assert!(matches!(
        TableIndex::decode(&newer, totals),
        Err(IndexError::Version { version: 2 })
    ));
    let mut other = index_value(Vec::new());
    other.insert("type".to_owned(), Ipld::String("dataset".to_owned()));
    let other = cbor::to_vec(&other).unwrap();
    assert!(matches!(
        TableIndex::decode(&other, totals),
        Err(IndexError::OtherType)
    ));
}

#[test]
fn unknown_fields_are_for_later_versions_and_ignored() {
    let mut index = index_value(Vec::new());
    index.insert("later".to_owned(), Ipld::Bool(true));
    assert!(TableIndex::decode(&cbor::to_vec(&index).unwrap(), TableTotals::default()).is_ok());
    let file = entry("a", 3);
    let page = decode_page(
        &[with(&file, "later", Ipld::List(vec![Ipld::Null]))],
        "a",
        3,
        None,
    )
    .unwrap();
    assert_eq!(page.entries(), [file]);
}

#[test]
fn a_hostile_page_is_refused() {
    let files: Vec<_> = ["a", "b", "c"].map(|path| entry(path, 2)).into();
    let values: Vec<_> = files.iter().map(value).collect();
    assert_eq!(decode_page(&values, "a", 6, None).unwrap().entries(), files);
    let form = |entry: Ipld| {
        matches!(
            decode_page(&[entry], "a", 2, None),
            Err(PageError::Form { .. })
        )
    };
    assert!(!form(values[0].clone()));
    for field in [
        "media_type",
        "sha256",
        "records",
        "license",
        "chunk_map",
        "size",
        "path",
    ] {
        assert!(form(with(&files[0], field, Ipld::Null)), "{field}");
    }
    assert!(form(with(
        &files[0],
        "path",
        Ipld::String("a/../../x".to_owned())
    )));
    assert!(form(with(&files[0], "size", Ipld::Integer(-1))));
    assert!(form(with(&files[0], "size", Ipld::Integer(0))));
    assert!(form(with(&files[0], "blake3", Ipld::Bytes(vec![0; 31]))));
    assert!(form(with(
        &files[0],
        "blake3",
        Ipld::List(vec![Ipld::Integer(0); 32])
    )));
    assert!(form(with(&files[0], "sha256", Ipld::Bytes(vec![0; 33]))));
    assert!(form(with(
        &files[0],
        "media_type",
        Ipld::String("text".to_owned())
    )));
    assert!(form(with(
        &files[0],
        "license",
        Ipld::String("\u{1b}[31m".to_owned())
    )));
    assert!(form(with(
        &files[0],
        "chunk_map",
        Ipld::String("x".to_owned())
    )));

    let not_as_indexed = |result| matches!(result, Err(PageError::NotAsIndexed { .. }));
    assert!(not_as_indexed(decode_page(&values, "b", 6, None)));
    assert!(not_as_indexed(decode_page(&values, "a", 7, None)));
    let swapped = [values[0].clone(), values[2].clone(), values[1].clone()];
    assert!(matches!(
        decode_page(&swapped, "a", 6, None),
        Err(PageError::Path { .. })
    ));
    let twice = [values[0].clone(), values[0].clone()];
    assert!(matches!(
        decode_page(&twice, "a", 4, None),
        Err(PageError::Path { .. })
    ));
    let inside = [values[0].clone(), value(&entry("a/b", 2))];
    assert!(matches!(
        decode_page(&inside, "a", 4, None),
        Err(PageError::Path { .. })
    ));
    let longer: Vec<_> = (0..=PAGE_ENTRIES_MAX)
        .map(|n| value(&entry(&format!("{n:05}"), 0)))
        .collect();
    let blob = EncodedPage::new(cbor::to_vec(&longer).unwrap());
    let index = write([entry("a", 0)]).index();
    assert!(matches!(
        Page::decode(&blob.bytes, &index.pages()[0]),
        Err(PageError::Hash { .. })
    ));
    assert!(
        cbor::from_slice_canonical::<crate::wire::BoundedVec<FileEntry, PAGE_ENTRIES_MAX>>(
            &blob.bytes
        )
        .is_err()
    );
}

#[test]
fn a_page_that_ends_elsewhere_is_refused() {
    let names: Vec<_> = (0..20_000).map(|n| format!("{n:05}")).collect();
    let boundary = names
        .iter()
        .position(|name| ends_page(&DatasetPath::parse(name).unwrap()))
        .unwrap();
    assert!((1..10_000).contains(&boundary));
    let values = |end: usize| {
        names[..end]
            .iter()
            .map(|name| value(&entry(name, 0)))
            .collect::<Vec<_>>()
    };
    let first = &names[0];
    let is_boundary = |result| matches!(result, Err(PageError::Boundary { .. }));
    assert!(decode_page(&values(boundary + 1), first, 0, Some(&names[boundary + 1])).is_ok());
    assert!(decode_page(&values(boundary + 1), first, 0, None).is_ok());
    assert!(decode_page(&values(boundary), first, 0, None).is_ok());
    // Too early, too late, and into the next page.
    assert!(is_boundary(decode_page(
        &values(boundary),
        first,
        0,
        Some(&names[boundary])
    )));
    assert!(is_boundary(decode_page(
        &values(boundary + 2),
        first,
        0,
        Some(&names[boundary + 2])
    )));
    assert!(is_boundary(decode_page(
        &values(boundary + 2),
        first,
        0,
        None
    )));
    assert!(is_boundary(decode_page(
        &values(boundary + 1),
        first,
        0,
        Some(&names[boundary])
    )));
}

#[test]
fn p8_blobs_cut_at_every_byte_or_longer_are_refused() {
    let table = write(numbered(20));
    let index = table.index();
    let [page_ref] = index.pages() else {
        panic!("one page")
    };
    for cut in 0..table.index.bytes.len() {
        assert!(
            TableIndex::decode(&table.index.bytes[..cut], table.totals).is_err(),
            "{cut}"
        );
    }
    let bytes = &table.pages[0].bytes;
    for cut in 0..bytes.len() {
        assert!(
            matches!(
                Page::decode(&bytes[..cut], page_ref),
                Err(PageError::Hash { .. })
            ),
            "{cut}"
        );
        assert!(
            cbor::from_slice_canonical::<Vec<FileEntry>>(&bytes[..cut]).is_err(),
            "{cut}"
        );
    }
    let longer = [&table.index.bytes[..], &[0]].concat();
    assert!(TableIndex::decode(&longer, table.totals).is_err());
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
    proptest::collection::btree_map("[a-e]{1,3}/[a-z0-9]{1,6}", 0..1_000_000_u64, 0..60)
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

    #[test]
    fn p8_a_flipped_byte_never_panics_and_changes_the_table_or_fails(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let table = write(numbered(12));
        let mut bytes = table.index.bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(index) = TableIndex::decode(&bytes, table.totals) {
            prop_assert!(Page::decode(&table.pages[0].bytes, &index.pages()[0]).is_err());
        }
    }
}
