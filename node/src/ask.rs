//! Asking one peer for records and for blobs that describe a version.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::AsyncReadExt;
use libp2p::PeerId;
use opendag_protocol::{
    BlobId, DatasetId, RecordId,
    limits::{DESCRIPTION_BLOB_BYTES_MAX, RECORD_BYTES_MAX, RECORDS_PER_REQUEST_MAX},
    record::{Record, RecordError, SignedRecord},
    wire::{
        BlobRange, BlobsRequest, BoundedVec, GroupRange, RecordsRequest, RecordsResponse, Status,
    },
};
use tokio::time::timeout;

use crate::{
    flow::Flow,
    frames::{FrameError, read_frame, write_frame},
    limits::ANSWER_DEADLINE,
    net::{Net, OpenError, Stream, StreamProtocol},
    store::{Expect, PieceDecoder},
};

/// How long a peer may take to open a stream.
const OPEN_DEADLINE: Duration = Duration::from_secs(15);
/// How long a whole answer may take: one of the largest at 256 kbit/s.
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// Records in one answer: an owner chain, a head, some manifests; more is a flood.
const ANSWER_RECORDS_MAX: usize = 512;
/// Bytes of the records in one answer: as many of the largest as one request may name.
const ANSWER_BYTES_MAX: usize = RECORDS_PER_REQUEST_MAX * RECORD_BYTES_MAX;

/// Why a peer gave no useful answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// No stream to it.
    #[error("cannot open a stream: {0}")]
    Open(#[source] OpenError),
    /// It did not open in time.
    #[error("the peer did not open a stream within {} s", OPEN_DEADLINE.as_secs())]
    OpenTimeout,
    /// The stream failed.
    #[error(transparent)]
    Frame(FrameError),
    /// It has not what was asked for.
    #[error("the peer does not have it")]
    NotFound,
    /// It has no room for us now.
    #[error("the peer is busy")]
    Busy,
    /// It refuses us.
    #[error("the peer refused")]
    Refused,
    /// It sent a record that is none.
    #[error("the peer sent a bad record: {0}")]
    Record(#[source] RecordError),
    /// It sent bytes that are not those.
    #[error("the peer sent wrong bytes")]
    WrongBytes,
    /// It sent more than it may.
    #[error("the peer sent too much")]
    TooMuch,
    /// It answers, but too slowly.
    #[error("the peer did not answer within {} s", ANSWER_MAX.as_secs())]
    TooSlow,
}

impl AskError {
    /// Did it say nothing at all?
    pub(crate) fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::OpenTimeout | Self::Frame(FrameError::Timeout(_)) | Self::TooSlow
        )
    }
}

/// Opens a stream to `peer`, within a deadline.
pub(crate) async fn open(
    net: &Net,
    peer: PeerId,
    protocol: StreamProtocol,
) -> Result<Stream, AskError> {
    timeout(OPEN_DEADLINE, net.open(peer, protocol))
        .await
        .map_err(|_| AskError::OpenTimeout)?
        .map_err(AskError::Open)
}

/// Asks for records. Whoever sends one that is forged is banned: no honest node does.
async fn records(
    net: &Net,
    peer: PeerId,
    request: &RecordsRequest,
) -> Result<Vec<SignedRecord>, AskError> {
    let asked = timeout(ANSWER_MAX, all_records(net, peer, request)).await;
    let answer = asked.unwrap_or(Err(AskError::TooSlow));
    if let Err(AskError::Record(error)) = &answer
        && !matches!(error, RecordError::Version { .. })
    {
        tracing::debug!(%peer, %error, "banned for a forged record");
        net.ban(peer).await;
    }
    answer
}

async fn all_records(
    net: &Net,
    peer: PeerId,
    request: &RecordsRequest,
) -> Result<Vec<SignedRecord>, AskError> {
    let mut stream = open(net, peer, StreamProtocol::Records).await?;
    write_frame(&mut stream, request, ANSWER_DEADLINE)
        .await
        .map_err(AskError::Frame)?;
    let mut records = Vec::new();
    let mut bytes_left = ANSWER_BYTES_MAX;
    while let Some(answer) = read_frame(&mut stream, ANSWER_DEADLINE)
        .await
        .map_err(AskError::Frame)?
    {
        match answer {
            RecordsResponse::Record(bytes)
                if records.len() < ANSWER_RECORDS_MAX && bytes.len() <= bytes_left =>
            {
                bytes_left -= bytes.len();
                records.push(SignedRecord::decode(&bytes).map_err(AskError::Record)?);
            }
            RecordsResponse::Record(_) => return Err(AskError::TooMuch),
            RecordsResponse::NotFound(_) => {}
            RecordsResponse::Busy => return Err(AskError::Busy),
            RecordsResponse::End => break,
        }
    }
    if records.is_empty() {
        return Err(AskError::NotFound);
    }
    records.sort_by_key(|record| judged_at(record.record()));
    Ok(records)
}

/// The order in which an answer is judged: owners before what they sign, and versions before heads,
/// so that a head that contradicts its own version is refused instead of standing in its way.
fn judged_at(record: &Record) -> u8 {
    match record {
        Record::Dataset(_) => 0,
        Record::Manifest(_) => 1,
        Record::Head(_) => 2,
        Record::Statement(_) | Record::Other(_) => 3,
    }
}

/// All that `peer` knows of a dataset: owners, newest head, its manifest, proofs of equivocation.
pub(crate) async fn dataset(
    net: &Net,
    peer: PeerId,
    dataset: DatasetId,
) -> Result<Vec<SignedRecord>, AskError> {
    records(net, peer, &RecordsRequest::Dataset { dataset }).await
}

/// A record by its id, and nothing else.
pub(crate) async fn named(net: &Net, peer: PeerId, id: RecordId) -> Result<SignedRecord, AskError> {
    let ids = BoundedVec::take_from(&mut std::iter::once(id));
    let records = records(net, peer, &RecordsRequest::Get { ids }).await?;
    let mut found = records.into_iter().filter(|record| record.id() == id);
    found.next().ok_or(AskError::NotFound)
}

/// Those of these records that `peer` has; of each at most one.
pub(crate) async fn some(
    net: &Net,
    peer: PeerId,
    ids: &[RecordId],
) -> Result<Vec<SignedRecord>, AskError> {
    let ids = BoundedVec::take_from(&mut ids.iter().copied());
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut asked: BTreeSet<RecordId> = ids.iter().copied().collect();
    let mut told = match records(net, peer, &RecordsRequest::Get { ids }).await {
        Ok(told) => told,
        Err(AskError::NotFound) => Vec::new(),
        Err(error) => return Err(error),
    };
    told.retain(|record| asked.remove(&record.id()));
    Ok(told)
}

/// A record by its id, with what is needed to judge it: the owners of its dataset come first.
pub(crate) async fn record(
    net: &Net,
    peer: PeerId,
    id: RecordId,
) -> Result<Vec<SignedRecord>, AskError> {
    // Most ids are those of datasets: to ask for both at once saves a round trip.
    let (named, whole) = tokio::join!(
        named(net, peer, id),
        dataset(net, peer, DatasetId::from(id)),
    );
    let named = named?;
    let of = match named.record() {
        Record::Dataset(dataset) => dataset.fields().dataset.unwrap_or_else(|| id.into()),
        Record::Manifest(manifest) => manifest.fields().dataset,
        Record::Head(head) => head.fields().dataset,
        Record::Statement(_) | Record::Other(_) => return Ok(vec![named]),
    };
    let mut all = if of == DatasetId::from(id) {
        whole?
    } else {
        dataset(net, peer, of).await?
    };
    if all.iter().all(|record| record.id() != id) {
        all.push(named);
    }
    Ok(all)
}

/// A description blob, verified; `received` counts what comes, of use or not.
pub(crate) async fn blob(
    net: &Net,
    peer: PeerId,
    id: BlobId,
    received: Arc<AtomicU64>,
) -> Result<Vec<u8>, AskError> {
    let expect = Expect::AtMost(DESCRIPTION_BLOB_BYTES_MAX);
    let what = (expect, &[GroupRange::ALL][..]);
    let parts = counted_parts(net, peer, id, what, received).await?;
    parts.into_iter().next().ok_or(AskError::WrongBytes)
}

/// Parts of a description blob, verified, in the order of `ranges`; the rest of it is not known to be as `expect` says.
pub(crate) async fn parts(
    net: &Net,
    peer: PeerId,
    id: BlobId,
    what: (Expect, &[GroupRange]),
) -> Result<Vec<Vec<u8>>, AskError> {
    counted_parts(net, peer, id, what, Arc::default()).await
}

async fn counted_parts(
    net: &Net,
    peer: PeerId,
    id: BlobId,
    (expect, ranges): (Expect, &[GroupRange]),
    received: Arc<AtomicU64>,
) -> Result<Vec<Vec<u8>>, AskError> {
    let mut stream = open(net, peer, StreamProtocol::Blobs).await?;
    let mut items = ranges.iter().map(|groups| {
        let (hash, groups) = (id.hash(), *groups);
        BlobRange { hash, groups }.into()
    });
    let request = BlobsRequest {
        items: BoundedVec::take_from(&mut items),
    };
    let asked = request.items.len();
    write_frame(&mut stream, &request, ANSWER_DEADLINE)
        .await
        .map_err(AskError::Frame)?;
    let mut incoming = Incoming::new(stream, Flow::new(None), [received, Arc::default()]);
    incoming.status().await?;
    let mut parts = Vec::with_capacity(asked);
    for groups in ranges.iter().take(asked) {
        incoming.status().await?;
        let mut decoder = PieceDecoder::new(id.hash(), expect, *groups);
        while !decoder.is_complete() {
            let bytes = incoming.more().await?;
            let taken = decoder.push(bytes).map_err(|_| AskError::WrongBytes)?;
            incoming.take(taken);
        }
        let piece = decoder.into_piece();
        parts.push(match *groups == GroupRange::ALL {
            true => piece.into_whole().ok_or(AskError::WrongBytes)?,
            false => piece.bytes().to_vec(),
        });
    }
    Ok(parts)
}

/// A response as it comes in: whatever the stream has, as much as there is at once.
pub(crate) struct Incoming {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    flow: Flow,
    received: [Arc<AtomicU64>; 2],
}

/// Bytes that are taken off a stream at once.
const READ_BYTES: usize = 256 * 1024;

impl Incoming {
    /// Over a stream, below a cap; each of `received` counts what comes, of use or not.
    pub(crate) fn new(stream: Stream, flow: Flow, received: [Arc<AtomicU64>; 2]) -> Self {
        Self {
            stream,
            buffer: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            flow,
            received,
        }
    }

    /// Bytes that are not taken yet, at least one.
    pub(crate) async fn more(&mut self) -> Result<&[u8], AskError> {
        if self.start == self.end {
            let read = timeout(ANSWER_DEADLINE, self.stream.read(&mut self.buffer)).await;
            let read = read
                .map_err(|_| AskError::Frame(FrameError::Timeout(ANSWER_DEADLINE)))?
                .map_err(|error| AskError::Frame(FrameError::Io(error)))?;
            if read == 0 {
                return Err(AskError::Frame(FrameError::Io(
                    io::ErrorKind::UnexpectedEof.into(),
                )));
            }
            (self.start, self.end) = (0, read);
            for received in &self.received {
                received.fetch_add(u64::try_from(read).unwrap_or(0), Ordering::Relaxed);
            }
            self.flow.take(read).await;
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    /// Takes bytes that [`Incoming::more`] showed.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.start = self.end.min(self.start + bytes);
    }

    /// The status byte that opens a response and each of its items.
    pub(crate) async fn status(&mut self) -> Result<(), AskError> {
        let byte = self.more().await?.first().copied();
        self.take(1);
        match byte.and_then(|byte| Status::try_from(byte).ok()) {
            Some(Status::Ok) => Ok(()),
            Some(Status::NotFound) => Err(AskError::NotFound),
            Some(Status::Busy) => Err(AskError::Busy),
            Some(Status::Refused) => Err(AskError::Refused),
            None => Err(AskError::WrongBytes),
        }
    }
}
