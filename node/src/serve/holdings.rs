//! Answering `/opendag/<net>/holdings/1`: what is here of a version, then what comes, for as long as
//! the peer listens.

use std::{sync::Arc, time::Duration};

use futures::AsyncReadExt;
use libp2p::PeerId;
use opendag_protocol::{
    ManifestId,
    wire::{BoundedVec, HoldingsRequest, HoldingsUpdate},
};
use tokio::time::sleep;

use crate::{
    frames::{FrameError, read_frame, write_frame},
    holdings::{News, Session},
    limits::ANSWER_DEADLINE,
    net::Stream,
    node::Shared,
    place::Held,
};

/// Changes are gathered for so long, so that a fast fetch does not flood its peers with news.
const GATHER: Duration = Duration::from_millis(300);

/// Answers until the peer closes its side, or there can be no news.
pub(super) async fn answer(shared: &Arc<Shared>, stream: &mut Stream) -> Result<(), FrameError> {
    let Some(request) = read_frame::<HoldingsRequest>(stream, ANSWER_DEADLINE).await? else {
        return Ok(());
    };
    let manifest = request.manifest;
    let running = shared.sessions.get(&manifest);
    match &running {
        Some(session) => follow(shared, stream, session).await?,
        None => still(shared, stream, manifest).await?,
    }
    wait_for_close(stream).await;
    Ok(())
}

/// A version that lies here and is not being fetched.
async fn still(
    shared: &Arc<Shared>,
    stream: &mut Stream,
    manifest: ManifestId,
) -> Result<(), FrameError> {
    let mut updates = match shared.places.held(manifest).await {
        Held::Nothing => vec![HoldingsUpdate::Nothing],
        Held::Complete => vec![HoldingsUpdate::Complete],
        Held::Some(shards) => HoldingsUpdate::shards(shards.iter().copied()).collect(),
    };
    updates.push(HoldingsUpdate::Snapshot);
    send_all(stream, updates).await
}

/// A version that is being fetched: a picture, then its changes until the fetch ends.
async fn follow(shared: &Shared, stream: &mut Stream, session: &Session) -> Result<(), FrameError> {
    let mut changes = session.watch();
    let mut seen = 0;
    let mut told = Vec::new();
    loop {
        changes.mark_unchanged();
        let ended = session.has_ended();
        let news = session.news(seen);
        let first = seen == 0 && told.is_empty();
        seen += news.done.len();
        let mut updates = updates(shared, &news, &mut told);
        if first {
            updates.push(HoldingsUpdate::Snapshot);
        }
        send_all(stream, updates).await?;
        if ended || changes.changed().await.is_err() {
            return Ok(());
        }
        sleep(GATHER).await;
    }
}

/// What changed, as frames. Notes the peers that were told.
fn updates(shared: &Shared, news: &News, told: &mut Vec<PeerId>) -> Vec<HoldingsUpdate> {
    let mut done = news.done.clone();
    done.sort_unstable();
    let mut updates: Vec<_> = HoldingsUpdate::shards(done).collect();
    for (shard, groups) in &news.partial {
        // The first ranges of a shard in many pieces say enough.
        updates.extend(HoldingsUpdate::partial(*shard, groups).take(1));
    }
    let fresh: Vec<PeerId> = news
        .peers
        .iter()
        .copied()
        .filter(|peer| !told.contains(peer))
        .collect();
    let mut known = fresh
        .iter()
        .filter_map(|peer| shared.wire_address(*peer))
        .peekable();
    while known.peek().is_some() {
        updates.push(HoldingsUpdate::Peers(BoundedVec::take_from(&mut known)));
    }
    drop(known);
    told.extend(fresh);
    updates
}

async fn send_all(stream: &mut Stream, updates: Vec<HoldingsUpdate>) -> Result<(), FrameError> {
    for update in updates {
        write_frame(stream, &update, ANSWER_DEADLINE).await?;
    }
    Ok(())
}

/// The peer keeps the stream open as long as it cares; whatever it sends is not read further.
async fn wait_for_close(stream: &mut Stream) {
    let _ = stream.read(&mut [0; 1]).await;
}
