//! S12: many ids of one operator, who claim to have all and give nothing.

use anyhow::{Context, Result};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, TryStreamExt, future, stream};
use opendag_node::net::{Inbound, InboundStream, Net, StreamProtocol};
use opendag_protocol::{
    Hash,
    wire::{HoldingsUpdate, encode_frame},
};

use super::{
    ground::{Ground, config},
    keypair,
};

/// Connections that the crowd begins at a time.
const DIALS_AT_ONCE: usize = 16;

/// See the module. They end when dropped.
pub struct Crowd {
    ground: Ground,
    nets: Vec<Net>,
    addresses: Vec<String>,
}

impl Crowd {
    /// So many peers in one process. They run the DHT, and each says that it provides these keys.
    pub fn start(network: &str, count: u32, keys: &[Hash]) -> Result<Self> {
        let ground = Ground::new(2)?;
        let (nets, addresses) = ground.block_on(async {
            let (mut nets, mut addresses) = (Vec::new(), Vec::new());
            for number in 0..count {
                let mut config = config(network, seed(number)?)?;
                (config.dht, config.dht_server) = (true, true);
                let (net, inbound) = Net::start(config).await?;
                let listening = net.listen_addrs().await;
                addresses.push(listening.first().context("an address")?.to_string());
                for key in keys {
                    net.provide(*key).await;
                }
                tokio::spawn(run(inbound));
                nets.push(net);
            }
            anyhow::Ok((nets, addresses))
        })?;
        Ok(Self {
            ground,
            nets,
            addresses,
        })
    }

    /// All connect to this node.
    pub fn join(&self, address: &str) -> Result<()> {
        self.ground.block_on(async {
            let dials = self.nets.iter().map(|net| async {
                let address = address.parse()?;
                net.dial(address).await?;
                anyhow::Ok(())
            });
            // All at once would be turned away: so many are not let into the handshake.
            let dials = stream::iter(dials).buffer_unordered(DIALS_AT_ONCE);
            dials.try_collect::<()>().await
        })?;
        Ok(())
    }

    /// The address of one of them.
    pub fn address(&self, number: usize) -> Result<&str> {
        let address = self.addresses.get(number).context("one of them")?;
        Ok(address)
    }
}

fn seed(number: u32) -> Result<[u8; 32]> {
    let key = keypair(number).try_into_ed25519()?.secret();
    Ok(key.as_ref().try_into()?)
}

async fn run(mut inbound: Inbound) {
    let events = async move { while inbound.events.recv().await.is_some() {} };
    let streams = async move {
        while let Some(stream) = inbound.streams.recv().await {
            tokio::spawn(async move { claim(stream).await.ok() });
        }
    };
    future::join(events, streams).await;
}

/// Says that it has all, and nothing to any other question; keeps the stream.
async fn claim(inbound: InboundStream) -> Result<()> {
    let mut stream = inbound.stream;
    if inbound.protocol == StreamProtocol::Holdings {
        for update in [HoldingsUpdate::Complete, HoldingsUpdate::Snapshot] {
            stream.write_all(&encode_frame(&update)?).await?;
        }
        stream.flush().await?;
    }
    while stream.read(&mut [0; 4096]).await? > 0 {}
    future::pending().await
}
