//! File tables: what is written is read as it was, and one changed file changes one page.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use opendag_protocol::{
    DatasetPath, Hash,
    table::{
        Change, EncodedPage, FileEntry, FileFields, Page, ShardIndex, TableChecker, TableIndex,
        TableWriter, changes,
    },
};

/// Files of a table: so few that a page ends at a boundary only.
const FILES_MAX: usize = 600;

/// Names after which a page ends (`specs/vectors/file-table.json`).
const BOUNDARIES: [&str; 5] = ["04542", "05547", "06156", "08046", "08831"];

#[derive(Debug, Arbitrary)]
struct Input {
    runs: Vec<Run>,
    changed: u16,
}

/// Some files with numbers for names, and one after which a page ends.
#[derive(Debug, Arbitrary)]
struct Run {
    folder: Option<u8>,
    start: u16,
    len: u8,
    size: u32,
    media_type: Option<bool>,
    boundary: u8,
}

/// A table as its blobs, and as it is read.
struct Table {
    blobs: Vec<EncodedPage>,
    index: TableIndex,
}

fuzz_target!(|input: Input| {
    let mut files = BTreeMap::new();
    for run in input.runs.iter().take(20) {
        let numbers = (u32::from(run.start)..)
            .take(run.len.into())
            .map(|number| format!("{number:05}"));
        let boundary = BOUNDARIES[usize::from(run.boundary) % BOUNDARIES.len()].to_owned();
        let folder = run
            .folder
            .map_or(String::new(), |folder| format!("folder {}/", folder % 4));
        for text in numbers.map(|name| folder.clone() + &name).chain([boundary]) {
            if files.len() < FILES_MAX {
                let entry = entry(&text, run.size.into(), run.media_type);
                files.insert(entry.path().clone(), entry);
            }
        }
    }
    let mut files: Vec<FileEntry> = files.into_values().collect();
    let old = write(&files);
    assert_eq!(read(&old), files);

    if files.is_empty() {
        return;
    }
    let at = usize::from(input.changed) % files.len();
    let before = files[at].clone();
    files[at] = entry(before.path().as_str(), before.size() + 1, None);
    let new = write(&files);
    assert_eq!(new.index.pages_not_in(&old.index).count(), 1);
    let found: Vec<Change> = changes(read(&old), read(&new)).collect();
    assert_eq!(
        found,
        [Change::Changed {
            old: before,
            new: files[at].clone()
        }]
    );

    files.remove(at);
    let less = write(&files);
    assert!(less.index.pages_not_in(&old.index).count() <= 1);
    assert!(old.index.pages_not_in(&less.index).count() <= 2);
});

fn entry(path: &str, size: u64, media_type: Option<bool>) -> FileEntry {
    let content = if size == 0 {
        String::new()
    } else {
        format!("{path} {size}")
    };
    let path = DatasetPath::parse(path).unwrap();
    let mut fields = FileFields::new(path, size, Hash::of(content.as_bytes()));
    fields.media_type =
        media_type.map(|is_text| if is_text { "text/plain" } else { "image/png" }.to_owned());
    FileEntry::new(fields).unwrap()
}

fn write(files: &[FileEntry]) -> Table {
    let mut writer = TableWriter::new();
    let mut blobs = Vec::new();
    for file in files {
        blobs.extend(writer.push(file.clone()).unwrap());
    }
    let (last, index, totals) = writer.finish().unwrap();
    blobs.extend(last);
    Table {
        blobs,
        index: TableIndex::decode(&index.bytes, totals).unwrap(),
    }
}

fn read(table: &Table) -> Vec<FileEntry> {
    let mut checker = TableChecker::new();
    let mut files = Vec::new();
    assert_eq!(table.index.pages().len(), table.blobs.len());
    for (page_ref, blob) in table.index.pages().iter().zip(&table.blobs) {
        assert_eq!(page_ref.page(), blob.id);
        let page = Page::decode(&blob.bytes, page_ref).unwrap();
        checker.push(&page).unwrap();
        for (shard, file) in page.shards() {
            assert_eq!(shard, ShardIndex(u32::try_from(files.len()).unwrap()));
            files.push(file.clone());
        }
    }
    files
}
