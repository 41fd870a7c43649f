//! A peer of the test's own process.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use opendag_node::net::{Net, NetConfig};
use tokio::runtime::Runtime;

use super::serve::{self, Conduct, Counts, Library};

/// A peer that serves a library as its conduct says, until it is dropped.
pub struct Peer {
    runtime: Option<Runtime>,
    address: String,
    peer: String,
    counts: Arc<Counts>,
}

impl Peer {
    /// Listens on 127.0.0.1 with a key that follows from `seed`.
    pub fn start(network: &str, seed: u8, library: Library, conduct: Conduct) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let counts = Arc::new(Counts::default());
        let config = NetConfig {
            keypair_seed: [seed; 32],
            network: network.to_owned(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
            bootstrap: Vec::new(),
            dht: false,
            dht_server: false,
            mdns: false,
            validate_head: Arc::new(|_, _| None),
        };
        let (net, inbound) = runtime.block_on(Net::start(config))?;
        let addresses = runtime.block_on(net.listen_addrs());
        let address = addresses
            .first()
            .context("a peer that listens has an address")?
            .to_string();
        let peer = net.peer_id().to_string();
        runtime.spawn(serve::run(
            net,
            inbound,
            Arc::new(library),
            conduct,
            Arc::clone(&counts),
        ));
        Ok(Self {
            runtime: Some(runtime),
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

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}
