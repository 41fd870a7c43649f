//! All protocols of a node, and the swarm that runs them.

use std::{num::NonZeroU8, sync::Arc};

use libp2p::{
    Swarm,
    connection_limits::{self, ConnectionLimits},
    core::upgrade::Version,
    identify,
    identity::Keypair,
    mdns, memory_connection_limits, ping,
    swarm::{self, NetworkBehaviour, behaviour::toggle::Toggle},
};

use super::{
    NetConfig, NetError,
    addresses::{Policy, Scope},
    counters::Counters,
    gossip, guard,
    identify::protocol_version,
    kad,
    limits::{
        ADDRESSES_PER_PEER_MAX, CONNECTIONS_IN_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_PEER_MAX,
        IDLE_TIMEOUT, MEMORY_MAX, PENDING_IN_MAX, PENDING_OUT_MAX, STREAMS_NEGOTIATING_MAX,
    },
    mdns as lan, streams, transport,
};

/// Peers whose identify answers libp2p keeps for its own use; we keep addresses ourselves.
const IDENTIFY_CACHE: usize = 0;

/// Everything that runs on a connection. The limits come first: what they refuse costs nothing else.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) guard: guard::Behaviour,
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) streams: streams::Behaviour,
    pub(super) kad: Toggle<kad::Behaviour>,
    pub(super) gossip: gossip::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
}

impl Behaviour {
    /// Does it look for peers on the local network?
    pub(super) fn looks_on_lan(&self) -> bool {
        self.mdns.is_enabled()
    }
}

fn connection_limits() -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_established(Some(CONNECTIONS_MAX))
        .with_max_established_incoming(Some(CONNECTIONS_IN_MAX))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
        .with_max_pending_incoming(Some(PENDING_IN_MAX))
        .with_max_pending_outgoing(Some(PENDING_OUT_MAX))
}

/// Builds the swarm of a node; nothing is sent yet.
pub(super) fn build(
    config: &NetConfig,
    key: &Keypair,
    policy: Arc<Policy>,
    streams: streams::Behaviour,
    counters: Arc<Counters>,
) -> Result<Swarm<Behaviour>, NetError> {
    let (local, scope) = (key.public().to_peer_id(), Scope::of(&config.listen));
    let transport = transport::build(key, &config.network, policy)?;
    let identify = identify::Config::new(protocol_version(&config.network), key.public())
        .with_agent_version(concat!("opendag/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_push_listen_addr_updates(true)
        .with_cache_size(IDENTIFY_CACHE);
    let behaviour = Behaviour {
        guard: guard::Behaviour::new(Arc::clone(&counters)),
        limits: connection_limits::Behaviour::new(connection_limits()),
        memory: memory_connection_limits::Behaviour::with_max_bytes(MEMORY_MAX),
        ping: ping::Behaviour::new(ping::Config::new()),
        identify: identify::Behaviour::new(identify),
        streams,
        kad: Toggle::from(kad::build(config, local)),
        gossip: gossip::build(&config.network, scope, counters)?,
        mdns: Toggle::from(lan::build(config, scope, local)),
    };
    // All addresses of a peer are tried at once; the transport lets TCP go first.
    let concurrency = u8::try_from(ADDRESSES_PER_PEER_MAX)
        .ok()
        .and_then(NonZeroU8::new);
    let config = swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_TIMEOUT)
        // A request leaves together with the name of its protocol: a round trip less for each.
        .with_substream_upgrade_protocol_override(Version::V1Lazy)
        .with_max_negotiating_inbound_streams(STREAMS_NEGOTIATING_MAX)
        .with_dial_concurrency_factor(concurrency.unwrap_or(NonZeroU8::MIN));
    Ok(Swarm::new(
        transport,
        behaviour,
        key.public().to_peer_id(),
        config,
    ))
}
