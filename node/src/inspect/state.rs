//! What goes on on this node, and whom it sees.

use std::collections::BTreeMap;

use super::InspectError;
use crate::{
    net::StreamProtocol,
    node::Shared,
    ops::{Event, MirrorInfo, PeerInfo},
    owners::renew,
};

/// Whom this node sees.
pub(crate) async fn peers(shared: &Shared) -> Event {
    let peers = match shared.running_net() {
        Some(net) => net.peers().await,
        None => Vec::new(),
    };
    let info = |peer: crate::net::PeerInfo| PeerInfo {
        peer: peer.peer.to_string(),
        addresses: peer.addresses.iter().map(ToString::to_string).collect(),
        agent: peer.agent,
        rtt_ms: peer
            .rtt
            .map(|rtt| u64::try_from(rtt.as_millis()).unwrap_or(u64::MAX)),
    };
    Event::Peers {
        peers: peers.into_iter().map(info).collect(),
    }
}

/// What goes on.
pub(crate) async fn status(
    shared: &Shared,
    mirrors: Vec<MirrorInfo>,
) -> Result<Event, InspectError> {
    let mut counters = BTreeMap::new();
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let net = shared.running_net().map(|net| net.counters());
    let blobs = *net.unwrap_or_default().traffic.of(StreamProtocol::Blobs);
    counters.insert("sent_bytes".to_owned(), blobs.sent_bytes);
    counters.insert("received_bytes".to_owned(), blobs.received_bytes);
    let in_use = shared.slots.in_use();
    let answers = in_use.queries.saturating_add(in_use.bulk);
    counters.insert("answers_running".to_owned(), count(answers));
    counters.insert(
        "fetches_running".to_owned(),
        count(shared.sessions.running().len()),
    );
    counters.insert("places".to_owned(), count(shared.store.places()?.len()));
    counters.insert("pins".to_owned(), count(shared.store.pins()?.len()));
    counters.insert(
        "known_datasets".to_owned(),
        count(shared.store.dataset_count()),
    );
    let (bytes, _) = shared.store.catalogue_bytes();
    counters.insert("catalogue_bytes".to_owned(), bytes);
    if let Some(net) = shared.running_net() {
        let told = net.counters();
        counters.insert(
            "dht_announced".to_owned(),
            told.dht_announcements.saturating_add(told.dht_head_puts),
        );
        counters.insert("heads_gossiped".to_owned(), told.gossip_published);
        counters.insert("peers".to_owned(), count(net.peers().await.len()));
    }
    let (follows, failing) = shared.follows.counts();
    counters.insert("follows".to_owned(), count(follows));
    counters.insert("follows_failing".to_owned(), count(failing));
    counters.insert("heads_to_renew".to_owned(), renew::count(shared)?);
    Ok(Event::Status {
        counters,
        running: shared.running.list(),
        mirrors,
    })
}
