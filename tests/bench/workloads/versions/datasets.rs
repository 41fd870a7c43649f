//! Two versions each of the kinds of datasets that people publish.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use anyhow::{Result, ensure};
use opendag_tests::tree::content;
use std::io::Read as _;

use crate::{peers::need, workloads::Bench};

/// The script that writes Parquet.
const PARQUET: &str = include_str!("parquet.py");
/// Rows of a table at full size, about 200 bytes each.
const ROWS: u64 = 400_000;
/// Files of the text tree at full size.
const TEXTS: u64 = 5_000;
/// Rows of one file.
const ROWS_PER_FILE: u64 = 100_000;

/// A dataset in two versions.
pub(super) struct Dataset {
    pub(super) name: &'static str,
    /// Why it cannot be made here.
    pub(super) missing: fn() -> Option<String>,
    /// Writes version 1 and version 2.
    pub(super) write: fn(&Bench<'_>, &Path, &Path) -> Result<()>,
}

/// All of them.
pub(super) fn all() -> [Dataset; 6] {
    [
        Dataset {
            name: "jsonl appended",
            missing: || None,
            write: |bench, old, new| jsonl(bench, old, new, |_| Edit::None, 20),
        },
        Dataset {
            name: "jsonl edited",
            missing: || None,
            write: |bench, old, new| jsonl(bench, old, new, sometimes, 0),
        },
        Dataset {
            name: "jsonl column",
            missing: || None,
            write: |bench, old, new| jsonl(bench, old, new, |_| Edit::Column, 0),
        },
        Dataset {
            name: "parquet column",
            missing: no_pyarrow,
            write: |bench, old, new| parquet(bench, old, new, "column"),
        },
        Dataset {
            name: "parquet appended",
            missing: no_pyarrow,
            write: |bench, old, new| parquet(bench, old, new, "rows"),
        },
        Dataset {
            name: "text tree",
            missing: || None,
            write: texts,
        },
    ]
}

/// What happens to a row in version 2.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    None,
    /// Its text is another one of another length.
    Text,
    /// It has a field more.
    Column,
}

/// Every two-thousandth row, and not at equal distances.
fn sometimes(row: u64) -> Edit {
    if word(row, 99).is_multiple_of(2000) {
        Edit::Text
    } else {
        Edit::None
    }
}

/// Rows as lines of JSON; version 2 has `edit` done to its rows, and one more for each `more` (0: none).
fn jsonl(
    bench: &Bench<'_>,
    old: &Path,
    new: &Path,
    edit: impl Fn(u64) -> Edit,
    more: u64,
) -> Result<()> {
    let rows = bench.options.scaled(ROWS);
    let appended = rows.checked_div(more).unwrap_or(0);
    lines(old, rows, |_| Edit::None)?;
    lines(new, rows + appended, edit)
}

fn lines(folder: &Path, rows: u64, edit: impl Fn(u64) -> Edit) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut row = 0;
    while row < rows {
        let mut text = String::new();
        let end = (row + ROWS_PER_FILE).min(rows);
        let name = format!("part-{:04}.jsonl", row / ROWS_PER_FILE);
        for row in row..end {
            line(&mut text, row, edit(row))?;
        }
        fs::write(folder.join(name), text)?;
        row = end;
    }
    Ok(())
}

fn line(text: &mut String, row: u64, edit: Edit) -> Result<()> {
    let words = if edit == Edit::Text {
        29
    } else {
        16 + word(row, 1) % 16
    };
    let salt = if edit == Edit::Text { 1000 } else { 0 };
    write!(text, "{{\"id\": {row}, \"text\": \"")?;
    sentence(text, row, salt, words)?;
    write!(text, "\", \"score\": {}", word(row, 2) % 1000)?;
    if edit == Edit::Column {
        write!(text, ", \"language\": \"l{}\"", word(row, 3) % 40)?;
    }
    text.push_str("}\n");
    Ok(())
}

fn sentence(text: &mut String, row: u64, salt: u64, words: u64) -> Result<()> {
    for index in 0..words {
        write!(text, "w{} ", word(row, 10 + index + salt) % 50_000)?;
    }
    Ok(())
}

/// A number that follows from two, and looks like any other.
fn word(row: u64, index: u64) -> u64 {
    let mixed = (row ^ index.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 32)
}

/// A tree of small texts. Version 2: every fiftieth has a paragraph changed, a few are new, a few gone.
fn texts(bench: &Bench<'_>, old: &Path, new: &Path) -> Result<()> {
    for file in 0..bench.options.scaled(TEXTS) {
        let name = format!("d{:02}/t{file:05}.txt", file % 50);
        if file % 211 != 7 {
            page(&old.join(&name), file, None)?;
        }
        if file % 223 != 9 {
            let edited = word(file, 5)
                .is_multiple_of(50)
                .then_some(word(file, 6) % 20);
            page(&new.join(&name), file, edited)?;
        }
    }
    Ok(())
}

fn page(path: &Path, file: u64, edited: Option<u64>) -> Result<()> {
    let mut text = String::new();
    for paragraph in 0..(20 + word(file, 4) % 60) {
        let salt = if edited == Some(paragraph) { 1000 } else { 0 };
        sentence(&mut text, file * 1000 + paragraph, salt, 60 + salt % 7)?;
        text.push('\n');
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, text)?)
}

fn no_pyarrow() -> Option<String> {
    need(&["python3"]).or_else(|| {
        let imported = Command::new("python3")
            .args(["-c", "import pyarrow.parquet"])
            .output();
        let found = imported.is_ok_and(|output| output.status.success());
        (!found).then(|| "python3 has no module pyarrow".to_owned())
    })
}

fn parquet(bench: &Bench<'_>, old: &Path, new: &Path, change: &str) -> Result<()> {
    let rows = bench.options.scaled(ROWS).to_string();
    for folder in [old, new] {
        fs::create_dir_all(folder)?;
    }
    // Seeds the script's numbers, so that both versions are the same in every run.
    let mut seed = [0; 4];
    content(1, "parquet").read_exact(&mut seed)?;
    let seed = u32::from_le_bytes(seed).to_string();
    let output = Command::new("python3")
        .args(["-c", PARQUET, &rows, &seed, change])
        .args([old.join("data.parquet"), new.join("data.parquet")])
        .output()?;
    ensure!(
        output.status.success(),
        "python3 wrote no Parquet: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_changes_its_row_alone() -> Result<()> {
        let (mut plain, mut other) = (String::new(), String::new());
        line(&mut plain, 7, Edit::None)?;
        line(&mut other, 7, Edit::Text)?;
        assert_ne!(plain, other);
        for text in [&plain, &other] {
            let value: serde_json::Value = serde_json::from_str(text)?;
            assert_eq!(value["id"], 7);
        }
        let edited = (0..100_000)
            .filter(|row| sometimes(*row) == Edit::Text)
            .count();
        assert!((20..100).contains(&edited), "{edited}");
        Ok(())
    }

    #[test]
    fn appended_rows_leave_those_before_as_they_are() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        lines(&old, 1000, |_| Edit::None)?;
        lines(&new, 1050, |_| Edit::None)?;
        let read = |folder: &Path| fs::read_to_string(folder.join("part-0000.jsonl"));
        let (old, new) = (read(&old)?, read(&new)?);
        assert!(new.starts_with(&old) && new.len() > old.len());
        Ok(())
    }
}
