//! Peers to stay connected to, and the names of hosts.

use std::{net::IpAddr, time::Duration};

use libp2p::{
    Multiaddr, PeerId,
    multiaddr::Protocol,
    swarm::dial_opts::{DialOpts, PeerCondition},
};
use tokio::time::Instant;

use super::{
    addresses::{Scope, without_peer},
    dial::peer_in,
    limits::{ADDRESSES_PER_PEER_MAX, BOOTSTRAP_PAUSE_MAX, BOOTSTRAP_PAUSE_MIN, RESOLVE_TIMEOUT},
    task::Task,
};

/// A peer to stay connected to.
#[derive(Debug)]
pub(super) struct Bootstrap {
    /// As configured, without the peer.
    addr: Multiaddr,
    /// Who must be there, if the configuration says so.
    named: Option<PeerId>,
    /// Who is there, once known.
    peer: Option<PeerId>,
    /// Where the host's name led to the last time; an address without a name is its own.
    resolved: Vec<Multiaddr>,
    next_try: Instant,
    /// Time until the try after the next: doubles while nobody is there.
    pause: Duration,
}

impl Bootstrap {
    pub(super) fn new(addr: &Multiaddr) -> Self {
        let named = peer_in(addr);
        let addr = without_peer(addr);
        let is_host = |part| {
            matches!(
                part,
                Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)
            )
        };
        let resolved = match addr.iter().any(is_host) {
            true => Vec::new(),
            false => vec![addr.clone()],
        };
        Self {
            addr,
            named,
            peer: named,
            resolved,
            next_try: Instant::now(),
            pause: BOOTSTRAP_PAUSE_MIN,
        }
    }
}

/// Where the host of the bootstrap peer at `index` is.
pub(super) type Resolved = (usize, Vec<Multiaddr>);

impl Task {
    /// Dials bootstrap peers that are away, their names first resolved by tasks of their own.
    pub(super) fn dial_bootstrap(&mut self, now: Instant) {
        let scope = self.policy.scope();
        for (index, bootstrap) in self.bootstrap.iter_mut().enumerate() {
            let there = bootstrap
                .peer
                .is_some_and(|peer| self.peers.contains_key(&peer));
            if !there && bootstrap.next_try <= now {
                bootstrap.next_try = now + bootstrap.pause;
                bootstrap.pause = BOOTSTRAP_PAUSE_MAX.min(bootstrap.pause * 2);
                let addr = bootstrap.addr.clone();
                self.lookups
                    .spawn(async move { (index, resolve(&addr, scope).await) });
            }
        }
    }

    pub(super) fn on_resolved(&mut self, (index, addrs): Resolved) {
        let Some(bootstrap) = self.bootstrap.get_mut(index) else {
            return;
        };
        bootstrap.resolved.clone_from(&addrs);
        let peer = bootstrap.peer;
        // All addresses of a peer are dialled together, or the first dial alone says over what it is reached.
        let addrs: Vec<Multiaddr> = match peer {
            Some(_) => self
                .bootstrap
                .iter()
                .filter(|known| known.peer == peer)
                .flat_map(|known| known.resolved.clone())
                .collect(),
            None => addrs,
        };
        for addr in &addrs {
            self.policy.trust(addr);
        }
        let dials = match peer {
            Some(peer) => vec![
                DialOpts::peer_id(peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(addrs)
                    .build(),
            ],
            None => addrs.into_iter().map(DialOpts::from).collect(),
        };
        for opts in dials {
            if let Err(error) = self.swarm.dial(opts) {
                tracing::debug!(%error, "cannot dial a bootstrap peer");
            }
        }
    }

    /// Notes who is at the address of a bootstrap peer.
    pub(super) fn on_bootstrap_connected(&mut self, peer: PeerId, addr: &Multiaddr) {
        for bootstrap in &mut self.bootstrap {
            if bootstrap.named.is_none() && bootstrap.resolved.contains(addr) {
                bootstrap.peer = Some(peer);
            }
            if bootstrap.peer == Some(peer) {
                bootstrap.pause = BOOTSTRAP_PAUSE_MIN;
            }
        }
    }

    /// Forgets who was at an address: somebody else may be there now.
    pub(super) fn on_bootstrap_failed(&mut self, peer: PeerId) {
        for bootstrap in &mut self.bootstrap {
            if bootstrap.peer == Some(peer) {
                bootstrap.peer = bootstrap.named;
            }
        }
    }
}

/// The addresses behind a host's name, as the system resolves it; an address without a name as it
/// is. A loopback node asks nobody, so it knows `localhost` only. Safe to drop.
pub(super) async fn resolve(addr: &Multiaddr, scope: Scope) -> Vec<Multiaddr> {
    let (name, want_v4, want_v6) = match addr.iter().next() {
        Some(Protocol::Dns(name)) => (name.into_owned(), true, true),
        Some(Protocol::Dns4(name)) => (name.into_owned(), true, false),
        Some(Protocol::Dns6(name)) => (name.into_owned(), false, true),
        Some(_) => return vec![addr.clone()],
        None => return Vec::new(),
    };
    if scope == Scope::Loopback && name != "localhost" {
        return Vec::new();
    }
    let lookup = tokio::net::lookup_host((name.as_str(), 0));
    let Ok(Ok(found)) = tokio::time::timeout(RESOLVE_TIMEOUT, lookup).await else {
        return Vec::new();
    };
    let wanted = found.map(|socket| socket.ip());
    let wanted = wanted.filter(|ip| if ip.is_ipv4() { want_v4 } else { want_v6 });
    let with_tail = |ip: IpAddr| {
        let tail = addr.iter().skip(1);
        std::iter::once(Protocol::from(ip)).chain(tail).collect()
    };
    wanted.map(with_tail).take(ADDRESSES_PER_PEER_MAX).collect()
}
