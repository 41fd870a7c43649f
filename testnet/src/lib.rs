//! Local OpenDAG networks of real processes, for development and demonstration.
//!
//! Every node is a daemon of the given executable, on 127.0.0.1, with a data directory of its own
//! and a random network name, so that a testnet never meets another network. Daemons end with the
//! process that started them, whatever ends it: they watch their standard input.

mod command;
mod compare;
mod daemon;
mod demo;
mod network;
mod source;
mod state;
mod sweep;

pub use anyhow::Error;
pub use compare::{Comparison, compare};
pub use daemon::{Daemon, NodeInfo, NodeSpec};
pub use demo::{DemoOptions, DemoReport, Killed, Share, demo};
pub use network::{Keep, Testnet, UpOptions, join};
pub use source::{Source, default_source};
pub use state::{State, is_running};
pub use sweep::remove;
