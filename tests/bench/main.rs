//! The benchmark: `cargo run --release -p opendag-tests --bin bench -- all`.
//!
//! Runs OpenDAG and the programs that people use today over the same data on the same disk, in
//! alternation, and compares medians. `tests/bench/README.md` says what is measured and how each peer is
//! installed. Nothing here is a test: a figure is no promise, and a slow machine fails nothing.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that prints its figures"
)]
mod isolate;
mod options;
mod peers;
mod process;
mod report;
mod stats;
mod transfer;
mod usage;
mod workloads;

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use serde_json::json;

use options::Options;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        // Both ends of the line of limit are this program again.
        ["limit-seed", file, address] => peers::limit::serve(Path::new(file), address),
        ["limit-fetch", target, peer] => peers::limit::receive(Path::new(target), peer),
        ["limit-fetch-files", target, peer] => peers::limit::receive_files(Path::new(target), peer),
        _ => {
            let options = Options::parse(args.iter().cloned(), &workloads::names())?;
            if !isolate::inside() && !words.contains(&"--no-isolation") {
                isolate::enter()?;
                say(
                    "no network namespace can be made here: peers are isolated by their options alone",
                );
            }
            bench(&options)
        }
    }
}

fn bench(options: &Options) -> Result<()> {
    let (mut reports, mut failed, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for name in &options.workloads {
        say(&format!("== {name}"));
        match workloads::run(name, options, &mut kept).with_context(|| format!("workload {name}")) {
            Ok(Some(report)) => {
                println!("\n{}", report.text());
                reports.push(report.json());
            }
            Ok(None) => {}
            // One that cannot run here does not take the others with it.
            Err(error) => {
                eprintln!("{error:#}");
                failed.push(name.as_str());
            }
        }
    }
    let all = json!({
        "scale": options.scale,
        "rounds": options.rounds,
        "cores": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "kernel": first_line("uname", &["-sr"]),
        "opendag": first_line(&options.binary.display().to_string(), &["--version"]),
        "isolated": isolate::inside(),
        "workloads": reports,
        "failed": failed,
    });
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_string_pretty(&all)?)?;
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// The first line that a program prints; empty when it cannot run.
fn first_line(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

/// Tells how far the benchmark is, on standard error: standard output holds the tables alone.
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
