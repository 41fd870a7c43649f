//! Real sockets on loopback; every wait is for a condition, with a deadline.

mod dht;
mod gossip;
mod kad_store;
mod policy;
mod streams;

use std::{sync::Arc, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{HeadRank, Inbound, InboundStream, Multiaddr, Net, NetConfig, Stream};

/// Long enough for a busy machine; a test that waits so long has failed.
const DEADLINE: Duration = Duration::from_secs(30);

const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

fn config(seed: u8, listen: &[&str]) -> NetConfig {
    NetConfig {
        keypair_seed: [seed; 32],
        network: "test".into(),
        listen: listen.iter().map(|addr| addr.parse().unwrap()).collect(),
        bootstrap: Vec::new(),
        dht: true,
        dht_server: true,
        mdns: false,
        validate_head: Arc::new(|_, _| Some(HeadRank::default())),
        denies_key: Arc::new(|_| false),
    }
}

async fn start(config: NetConfig) -> (Net, Inbound) {
    Net::start(config).await.expect("a network on loopback")
}

async fn addr_of(net: &Net) -> Multiaddr {
    net.listen_addrs()
        .await
        .first()
        .expect("a listening address")
        .clone()
}

/// Answers each stream with what it carried, until the network ends.
fn echo(mut inbound: Inbound) {
    tokio::spawn(async move {
        while let Some(InboundStream { mut stream, .. }) = inbound.streams.recv().await {
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).await?;
                stream.write_all(&bytes).await?;
                stream.close().await
            });
        }
    });
}

async fn ask(stream: &mut Stream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes).await?;
    stream.close().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}
