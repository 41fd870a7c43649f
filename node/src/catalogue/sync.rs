//! `/opendag/<net>/sync/1`: comparing the catalogue with a peer's, when it connects and from time to time.

mod schedule;

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc, time::Duration};

use futures::AsyncWriteExt;
use libp2p::PeerId;
use opendag_protocol::{
    RecordId,
    limits::{SYNC_DIFFERENCE_MAX, SYNC_OFFERS_PER_MESSAGE_MAX, SYNC_ROUNDS_MAX},
    record::{Head, SignedRecord},
    sync::{Found, Items, Reconcile, is_open},
    wire::{BoundedVec, SyncMessage},
};
use tokio::time::{Instant, timeout};

pub(crate) use self::schedule::Schedule;
use self::schedule::Turn;
use super::{Snapshot, pull::pull};
use crate::{
    ask::{self, AskError},
    frames::{FrameError, read_frame, write_frame},
    limits::ANSWER_DEADLINE,
    net::{Net, Stream, StreamProtocol},
    node::{Role, Shared},
};

/// One comparison, without the records that are asked for afterwards.
const COMPARISON_MAX: Duration = Duration::from_secs(60);
/// Records that one comparison leads to, manifests included.
const PULL_MAX: Duration = Duration::from_secs(150);
/// The set that is compared is used for so many times as long as it took to make: at most a tenth of one core goes
/// into it, however fast the catalogue changes.
const SNAPSHOT_AGE: u32 = 10;
/// Heads that are passed on by gossip after a comparison, so that a healed partition agrees at once.
const TOLD_MAX: usize = 64;
/// Manifests that a peer is asked for at one time.
const MANIFESTS_MAX: usize = 4096;

/// Gives each peer its turn, until the network ends.
pub(super) async fn run(shared: Arc<Shared>, net: Net) {
    while let Some((turn, permit)) = shared.catalogue.schedule.next().await {
        let (shared, net) = (shared.clone(), net.clone());
        let (stop, tasks) = (shared.stop.clone(), shared.tasks.clone());
        tasks.spawn(stop.run_until_cancelled_owned(async move {
            match turn {
                Turn::Compare(peer) => compare_with(&shared, &net, peer).await,
                Turn::Manifests(peer) => {
                    ask_for_manifests(&shared, &net, peer).await;
                    let left = !shared.catalogue.wanted.some(1).is_empty();
                    shared.catalogue.schedule.asked_for_manifests(left);
                }
            }
            drop(permit);
        }));
    }
}

async fn compare_with(shared: &Arc<Shared>, net: &Net, peer: PeerId) {
    let compared = timeout(COMPARISON_MAX, compare(shared, net, peer)).await;
    let count = match compared {
        Ok(Ok(lacking)) => {
            let count = lacking.len();
            ask_for(shared, net, peer, lacking).await;
            Some(count)
        }
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "the catalogue was not compared");
            None
        }
        Err(_) => None,
    };
    shared.catalogue.schedule.ended(peer, count);
}

/// Compares with `peer` and answers what is lacking here.
async fn compare(
    shared: &Arc<Shared>,
    net: &Net,
    peer: PeerId,
) -> Result<BTreeSet<RecordId>, AskError> {
    let mut side = Reconcile::new(shared.sync_items().await);
    let mut stream = ask::open(net, peer, StreamProtocol::Sync).await?;
    let mut message = side.open();
    for _ in 0..SYNC_ROUNDS_MAX {
        write(&mut stream, &SyncMessage::Ranges(message)).await?;
        let answer = match read(&mut stream).await? {
            SyncMessage::Ranges(answer) => answer,
            SyncMessage::Busy => return Err(AskError::Busy),
            SyncMessage::Offer(_) | SyncMessage::Done => return Err(AskError::WrongBytes),
        };
        if !is_open(&answer) {
            break;
        }
        message = side.answer(&answer).map_err(|_| AskError::WrongBytes)?;
        if !is_open(&message) {
            break;
        }
    }
    let found = side.into_found();
    offer(&mut stream, &found).await?;
    let mut lacking = found.lacking;
    let first = read(&mut stream).await?;
    lacking.extend(offered(&mut stream, first).await?);
    Ok(lacking)
}

/// Answers a peer that compares; what is lacking here is asked for afterwards.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    peer: PeerId,
    stream: &mut Stream,
) -> Result<(), FrameError> {
    let (Role::Daemon, Some(net)) = (shared.role, shared.running_net()) else {
        return write_frame(stream, &SyncMessage::Busy, ANSWER_DEADLINE).await;
    };
    let Some(permit) = shared.catalogue.schedule.answers(peer) else {
        return write_frame(stream, &SyncMessage::Busy, ANSWER_DEADLINE).await;
    };
    let compared = timeout(COMPARISON_MAX, answer_all(shared, stream)).await;
    // It may be gone already.
    let _ = stream.close().await;
    let count = match compared {
        Ok(Ok(lacking)) => {
            let count = lacking.len();
            ask_for(shared, net, peer, lacking).await;
            Some(count)
        }
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a comparison of catalogues ended early");
            None
        }
        Err(_) => None,
    };
    shared.catalogue.schedule.ended(peer, count);
    drop(permit);
    Ok(())
}

async fn answer_all(
    shared: &Arc<Shared>,
    stream: &mut Stream,
) -> Result<BTreeSet<RecordId>, AskError> {
    let mut side = Reconcile::new(shared.sync_items().await);
    let first = loop {
        match read(stream).await? {
            SyncMessage::Ranges(message) => {
                let answer = side.answer(&message).map_err(|_| AskError::WrongBytes)?;
                write(stream, &SyncMessage::Ranges(answer)).await?;
            }
            SyncMessage::Busy => return Err(AskError::WrongBytes),
            other @ (SyncMessage::Offer(_) | SyncMessage::Done) => break other,
        }
    };
    let offered = offered(stream, first).await?;
    let found = side.into_found();
    offer(stream, &found).await?;
    let mut lacking = found.lacking;
    lacking.extend(offered);
    Ok(lacking)
}

async fn offer(stream: &mut Stream, found: &Found) -> Result<(), AskError> {
    let ids: Vec<RecordId> = found.to_offer.iter().map(|item| item.id).collect();
    for some in ids.chunks(SYNC_OFFERS_PER_MESSAGE_MAX) {
        let some = BoundedVec::take_from(&mut some.iter().copied());
        write(stream, &SyncMessage::Offer(some)).await?;
    }
    write(stream, &SyncMessage::Done).await
}

/// Reads offers to their end, `message` being the first.
async fn offered(
    stream: &mut Stream,
    mut message: SyncMessage,
) -> Result<BTreeSet<RecordId>, AskError> {
    let mut offered = BTreeSet::new();
    loop {
        match message {
            SyncMessage::Offer(ids) if offered.len() + ids.len() <= SYNC_DIFFERENCE_MAX => {
                offered.extend(ids);
            }
            SyncMessage::Offer(_) => return Err(AskError::TooMuch),
            SyncMessage::Done => return Ok(offered),
            SyncMessage::Ranges(_) | SyncMessage::Busy => return Err(AskError::WrongBytes),
        }
        message = read(stream).await?;
    }
}

/// Asks `peer` for what is lacking, and for manifests that nobody told yet; passes the newest heads on.
async fn ask_for(shared: &Arc<Shared>, net: &Net, peer: PeerId, mut lacking: BTreeSet<RecordId>) {
    shared.catalogue.without_useless(&mut lacking);
    if !lacking.is_empty() {
        let pulled = match timeout(PULL_MAX, pull(shared, net, peer, &lacking)).await {
            Ok(Ok(pulled)) => pulled,
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "records that a peer has were not got");
                return;
            }
            Err(_) => return,
        };
        tracing::debug!(%peer, lacking = lacking.len(), new = pulled.new, "the catalogue grew");
        let mut heads = pulled.heads;
        let issued_at = |head: &SignedRecord| Reverse(head.as_head().map(Head::issued_at));
        heads.sort_by_key(issued_at);
        for head in heads.iter().take(TOLD_MAX) {
            net.gossip_head(head.bytes().to_vec()).await;
        }
    }
    ask_for_manifests(shared, net, peer).await;
}

/// Asks `peer` for manifests that are wanted here.
async fn ask_for_manifests(shared: &Arc<Shared>, net: &Net, peer: PeerId) {
    let wanted = shared.catalogue.wanted.some(MANIFESTS_MAX);
    if wanted.is_empty() {
        return;
    }
    match timeout(PULL_MAX, pull(shared, net, peer, &wanted)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a peer gave no manifests"),
        Err(_) => tracing::debug!(%peer, "a peer gives manifests too slowly"),
    }
}

async fn read(stream: &mut Stream) -> Result<SyncMessage, AskError> {
    let message = read_frame(stream, ANSWER_DEADLINE)
        .await
        .map_err(AskError::Frame)?;
    message.ok_or(AskError::NotFound)
}

async fn write(stream: &mut Stream, message: &SyncMessage) -> Result<(), AskError> {
    write_frame(stream, message, ANSWER_DEADLINE)
        .await
        .map_err(AskError::Frame)
}

impl Shared {
    /// The set that is compared with others: made anew when it has changed, within limits.
    async fn sync_items(self: &Arc<Self>) -> Arc<Items> {
        let mut snapshot = self.catalogue.items.lock().await;
        let generation = self.store.generation();
        if let Some(snapshot) = snapshot.as_ref()
            && (snapshot.generation == generation
                || snapshot.made.elapsed() < snapshot.took * SNAPSHOT_AGE)
        {
            return Arc::clone(&snapshot.items);
        }
        let shared = self.clone();
        let start = Instant::now();
        let make = move || {
            let (of_dataset, of_author) = shared.is_compared();
            shared.store.sync_items(of_dataset, of_author)
        };
        let made = tokio::task::spawn_blocking(make).await;
        let items = match made {
            Ok(Ok(items)) => Arc::new(Items::new(items)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the catalogue cannot be read");
                Arc::new(Items::new(Vec::new()))
            }
            Err(_) => Arc::new(Items::new(Vec::new())),
        };
        *snapshot = Some(Snapshot {
            generation,
            made: Instant::now(),
            took: start.elapsed(),
            items: Arc::clone(&items),
        });
        items
    }
}
