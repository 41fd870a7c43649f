//! The index of a file table: what is accepted is in order, adds up, and finds what a naive search finds.
//!
//! The first sixteen bytes are the files and bytes that the manifest says, little-endian; the rest is
//! the index.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_protocol::{
    DatasetPath,
    limits::PAGE_ENTRIES_MAX,
    table::{PageRef, ShardIndex, TableIndex, TableTotals},
};

fuzz_target!(|bytes: &[u8]| {
    let Some((files, rest)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let Some((bytes, index)) = rest.split_first_chunk::<8>() else {
        return;
    };
    let totals = TableTotals {
        files: u64::from_le_bytes(*files),
        bytes: u64::from_le_bytes(*bytes),
    };
    let Ok(index) = TableIndex::decode(index, totals) else {
        return;
    };
    let pages = index.pages();
    assert!(pages.is_sorted_by(|a, b| a.first() < b.first()));
    let files: u64 = pages.iter().map(|page| u64::from(page.entries())).sum();
    let bytes: u128 = pages.iter().map(|page| u128::from(page.bytes())).sum();
    assert_eq!((files, bytes), (totals.files, totals.bytes.into()));
    let most = u32::try_from(PAGE_ENTRIES_MAX).unwrap();
    let mut next = 0;
    for page in pages {
        assert!((1..=most).contains(&page.entries()));
        assert_eq!(page.first_shard(), ShardIndex(next));
        let last = ShardIndex(next + page.entries() - 1);
        for shard in [page.first_shard(), last] {
            assert_eq!(found(index.page_of_shard(shard)), Some(page.first()));
        }
        next += page.entries();
        check_search(&index, page.first());
    }
    assert!(index.page_of_shard(ShardIndex(next)).is_none());
    assert_eq!(index.pages_not_in(&index).count(), 0);
});

fn found(page: Option<&PageRef>) -> Option<&DatasetPath> {
    page.map(PageRef::first)
}

/// Searches for a path and for all of its prefixes.
fn check_search(index: &TableIndex, path: &DatasetPath) {
    let pages = index.pages();
    let before = pages.iter().rfind(|page| page.first() <= path);
    assert_eq!(found(index.page_of_path(path)), found(before));
    let text = path.as_str();
    let ends = text.char_indices().map(|(at, _)| at).take(50);
    for prefix in ends.chain([text.len()]).map(|end| &text[..end]) {
        let first = |page: &PageRef| page.first().as_str().to_owned();
        let may_hold = |at: usize| {
            let begins =
                first(&pages[at]).as_str() <= prefix || first(&pages[at]).starts_with(prefix);
            let is_before = pages
                .get(at + 1)
                .is_some_and(|next| first(next).as_str() <= prefix);
            begins && !is_before
        };
        let expected: Vec<String> = (0..pages.len())
            .filter(|at| may_hold(*at))
            .map(|at| first(&pages[at]))
            .collect();
        let pages: Vec<String> = index.pages_for(prefix).iter().map(first).collect();
        assert_eq!(pages, expected, "{prefix:?}");
    }
}
