//! Which addresses are dialled, and how many are remembered.

use std::sync::Arc;

use crate::net::{
    Multiaddr, PeerId,
    addresses::{AddressBook, Policy, Scope, to_tell},
    counters::Counters,
    limits::{ADDRESSES_PER_PEER_MAX, TRUSTED_MAX},
};

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn policy(scope: Scope) -> Policy {
    Policy::new(scope, Arc::new(Counters::default()))
}

const PUBLIC: [&str; 4] = [
    "/ip4/8.8.8.8/tcp/1",
    "/ip4/8.8.8.8/udp/1/quic-v1",
    "/ip6/2a00:1450::1/tcp/1",
    "/ip4/100.128.0.1/tcp/1",
];

/// Inside, reserved, or another address in disguise.
const INSIDE: [&str; 18] = [
    "/ip4/127.0.0.1/tcp/1",
    "/ip4/10.1.2.3/tcp/1",
    "/ip4/172.16.0.1/tcp/1",
    "/ip4/192.168.1.1/udp/1/quic-v1",
    "/ip4/169.254.169.254/tcp/80",
    "/ip4/100.64.0.1/tcp/1",
    "/ip4/0.0.0.0/tcp/1",
    "/ip4/224.0.0.251/udp/1/quic-v1",
    "/ip4/255.255.255.255/tcp/1",
    "/ip4/240.0.0.1/tcp/1",
    "/ip6/::1/tcp/1",
    "/ip6/::/tcp/1",
    "/ip6/fe80::1/tcp/1",
    "/ip6/fd00::1/tcp/1",
    "/ip6/::ffff:10.0.0.1/tcp/1",
    "/ip6/2002:a00:1::/tcp/1",
    "/ip6/2001:db8::1/tcp/1",
    "/ip6/ff02::1/udp/1/quic-v1",
];

#[test]
fn strangers_cannot_make_us_dial_inside() {
    let open = policy(Scope::Open);
    for text in PUBLIC {
        assert!(open.may_dial(&addr(text)), "{text}");
    }
    for text in INSIDE {
        assert!(!open.may_dial(&addr(text)), "{text}");
        open.trust(&addr(text));
        assert!(open.may_dial(&addr(text)), "{text} is trusted");
    }
    for text in [
        "/dns4/example.org/tcp/1",
        "/ip4/8.8.8.8/udp/53",
        "/ip4/8.8.8.8/tcp/1/ws",
    ] {
        open.trust(&addr(text));
        assert!(!open.may_dial(&addr(text)), "{text} has another form");
    }
}

#[test]
fn a_loopback_node_stays_on_loopback() {
    let loopback = policy(Scope::of(&[
        addr("/ip4/127.0.0.1/tcp/0"),
        addr("/ip6/::1/tcp/0"),
    ]));
    assert!(loopback.may_dial(&addr("/ip4/127.0.0.1/tcp/1")));
    assert!(loopback.may_dial(&addr("/ip6/::1/udp/1/quic-v1")));
    let others = PUBLIC.iter().chain(&INSIDE).map(|text| addr(text));
    for addr in others.filter(|addr| {
        !["127.0.0.1", "::1/"]
            .iter()
            .any(|own| addr.to_string().contains(own))
    }) {
        loopback.trust(&addr);
        assert!(!loopback.may_dial(&addr), "{addr}");
    }
    assert_eq!(Scope::of(&[]), Scope::Open);
    let mixed = [addr("/ip4/127.0.0.1/tcp/0"), addr("/ip4/0.0.0.0/tcp/0")];
    assert_eq!(Scope::of(&mixed), Scope::Open);
}

#[test]
fn trust_and_memory_are_bounded() {
    let open = policy(Scope::Open);
    let inside = |i: usize| addr(&format!("/ip4/10.{}.{}.1/tcp/1", i / 256, i % 256));
    for i in 0..=TRUSTED_MAX {
        open.trust(&inside(i));
    }
    assert!(!open.may_dial(&inside(0)), "the oldest is forgotten");
    assert!(open.may_dial(&inside(TRUSTED_MAX)));

    let (mut book, peer) = (AddressBook::default(), PeerId::random());
    for port in 1..1000 {
        book.add(peer, &addr(&format!("/ip4/8.8.8.8/tcp/{port}")));
    }
    book.add(peer, &addr("/ip4/8.8.4.4/udp/1/quic-v1"));
    book.add(peer, &addr("/ip4/10.0.0.1/tcp/1"));
    let known = book.get(&peer, &policy(Scope::Open));
    assert_eq!(book.all(&peer).len(), ADDRESSES_PER_PEER_MAX);
    assert_eq!(known.len(), ADDRESSES_PER_PEER_MAX - 1, "one is inside");
    assert_eq!(
        known.last(),
        Some(&addr("/ip4/8.8.4.4/udp/1/quic-v1")),
        "TCP comes first"
    );
}

/// What others are told of a peer that was seen at `seen`, dialled at `dialled` and says that it listens
/// at `listens`.
fn told(scope: Scope, dialled: &[&str], seen: &[&str], listens: &[&str]) -> Vec<Multiaddr> {
    let parse = |texts: &[&str]| texts.iter().map(|text| addr(text)).collect::<Vec<_>>();
    let (dialled, seen, listens) = (parse(dialled), parse(seen), parse(listens));
    let seen: Vec<_> = seen.iter().chain(&dialled).collect();
    to_tell(dialled.iter(), &listens, &seen, scope)
}

#[test]
fn p6_s14_others_are_told_only_where_a_peer_was_seen() {
    let listens: Vec<_> = PUBLIC.iter().chain(&INSIDE).copied().collect();
    // A port that the peer called from is no address, and a host that it only names may be a victim.
    let seen = ["/ip4/8.8.8.8/tcp/50000"];
    assert_eq!(
        told(Scope::Open, &[], &seen, &listens),
        [addr(PUBLIC[0]), addr(PUBLIC[1])]
    );
    assert!(told(Scope::Open, &[], &seen, &PUBLIC[2..]).is_empty());
    // Private ones never, wherever it was seen and whoever dialled it.
    assert!(told(Scope::Open, &INSIDE, &INSIDE, &INSIDE).is_empty());
    // What was dialled leads to it, and is told once.
    assert_eq!(
        told(Scope::Open, &PUBLIC[..1], &[], &PUBLIC[..1]),
        [addr(PUBLIC[0])]
    );
    let long = format!("{}/p2p/{}", PUBLIC[0], PeerId::random());
    assert_eq!(told(Scope::Open, &[&long], &[], &[]), [addr(PUBLIC[0])]);
    assert!(told(Scope::Open, &["/ip4/8.8.8.8/tcp/1/ws"], &[], &[]).is_empty());
}

#[test]
fn on_loopback_others_are_told_loopback_only() {
    let seen = ["/ip4/127.0.0.1/tcp/50000"];
    let listens = [PUBLIC[0], "/ip4/127.0.0.2/tcp/1", "/ip4/10.1.2.3/tcp/1"];
    assert_eq!(
        told(Scope::Loopback, &[], &seen, &listens),
        [addr(listens[1])]
    );
}
