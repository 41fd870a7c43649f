//! Peers that lie, beside honest ones.
//!
//! An [`Author`] makes datasets by hand, rules of the format included or broken; a [`Peer`] serves
//! them over real libp2p streams the way its [`Conduct`] says. [`Conduct::Honest`] makes it a small
//! second implementation of the serving side, written against `specs/` alone.

mod author;
mod greedy;
mod hungry;
mod peer;
mod serve;

pub use author::{Author, Files, Version};
pub use greedy::Greedy;
pub use hungry::{Meal, compete};
pub use peer::Peer;
pub use serve::{Conduct, Counts, Library};

#[cfg(test)]
mod tests;
