//! The DHT.

use std::{sync::Arc, time::Duration};

use opendag_protocol::{DatasetId, Hash};
use tokio::time::Instant;

use super::{DEADLINE, TCP, addr_of, config, start, within};
use crate::net::{HeadRank, Multiaddr, Net, NetConfig, PeerAddr, StreamProtocol};

fn with_bootstrap(seed: u8, bootstrap: &Multiaddr) -> NetConfig {
    NetConfig {
        bootstrap: vec![bootstrap.clone()],
        ..config(seed, &[TCP])
    }
}

/// Asks again until there is an answer: announcing takes its time.
async fn providers(net: &Net, key: Hash) -> Vec<PeerAddr> {
    let begin = Instant::now();
    while begin.elapsed() < DEADLINE {
        let found = net.providers(key, Duration::from_secs(2)).await;
        if !found.is_empty() {
            return found;
        }
        tokio::task::yield_now().await;
    }
    Vec::new()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_is_found_through_a_third_node() {
    let (third, _third) = start(config(1, &[TCP])).await;
    let bootstrap = addr_of(&third).await;
    let (provider, provider_inbound) = start(with_bootstrap(2, &bootstrap)).await;
    super::echo(provider_inbound);
    let key = Hash::of(b"a version");
    // Before it knows anybody: it must announce again by itself.
    provider.provide(key).await;
    let mut client = with_bootstrap(3, &bootstrap);
    client.dht_server = false;
    let (client, _client) = start(client).await;
    let found = within("providers", providers(&client, key)).await;
    let [found] = &found[..] else {
        panic!("one provider, not {found:?}")
    };
    assert_eq!(found.peer, provider.peer_id());
    assert!(!found.addrs.is_empty(), "where is it?");
    within("connect", client.connect(found.clone()))
        .await
        .unwrap();
    let mut stream = client
        .open(found.peer, StreamProtocol::Blobs)
        .await
        .unwrap();
    assert_eq!(super::ask(&mut stream, b"x").await.unwrap(), b"x");
    assert!(
        client
            .providers(Hash::of(b"another"), DEADLINE)
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_validated_and_never_go_back() {
    // The first byte of a value is its rank; 0 is forged.
    let validate = |mut config: NetConfig| {
        config.validate_head = Arc::new(|_, value| match value {
            [0, ..] | [] => None,
            [rank, ..] => Some(HeadRank {
                owners_known: true,
                sequence: (*rank).into(),
                issued_at: 0,
            }),
        });
        config
    };
    let (third, _third) = start(validate(config(1, &[TCP]))).await;
    let bootstrap = addr_of(&third).await;
    let dataset = DatasetId::from_hash(Hash::of(b"a dataset"));
    let get = async |net: &Net, wanted: &[u8]| {
        let begin = Instant::now();
        while begin.elapsed() < DEADLINE {
            if net
                .get_heads(dataset)
                .await
                .iter()
                .any(|head| head == wanted)
            {
                return true;
            }
            tokio::task::yield_now().await;
        }
        false
    };
    let mut publisher = validate(with_bootstrap(2, &bootstrap));
    // Nobody asks it: what is found is what the third node keeps.
    publisher.dht_server = false;
    let (publisher, _p) = start(publisher).await;
    publisher.put_head(dataset, vec![7, 1]).await;
    let (client, _c) = start(validate(with_bootstrap(3, &bootstrap))).await;
    assert!(within("head", get(&client, &[7, 1])).await);
    publisher.shutdown().await;
    // Somebody replays an older head, and somebody else a forged one.
    for (seed, old) in [(4, vec![6, 1]), (5, vec![0, 9])] {
        let mut liar = with_bootstrap(seed, &bootstrap);
        liar.validate_head = Arc::new(|_, _| {
            Some(HeadRank {
                owners_known: true,
                sequence: 99,
                issued_at: 0,
            })
        });
        liar.dht_server = false;
        let (liar, _l) = start(liar).await;
        // It sees the network, and so its put reaches the third node.
        assert!(within("liar", get(&liar, &[7, 1])).await);
        liar.put_head(dataset, old).await;
        assert!(within("liar", get(&liar, &[7, 1])).await);
    }
    assert_eq!(client.get_heads(dataset).await, vec![vec![7, 1]]);
}

#[tokio::test]
async fn without_the_dht_nothing_is_found_and_nothing_hangs() {
    let mut off = config(1, &[TCP]);
    off.dht = false;
    let (net, _inbound) = start(off).await;
    let key = Hash::of(b"x");
    net.provide(key).await;
    let begin = Instant::now();
    assert!(net.providers(key, DEADLINE).await.is_empty());
    assert!(net.get_heads(DatasetId::from_hash(key)).await.is_empty());
    assert!(begin.elapsed() < DEADLINE / 6);
}
