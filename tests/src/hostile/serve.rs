//! How a peer answers, honestly or not.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bao_tree::{
    BlockSize, ChunkNum, ChunkRanges,
    io::{outboard::PreOrderMemOutboard, sync::encode_ranges_validated},
};
use futures::{AsyncReadExt, AsyncWriteExt, future};
use opendag_node::net::{Inbound, InboundStream, Net, Stream, StreamProtocol};
use opendag_protocol::{
    Hash, RecordId,
    limits::CHUNK_GROUP_BYTES,
    record::Record,
    wire::{
        BlobItem, BlobRange, BlobSpan, BlobsRequest, ByteSpan, GroupRange, HoldingsRequest,
        HoldingsUpdate, RecordBytes, RecordsRequest, RecordsResponse, Status, SyncMessage,
        decode_frame, encode_frame, frame_len,
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{Peer, author::Version};

/// The unit of the encoding: 16 chunks of 1 KiB.
const BLOCK: BlockSize = BlockSize::from_chunk_log(4);

/// Between two bytes of a peer that trickles.
const TRICKLE_PAUSE: Duration = Duration::from_secs(2);

/// What a peer does when it is asked for bytes of shards. It always claims to have all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// Gives what it claims.
    Honest,
    /// Flips a bit in the first byte after the size.
    WrongFirst,
    /// Flips a bit in the middle of the answer.
    WrongMiddle,
    /// Flips a bit in the last byte.
    WrongLast,
    /// Says another size than the blob has, then gives the right bytes.
    WrongLength,
    /// Gives the bytes of another range of the same blob, rightly encoded.
    SwappedRanges,
    /// Says that it does not have what it claimed.
    Nothing,
    /// Gives what it claims, but does not know spans: it resets streams that ask for one.
    WithoutSpans,
    /// Reads requests and never answers.
    Silent,
    /// Answers all but the last hundredth, then nothing more.
    StallsNearTheEnd,
    /// Answers with a byte every two seconds.
    Trickle,
    /// Answers and then never stops sending.
    Endless,
    /// Says that the blob has 2^64-1 bytes and sends without end.
    Absurd,
}

/// What a peer has to give.
#[derive(Clone, Default)]
pub struct Library {
    /// What it answers when it is asked for a dataset, in order.
    records: Vec<Vec<u8>>,
    by_id: BTreeMap<RecordId, Vec<u8>>,
    descriptions: BTreeMap<Hash, Vec<u8>>,
    shards: BTreeMap<Hash, Vec<u8>>,
    /// Who must have been asked for a shard before this one gives any.
    after: Option<watch::Receiver<u64>>,
}

impl Library {
    /// The same, but no shard is given before `peer` was asked for one: whoever fetches from both
    /// cannot do without it.
    #[must_use]
    pub fn after(mut self, peer: &Peer) -> Self {
        self.after = Some(peer.counts().ranges.subscribe());
        self
    }

    /// Waits for its turn.
    async fn turn(&self) -> Result<()> {
        if let Some(after) = &self.after {
            after.clone().wait_for(|asked| *asked > 0).await?;
        }
        Ok(())
    }
}

impl From<Version> for Library {
    fn from(version: Version) -> Self {
        let by_id = version
            .records
            .iter()
            .filter_map(|bytes| Some((payload_id(bytes)?, bytes.clone())));
        Self {
            by_id: by_id.collect(),
            records: version.records,
            descriptions: version.descriptions,
            shards: version.shards,
            after: None,
        }
    }
}

/// The id of a record, whether or not its signatures hold.
pub(super) fn payload_id(bytes: &[u8]) -> Option<RecordId> {
    #[derive(serde::Deserialize)]
    struct Envelope {
        payload: serde_bytes::ByteBuf,
        #[serde(rename = "signatures")]
        _signatures: Vec<serde::de::IgnoredAny>,
    }
    let envelope: Envelope = opendag_protocol::cbor::from_slice_canonical(bytes).ok()?;
    Some(Record::decode(&envelope.payload).ok()?.id())
}

/// What a peer was asked and what it did.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests for records.
    pub records: AtomicU64,
    /// Ranges of shards that it was asked for.
    ranges: watch::Sender<u64>,
    /// Bytes that it sent for shards.
    pub bytes: AtomicU64,
}

impl Counts {
    /// Ranges of shards that it was asked for until now.
    #[must_use]
    pub fn asked(&self) -> u64 {
        *self.ranges.borrow()
    }

    /// Requests for records until now.
    #[must_use]
    pub fn asked_for_records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Bytes that it sent for shards until now.
    #[must_use]
    pub fn sent_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Answers streams for as long as the runtime lives.
pub(super) async fn run(
    net: Net,
    mut inbound: Inbound,
    library: Arc<Library>,
    conduct: Conduct,
    counts: Arc<Counts>,
) {
    let events = async move { while inbound.events.recv().await.is_some() {} };
    let streams = async move {
        while let Some(stream) = inbound.streams.recv().await {
            let (library, counts) = (Arc::clone(&library), Arc::clone(&counts));
            // A stream that breaks is the other side's decision.
            tokio::spawn(async move { answer(stream, &library, conduct, &counts).await.ok() });
        }
    };
    future::join(events, streams).await;
    drop(net);
}

async fn answer(
    inbound: InboundStream,
    library: &Library,
    conduct: Conduct,
    counts: &Counts,
) -> Result<()> {
    let mut stream = inbound.stream;
    match inbound.protocol {
        StreamProtocol::Records => {
            counts.records.fetch_add(1, Ordering::Relaxed);
            records(&mut stream, library).await?;
        }
        // What it lies about is no business of the catalogue.
        StreamProtocol::Sync => stream.write_all(&encode_frame(&SyncMessage::Busy)?).await?,
        StreamProtocol::Holdings => {
            let _: HoldingsRequest = read_frame(&mut stream).await?;
            for update in [HoldingsUpdate::Complete, HoldingsUpdate::Snapshot] {
                stream.write_all(&encode_frame(&update)?).await?;
            }
            stream.flush().await?;
            // It lives until the other side has enough.
            let _ = stream.read(&mut [0]).await;
        }
        StreamProtocol::Blobs => blobs(&mut stream, library, conduct, counts).await?,
    }
    stream.close().await?;
    Ok(())
}

pub(super) async fn read_frame<T: DeserializeOwned>(stream: &mut Stream) -> Result<T> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).await?;
    let mut body = vec![0; frame_len(prefix)?];
    stream.read_exact(&mut body).await?;
    Ok(decode_frame(&body)?)
}

async fn records(stream: &mut Stream, library: &Library) -> Result<()> {
    let mut answers = Vec::new();
    match read_frame(stream).await? {
        RecordsRequest::Dataset { .. } => {
            for bytes in &library.records {
                answers.push(RecordsResponse::Record(RecordBytes::try_from(
                    bytes.clone(),
                )?));
            }
        }
        RecordsRequest::Get { ids } => {
            for id in ids.iter() {
                answers.push(match library.by_id.get(id) {
                    Some(bytes) => RecordsResponse::Record(RecordBytes::try_from(bytes.clone())?),
                    None => RecordsResponse::NotFound(*id),
                });
            }
        }
    }
    answers.push(RecordsResponse::End);
    for answer in answers {
        stream.write_all(&encode_frame(&answer)?).await?;
    }
    stream.flush().await?;
    Ok(())
}

async fn blobs(
    stream: &mut Stream,
    library: &Library,
    conduct: Conduct,
    counts: &Counts,
) -> Result<()> {
    let request: BlobsRequest = read_frame(stream).await?;
    let is_span = |item: &BlobItem| matches!(item, BlobItem::Span(_));
    if conduct == Conduct::WithoutSpans && request.items.iter().any(is_span) {
        bail!("a message that an older program does not know");
    }
    stream.write_all(&[Status::Ok.into()]).await?;
    for item in request.items.iter() {
        if let Some(bytes) = library.descriptions.get(&item.hash()) {
            stream.write_all(&encode(bytes, item)?).await?;
        } else if let Some(bytes) = library.shards.get(&item.hash()) {
            counts.ranges.send_modify(|asked| *asked += 1);
            library.turn().await?;
            shard(stream, bytes, item, conduct, counts).await?;
        } else {
            stream.write_all(&[Status::NotFound.into()]).await?;
        }
    }
    stream.flush().await?;
    Ok(())
}

async fn shard(
    stream: &mut Stream,
    bytes: &[u8],
    item: &BlobItem,
    conduct: Conduct,
    counts: &Counts,
) -> Result<()> {
    let mut encoded = encode(bytes, item)?;
    // The first byte behind the status, and behind the size if there is one.
    let first = match item {
        BlobItem::Range(_) => 9,
        BlobItem::Span(_) => 1,
    };
    let flip = |encoded: &mut [u8], at: usize| {
        if let Some(byte) = encoded.get_mut(at) {
            *byte ^= 1;
        }
    };
    match conduct {
        Conduct::Honest | Conduct::WithoutSpans | Conduct::Endless | Conduct::Trickle => {}
        Conduct::WrongFirst => flip(&mut encoded, first),
        Conduct::WrongMiddle => {
            let middle = first + (encoded.len() - first) / 2;
            flip(&mut encoded, middle);
        }
        Conduct::WrongLast => {
            let last = encoded.len() - 1;
            flip(&mut encoded, last);
        }
        Conduct::WrongLength => flip(&mut encoded, 1),
        Conduct::SwappedRanges => encoded = encode(bytes, &swapped(bytes, item))?,
        Conduct::Nothing => encoded = vec![Status::NotFound.into()],
        Conduct::Silent => encoded.clear(),
        Conduct::StallsNearTheEnd => encoded.truncate(encoded.len() - encoded.len() / 100 - 1),
        Conduct::Absurd => {
            encoded = vec![Status::Ok.into()];
            encoded.extend(u64::MAX.to_le_bytes());
        }
    }
    if conduct == Conduct::Trickle {
        for byte in &encoded {
            send(stream, std::slice::from_ref(byte), counts).await?;
            tokio::time::sleep(TRICKLE_PAUSE).await;
        }
        return Ok(());
    }
    send(stream, &encoded, counts).await?;
    match conduct {
        Conduct::Silent | Conduct::StallsNearTheEnd => future::pending().await,
        Conduct::Endless | Conduct::Absurd => loop {
            send(stream, &[0x5a; 64 * 1024], counts).await?;
        },
        _ => Ok(()),
    }
}

async fn send(stream: &mut Stream, bytes: &[u8], counts: &Counts) -> Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await?;
    counts
        .bytes
        .fetch_add(u64::try_from(bytes.len())?, Ordering::Relaxed);
    Ok(())
}

/// Another range of the same blob with as many groups, where there is one.
fn swapped(bytes: &[u8], item: &BlobItem) -> BlobItem {
    let item = match item {
        BlobItem::Range(item) => item,
        // Right bytes of the wrong place: those before or behind.
        BlobItem::Span(BlobSpan { hash, span }) => {
            let start = match span.start() {
                0 => 1,
                start => start - 1,
            };
            let span = ByteSpan::new(start, span.length()).unwrap_or(*span);
            return BlobSpan { hash: *hash, span }.into();
        }
    };
    let groups = u64::try_from(bytes.len())
        .unwrap_or(0)
        .div_ceil(CHUNK_GROUP_BYTES);
    let first = if item.groups.first == 0 {
        groups / 2
    } else {
        0
    };
    let groups = GroupRange {
        first,
        count: item.groups.count,
    };
    let hash = item.hash;
    BlobRange { hash, groups }.into()
}

/// The honest answer: status, then size and bao encoding of the range, or the bytes of the span.
fn encode(bytes: &[u8], item: &BlobItem) -> Result<Vec<u8>> {
    let item = match item {
        BlobItem::Range(item) => item,
        BlobItem::Span(BlobSpan { span, .. }) => {
            let bounds = usize::try_from(span.start())?..usize::try_from(span.end())?;
            return Ok(match bytes.get(bounds) {
                Some(bytes) => [&[Status::Ok.into()], bytes].concat(),
                None => vec![Status::Refused.into()],
            });
        }
    };
    let outboard = PreOrderMemOutboard::create(bytes, BLOCK);
    if Hash::from(blake3::Hash::from_bytes(*outboard.root.as_bytes())) != item.hash {
        bail!("the library is wrong about a blob");
    }
    let first = ChunkNum(item.groups.first.checked_mul(16).context("a first group")?);
    let ranges = match item.groups.count {
        0 => ChunkRanges::from(first..),
        count => ChunkRanges::from(first..ChunkNum((item.groups.first + count) * 16)),
    };
    let mut encoded = vec![Status::Ok.into()];
    encoded.extend(u64::try_from(bytes.len())?.to_le_bytes());
    encode_ranges_validated(bytes, &outboard, &ranges, &mut encoded)?;
    Ok(encoded)
}
