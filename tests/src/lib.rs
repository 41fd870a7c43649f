//! What OpenDAG's end-to-end tests share: real processes of the built binary, generated data,
//! measurements, and peers that lie.
//!
//! Everything runs on 127.0.0.1 with ports that the kernel chooses, in a temporary folder and a
//! network name of its own. Every wait has a deadline, and no process outlives its owner.

#![allow(
    clippy::indexing_slicing,
    reason = "test code: an index out of range fails the test, and JSON values answer with null"
)]

pub mod catalogue;
pub mod disk;
pub mod hostile;
pub mod http;
pub mod link;
pub mod measure;
pub mod netns;
pub mod process;
pub mod python;
pub mod tree;
pub mod world;

pub use process::{Finished, Running, Signal};
pub use tree::Tree;
pub use world::{Daemon, Node, World};

/// Bytes in a mebibyte.
pub const MIB: u64 = 1024 * 1024;

/// Tells on the test runner's own output that something was not tested and why.
///
/// Written past the runner's capture, so that it shows when the test passes too.
pub fn skipped(test: &str, reason: &str) {
    use std::io::Write;
    // Nothing is left to do when even the standard error is closed.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}
