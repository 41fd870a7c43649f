//! A simulated network that runs the real scheduler in virtual time.
//!
//! Nothing is sent and nobody waits: a minute of a thousand nodes takes seconds. The same options
//! give the same run, event for event. At each step the scheduler's words are compared with an
//! account of what was really asked for and what came. Not simulated: discovery, congestion control,
//! proofs, disks and processors.

use anyhow::{Result, ensure};
use serde::Serialize;

mod bound;
mod build;
mod data;
mod event;
mod fetcher;
mod ledger;
mod node;
mod random;
#[cfg(test)]
mod tests;
mod upload;
mod watch;
mod world;

pub use bound::Bound;

/// Peers and fetchers of one simulation: more take memory beyond reason.
pub const SIM_NODES_MAX: u32 = 20_000;
/// Pieces of one simulation.
pub const SIM_PIECES_MAX: u32 = 1_000_000;

/// A fetch that needs so many times as long as the best, and half an hour, will not end.
const GIVE_UP: u64 = 20;

/// What to simulate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimOptions {
    /// Peers that have no fetch of their own. The first is honest, has all, and stays.
    pub peers: u32,
    /// Nodes that fetch, each from all peers and from each other.
    pub fetchers: u16,
    /// Pieces of 128 KiB in all.
    pub pieces: u32,
    /// Files they lie in.
    pub shards: u32,
    /// What a peer sends, in bytes a second.
    pub cap: u64,
    /// What a fetcher's link carries each way, in bytes a second.
    pub link: u64,
    /// From node to node and back, at most, in microseconds.
    pub delay_us: u64,
    /// Of a million packets so many are lost.
    pub loss_ppm: u64,
    /// Peers that are not honest: liars, stallers, boasters, tricklers, and so on in turn.
    pub liars: u32,
    /// Of a hundred peers so many come and go.
    pub churn_percent: u8,
    /// Of a hundred peers so many have all; the others have some stretches.
    pub complete_percent: u8,
    /// Do fetchers tell each other what they have?
    pub tells: bool,
    /// Another seed, another run.
    pub seed: u64,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            peers: 1,
            fetchers: 8,
            pieces: 3200,
            shards: 1,
            cap: 20_000_000,
            link: 125_000_000,
            delay_us: 1000,
            loss_ppm: 0,
            liars: 0,
            churn_percent: 0,
            complete_percent: 100,
            tells: true,
            seed: 1,
        }
    }
}

/// What came of a simulation.
#[derive(Clone, Debug, Serialize)]
pub struct SimReport {
    /// When the last fetch was complete, in milliseconds of virtual time.
    pub completed_ms: u64,
    /// When the first was.
    pub first_completed_ms: u64,
    /// The shortest time that was possible.
    pub bound: Bound,
    /// `completed_ms` as a multiple of it.
    pub ratio: f64,
    /// Bytes of one copy.
    pub bytes: u64,
    /// What the peers sent, in copies.
    pub copies: f64,
    /// What came to fetchers twice, as a share of what was needed.
    pub twice: f64,
    /// The most that one fetcher had in flight.
    pub in_flight_peak_bytes: u64,
    /// Requests in all.
    pub requests: u64,
    /// Events in all.
    pub events: u64,
    /// One number for all that was decided: equal runs have equal traces.
    pub trace: String,
    /// How long a decision took on this machine: the only figures here that differ between equal runs.
    pub decision: Decision,
}

/// How long decisions took, in nanoseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Decision {
    /// The mean of all.
    pub mean_ns: u64,
    /// What 99 of 100 do not exceed.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// Runs a simulation to its end.
///
/// # Errors
/// The options make no sense, the scheduler broke an invariant, or a fetch does not end.
pub fn simulate(options: &SimOptions) -> Result<SimReport> {
    ensure!(options.fetchers > 0, "a simulation needs a fetcher");
    ensure!(options.peers > 0, "a simulation needs a peer that has all");
    ensure!(options.liars < options.peers, "one peer must be honest");
    ensure!(
        options.peers.saturating_add(options.fetchers.into()) <= SIM_NODES_MAX,
        "a simulation has at most {SIM_NODES_MAX} nodes"
    );
    ensure!(
        options.pieces <= SIM_PIECES_MAX,
        "a simulation has at most {SIM_PIECES_MAX} pieces"
    );
    ensure!(options.cap > 0 && options.link > 0, "links carry something");
    let (mut world, bound) = build::world(options);
    let until_ms = bound.ms.saturating_mul(GIVE_UP).saturating_add(1_800_000);
    world.run(until_ms.saturating_mul(1000))?;
    Ok(report(options, &world, bound))
}

fn report(options: &SimOptions, world: &world::World, bound: Bound) -> SimReport {
    let ends = || world.fetchers.iter().filter_map(|f| f.completed_us);
    let completed_ms = ends().max().unwrap_or(0) / 1000;
    let bytes = world.bytes();
    let peers = world.nodes.iter().skip(options.fetchers.into());
    let sent: u64 = peers.map(|node| node.sent_bytes).sum();
    let ledgers = || world.fetchers.iter().map(|fetcher| &fetcher.ledger);
    let came: u64 = ledgers().map(|ledger| ledger.came_bytes).sum();
    let needed = bytes * u64::from(options.fetchers);
    let trace = world
        .fetchers
        .iter()
        .fold(0u64, |trace, fetcher| trace.rotate_left(7) ^ fetcher.trace);
    SimReport {
        completed_ms,
        first_completed_ms: ends().min().unwrap_or(0) / 1000,
        bound,
        ratio: share(completed_ms, bound.ms),
        bytes,
        copies: share(sent, bytes),
        twice: share(came.saturating_sub(needed), needed),
        in_flight_peak_bytes: ledgers().map(|l| l.in_flight_peak).max().unwrap_or(0),
        requests: ledgers().map(|ledger| ledger.requests).sum(),
        events: world.happened,
        trace: format!("{trace:016x}"),
        decision: Decision {
            mean_ns: world.watch.mean_ns(),
            p99_ns: world.watch.within_ns(990),
            max_ns: world.watch.within_ns(1000),
        },
    }
}

/// A quotient to the thousandth, exact enough for a report.
fn share(part: u64, whole: u64) -> f64 {
    let thousandths = u128::from(part) * 1000 / u128::from(whole.max(1));
    f64::from(u32::try_from(thousandths).unwrap_or(u32::MAX)) / 1000.0
}
