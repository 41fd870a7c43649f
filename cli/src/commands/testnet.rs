//! `testnet`: a local network for development.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use opendag_node::config::parse_bytes;

/// The commands below `testnet`.
#[derive(Clone, Debug, Subcommand)]
pub enum TestnetCommand {
    /// Start a network of daemons on this machine, until Ctrl-C
    Up(UpArgs),
    /// Start one more daemon in the running network, until Ctrl-C
    Join(JoinArgs),
    /// Publish, mirror, fetch, lose a seed and compare, all by itself
    Demo(DemoArgs),
    /// Run the scheduler of fetches in a simulated network and compare it with the best possible
    Sim(SimArgs),
    /// Remove the folder of a network that has ended
    #[command(hide = true)]
    Sweep(SweepArgs),
}

/// Arguments of `testnet up`.
#[derive(Clone, Debug, Args)]
pub struct UpArgs {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub nodes: u16,
    /// Folder of the network; kept afterwards [default: testnet in the data directory, removed afterwards]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Arguments of `testnet join`.
#[derive(Clone, Debug, Args)]
pub struct JoinArgs {
    /// Folder of the network [default: testnet in the data directory]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Arguments of `testnet demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Folder to publish [default: the documentation of the Rust toolchain]
    pub dir: Option<PathBuf>,
}

/// Arguments of `testnet sim`.
#[derive(Clone, Debug, Args)]
pub struct SimArgs {
    /// Peers that only serve; the first has everything and stays
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub peers: u32,
    /// Nodes that fetch, from the peers and from each other
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub fetchers: u16,
    /// Size of the dataset in pieces of 128 KiB
    #[arg(long, value_name = "N", default_value_t = 3200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub pieces: u32,
    /// Files of the dataset
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub files: u32,
    /// What each peer sends a second
    #[arg(long, value_name = "SIZE", default_value = "20MB", value_parser = bytes)]
    pub cap: u64,
    /// What the link of each fetcher carries a second, each way
    #[arg(long, value_name = "SIZE", default_value = "125MB", value_parser = bytes)]
    pub link: u64,
    /// Milliseconds from node to node and back
    #[arg(long, value_name = "MS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub delay: u32,
    /// Packets lost, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = amount)]
    pub loss: f64,
    /// Peers that lie, stall, boast, trickle, break off or are busy, in turn
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub liars: u32,
    /// Peers that come and go, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub churn: u8,
    /// Peers that hold everything, in percent; the others hold parts
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub complete: u8,
    /// The same number gives the same run
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Fail if it takes longer than so many times the shortest possible
    #[arg(long, value_name = "RATIO", value_parser = amount)]
    pub within: Option<f64>,
    /// Fail if the peers send more copies than this
    #[arg(long, value_name = "COPIES", value_parser = amount)]
    pub copies: Option<f64>,
    /// Fail if a decision takes longer than so many microseconds in the mean
    #[arg(long, value_name = "US")]
    pub decision: Option<u64>,
}

/// Arguments of `testnet sweep`.
#[derive(Clone, Debug, Args)]
pub struct SweepArgs {
    /// The folder
    pub folder: PathBuf,
}

fn bytes(text: &str) -> Result<u64, String> {
    match parse_bytes(text) {
        Ok(0) => Err("a link carries something".to_owned()),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

/// A number that is neither negative, nor huge, nor none.
fn amount(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| (0.0..=1000.0).contains(number))
        .ok_or_else(|| "a number from 0 to 1000 is needed".to_owned())
}
