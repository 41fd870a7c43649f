//! `testnet sim`: runs a simulation and says whether the goals were reached.

use std::fmt::Write as _;

use opendag_testnet::{SimOptions, SimReport, simulate};
use serde_json::json;

use crate::{commands::testnet::SimArgs, error::CliError, output::Output, signals::Signals};

/// Runs the simulation; fails if the scheduler broke an invariant or missed a goal.
pub(super) async fn run(
    args: &SimArgs,
    mut signals: Signals,
    output: &Output,
) -> Result<(), CliError> {
    let options = options(args);
    // It computes until it ends; at a signal the process ends without it.
    let simulation = tokio::task::spawn_blocking(move || simulate(&options));
    let report = tokio::select! {
        report = simulation => report.map_err(|error| CliError::failed("The simulation broke off", &error))?,
        signal = signals.next() => return Err(CliError::Interrupted { signal }),
    };
    let report =
        report.map_err(|error| CliError::Failed(format!("The simulation failed: {error:#}.")))?;
    let missed = missed(args, &report);
    let mut event = json!({ "event": "sim", "seed": args.seed, "missed": missed });
    if let (Some(event), Ok(serde_json::Value::Object(fields))) =
        (event.as_object_mut(), serde_json::to_value(&report))
    {
        event.extend(fields);
    }
    output.object(&event, &summary(args, &report));
    if missed.is_empty() {
        Ok(())
    } else {
        Err(CliError::Failed(missed.join(" ")))
    }
}

fn options(args: &SimArgs) -> SimOptions {
    SimOptions {
        peers: args.peers,
        fetchers: args.fetchers,
        pieces: args.pieces,
        shards: args.files,
        cap: args.cap,
        link: args.link,
        delay_us: u64::from(args.delay) * 1000,
        loss_ppm: parts_per_million(args.loss),
        liars: args.liars,
        churn_percent: args.churn,
        complete_percent: args.complete,
        tells: true,
        seed: args.seed,
    }
}

/// From percent; 100 at most.
fn parts_per_million(percent: f64) -> u64 {
    let thousandths = format!("{:.0}", percent.min(100.0) * 10_000.0);
    thousandths.parse().unwrap_or(0)
}

/// What was asked for and not reached.
fn missed(args: &SimArgs, report: &SimReport) -> Vec<String> {
    let mut missed = Vec::new();
    if let Some(within) = args.within
        && report.ratio > within
    {
        missed.push(format!(
            "It took {} times the shortest time, and not {within}.",
            report.ratio
        ));
    }
    if let Some(copies) = args.copies
        && report.copies > copies
    {
        missed.push(format!(
            "The peers sent {} copies, and not {copies}.",
            report.copies
        ));
    }
    if let Some(decision_us) = args.decision
        && report.decision.mean_ns > decision_us * 1000
    {
        missed.push(format!(
            "A decision took {} ns in the mean, and not {decision_us} us.",
            report.decision.mean_ns
        ));
    }
    missed
}

fn summary(args: &SimArgs, report: &SimReport) -> String {
    let bound = &report.bound;
    let mut text = String::new();
    // Writing into a string never fails.
    let _ = writeln!(
        text,
        "{} fetchers, {} peers, {} bytes in {} files, seed {}.",
        args.fetchers, args.peers, report.bytes, args.files, args.seed
    );
    let _ = writeln!(
        text,
        "All complete after {} ms, the first after {} ms; {} times the shortest possible.",
        report.completed_ms, report.first_completed_ms, report.ratio
    );
    let _ = writeln!(
        text,
        "Shortest: {} ms (one copy from the peers {}, over one's own link {}, a copy for each {}, \
         by the budget in flight {}).",
        bound.ms, bound.seeds_ms, bound.download_ms, bound.upload_ms, bound.budget_ms
    );
    let _ = writeln!(
        text,
        "The peers sent {} copies; {} of what came had come before.",
        report.copies, report.twice
    );
    let _ = writeln!(
        text,
        "{} requests, at most {} bytes in flight; {} events, trace {}.",
        report.requests, report.in_flight_peak_bytes, report.events, report.trace
    );
    let decision = &report.decision;
    let _ = writeln!(
        text,
        "A decision took {} ns in the mean, {} ns at most in 99 of 100, {} ns at most.",
        decision.mean_ns, decision.p99_ns, decision.max_ns
    );
    text
}
