//! A peer that tells lies by `sync/1` and `records/1`, whether it is asked or asks.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures::{AsyncReadExt, AsyncWriteExt, future};
use libp2p::PeerId;
use opendag_node::net::{Inbound, InboundStream, Net, Stream, StreamProtocol};
use opendag_protocol::{
    Hash, RecordId,
    wire::{
        BoundedBytes, BoundedVec, RecordBytes, RecordsRequest, RecordsResponse, SyncHas,
        SyncMessage, SyncRange, decode_frame, encode_frame, frame_len,
    },
};
use tokio::{sync::watch, time::timeout};

use super::{
    ground::{Ground, config},
    serve::payload_id,
};

/// How long it waits for what an honest node has to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it goes on with one lie.
const LIE_MAX: Duration = Duration::from_secs(5);
/// Messages of one flood: more than anybody reads.
const FLOOD: u32 = 10_000;

/// What it does in a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Offers its records, and gives what it is asked for.
    Offers,
    /// Says nothing.
    Silent,
    /// Is never done comparing.
    Endless,
    /// Sends ranges that are none.
    Absurd,
    /// Offers without end what nobody has.
    Flood,
}

/// See the module. It ends when dropped.
pub struct Teller {
    ground: Ground,
    net: Net,
    address: String,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Comparisons that others began.
    compared: AtomicU64,
    /// Records that it gave.
    given: watch::Sender<u64>,
}

struct Told {
    telling: Telling,
    by_id: BTreeMap<RecordId, Vec<u8>>,
    of_dataset: Vec<Vec<u8>>,
    counts: Arc<Counts>,
}

impl Teller {
    /// Listens on 127.0.0.1 with a key that follows from `seed`, and has these records.
    pub fn start(network: &str, seed: u8, records: Vec<Vec<u8>>, telling: Telling) -> Result<Self> {
        let ground = Ground::new(1)?;
        let (net, inbound) = ground.block_on(Net::start(config(network, [seed; 32])?))?;
        let address = ground.block_on(net.listen_addrs());
        let address = address.first().context("an address")?.to_string();
        let counts = Arc::new(Counts::default());
        let named = records
            .iter()
            .filter_map(|bytes| Some((payload_id(bytes)?, bytes.clone())));
        let told = Told {
            telling,
            by_id: named.collect(),
            of_dataset: records,
            counts: Arc::clone(&counts),
        };
        ground.spawn(run(inbound, Arc::new(told)));
        Ok(Self {
            ground,
            net,
            address,
            counts,
        })
    }

    fn block_on<T>(&self, what: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
        self.ground
            .block_on(async { timeout(PATIENCE, future).await })
            .with_context(|| format!("{what}: not within {} s", PATIENCE.as_secs()))?
    }

    /// Its address, with `/p2p/…`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its id.
    #[must_use]
    pub fn peer(&self) -> String {
        self.net.peer_id().to_string()
    }

    /// Connects to a node.
    pub fn join(&self, address: &str) -> Result<PeerId> {
        let address = address.parse()?;
        self.block_on("a connection", async { Ok(self.net.dial(address).await?) })
    }

    /// Is it connected to this node?
    pub fn is_connected(&self, node: &PeerId) -> Result<bool> {
        self.block_on("its peers", async {
            Ok(self.net.peers().await.iter().any(|peer| peer.peer == *node))
        })
    }

    /// Passes a message on to all its neighbours.
    pub fn say(&self, bytes: Vec<u8>) -> Result<()> {
        self.block_on("gossip", async {
            self.net.gossip_head(bytes).await;
            Ok(())
        })
    }

    /// Records that it gave until now.
    #[must_use]
    pub fn given(&self) -> u64 {
        *self.counts.given.borrow()
    }

    /// Comparisons that others began with it until now.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.counts.compared.load(Ordering::Relaxed)
    }

    /// Waits until it has given so many records.
    pub fn wait_until_given(&self, count: u64) -> Result<()> {
        self.block_on("records that are asked for", async {
            let mut given = self.counts.given.subscribe();
            given.wait_for(|given| *given >= count).await?;
            Ok(())
        })
    }

    /// Asks a node for a record.
    pub fn ask_for(&self, node: PeerId, id: RecordId) -> Result<Option<Vec<u8>>> {
        self.block_on("a record", async {
            let mut stream = self.net.open(node, StreamProtocol::Records).await?;
            let ids = BoundedVec::take_from(&mut std::iter::once(id));
            let request = encode_frame(&RecordsRequest::Get { ids })?;
            stream.write_all(&request).await?;
            stream.flush().await?;
            match read(&mut stream).await? {
                RecordsResponse::Record(bytes) => Ok(Some(bytes.to_vec())),
                RecordsResponse::NotFound(_) | RecordsResponse::End => Ok(None),
                RecordsResponse::Busy => bail!("it is busy"),
            }
        })
    }

    /// Begins a comparison and keeps it up as long as the other side bears it.
    pub fn compare(&self, node: PeerId, telling: Telling) -> Result<()> {
        self.block_on("the end of a comparison", async {
            let mut stream = self.net.open(node, StreamProtocol::Sync).await?;
            // That the other side ends it is what should happen. Who is not read any more is not told so by Yamux.
            let _ = timeout(LIE_MAX, ask(&mut stream, telling)).await;
            Ok(())
        })
    }
}

async fn run(mut inbound: Inbound, told: Arc<Told>) {
    let events = async move { while inbound.events.recv().await.is_some() {} };
    let streams = async move {
        while let Some(stream) = inbound.streams.recv().await {
            let told = Arc::clone(&told);
            tokio::spawn(async move { answer(stream, &told).await.ok() });
        }
    };
    future::join(events, streams).await;
}

async fn answer(inbound: InboundStream, told: &Told) -> Result<()> {
    let mut stream = inbound.stream;
    match inbound.protocol {
        StreamProtocol::Sync => {
            told.counts.compared.fetch_add(1, Ordering::Relaxed);
            compare(&mut stream, told).await?;
        }
        StreamProtocol::Records => give(&mut stream, told).await?,
        StreamProtocol::Holdings | StreamProtocol::Blobs => {}
    }
    stream.close().await?;
    Ok(())
}

async fn read<T: serde::de::DeserializeOwned>(stream: &mut Stream) -> Result<T> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).await?;
    let mut body = vec![0; frame_len(prefix)?];
    stream.read_exact(&mut body).await?;
    Ok(decode_frame(&body)?)
}

async fn write(stream: &mut Stream, message: &SyncMessage) -> Result<()> {
    stream.write_all(&encode_frame(message)?).await?;
    stream.flush().await?;
    Ok(())
}

/// A range over all times, with a fingerprint that nobody has.
fn everything(number: u32) -> SyncMessage {
    let hash = Hash::of(&number.to_le_bytes());
    let mut fingerprint = [0; 16];
    for (to, from) in fingerprint.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    ranges(u64::MAX, SyncHas::Fingerprint(fingerprint))
}

fn ranges(later: u64, has: SyncHas) -> SyncMessage {
    let range = SyncRange {
        later,
        prefix: BoundedBytes::default(),
        has,
    };
    SyncMessage::Ranges(BoundedVec::take_from(&mut std::iter::once(range)))
}

/// Ids of records that do not exist.
fn nothing(number: u32) -> SyncMessage {
    let ids = (0..1024_u32).map(|index| {
        let name = [number.to_le_bytes(), index.to_le_bytes()].concat();
        RecordId::from_hash(Hash::of(&name))
    });
    SyncMessage::Offer(BoundedVec::take_from(&mut ids.into_iter()))
}

/// Says what all lies begin with, until the other side has enough.
async fn lie(stream: &mut Stream, telling: Telling) -> Result<()> {
    match telling {
        Telling::Silent => future::pending().await,
        Telling::Endless => {
            for number in 0..FLOOD {
                write(stream, &everything(number)).await?;
                let _: SyncMessage = read(stream).await?;
            }
        }
        Telling::Absurd => {
            write(stream, &ranges(0, SyncHas::Settled)).await?;
            let _: SyncMessage = read(stream).await?;
        }
        Telling::Flood => {
            for number in 0..FLOOD {
                write(stream, &nothing(number)).await?;
            }
        }
        Telling::Offers => bail!("no lie"),
    }
    Ok(())
}

async fn ask(stream: &mut Stream, telling: Telling) -> Result<()> {
    lie(stream, telling).await?;
    // It may be told off by an end of the stream.
    let _ = stream.read(&mut [0]).await;
    Ok(())
}

async fn compare(stream: &mut Stream, told: &Told) -> Result<()> {
    if told.telling == Telling::Silent {
        return future::pending().await;
    }
    let SyncMessage::Ranges(_) = read(stream).await? else {
        bail!("a comparison begins with ranges");
    };
    if told.telling != Telling::Offers {
        return lie(stream, told.telling).await;
    }
    // Nothing is compared: what is offered is all it has.
    write(stream, &SyncMessage::Ranges(BoundedVec::default())).await?;
    while read::<SyncMessage>(stream).await? != SyncMessage::Done {}
    let ids: Vec<_> = told.by_id.keys().copied().collect();
    for some in ids.chunks(1024) {
        let some = BoundedVec::take_from(&mut some.iter().copied());
        write(stream, &SyncMessage::Offer(some)).await?;
    }
    write(stream, &SyncMessage::Done).await
}

async fn give(stream: &mut Stream, told: &Told) -> Result<()> {
    let request: RecordsRequest = read(stream).await?;
    if told.telling == Telling::Silent {
        return future::pending().await;
    }
    let found: Vec<&Vec<u8>> = match &request {
        RecordsRequest::Dataset { .. } => told.of_dataset.iter().collect(),
        RecordsRequest::Get { ids } => ids.iter().filter_map(|id| told.by_id.get(id)).collect(),
    };
    let mut given = 0;
    for bytes in found {
        let record = RecordsResponse::Record(RecordBytes::try_from(bytes.clone())?);
        stream.write_all(&encode_frame(&record)?).await?;
        given += 1;
    }
    stream
        .write_all(&encode_frame(&RecordsResponse::End)?)
        .await?;
    stream.flush().await?;
    told.counts.given.send_modify(|count| *count += given);
    Ok(())
}
