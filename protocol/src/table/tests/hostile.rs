//! Tables that no writer makes.

use super::*;

/// The index form, to be bent by tests.
fn index_value(pages: Vec<Ipld>) -> BTreeMap<String, Ipld> {
    BTreeMap::from([
        ("type".to_owned(), Ipld::String("table".to_owned())),
        ("version".to_owned(), Ipld::Integer(1)),
        ("pages".to_owned(), Ipld::List(pages)),
    ])
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
    let blob = EncodedPage::new(cbor::to_vec(entries).unwrap(), None);
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
    let blob = EncodedPage::new(cbor::to_vec(&longer).unwrap(), None);
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

proptest! {
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
