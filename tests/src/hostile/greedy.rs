//! A peer that asks for everything at once and reads nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures::{AsyncReadExt, AsyncWriteExt};
use opendag_node::net::{Net, Stream, StreamProtocol};
use opendag_protocol::wire::{
    BlobItem, BlobRange, BlobsRequest, BoundedVec, GroupRange, encode_frame,
};
use tokio::time::timeout;

use super::{
    Version,
    ground::{Ground, config},
};

/// Streams that it tries to hold.
const STREAMS: usize = 200;
/// A stream that does not open within this is taken as refused.
const OPEN_TIME_MAX: Duration = Duration::from_secs(2);

/// Holds its streams until it is dropped.
pub struct Greedy {
    _ground: Ground,
    _net: Net,
    held: Vec<Stream>,
}

impl Greedy {
    /// Asks the node at `address` for all shards of `version`, again and again, and sends it nonsense.
    pub fn start(network: &str, seed: u8, address: &str, version: &Version) -> Result<Self> {
        let ground = Ground::new(1)?;
        let config = config(network, [seed; 32])?;
        let (net, held) = ground.block_on(async {
            let (net, _inbound) = Net::start(config).await?;
            let held = grab(&net, address, version).await?;
            anyhow::Ok((net, held))
        })?;
        Ok(Self {
            _ground: ground,
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
