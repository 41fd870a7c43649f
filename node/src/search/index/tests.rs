use std::fs;

use opendag_protocol::record::{Manifest, ManifestFields};
use opendag_protocol::{BlobId, RecordId, Timestamp};
use tempfile::TempDir;

use super::*;

/// A day, in seconds.
const DAY: u64 = 86_400;
const NOW: u64 = 1_800_000_000;

fn dataset(number: u8) -> DatasetId {
    DatasetId::from_hash(Hash::of(&[number]))
}

fn entry(number: u8, name: &str, change: impl FnOnce(&mut ManifestFields)) -> Entry {
    let mut fields = ManifestFields {
        dataset: dataset(number),
        owner_record: RecordId::from_hash(Hash::of(b"owners")),
        sequence: 0,
        parent: None,
        created_at: Timestamp::from_secs(NOW - DAY * u64::from(number)),
        label: None,
        title: None,
        description: None,
        license: None,
        languages: Vec::new(),
        tags: Vec::new(),
        homepage: None,
        table: BlobId::from_hash(Hash::of(b"table")),
        files: 1,
        bytes: 1000,
        card: None,
        croissant: None,
        derived_from: Vec::new(),
        mirrors: Vec::new(),
    };
    change(&mut fields);
    let manifest = Manifest::new(fields).unwrap();
    Entry::new(name, vec!["key".to_owned()], &manifest, 7)
}

/// An index with some datasets, each with a number that stands in its name.
fn filled(dir: &TempDir) -> Index {
    let index = Index::open(&dir.path().join("search")).unwrap();
    let mut writer = index.writer().unwrap();
    let text = |text: &str| Some(text.to_owned());
    let mut entries = vec![
        entry(1, "opus-100", |fields| {
            fields.title = text("Translated sentences of books");
            fields.license = text("MIT OR Apache-2.0");
            fields.languages = vec!["en".to_owned(), "zh-Hant".to_owned()];
            fields.tags = vec!["Machine Translation".to_owned()];
        }),
        entry(2, "news", |fields| {
            fields.title = text("中文新闻数据集");
            fields.description = text("机器翻译用的平行语料，包含新闻和小说。");
            fields.languages = vec!["zh".to_owned()];
        }),
        entry(3, "image-net", |fields| {
            fields.description =
                text("Images of a thousand kinds of things, and translations of their names");
            fields.bytes = 150_000_000_000;
            fields.croissant = Some(BlobId::from_hash(Hash::of(b"croissant")));
        }),
        entry(40, "cats", |fields| fields.title = text("小猫和小狗的图片")),
    ];
    entries[2].paths = vec!["train/n01440764/tench_001.jpg".to_owned()];
    entries[3].card = text("The pictures were taken at home. Taken pictures were sorted.");
    for entry in &entries {
        writer.put(entry).unwrap();
    }
    writer.commit("here").unwrap();
    index
}

fn found(index: &Index, query: &str) -> Vec<u8> {
    let query = query.parse().unwrap();
    let hits = index.search(&query, 0..10, NOW).unwrap();
    let number = |hit: &Hit| (0..=255).find(|number| dataset(*number) == hit.dataset);
    hits.iter().filter_map(number).collect()
}

#[test]
fn words_facets_and_both_find_the_best_first() {
    let dir = TempDir::new().unwrap();
    let index = filled(&dir);
    let cases: &[(&str, &[u8])] = &[
        // A title counts more than a description; endings do not count.
        ("translation", &[1, 3]),
        ("TRANSLATE book", &[1]),
        ("\"translated sentences\"", &[1]),
        ("\"sentences translated\"", &[]),
        ("translations -books", &[3]),
        // The last word may be a beginning; others may not.
        ("sent", &[1]),
        ("sent books", &[]),
        // Names, paths and ids fall apart at their separators.
        ("image-net", &[3]),
        ("tench", &[3]),
        ("n01440764 001", &[3]),
        ("opus", &[1]),
        // The card.
        ("taken home", &[40]),
        // Facets.
        ("license:apache-2.0", &[1]),
        ("license:mit,gpl-3.0", &[1]),
        ("license:\"mit or apache-2.0\"", &[1]),
        ("lang:zh", &[1, 2]),
        ("lang:zh-hant", &[1]),
        ("tag:\"machine translation\"", &[1]),
        ("tag:machine", &[]),
        ("has:croissant", &[3]),
        ("-has:title", &[3]),
        ("size:>100GB", &[3]),
        ("size:<=1kB", &[1, 2, 40]),
        ("updated:<30d", &[1, 2, 3]),
        ("updated:>30d", &[40]),
        ("publisher:key", &[1, 2, 3, 40]),
        ("translation license:mit", &[1]),
        ("translation size:>100GB", &[3]),
        // Everything, the newest first; and what has neither letters nor digits says nothing.
        ("", &[1, 2, 3, 40]),
        ("...", &[1, 2, 3, 40]),
        ("nothing like it", &[]),
    ];
    for (query, expected) in cases {
        assert_eq!(found(&index, query), *expected, "{query}");
    }
    let id = dataset(3).to_string();
    assert_eq!(found(&index, &id), [3]);
}

#[test]
fn chinese_is_found_by_its_words_with_or_without_others_between_them() {
    let dir = TempDir::new().unwrap();
    let index = filled(&dir);
    let cases: &[(&str, &[u8])] = &[
        ("新闻", &[2]),
        ("中文新闻", &[2]),
        ("新闻数据", &[2]),
        ("机器翻译", &[2]),
        ("\"平行语料\"", &[2]),
        ("\"语料平行\"", &[]),
        ("猫", &[40]),
        ("图片", &[40]),
        // Of words that stand apart in the text half of the pairs are there.
        ("小说语料", &[2]),
        ("图像分割", &[]),
        ("小猫 图片", &[40]),
    ];
    for (query, expected) in cases {
        assert_eq!(found(&index, query), *expected, "{query}");
    }
}

#[test]
fn an_entry_is_replaced_and_removed_and_hits_are_given_in_parts() {
    let dir = TempDir::new().unwrap();
    let index = filled(&dir);
    let mut writer = index.writer().unwrap();
    let again = entry(1, "opus-100", |fields| {
        fields.title = Some("Other words".to_owned());
    });
    writer.put(&again).unwrap();
    writer.remove(&dataset(40));
    assert_eq!(found(&index, "books"), [1], "not committed yet");
    writer.commit("there").unwrap();
    assert_eq!(found(&index, "books"), [0; 0]);
    assert_eq!(found(&index, "other"), [1]);
    assert_eq!(index.datasets(), 3);
    assert_eq!(index.mark(), "there");
    let part = index.search(&Query::default(), 1..2, NOW).unwrap();
    assert_eq!(part.first().map(|hit| hit.dataset), Some(dataset(2)));
    let stamps = index.stamps().unwrap();
    assert_eq!(stamps.get(&short(&dataset(1))), Some(&7));
    assert_eq!(stamps.len(), 3);
}

#[test]
fn an_index_that_is_damaged_or_of_another_format_is_replaced_by_an_empty_one() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("search");
    drop(filled(&dir));
    let index = Index::open(&path).unwrap();
    assert_eq!((index.datasets(), index.mark()), (4, "here".to_owned()));
    let meta = fs::read_to_string(path.join("meta.json")).unwrap();
    drop(index);
    let other = meta.replace("\"1 here\"", "\"0 here\"");
    assert_ne!(other, meta);
    for damaged in [other, "{".to_owned(), meta.replace("stamp", "stomp")] {
        fs::write(path.join("meta.json"), damaged).unwrap();
        let index = Index::open(&path).unwrap();
        assert_eq!((index.datasets(), index.mark()), (0, String::new()));
    }
    // There is one writer at a time.
    let index = Index::open(&path).unwrap();
    let _first = index.writer().unwrap();
    assert!(index.writer().is_err());
}

#[test]
fn p8_a_damaged_file_of_the_index_is_seen_before_it_is_read() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("search");
    let index = filled(&dir);
    let mut writer = index.writer().unwrap();
    writer.remove(&dataset(40));
    writer.commit("there").unwrap();
    writer.finish().unwrap();
    drop(index);
    let kept: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&path)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    let put_back = || {
        Index::remove(&path).unwrap();
        fs::create_dir(&path).unwrap();
        for (name, bytes) in &kept {
            fs::write(name, bytes).unwrap();
        }
    };
    put_back();
    assert_eq!(Index::open(&path).unwrap().mark(), "there", "undamaged");
    let is = |name: &Path, kind| name.extension().is_some_and(|is| is == kind);
    assert!(kept.iter().any(|(name, _)| is(name, "del")));
    // Those beside the segments are no files of tables: JSON and locks.
    let segments = kept
        .iter()
        .filter(|(name, _)| !is(name, "json") && !is(name, "lock"));
    for (name, whole) in segments {
        let cuts = [0, 1, 4, 7, 8, whole.len() / 2, whole.len() - 1];
        let cut = cuts.map(|length| whole.get(..length).unwrap().to_vec());
        let flips = [0, whole.len() / 3, whole.len() - 100, whole.len() - 1];
        let flipped = flips.map(|at| {
            let mut bytes = whole.clone();
            *bytes.get_mut(at).unwrap() ^= 0x10;
            bytes
        });
        let zeroes = vec![0; whole.len()];
        let more = [whole, b"more".as_slice()].concat();
        for damaged in cut.into_iter().chain(flipped).chain([zeroes, more]) {
            put_back();
            fs::write(name, &damaged).unwrap();
            let index = Index::open(&path).unwrap();
            assert_eq!(
                (index.datasets(), index.mark()),
                (0, String::new()),
                "{} of {} bytes",
                name.display(),
                damaged.len()
            );
        }
        put_back();
        fs::remove_file(name).unwrap();
        let index = Index::open(&path).unwrap();
        assert_eq!(index.datasets(), 0, "without {}", name.display());
    }
}
