//! Q1: a search index of 1,000,000 datasets, fed straight into the index.

mod words;

use std::{
    fs,
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use opendag_node::search::{Entry, Index};
use opendag_protocol::{DatasetId, Hash, search::Query};

use self::words::Random;
use super::Bench;
use crate::{
    report::{Report, Row, Run},
    say,
    stats::{Goal, Sense},
};

const DATASETS: f64 = 1_000_000.0;
/// Datasets between two commits, as a node makes them while it builds an index.
const BATCH: u64 = 4096;
/// Queries of each kind.
const QUERIES: usize = 200;
/// Hits of a query.
const HITS: usize = 21;
/// Milliseconds at the 95th percentile.
const GOAL: f64 = 50.0;
const SEED: u64 = 20_261_127;

const LICENSES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "ODbL-1.0",
    "CC-BY-NC-4.0",
];
const LANGUAGES: &[&str] = &["en", "zh", "de", "fr", "es", "ja", "pt-BR", "hi"];
const TAGS: &[&str] = &[
    "vision", "nlp", "audio", "tabular", "medical", "robotics", "legal", "geo", "finance", "code",
];

/// A kind of query.
type Ask = fn(&mut Random) -> String;

const KINDS: &[(&str, Ask)] = &[
    ("one word", |random| random.words(1)),
    ("two words", |random| random.words(2)),
    ("phrase", |random| format!("\"{}\"", random.words(2))),
    ("facet", |random| {
        format!("license:{} size:>10GB", random.pick(LICENSES))
    }),
    ("facet and text", |random| {
        format!(
            "{} lang:{} updated:<1y",
            random.words(1),
            random.pick(LANGUAGES)
        )
    }),
    ("Chinese", |random| random.sentence(2)),
    ("beginning of a word", |random| {
        random.english().chars().take(3).collect()
    }),
];

/// Q1.
pub(super) fn million(bench: &Bench<'_>) -> Result<Report> {
    let wanted = DATASETS * bench.options.scale;
    // A scale is positive and small.
    let count: u64 = format!("{wanted:.0}").parse().context("the scale")?;
    let mut report = Report::new("Q1", format!("search among {count} datasets"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let folder = bench.path("search");
    let index = Index::open(&folder)?;
    let before = memory()?;
    let start = Instant::now();
    let mut random = Random(SEED);
    let mut writer = index.writer()?;
    for number in 0..count {
        writer.put(&entry(&mut random, number, now))?;
        if (number + 1) % BATCH == 0 {
            writer.commit("")?;
        }
    }
    writer.commit("whole")?;
    let built = start.elapsed().as_secs_f64();
    let memory = memory()? - before;
    writer.finish()?;
    let size = folder_bytes(&folder)?;
    say(&format!("  built in {built:.0} s, {size:.0} MiB"));
    report.rows.push(Row {
        name: "build".to_owned(),
        runs: vec![
            Run::default()
                .with("seconds", built)
                .with("index MiB", size)
                .with("memory MiB", memory),
        ],
    });
    for (kind, ask) in KINDS {
        let mut row = Row::new(*kind);
        let mut slowest = 0.0_f64;
        for _ in 0..bench.options.rounds {
            let (middle, late) = latency(&index, *ask, now)?;
            slowest = slowest.max(late);
            row.runs
                .push(Run::default().with("p50 ms", middle).with("p95 ms", late));
        }
        say(&format!("  {kind}: p95 {slowest:.1} ms"));
        report.rows.push(row);
        report.goals.push(Goal {
            what: format!("{kind}: p95 ms, the slowest round"),
            sense: Sense::AtMost,
            goal: GOAL,
            measured: Some(slowest),
        });
    }
    report.notes.push(
        "memory: what the process holds beyond its files, after the last commit, without what it held before"
            .to_owned(),
    );
    Ok(report)
}

/// Milliseconds of queries of a kind: in the middle, and at the 95th percentile.
fn latency(index: &Index, ask: Ask, now: u64) -> Result<(f64, f64)> {
    let mut random = Random(SEED + 1);
    let mut took = Vec::with_capacity(QUERIES);
    for _ in 0..QUERIES {
        let text = ask(&mut random);
        let start = Instant::now();
        let query: Query = text.parse()?;
        index.search(&query, 0..HITS, now)?;
        took.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    let at = |percent: usize| took.get(QUERIES * percent / 100).copied();
    Ok((at(50).context("queries")?, at(95).context("queries")?))
}

/// A dataset as people describe them: one of eight in Chinese, one of ten with paths, one of fifty with a card.
fn entry(random: &mut Random, number: u64, now: u64) -> Entry {
    let dataset = DatasetId::from_hash(Hash::of(&number.to_le_bytes()));
    let chinese = random.below(8) == 0;
    let (title, description) = if chinese {
        (random.sentence(5), random.sentence(40))
    } else {
        let (few, many) = (3 + random.below(6), 15 + random.below(50));
        (random.words(few), random.words(many))
    };
    let paths = if random.below(10) == 0 { 12 } else { 0 };
    let card = (random.below(50) == 0).then(|| random.words(150));
    let has = if random.below(3) == 0 {
        vec!["croissant"]
    } else {
        Vec::new()
    };
    Entry {
        dataset,
        stamp: number,
        name: format!("{}-{}-{number}", random.english(), random.english()),
        title: Some(title),
        description: Some(description),
        tags: vec![random.pick(TAGS).to_owned(), random.english()],
        languages: vec![
            if chinese {
                "zh"
            } else {
                random.pick(LANGUAGES)
            }
            .to_owned(),
        ],
        license: Some(random.pick(LICENSES).to_owned()),
        publishers: vec![format!("key{}", random.below(20_000))],
        ids: vec![dataset.to_string()],
        card,
        paths: (0..paths)
            .map(|part| format!("train/{}/part-{part:05}.parquet", random.english()))
            .collect(),
        bytes: 1 << random.below(42),
        updated: now - random.below(4 * 365 * 86_400),
        has,
    }
}

/// Mebibytes that this process holds and that lie in no file.
fn memory() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: f64 = kib.context("RssAnon of this process")?.trim().parse()?;
    Ok(kib / 1024.0)
}

/// Mebibytes of the files right in a folder.
fn folder_bytes(folder: &Path) -> Result<f64> {
    let mut bytes = 0;
    for file in fs::read_dir(folder)? {
        bytes += file?.metadata()?.len();
    }
    Ok(f64::from(u32::try_from(bytes >> 10)?) / 1024.0)
}
