//! A peer that asks for what nobody told it of.

use std::time::Duration;

use anyhow::{Result, bail};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::PeerId;
use opendag_node::net::{Net, StreamProtocol};
use opendag_protocol::{
    DatasetId, Hash, RecordId,
    wire::{
        BlobItem, BlobRange, BlobsRequest, BoundedVec, GroupRange, RecordsRequest, RecordsResponse,
        Status, encode_frame,
    },
};
use serde::Serialize;
use tokio::time::timeout;

use super::{
    ground::{Ground, config},
    serve::read_frame,
};

/// An answer takes less, unless the machine stands still.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// Connected to one node until it is dropped.
pub struct Curious {
    ground: Ground,
    net: Net,
    peer: PeerId,
}

impl Curious {
    /// Connects to the node at `address`.
    pub fn start(network: &str, seed: u8, address: &str) -> Result<Self> {
        let ground = Ground::new(1)?;
        let config = config(network, [seed; 32])?;
        let (net, peer) = ground.block_on(async {
            let (net, _inbound) = Net::start(config).await?;
            let peer = net.dial(address.parse()?).await?;
            anyhow::Ok((net, peer))
        })?;
        Ok(Self { ground, net, peer })
    }

    /// Does it give a blob?
    pub fn gets_blob(&self, hash: Hash) -> Result<bool> {
        let groups = GroupRange::ALL;
        let item = BlobItem::Range(BlobRange { hash, groups });
        let items = BoundedVec::take_from(&mut std::iter::once(item));
        self.ask(
            StreamProtocol::Blobs,
            &BlobsRequest { items },
            async |stream| {
                let mut statuses = [0; 2];
                stream.read_exact(&mut statuses).await?;
                match statuses.map(Status::try_from) {
                    [Ok(Status::Ok), Ok(Status::Ok)] => Ok(true),
                    [Ok(Status::Ok), Ok(Status::NotFound)] => Ok(false),
                    other => bail!("{other:?}"),
                }
            },
        )
    }

    /// Does it give a record?
    pub fn gets_record(&self, id: RecordId) -> Result<bool> {
        let ids = BoundedVec::take_from(&mut std::iter::once(id));
        Ok(self.records(&RecordsRequest::Get { ids })? > 0)
    }

    /// Does it tell anything of a dataset?
    pub fn gets_dataset(&self, dataset: DatasetId) -> Result<bool> {
        Ok(self.records(&RecordsRequest::Dataset { dataset })? > 0)
    }

    fn records(&self, request: &RecordsRequest) -> Result<usize> {
        self.ask(StreamProtocol::Records, request, async |stream| {
            let mut records = 0;
            loop {
                match read_frame(stream).await? {
                    RecordsResponse::Record(_) => records += 1,
                    RecordsResponse::NotFound(_) => {}
                    RecordsResponse::End => return Ok(records),
                    RecordsResponse::Busy => bail!("busy"),
                }
            }
        })
    }

    fn ask<T>(
        &self,
        protocol: StreamProtocol,
        request: &impl Serialize,
        read: impl AsyncFnOnce(&mut opendag_node::net::Stream) -> Result<T>,
    ) -> Result<T> {
        let frame = encode_frame(request)?;
        self.ground.block_on(async {
            let asked = async {
                let mut stream = self.net.open(self.peer, protocol).await?;
                stream.write_all(&frame).await?;
                stream.flush().await?;
                read(&mut stream).await
            };
            timeout(ANSWER_TIME_MAX, asked).await?
        })
    }
}
