//! `testnet`: a local network for development.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The commands below `testnet`.
#[derive(Clone, Debug, Subcommand)]
pub enum TestnetCommand {
    /// Start a network of daemons on this machine, until Ctrl-C
    Up(UpArgs),
    /// Start one more daemon in the running network, until Ctrl-C
    Join(JoinArgs),
    /// Publish, mirror, fetch, lose a seed and compare, all by itself
    Demo(DemoArgs),
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

/// Arguments of `testnet sweep`.
#[derive(Clone, Debug, Args)]
pub struct SweepArgs {
    /// The folder
    pub folder: PathBuf,
}
