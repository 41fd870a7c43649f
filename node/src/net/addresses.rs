//! Which addresses may be dialled, and which are remembered of whom.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use libp2p::{
    Multiaddr, PeerId,
    core::transport::{DialOpts, PortUse},
    multiaddr::Protocol,
};

use super::{
    counters::{Counters, count},
    limits::{ADDRESS_BOOK_MAX, ADDRESS_BYTES_MAX, ADDRESSES_PER_PEER_MAX, TRUSTED_MAX},
    transport::Kind,
};

/// How far a node may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All listeners are on loopback: nothing leaves this machine.
    Loopback,
    /// Public addresses, and others only if the user or the LAN named them.
    Open,
}

impl Scope {
    /// The scope of a node that listens there.
    pub(super) fn of(listen: &[Multiaddr]) -> Self {
        let loopback = |addr: &Multiaddr| ip_of(addr).is_some_and(|ip| ip.is_loopback());
        if !listen.is_empty() && listen.iter().all(loopback) {
            Self::Loopback
        } else {
            Self::Open
        }
    }
}

/// Decides which addresses may be dialled. The transport asks it for each dial, whoever caused it.
///
/// A stranger who could make us dial any address could use us to probe the network that we sit in;
/// so private, link-local and loopback ranges need somebody who vouches for them.
#[derive(Debug)]
pub(super) struct Policy {
    scope: Scope,
    trusted: Mutex<Trusted>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Trusted {
    known: HashSet<Multiaddr>,
    order: VecDeque<Multiaddr>,
}

impl Policy {
    pub(super) fn new(scope: Scope, counters: Arc<Counters>) -> Self {
        Self {
            scope,
            trusted: Mutex::default(),
            counters,
        }
    }

    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    /// Notes that the user or the local network named this address. The oldest are forgotten.
    pub(super) fn trust(&self, addr: &Multiaddr) {
        let addr = without_peer(addr);
        let mut trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        if !trusted.known.insert(addr.clone()) {
            return;
        }
        trusted.order.push_back(addr);
        if trusted.order.len() > TRUSTED_MAX
            && let Some(oldest) = trusted.order.pop_front()
        {
            trusted.known.remove(&oldest);
        }
    }

    /// May this node dial `addr`? Names are resolved before, never here.
    pub(super) fn may_dial(&self, addr: &Multiaddr) -> bool {
        let allowed = self.allows(addr);
        if !allowed {
            count(&self.counters.dials_refused);
        }
        allowed
    }

    /// Like [`Self::may_dial`], without counting.
    pub(super) fn allows(&self, addr: &Multiaddr) -> bool {
        let Some(ip) = ip_of(addr) else { return false };
        if Kind::of(addr) == Kind::Other || addr.len() > ADDRESS_BYTES_MAX {
            return false;
        }
        match self.scope {
            Scope::Loopback => ip.is_loopback(),
            Scope::Open => is_public(ip) || self.is_trusted(addr),
        }
    }

    fn is_trusted(&self, addr: &Multiaddr) -> bool {
        let trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        trusted.known.contains(&without_peer(addr))
    }

    /// Two nodes that dial each other at one time from their listening ports get one connection that
    /// both think they opened, and no handshake. On a LAN that happens each time they find each other,
    /// on loopback many nodes share one IP besides; and no NAT there needs the ports to be the same.
    pub(super) fn dial_opts(&self, addr: &Multiaddr, opts: DialOpts) -> DialOpts {
        let public = self.scope == Scope::Open && ip_of(addr).is_some_and(is_public);
        if public {
            return opts;
        }
        DialOpts {
            port_use: PortUse::New,
            ..opts
        }
    }
}

/// The IP address that a multiaddr begins with.
pub(super) fn ip_of(addr: &Multiaddr) -> Option<IpAddr> {
    match addr.iter().next()? {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)),
        _ => None,
    }
}

/// `addr` without a `/p2p/<peer>` at its end.
pub(super) fn without_peer(addr: &Multiaddr) -> Multiaddr {
    let mut addr = addr.clone();
    if matches!(addr.iter().last(), Some(Protocol::P2p(_))) {
        addr.pop();
    }
    addr
}

/// May others be told that we can be reached at a listening address of ours? On loopback all others
/// are on this machine too.
pub(super) fn is_reachable(addr: &Multiaddr, scope: Scope) -> bool {
    ip_of(addr).is_some_and(|ip| match scope {
        Scope::Loopback => ip.is_loopback(),
        Scope::Open => is_public(ip),
    })
}

/// Which addresses of a connected peer others may be told: those that were dialled, and those where it
/// says that it `listens` if it was `seen` at the same host. Never one that others could not dial, and
/// never one of a host that the peer only names: that may be anybody's.
pub(super) fn to_tell<'a>(
    dialled: impl Iterator<Item = &'a Multiaddr>,
    listens: &'a [Multiaddr],
    seen: &[&Multiaddr],
    scope: Scope,
) -> Vec<Multiaddr> {
    let host = |addr: &Multiaddr| match (ip_of(addr), scope) {
        // On loopback there is one host.
        (Some(ip), Scope::Loopback) if ip.is_loopback() => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        (ip, Scope::Loopback | Scope::Open) => ip,
    };
    let hosts: HashSet<_> = seen.iter().filter_map(|addr| host(addr)).collect();
    let at_home = |addr: &&Multiaddr| host(addr).is_some_and(|host| hosts.contains(&host));
    let mut told: Vec<Multiaddr> = Vec::new();
    for addr in dialled.chain(listens.iter().filter(at_home)) {
        let addr = without_peer(addr);
        let fits = addr.len() <= ADDRESS_BYTES_MAX && Kind::of(&addr) != Kind::Other;
        if fits && is_reachable(&addr, scope) && !told.contains(&addr) {
            told.push(addr);
        }
    }
    told.sort_by_key(Kind::of);
    told
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol_assignments = a == 192 && b == 0 && c == 0;
    let benchmarking = a == 198 && (b & 0xfe) == 18;
    let this_network = a == 0;
    let reserved = a >= 240;
    !(ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || shared
        || protocol_assignments
        || benchmarking
        || this_network
        || reserved)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    // Only 2000::/3 is assigned; in it, documentation (2001:db8::/32, 3fff::/20) is not, and 6to4
    // and Teredo carry IPv4 addresses that this check does not see.
    let global_unicast = first & 0xe000 == 0x2000;
    let documentation =
        (first == 0x2001 && second == 0x0db8) || (first == 0x3fff && second < 0x1000);
    let tunnel = first == 0x2002 || (first == 0x2001 && second == 0);
    global_unicast && !documentation && !tunnel
}

/// Addresses of peers that are not connected, learned from identify, the DHT, the LAN and callers.
///
/// Bounded in peers and in addresses of each; the peer that was heard of first is forgotten first.
#[derive(Debug, Default)]
pub(super) struct AddressBook {
    peers: HashMap<PeerId, Vec<Multiaddr>>,
    order: VecDeque<PeerId>,
}

impl AddressBook {
    /// Remembers where `peer` may be; the newest address comes first.
    pub(super) fn add(&mut self, peer: PeerId, addr: &Multiaddr) {
        let addr = without_peer(addr);
        if addr.len() > ADDRESS_BYTES_MAX || Kind::of(&addr) == Kind::Other {
            return;
        }
        if !self.peers.contains_key(&peer) {
            self.order.push_back(peer);
            if self.order.len() > ADDRESS_BOOK_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.peers.remove(&oldest);
            }
        }
        let known = self.peers.entry(peer).or_default();
        known.retain(|other| *other != addr);
        known.insert(0, addr);
        known.truncate(ADDRESSES_PER_PEER_MAX);
    }

    /// How many peers it knows.
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Where `peer` may be: TCP first, as far as the policy allows.
    pub(super) fn get(&self, peer: &PeerId, policy: &Policy) -> Vec<Multiaddr> {
        let known = self.peers.get(peer).map_or(&[][..], Vec::as_slice);
        let mut addrs: Vec<_> = known
            .iter()
            .filter(|addr| policy.allows(addr))
            .cloned()
            .collect();
        addrs.sort_by_key(Kind::of);
        addrs
    }

    /// All addresses known of `peer`, wherever they are: to tell others, not to dial.
    pub(super) fn all(&self, peer: &PeerId) -> &[Multiaddr] {
        self.peers.get(peer).map_or(&[], Vec::as_slice)
    }

    /// Forgets an address that did not lead to the peer.
    pub(super) fn remove(&mut self, peer: &PeerId, addr: &Multiaddr) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.retain(|other| other != addr);
        }
    }
}
