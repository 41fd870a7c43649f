//! Figures of the network: connections, peers, the DHT, gossip.

use super::page::Page;
use crate::{
    net::{Census, NetCounters},
    node::Shared,
};

/// A node that is not on the network has zeros.
pub(super) async fn tell(page: &mut Page, shared: &Shared) {
    let (census, counters) = match shared.running_net() {
        Some(net) => (net.census().await, net.counters()),
        None => (Census::default(), NetCounters::default()),
    };
    tell_swarm(page, &census, &counters);
    tell_dht(page, &census, &counters);
    tell_gossip(page, &counters);
}

fn tell_swarm(page: &mut Page, census: &Census, counters: &NetCounters) {
    let mut group = page.group("opendag_swarm");
    let open = census.connections;
    let labels = |transport, direction| [("transport", transport), ("direction", direction)];
    group.gauges(
        ("open", "connections", "Open connections"),
        [
            (labels("tcp", "out"), open.tcp_out),
            (labels("tcp", "in"), open.tcp_in),
            (labels("quic", "out"), open.quic_out),
            (labels("quic", "in"), open.quic_in),
        ],
    );
    group.gauge(
        (
            "connected",
            "peers",
            "Peers of this network with a connection",
        ),
        census.peers,
    );
    group.gauge(
        ("known", "peers", "Peers whose addresses are known"),
        census.known_peers,
    );
    group.counters(
        (
            "refused",
            "connections",
            "Connections that were refused or closed",
        ),
        [
            ([("reason", "limit_or_ban")], counters.connections_refused),
            ([("reason", "other_network")], counters.other_network),
        ],
    );
    group.counters(
        ("refused", "streams", "Streams of peers that were refused"),
        [
            (
                [("reason", "connection")],
                counters.streams_refused_connection,
            ),
            ([("reason", "queue")], counters.streams_refused_queue),
        ],
    );
    group.counter(
        (
            "refused",
            "dials",
            "Addresses that were not dialled because of where they are",
        ),
        counters.dials_refused,
    );
    group.counter(
        (
            "dropped",
            "events",
            "Events of the network that the node had no time for",
        ),
        counters.events_dropped,
    );
}

fn tell_dht(page: &mut Page, census: &Census, counters: &NetCounters) {
    let mut group = page.group("opendag_dht");
    group.counters(
        ("sent", "queries", "Questions and announcements to the DHT"),
        [
            ([("kind", "find_providers")], counters.dht_provider_queries),
            ([("kind", "find_heads")], counters.dht_head_queries),
            ([("kind", "provide")], counters.dht_announcements),
            ([("kind", "put_head")], counters.dht_head_puts),
        ],
    );
    group.gauge(
        (
            "running",
            "queries",
            "Questions to the DHT that are under way",
        ),
        census.queries,
    );
    group.gauge(
        ("routing", "peers", "Nodes in the routing table of the DHT"),
        census.routing_peers,
    );
    group.gauges(
        (
            "provider",
            "records",
            "Provider records: this node's own, and those of others that it keeps",
        ),
        [
            ([("owner", "self")], census.own_providers),
            ([("owner", "others")], census.other_providers),
        ],
    );
    group.gauge(
        ("stored", "heads", "Heads that are kept for the DHT"),
        census.heads,
    );
    group.counter(
        (
            "refused",
            "records",
            "Heads and provider records that were not kept for the DHT",
        ),
        counters.kad_refused,
    );
}

fn tell_gossip(page: &mut Page, counters: &NetCounters) {
    let mut group = page.group("opendag_gossip");
    let messages = [
        (
            "received",
            "Gossip messages from peers",
            counters.gossip_received,
        ),
        (
            "accepted",
            "Gossip messages that were good",
            counters.gossip_accepted,
        ),
        (
            "ignored",
            "Gossip messages that were of no use, those not looked at included",
            counters.gossip_ignored,
        ),
        (
            "rejected",
            "Gossip messages that were forged or malformed",
            counters.gossip_rejected,
        ),
        (
            "forwarded",
            "Gossip messages that were passed on to other peers",
            counters.gossip_forwarded,
        ),
        (
            "published",
            "Own gossip messages that reached a peer",
            counters.gossip_published,
        ),
        (
            "dropped",
            "Gossip messages that were not looked at: too many of one peer, or in all",
            counters.gossip_dropped,
        ),
    ];
    for (name, help, number) in messages {
        group.counter((name, "messages", help), number);
    }
}
