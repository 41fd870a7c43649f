//! B2, B3, B4: one seed and one fetch over loopback; a large file, many small ones, a mixed tree.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};
use opendag_tests::{MIB, Tree};
use walkdir::WalkDir;

use super::Bench;
use crate::{
    peers::Host,
    report::Report,
    transfer::{Among, Comparison, Fetched, mb, note_limit, size, speed_goal},
};

/// Seed of all generated content.
pub(super) const SEED: u64 = 2;
/// Bytes of a small file in B3.
const SMALL_BYTES: u64 = 10 * 1024;

/// B2: one large file.
pub(super) fn one_file(bench: &Bench<'_>) -> Result<Report> {
    let bytes = bench.options.scaled(4 * 1024) * MIB;
    let title = format!("one file of {} MiB, one seed, loopback", bytes / MIB);
    let source = Tree::new(SEED)
        .file("large.bin", bytes)
        .write(&bench.path("data"))?;
    compare(
        bench,
        Report::new("B2", title),
        &source,
        (Among::Verified, 1.5),
    )
}

/// B3: many files of one small size.
pub(super) fn small_files(bench: &Bench<'_>) -> Result<Report> {
    let count = bench.options.scaled(20_000);
    let source = small(count, SMALL_BYTES).write(&bench.path("data"))?;
    let title = format!("{count} files of 10 KiB, one seed, loopback");
    compare(bench, Report::new("B3", title), &source, (Among::All, 3.0))
}

/// Files of equal size, a hundred to a folder.
pub(super) fn small(count: u64, bytes: u64) -> Tree {
    (0..count).fold(Tree::new(SEED), |tree, index| {
        tree.file(&format!("d{:04}/f{index:07}.bin", index / 100), bytes)
    })
}

/// B4: the documentation of the Rust toolchain.
pub(super) fn documentation(bench: &Bench<'_>) -> Result<Report> {
    let source = bench.path("data");
    let files = copy_share(&installed()?, &source, bench.options.scale)?;
    let title = format!(
        "{files} files of the Rust documentation, {:.0} MB, one seed, loopback",
        mb(size(&source)?)
    );
    compare(bench, Report::new("B4", title), &source, (Among::All, 2.0))
}

fn compare(
    bench: &Bench<'_>,
    mut report: Report,
    source: &Path,
    goal: (Among, f64),
) -> Result<Report> {
    let peers = bench.peers();
    Comparison {
        source,
        folder: &bench.folder("work")?,
        seed: Host::loopback(),
        fetch: Host::loopback(),
        rounds: bench.options.rounds,
        fetched: if report.workload == "B2" {
            Fetched::Removed
        } else {
            Fetched::Kept
        },
    }
    .run(&peers, &mut report)?;
    report.goals.push(speed_goal(&report, &peers, goal));
    note_limit(&mut report, &peers, goal.0);
    Ok(report)
}

/// The folder of the documentation that comes with the toolchain.
fn installed() -> Result<PathBuf> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()?;
    let folder = Path::new(String::from_utf8(output.stdout)?.trim()).join("share/doc/rust/html");
    ensure!(
        folder.is_dir(),
        "no {}: `rustup component add rust-docs` brings it",
        folder.display()
    );
    Ok(folder)
}

/// Copies every file whose turn it is at this share of all; returns how many.
fn copy_share(from: &Path, to: &Path, share: f64) -> Result<u64> {
    let (mut files, mut due) = (0, 0.0);
    for entry in WalkDir::new(from).sort_by_file_name() {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        due += share;
        if due < 1.0 {
            continue;
        }
        due -= 1.0;
        let target = to.join(entry.path().strip_prefix(from)?);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(entry.path(), &target)?;
        files += 1;
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_tree_is_copied() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let from = small(40, 3).write(&dir.path().join("from"))?;
        for (share, files) in [(1.0, 40), (0.5, 20), (0.25, 10)] {
            let to = dir.path().join(format!("to{files}"));
            assert_eq!(copy_share(&from, &to, share)?, files);
            assert_eq!(size(&to)?, files * 3);
        }
        Ok(())
    }
}
