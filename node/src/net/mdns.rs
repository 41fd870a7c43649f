//! Peers on the local network.

use std::net::IpAddr;

use libp2p::{
    Multiaddr, PeerId, mdns,
    swarm::dial_opts::{DialOpts, PeerCondition},
};

use super::{
    NetConfig, NetEvent,
    addresses::{Scope, ip_of},
    limits::LAN_PEERS_MAX,
    task::Task,
};

/// `None` where it is off, on loopback, or where the system does not allow it: a node works without.
pub(super) fn build(
    config: &NetConfig,
    scope: Scope,
    local: PeerId,
) -> Option<mdns::tokio::Behaviour> {
    if !config.mdns || scope == Scope::Loopback {
        return None;
    }
    match mdns::tokio::Behaviour::new(mdns::Config::default(), local) {
        Ok(behaviour) => Some(behaviour),
        Err(error) => {
            tracing::warn!(%error, "peers on the local network will not be found: mDNS failed");
            None
        }
    }
}

/// Is it an address of a local network? Whoever answers on the LAN may name others too, and a name
/// on the LAN is no reason to dial this machine itself.
fn is_local(addr: &Multiaddr) -> bool {
    match ip_of(addr) {
        Some(IpAddr::V4(ip)) => ip.is_private() || ip.is_link_local(),
        Some(IpAddr::V6(ip)) => ip.is_unique_local() || ip.is_unicast_link_local(),
        None => false,
    }
}

impl Task {
    pub(super) fn on_mdns(&mut self, event: mdns::Event) {
        match event {
            mdns::Event::Discovered(found) => {
                for (peer, addr) in found {
                    self.on_lan_peer(peer, &addr);
                }
            }
            mdns::Event::Expired(gone) => {
                for (peer, _) in gone {
                    self.lan.remove(&peer);
                }
            }
        }
    }

    fn on_lan_peer(&mut self, peer: PeerId, addr: &Multiaddr) {
        if peer == *self.swarm.local_peer_id() || !is_local(addr) {
            return;
        }
        if self.lan.len() >= LAN_PEERS_MAX && !self.lan.contains(&peer) {
            return;
        }
        self.policy.trust(addr);
        self.book.add(peer, addr);
        if self.lan.insert(peer) {
            self.emit(NetEvent::LanPeer { peer });
        }
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(self.book.get(&peer, &self.policy))
            .build();
        if let Err(error) = self.swarm.dial(opts) {
            tracing::debug!(%peer, %error, "did not dial a peer on the local network");
        }
    }
}
