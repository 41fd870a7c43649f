//! A peer of the test's own process.

use std::sync::Arc;

use anyhow::{Context, Result};
use opendag_node::net::Net;

use super::{
    ground::{Ground, config},
    serve::{self, Conduct, Counts, Library},
};

/// A peer that serves a library as its conduct says, until it is dropped.
pub struct Peer {
    _ground: Ground,
    address: String,
    peer: String,
    counts: Arc<Counts>,
}

impl Peer {
    /// Listens on 127.0.0.1 with a key that follows from `seed`.
    pub fn start(network: &str, seed: u8, library: Library, conduct: Conduct) -> Result<Self> {
        let ground = Ground::new(1)?;
        let counts = Arc::new(Counts::default());
        let config = config(network, [seed; 32])?;
        let (net, inbound) = ground.block_on(Net::start(config))?;
        let addresses = ground.block_on(net.listen_addrs());
        let address = addresses
            .first()
            .context("a peer that listens has an address")?
            .to_string();
        let peer = net.peer_id().to_string();
        ground.spawn(serve::run(
            net,
            inbound,
            Arc::new(library),
            conduct,
            Arc::clone(&counts),
        ));
        Ok(Self {
            _ground: ground,
            address,
            peer,
            counts,
        })
    }

    /// Its address, with `/p2p/…`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its id.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// What it was asked and what it did.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}
