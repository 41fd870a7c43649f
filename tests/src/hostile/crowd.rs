//! S12: many ids of one operator, who claim to have all and give nothing.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::{AsyncReadExt, AsyncWriteExt, future};
use opendag_node::net::{Inbound, InboundStream, Net, StreamProtocol};
use opendag_protocol::{
    Hash,
    wire::{HoldingsUpdate, encode_frame},
};
use tokio::runtime::Runtime;

use super::{keypair, teller::config};

/// See the module. They end when dropped.
pub struct Crowd {
    runtime: Option<Runtime>,
    nets: Vec<Net>,
    addresses: Vec<String>,
}

impl Crowd {
    /// So many peers in one process. They run the DHT, and each says that it provides these keys.
    pub fn start(network: &str, count: u32, keys: &[Hash]) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let (nets, addresses) = runtime.block_on(async {
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
            runtime: Some(runtime),
            nets,
            addresses,
        })
    }

    /// All connect to this node.
    pub fn join(&self, address: &str) -> Result<()> {
        let runtime = self.runtime.as_ref().context("it runs")?;
        runtime.block_on(async {
            let dials = self.nets.iter().map(|net| async {
                let address = address.parse()?;
                net.dial(address).await?;
                anyhow::Ok(())
            });
            future::try_join_all(dials).await
        })?;
        Ok(())
    }

    /// The address of one of them.
    pub fn address(&self, number: usize) -> Result<&str> {
        let address = self.addresses.get(number).context("one of them")?;
        Ok(address)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
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
