//! B2, B3, B4: one seed and one fetch over loopback; a large file, many small ones, a mixed tree.

use anyhow::Result;
use opendag_tests::{MIB, Tree};

use super::Bench;
use crate::{
    peers::Host,
    report::Report,
    transfer::{Comparison, note_limit, speed_goal},
};

/// Seed of all generated content.
const SEED: u64 = 2;

/// B2: one large file.
pub(super) fn one_file(bench: &Bench<'_>) -> Result<Report> {
    let bytes = bench.options.scaled(4 * 1024) * MIB;
    let mut report = Report::new(
        "B2",
        format!("one file of {} MiB, one seed, loopback", bytes / MIB),
    );
    let source = Tree::new(SEED)
        .file("large.bin", bytes)
        .write(&bench.path("data"))?;
    let peers = bench.peers();
    Comparison {
        source: &source,
        folder: &bench.folder("work")?,
        seed: Host::loopback(),
        fetch: Host::loopback(),
        rounds: bench.options.rounds,
    }
    .run(&peers, &mut report)?;
    report.goals.push(speed_goal(&report, &peers, 1.5));
    note_limit(&mut report);
    Ok(report)
}
