//! A peer that asks for everything at once and reads nothing.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use futures::{AsyncReadExt, AsyncWriteExt};
use opendag_node::net::{Net, NetConfig, Stream, StreamProtocol};
use opendag_protocol::wire::{
    BlobItem, BlobRange, BlobsRequest, BoundedVec, GroupRange, encode_frame,
};
use tokio::{runtime::Runtime, time::timeout};

use super::Version;

/// Streams that it tries to hold.
const STREAMS: usize = 200;
/// A stream that does not open within this is taken as refused.
const OPEN_TIME_MAX: Duration = Duration::from_secs(2);

/// Holds its streams until it is dropped.
pub struct Greedy {
    runtime: Option<Runtime>,
    _net: Net,
    held: Vec<Stream>,
}

impl Greedy {
    /// Asks the node at `address` for all shards of `version`, again and again, and sends it nonsense.
    pub fn start(network: &str, seed: u8, address: &str, version: &Version) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let config = NetConfig {
            keypair_seed: [seed; 32],
            network: network.to_owned(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
            bootstrap: Vec::new(),
            dht: false,
            dht_server: false,
            mdns: false,
            validate_head: Arc::new(|_, _| None),
        };
        let (net, held) = runtime.block_on(async {
            let (net, _inbound) = Net::start(config).await?;
            let held = grab(&net, address, version).await?;
            anyhow::Ok((net, held))
        })?;
        Ok(Self {
            runtime: Some(runtime),
            _net: net,
            held,
        })
    }

    /// Streams that it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }
}

async fn grab(net: &Net, address: &str, version: &Version) -> Result<Vec<Stream>> {
    let peer = net.dial(address.parse()?).await?;
    let all = version.shards.keys().map(|hash| {
        BlobItem::Range(BlobRange {
            hash: *hash,
            groups: GroupRange::ALL,
        })
    });
    let items = BoundedVec::take_from(&mut all.cycle());
    let request = encode_frame(&BlobsRequest { items })?;
    let nonsense: [&[u8]; 4] = [
        &[0xff; 64],
        &[0, 0, 0, 0],
        &[0, 0, 0, 9, 0x9b, 0xff],
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    let mut held = Vec::new();
    for index in 0..STREAMS {
        let Ok(Ok(mut stream)) =
            timeout(OPEN_TIME_MAX, net.open(peer, StreamProtocol::Blobs)).await
        else {
            break;
        };
        let bytes = nonsense.get(index % 8).copied().unwrap_or(&request);
        // A stream that is closed on it was refused: the next one.
        if stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok() {
            held.push(stream);
        }
    }
    ensure!(!held.is_empty(), "not one stream was opened");
    // One byte of the first, so that the answer has begun.
    if let Some(stream) = held.last_mut() {
        let _ = timeout(OPEN_TIME_MAX, stream.read(&mut [0])).await;
    }
    Ok(held)
}

impl Drop for Greedy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}
