//! Peers that read all they can get, over as many streams as each likes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use futures::{AsyncReadExt, AsyncWriteExt};
use opendag_node::net::{Net, StreamProtocol};
use opendag_protocol::{
    Hash,
    wire::{BlobItem, BlobRange, BlobsRequest, BoundedVec, GroupRange, encode_frame},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::ground::{Ground, config};

/// After a stream is refused.
const REFUSED_PAUSE: Duration = Duration::from_millis(20);
/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// How long they may take together.
const READ_TIME_MAX: Duration = Duration::from_secs(60);

/// A blob and where it is to be had.
#[derive(Clone, Copy, Debug)]
pub struct Meal<'a> {
    /// The network's name.
    pub network: &'a str,
    /// The address of the node that serves it.
    pub address: &'a str,
    /// The blob.
    pub hash: Hash,
}

/// What each peer gets until all of them together have `bytes`, when they have so many streams. Nothing
/// is verified.
pub fn compete(meal: Meal<'_>, streams: &[usize], bytes: u64) -> Result<Vec<u64>> {
    let ground = Ground::new(1)?;
    let read = read_all(meal, streams, bytes);
    let shares = ground.block_on(async { timeout(READ_TIME_MAX, read).await });
    shares.with_context(|| format!("{bytes} bytes did not come within {READ_TIME_MAX:?}"))?
}

async fn read_all(meal: Meal<'_>, streams: &[usize], bytes: u64) -> Result<Vec<u64>> {
    let (tell, mut told) = mpsc::channel(64);
    let (mut nets, mut tasks) = (Vec::new(), JoinSet::new());
    for seed in (0_u8..).take(streams.len()) {
        let (net, inbound) = Net::start(config(meal.network, [100 + seed; 32])?).await?;
        let peer = net.dial(meal.address.parse()?).await?;
        nets.push((net, peer, Arc::new(AtomicU64::new(0)), inbound));
    }
    // Only when all are connected: whoever reads first gets more.
    for ((net, peer, count, _), streams) in nets.iter().zip(streams) {
        for _ in 0..*streams {
            let (net, peer) = (net.clone(), *peer);
            let (count, tell) = (Arc::clone(count), tell.clone());
            tasks.spawn(async move {
                loop {
                    // A stream that ends, busy or done, is followed by the next.
                    if let Ok(stream) = net.open(peer, StreamProtocol::Blobs).await {
                        let _ = read_stream(stream, meal.hash, &count, &tell).await;
                    }
                    sleep(REFUSED_PAUSE).await;
                }
            });
        }
    }
    let shares = || {
        nets.iter()
            .map(|(_, _, count, _)| count.load(Ordering::Relaxed))
    };
    while shares().sum::<u64>() < bytes {
        told.recv().await.context("somebody reads")?;
    }
    Ok(shares().collect())
}

async fn read_stream(
    mut stream: opendag_node::net::Stream,
    hash: Hash,
    count: &AtomicU64,
    tell: &mpsc::Sender<()>,
) -> Result<()> {
    // As much as one request may name, so that no stream has a pause.
    let piece = GroupRange {
        first: 0,
        count: 16,
    };
    let item = BlobItem::Range(BlobRange {
        hash,
        groups: piece,
    });
    let items = BoundedVec::take_from(&mut std::iter::repeat(item));
    stream
        .write_all(&encode_frame(&BlobsRequest { items })?)
        .await?;
    stream.flush().await?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        count.fetch_add(u64::try_from(read)?, Ordering::Relaxed);
        tell.send(()).await?;
    }
}
