//! Local OpenDAG networks for development and demonstration: of real processes, and simulated ones
//! ([`simulate`]) that run the real scheduler of fetches in virtual time.
//!
//! Of the real ones, every node is a daemon of the given executable, on 127.0.0.1, with a data directory of its own
//! and a random network name, so that a testnet never meets another network. Daemons end with the
//! process that started them, whatever ends it: they watch their standard input.

mod command;
mod compare;
mod daemon;
mod demo;
mod network;
mod sim;
mod source;
mod state;
mod sweep;

pub use anyhow::Error;
pub use compare::{Comparison, compare};
pub use daemon::{Daemon, NodeInfo, NodeSpec};
pub use demo::{DemoOptions, DemoReport, Killed, Share, demo};
pub use network::{Keep, Testnet, UpOptions, join};
pub use sim::{Bound, Decision, SIM_NODES_MAX, SIM_PIECES_MAX, SimOptions, SimReport, simulate};
pub use source::{Source, default_source};
pub use state::{State, is_running};
pub use sweep::remove;
