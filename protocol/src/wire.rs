//! Messages of the stream protocols, with their limits in their types.
//!
//! Source: `specs/protocols.md`.

mod bounded;
mod groups;

pub use bounded::{BoundedBytes, BoundedVec, TooMany};
pub use groups::{GroupRange, GroupRanges, groups_in};
