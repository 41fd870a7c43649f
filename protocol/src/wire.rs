//! Messages of the stream protocols, with their limits in their types.
//!
//! Source: `specs/protocols.md`.

mod groups;

pub use groups::{GroupRange, GroupRanges, groups_in};
