//! A page of a file table: it is accepted exactly if a writer makes such a page of its entries.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_fuzz::cbor::Value;
use opendag_protocol::{
    BlobId, Hash,
    cbor::{from_slice_canonical, to_vec},
    limits::PAGE_ENTRIES_MAX,
    table::{EncodedPage, FileEntry, Page, ShardIndex, TableIndex, TableTotals, TableWriter},
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(entries) = from_slice_canonical::<Vec<FileEntry>>(bytes) else {
        return;
    };
    let sizes = entries
        .iter()
        .try_fold(0_u64, |sum, entry| sum.checked_add(entry.size()));
    let (Some(sum), Some(first)) = (sizes, entries.first()) else {
        return;
    };
    if entries.len() > PAGE_ENTRIES_MAX {
        return;
    }
    let totals = TableTotals {
        files: u64::try_from(entries.len()).unwrap(),
        bytes: sum,
    };
    let index = TableIndex::decode(&index_of(bytes, first, totals), totals).unwrap();
    let page = Page::decode(bytes, &index.pages()[0]);
    let written = write(&entries);
    let made = written.as_deref().is_some_and(|pages| pages.len() == 1);
    assert_eq!(page.is_ok(), made, "{page:?}, but written as {written:?}");
    let Ok(page) = page else { return };

    assert_eq!(page.entries(), entries);
    for (at, entry) in (0..).map(ShardIndex).zip(&entries) {
        assert_eq!(page.find(entry.path()), Some((at, entry)));
    }
    // What is left out is what this program does not know.
    let again = &written.unwrap()[0].bytes;
    let known = [
        "path",
        "size",
        "blake3",
        "sha256",
        "media_type",
        "records",
        "license",
        "chunk_map",
    ];
    let keys = |page| {
        let page = Value::read(page).expect("a page is DAG-CBOR");
        let keys = page
            .items()
            .iter()
            .map(|entry| entry.keys().into_iter().map(str::to_owned));
        keys.flatten().partition(|key| known.contains(&&key[..]))
    };
    let (kept, unknown): (Vec<String>, Vec<String>) = keys(bytes);
    assert_eq!(keys(again).0, kept);
    assert!(!unknown.is_empty() || again == bytes);
    assert!(Page::decode(&[bytes, &[0]].concat(), &index.pages()[0]).is_err());
});

/// The pages that a writer makes of these entries; `None` if it takes them not.
fn write(entries: &[FileEntry]) -> Option<Vec<EncodedPage>> {
    let mut writer = TableWriter::new();
    let mut pages = Vec::new();
    for entry in entries {
        pages.extend(writer.push(entry.clone()).ok()?);
    }
    pages.extend(writer.finish().ok()?.0);
    Some(pages)
}

/// An index of one page, put together by hand.
fn index_of(page: &[u8], first: &FileEntry, totals: TableTotals) -> Vec<u8> {
    let id = BlobId::from_hash(Hash::of(page));
    let parts: [Vec<u8>; 16] = [
        vec![0xa3],
        to_vec("type").unwrap(),
        to_vec("table").unwrap(),
        to_vec("pages").unwrap(),
        vec![0x81],
        vec![0xa4],
        to_vec("page").unwrap(),
        to_vec(&id).unwrap(),
        to_vec("bytes").unwrap(),
        to_vec(&totals.bytes).unwrap(),
        to_vec("first").unwrap(),
        to_vec(first.path()).unwrap(),
        to_vec("entries").unwrap(),
        to_vec(&totals.files).unwrap(),
        to_vec("version").unwrap(),
        vec![1],
    ];
    parts.concat()
}
