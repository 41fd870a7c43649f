//! Peers that lie, beside honest ones.
//!
//! An [`Author`] makes datasets by hand, rules of the format included or broken; a [`Peer`] serves
//! them over real libp2p streams the way its [`Conduct`] says. [`Conduct::Honest`] makes it a small
//! second implementation of the serving side, written against `specs/` alone.

mod author;
mod bare;
mod crowd;
mod curious;
mod forgery;
mod greedy;
mod ground;
mod hungry;
mod peer;
mod serve;
mod teller;

pub use author::{Author, Files, Version};
pub use bare::{Bare, Part, keypair, peer_of};
pub use crowd::Crowd;
pub use curious::Curious;
pub use forgery::{Forgery, absurdities, forgeries};
pub use greedy::Greedy;
pub use hungry::{Meal, compete};
pub use peer::Peer;
pub use serve::{Conduct, Counts, Library};
pub use teller::{Teller, Telling};

#[cfg(test)]
mod tests;
