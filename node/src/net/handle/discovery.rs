//! The part of the handle that is about finding: DHT and gossip.

use std::time::Duration;

use opendag_protocol::{DatasetId, Hash};
use tokio::sync::mpsc;

use super::{Command, DhtCommand, Net, acquire};
use crate::net::{GossipId, PeerAddr, Verdict, limits::PROVIDERS_FOUND_MAX};

impl Net {
    /// Announces in the DHT that this node provides `key` (the hash of a version's or a dataset's
    /// id), now and from then on as long as it runs: again every 12 hours, and when it gets to know
    /// more of the DHT. Nothing happens if the DHT is off.
    pub async fn provide(&self, key: Hash) {
        self.send(Command::Dht(DhtCommand::Provide(key))).await;
    }

    /// Stops announcing `key`. Others forget it within 48 hours.
    pub async fn stop_providing(&self, key: Hash) {
        self.send(Command::Dht(DhtCommand::StopProviding(key)))
            .await;
    }

    /// Looks for providers of `key`: each comes as it is found, without this node. The channel
    /// closes when all have been found, after 30 seconds at most; drop it when you have enough.
    ///
    /// Anybody can claim to be a provider.
    pub async fn find_providers(&self, key: Hash) -> mpsc::Receiver<PeerAddr> {
        let (found, providers) = mpsc::channel(PROVIDERS_FOUND_MAX);
        if let Some(permit) = acquire(&self.0.queries).await {
            self.send(Command::Dht(DhtCommand::Providers { key, found, permit }))
                .await;
        }
        providers
    }

    /// The providers of `key` that are found in time; see [`Net::find_providers`].
    pub async fn providers(&self, key: Hash, timeout: Duration) -> Vec<PeerAddr> {
        let mut all = Vec::new();
        let collect = async {
            let mut found = self.find_providers(key).await;
            while let Some(provider) = found.recv().await {
                all.push(provider);
            }
        };
        // Late is not an error: what was found by then is the answer.
        let _ = tokio::time::timeout(timeout, collect).await;
        all
    }

    /// Puts a signed head into the DHT, now and again as [`Net::provide`] does. It must pass the
    /// validator of the configuration. Nothing happens if the DHT is off.
    pub async fn put_head(&self, dataset: DatasetId, value: Vec<u8>) {
        let key = dataset.hash();
        self.send(Command::Dht(DhtCommand::PutHead { key, value }))
            .await;
    }

    /// The heads of a dataset that the DHT has, validated, distinct, in no order: at most 16, within
    /// 30 seconds.
    pub async fn get_heads(&self, dataset: DatasetId) -> Vec<Vec<u8>> {
        let Some(permit) = acquire(&self.0.queries).await else {
            return Vec::new();
        };
        let key = dataset.hash();
        let heads = self.ask(|reply| Command::Dht(DhtCommand::Heads { key, reply, permit }));
        heads.await.unwrap_or_default()
    }

    /// Gossips an own head: now, or when there is a peer to gossip to. Heads that come back from
    /// others are not shown to this node again.
    pub async fn gossip_head(&self, bytes: Vec<u8>) {
        self.send(Command::Gossip { bytes }).await;
    }

    /// Says what to do with a message of [`NetEvent::Gossip`](crate::net::NetEvent::Gossip).
    pub async fn verdict(&self, id: GossipId, verdict: Verdict) {
        self.send(Command::Verdict { id, verdict }).await;
    }
}
