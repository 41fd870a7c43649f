//! Connections and streams.

use futures::{
    AsyncReadExt, AsyncWriteExt, FutureExt,
    future::{join_all, select_all},
};
use libp2p::Multiaddr;
use tokio::time::{Duration, Instant, sleep};

use super::{DEADLINE, QUIC, TCP, addr_of, ask, config, echo, start, within};
use crate::net::{ConnectError, NetEvent, OpenError, PeerAddr, StreamProtocol};

async fn echo_over(listen: &str) {
    let (a, _a) = start(config(1, &[listen])).await;
    let (b, b_inbound) = start(config(2, &[listen])).await;
    echo(b_inbound);
    let peer = within("dial", a.dial(addr_of(&b).await)).await.unwrap();
    assert_eq!(peer, b.peer_id());
    for protocol in StreamProtocol::ALL {
        let mut stream = within("open", a.open(peer, protocol)).await.unwrap();
        let answer = within("echo", ask(&mut stream, b"bytes")).await.unwrap();
        assert_eq!(answer, b"bytes");
    }
    let infos = a.peers().await;
    assert_eq!(infos.len(), 1);
    assert_eq!(infos[0].peer, peer);
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_work_over_tcp() {
    echo_over(TCP).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_work_over_quic() {
    echo_over(QUIC).await;
}

async fn thousand_streams(listen: &str) {
    let (a, _a) = start(config(1, &[listen])).await;
    let (b, b_inbound) = start(config(2, &[listen])).await;
    echo(b_inbound);
    let peer = a.dial(addr_of(&b).await).await.unwrap();
    let one = |i: u32| {
        let a = a.clone();
        async move {
            let mut stream = a.open(peer, StreamProtocol::Blobs).await.unwrap();
            ask(&mut stream, &i.to_be_bytes()).await.unwrap() == i.to_be_bytes()
        }
    };
    let all = within("a thousand streams", join_all((0..1000).map(one))).await;
    assert!(all.into_iter().all(|ok| ok));
    assert_eq!(a.peers().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_at_once_over_tcp() {
    thousand_streams(TCP).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_at_once_over_quic() {
    thousand_streams(QUIC).await;
}

#[tokio::test]
async fn tcp_is_chosen_before_quic() {
    let (a, _a) = start(config(1, &[TCP, QUIC])).await;
    let (b, _b) = start(config(2, &[TCP, QUIC])).await;
    let addrs = b.listen_addrs().await;
    assert_eq!(addrs.len(), 2);
    let quic_first = addrs.into_iter().rev().collect();
    let peer = PeerAddr {
        peer: b.peer_id(),
        addrs: quic_first,
    };
    within("connect", a.connect(peer)).await.unwrap();
    let [info] = &a.peers().await[..] else {
        panic!("one peer")
    };
    assert!(
        info.addresses
            .iter()
            .all(|addr| addr.to_string().contains("/tcp/")),
        "{info:?}"
    );
}

#[tokio::test]
async fn a_bootstrap_peer_with_two_addresses_is_reached_over_tcp_whichever_is_first() {
    let (a, _a) = start(config(1, &[TCP, QUIC])).await;
    let peer = format!("/p2p/{}", a.peer_id());
    let addrs = a.listen_addrs().await.into_iter();
    let mut named: Vec<Multiaddr> = addrs
        .map(|addr| match addr.to_string().ends_with(&peer) {
            true => addr,
            false => format!("{addr}{peer}").parse().unwrap(),
        })
        .collect();
    for seed in 2..8 {
        named.reverse();
        let mut config = config(seed, &[TCP, QUIC]);
        config.bootstrap = named.clone();
        let (b, _b) = start(config).await;
        let connected = async {
            loop {
                if let Some(peer) = b.peers().await.into_iter().next() {
                    return peer;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        let peer = within("the bootstrap peer", connected).await;
        let is_tcp = |addr: &Multiaddr| addr.to_string().contains("/tcp/");
        assert!(peer.addresses.iter().all(is_tcp), "{peer:?}");
    }
}

#[tokio::test]
async fn quic_is_used_when_tcp_does_not_answer() {
    let (a, _a) = start(config(1, &[TCP, QUIC])).await;
    let (b, _b) = start(config(2, &[QUIC])).await;
    // A port that nobody listens on.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut addrs = b.listen_addrs().await;
    addrs.insert(0, format!("/ip4/127.0.0.1/tcp/{closed}").parse().unwrap());
    within(
        "connect",
        a.connect(PeerAddr {
            peer: b.peer_id(),
            addrs,
        }),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_dead_peer_is_an_error_at_once() {
    let (a, mut a_inbound) = start(config(1, &[TCP])).await;
    let (b, b_inbound) = start(config(2, &[TCP])).await;
    let peer = a.dial(addr_of(&b).await).await.unwrap();
    let mut stream = a.open(peer, StreamProtocol::Records).await.unwrap();
    let begin = Instant::now();
    b.shutdown().await;
    drop(b_inbound);
    let read = within("read", stream.read(&mut [0; 1])).await;
    assert!(matches!(read, Err(_) | Ok(0)), "{read:?}");
    loop {
        match within("event", a_inbound.events.recv()).await.unwrap() {
            NetEvent::PeerDisconnected { peer: gone } if gone == peer => break,
            _ => {}
        }
    }
    let error = within("open", a.open(peer, StreamProtocol::Records))
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::Connect { .. }), "{error:?}");
    assert!(begin.elapsed() < DEADLINE / 6, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_peer_comes_back_under_the_same_name() {
    let (a, _a) = start(config(1, &[TCP])).await;
    let (b, b_inbound) = start(config(2, &[TCP])).await;
    let addr = addr_of(&b).await;
    a.dial(addr.clone()).await.unwrap();
    b.shutdown().await;
    drop((b, b_inbound));
    let listen = addr.to_string();
    let listen = listen.split("/p2p/").next().unwrap();
    let (b, b_inbound) = start(config(2, &[listen])).await;
    echo(b_inbound);
    let mut stream = loop {
        match within("open", a.open(b.peer_id(), StreamProtocol::Blobs)).await {
            Ok(stream) => break stream,
            // The old connection may not have been noticed as gone yet.
            Err(OpenError::Lost { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    };
    assert_eq!(
        within("echo", ask(&mut stream, b"again")).await.unwrap(),
        b"again"
    );
}

#[tokio::test]
async fn streams_beyond_the_queue_are_refused_and_counted() {
    let (a, _a) = start(config(1, &[TCP])).await;
    // Nobody takes the streams of b, from several connections.
    let (b, _b) = start(config(2, &[TCP])).await;
    let addr = addr_of(&b).await;
    let mut held = Vec::new();
    let mut nets = vec![a];
    for seed in 3..9 {
        nets.push(start(config(seed, &[TCP])).await.0);
    }
    for net in &nets {
        let peer = net.dial(addr.clone()).await.unwrap();
        for _ in 0..100 {
            let stream = within("open", net.open(peer, StreamProtocol::Blobs)).await;
            let mut stream = stream.expect("nothing is asked of the peer yet");
            // The name of the protocol leaves with the first bytes.
            let _ = stream.write_all(b"x").await;
            let _ = stream.flush().await;
            held.push(stream);
        }
    }
    let ends = held.iter_mut().map(|stream| {
        async move { matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)) }.boxed()
    });
    let (ended, ..) = within("a refusal", select_all(ends)).await;
    assert!(ended, "nobody answers here");
    assert!(b.counters().streams_refused_queue > 0);
}

#[tokio::test]
async fn another_network_never_connects() {
    for listen in [TCP, QUIC] {
        let (a, mut a_inbound) = start(config(1, &[listen])).await;
        let mut other = config(2, &[listen]);
        other.network = "other".into();
        let (b, mut b_inbound) = start(other).await;
        let error = within("dial", a.dial(addr_of(&b).await)).await.unwrap_err();
        match error {
            ConnectError::Unreachable(_) | ConnectError::OtherNetwork { .. } => {}
            error => panic!("{error:?}"),
        }
        let opened = within("open", a.open(b.peer_id(), StreamProtocol::Records)).await;
        assert!(opened.is_err());
        assert!(a.peers().await.is_empty());
        assert!(b.peers().await.is_empty());
        assert!(b_inbound.streams.try_recv().is_err());
        while let Ok(event) = a_inbound.events.try_recv() {
            assert!(matches!(event, NetEvent::Listening { .. }), "{event:?}");
        }
    }
}

#[tokio::test]
async fn a_loopback_node_dials_nowhere_else() {
    let (a, _a) = start(config(1, &[TCP, QUIC])).await;
    let peer = super::super::PeerId::random();
    for addr in [
        "/ip4/192.0.2.1/tcp/9",
        "/ip4/10.0.0.1/udp/9/quic-v1",
        "/ip6/2001:4860::1/tcp/9",
    ] {
        let begin = Instant::now();
        let addr: super::Multiaddr = addr.parse().unwrap();
        assert!(a.dial(addr.clone()).await.is_err());
        assert!(
            a.connect(PeerAddr {
                peer,
                addrs: vec![addr]
            })
            .await
            .is_err()
        );
        // Refused, not timed out.
        assert!(begin.elapsed() < DEADLINE / 6);
    }
    assert!(
        a.dial("/dns4/example.org/tcp/9".parse().unwrap())
            .await
            .is_err()
    );
    assert!(a.counters().dials_refused > 0);
}

#[tokio::test]
async fn a_banned_peer_is_cut_off_in_both_directions() {
    let (a, _a) = start(config(1, &[TCP])).await;
    let (b, _b) = start(config(2, &[TCP])).await;
    let peer = a.dial(addr_of(&b).await).await.unwrap();
    let mut stream = a.open(peer, StreamProtocol::Records).await.unwrap();
    let begin = Instant::now();
    a.ban(peer).await;
    let read = within("read", stream.read(&mut [0; 1])).await;
    assert!(matches!(read, Err(_) | Ok(0)), "{read:?}");
    let error = within("dial", a.dial(addr_of(&b).await)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Banned { .. }), "{error:?}");
    assert!(begin.elapsed() < DEADLINE / 6, "{:?}", begin.elapsed());
    // From its side the connection may come up, but it is closed at once.
    let _ = within("dial", b.dial(addr_of(&a).await)).await;
    let opened = within("open", b.open(a.peer_id(), StreamProtocol::Records)).await;
    if let Ok(mut stream) = opened {
        let read = within("read", stream.read(&mut [0; 1])).await;
        assert!(matches!(read, Err(_) | Ok(0)), "{read:?}");
    }
    assert!(a.peers().await.is_empty());
    a.ban_for(peer, std::time::Duration::ZERO).await;
    within("dial", a.dial(addr_of(&b).await)).await.unwrap();
}

#[tokio::test]
async fn a_bootstrap_peer_is_found_by_name_and_again_after_a_restart() {
    let (b, b_inbound) = start(config(2, &[TCP])).await;
    let listen = addr_of(&b).await.to_string();
    let listen = listen.split("/p2p/").next().unwrap().to_owned();
    let named = listen.replace("/ip4/127.0.0.1", "/dns4/localhost");
    let mut config_a = config(1, &[TCP]);
    config_a.bootstrap = vec![named.parse().unwrap()];
    let (a, mut a_inbound) = start(config_a).await;
    let mut connected = async |wanted| loop {
        match within("event", a_inbound.events.recv()).await.unwrap() {
            NetEvent::PeerConnected { peer } if peer == wanted => break,
            _ => {}
        }
    };
    connected(b.peer_id()).await;
    b.shutdown().await;
    drop((b, b_inbound));
    // Somebody else is there now: the configuration named no peer.
    let (c, _c) = start(config(3, &[&listen])).await;
    connected(c.peer_id()).await;
    assert_eq!(a.peers().await.len(), 1);
}
