//! What a node counts, and how it tells Prometheus.
//!
//! Things that happen are counted where they happen, by an atomic addition; what there is at a moment is
//! looked at when somebody asks. The page is made for each answer. No label names a peer, a dataset or a
//! path: strangers must not make series. Source: `specs/api.md`, section *Metrics*.

mod count;
mod gateway;
mod page;
mod process;
mod store;
mod swarm;
mod transfer;

use std::{future::Future, sync::Arc};

use self::page::Page;
pub(crate) use self::{
    gateway::{Gateway, Listener, ReadFrom, measure},
    transfer::{Answer, Tally, Transfer},
};
use crate::node::{Node, Shared};

/// What a node has counted since its start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Of bytes between peers.
    pub(crate) transfer: Arc<Transfer>,
    /// Of the gateway and its readers.
    pub(crate) gateway: Gateway,
}

/// Whoever can tell its figures.
pub trait Measure: Clone + Send + Sync + 'static {
    /// All figures in the text format of OpenMetrics 1.0. Dropping the future is safe.
    fn metrics(&self) -> impl Future<Output = String> + Send;
}

impl Measure for Node {
    async fn metrics(&self) -> String {
        scrape(&self.shared).await
    }
}

async fn scrape(shared: &Arc<Shared>) -> String {
    let mut page = Page::default();
    page.version(env!("CARGO_PKG_VERSION"));
    transfer::tell(&mut page.group("opendag_transfer"), shared);
    store::tell(&mut page, shared).await;
    swarm::tell(&mut page, shared).await;
    gateway::tell(&mut page.group("opendag_gateway"), shared);
    process::tell(&mut page.group("process"));
    page.text()
}

#[cfg(test)]
mod tests;
