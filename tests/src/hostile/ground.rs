//! What an actor stands on: threads of its own, and a node that looks for nobody.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use opendag_node::net::NetConfig;
use tokio::runtime::{Handle, Runtime};

/// Tasks that still run when the actor is dropped end within this, or are left behind.
const END_TIME_MAX: Duration = Duration::from_secs(1);

/// A runtime whose tasks end when it is dropped, also within another runtime.
pub(super) struct Ground {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Ground {
    pub(super) fn new(threads: usize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.handle.block_on(future)
    }

    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(future);
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(END_TIME_MAX);
        }
    }
}

/// A node on 127.0.0.1 that finds nobody by itself.
pub(super) fn config(network: &str, keypair_seed: [u8; 32]) -> Result<NetConfig> {
    Ok(NetConfig {
        keypair_seed,
        network: network.to_owned(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
        bootstrap: Vec::new(),
        dht: false,
        dht_server: false,
        mdns: false,
        validate_head: Arc::new(|_, _| None),
        denies_key: Arc::new(|_| false),
    })
}
