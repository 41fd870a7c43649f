//! R5: one column of a Parquet file of twenty, read over HTTP by programs as they are.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use opendag_tests::python::Environment;

use super::{
    super::{Bench, swarm::Swarm},
    Gateway,
};
use crate::{
    peers::{Host, opendag::on},
    report::{Report, Row, Run},
    say,
    stats::ratio,
    transfer::mb,
};

/// Rows at scale 1: about 200 MB.
const ROWS: u64 = 1_400_000;
/// Column in the names of `columns.py`.
const COLUMN: &str = "c07";
/// Ways to read a column.
const READERS: &[&str] = &["duckdb", "pyarrow", "polars"];

/// R5.
pub(in super::super) fn one_column(bench: &Bench<'_>) -> Result<Report> {
    let mut report = Report::new("R5", "one column of a Parquet file with 20");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/workloads/reads/columns.py");
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/current.txt");
    let cache = bench.options.binary.with_file_name("bench-clients");
    let python = match Environment::of(&cache, &clients)? {
        Environment::Ready(python) => python,
        Environment::Missing(reason) => {
            report.notes.push(format!("left out: {reason}"));
            return Ok(report);
        }
    };
    let run = |args: &[&str]| run(&python, &script, args);
    let source = bench.folder("data")?;
    let file = source.join("table.parquet");
    let (shown, rows) = (file.display().to_string(), bench.options.scaled(ROWS));
    run(&["write", &shown, &rows.to_string()])?;
    let bytes = fs::metadata(&file)?.len();
    let described = run(&["size", &shown, COLUMN])?;
    let (right, column_bytes) = described.split_once(' ').context("a sum and a size")?;
    let column_bytes: u64 = column_bytes.parse()?;
    report.title = format!(
        "one column ({:.1} MB) of a Parquet file of {:.0} MB with 20",
        mb(column_bytes),
        mb(bytes)
    );
    let swarm = Swarm::new(bench, &source, &[Host::loopback()], &[])?;
    for name in READERS {
        let mut row = Row::new(*name);
        for round in 0..bench.options.rounds {
            let node = on(
                swarm.world.node(&format!("{name}{round}")),
                &Host::loopback(),
            );
            let gateway = Gateway::start(&node, &swarm.seeds.iter().collect::<Vec<_>>())?;
            let url = format!("{}/d/{}/table.parquet", gateway.url, swarm.link);
            let sum = run(&[name, &url, COLUMN])?;
            ensure!(sum == right, "{name} read {sum} instead of {right}");
            let received = mb(gateway.received_bytes()?);
            let share = |of: u64| ratio(received, mb(of)).unwrap_or(f64::NAN);
            say(&format!(
                "  round {}: {name} {:.3} of the file",
                round + 1,
                share(bytes)
            ));
            row.runs.push(
                Run::default()
                    .with("received_MB", received)
                    .with("of the file", share(bytes))
                    .with("of the column", share(column_bytes)),
            );
            gateway.daemon.stop()?;
            fs::remove_dir_all(node.data_dir())?;
        }
        report.rows.push(row);
    }
    Ok(report)
}

/// The last line that the script prints.
fn run(python: &PathBuf, script: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new(python).arg(script).args(args).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "columns.py {args:?}: {errors}");
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().last().unwrap_or_default().to_owned())
}
