//! Answering `/opendag/<net>/holdings/1`: what is here of a version, then what comes, and who else asks,
//! for as long as the peer listens.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{AsyncReadExt, AsyncWrite};
use libp2p::PeerId;
use opendag_protocol::{
    ManifestId,
    wire::{BoundedVec, HoldingsRequest, HoldingsUpdate},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    frames::{FrameError, read_frame, write_frame},
    holdings::{News, Session, Told},
    limits::ANSWER_DEADLINE,
    members::Member,
    net::Stream,
    node::Shared,
    place::Held,
};

/// Changes are gathered for so long, so that a fast fetch does not flood its peers with news.
const GATHER: Duration = Duration::from_millis(300);
/// Peers that one peer is told of on one stream: more than it talks to at once.
const PEERS_TOLD_MAX: usize = 64;
/// When peers whose address was not known are looked at again, at first: identify may be on its way.
const LOOK_AGAIN_MIN: Duration = Duration::from_secs(1);
/// And at last: some never can be reached.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(64);

/// Answers until the peer closes its side.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    peer: PeerId,
    stream: &mut Stream,
) -> Result<(), FrameError> {
    let Some(request) = read_frame::<HoldingsRequest>(stream, ANSWER_DEADLINE).await? else {
        return Ok(());
    };
    let (mut reader, writer) = stream.split();
    let teller = Teller {
        shared,
        manifest: request.manifest,
        writer,
        sessions: shared.sessions.watch(),
        claimed: Claimed::Unasked,
        exchange: Exchange::new(shared.members.join(request.manifest, peer)),
    };
    // The peer keeps the stream open as long as it cares; whatever it sends ends the answer too.
    let mut end = [0; 1];
    tokio::select! {
        _ = reader.read(&mut end) => Ok(()),
        told = teller.run() => told,
    }
}

/// What the peer was told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claimed {
    Unasked,
    Nothing,
    Something,
}

struct Teller<'a, W> {
    shared: &'a Shared,
    manifest: ManifestId,
    writer: W,
    sessions: watch::Receiver<()>,
    claimed: Claimed,
    exchange: Exchange,
}

impl<W: AsyncWrite + Unpin + Send> Teller<'_, W> {
    async fn run(mut self) -> Result<(), FrameError> {
        loop {
            self.sessions.mark_unchanged();
            match self.shared.sessions.get(&self.manifest) {
                Some(session) if !self.is_denied() => self.follow(&session).await?,
                Some(_) | None => self.still().await?,
            }
        }
    }

    /// Does the user of this node, or a list that they heed, not want it to be served?
    fn is_denied(&self) -> bool {
        self.shared.is_denied_version(self.manifest)
    }

    /// A version that lies here and is not being fetched: a picture that stays until a fetch begins.
    async fn still(&mut self) -> Result<(), FrameError> {
        if self.claimed == Claimed::Something {
            // A fetch has just ended.
            self.shared.places.forget(&self.manifest);
        }
        let was_denied = self.is_denied();
        let held = match was_denied {
            true => Held::Nothing,
            false => self.shared.places.held(self.manifest).await,
        };
        let mut updates = Vec::new();
        // What a fetch that failed had told of may be gone.
        if self.claimed == Claimed::Something && held != Held::Complete {
            updates.push(HoldingsUpdate::Nothing);
        }
        match &held {
            Held::Nothing if self.claimed == Claimed::Unasked => {
                updates.push(HoldingsUpdate::Nothing);
            }
            Held::Nothing => {}
            Held::Complete => updates.push(HoldingsUpdate::Complete),
            Held::Some(shards) => updates.extend(HoldingsUpdate::shards(shards.iter().copied())),
        }
        self.tell(updates).await?;
        self.claimed = match held {
            Held::Nothing => Claimed::Nothing,
            Held::Complete | Held::Some(_) => Claimed::Something,
        };
        loop {
            if held != Held::Nothing {
                let peers = self.exchange.updates(self.shared).await;
                self.tell(peers).await?;
            }
            tokio::select! {
                // Its sender is the node's and ends with it.
                _ = self.sessions.changed() => {
                    let is_denied = self.is_denied();
                    let begins = self.shared.sessions.get(&self.manifest).is_some() && !is_denied;
                    if begins || is_denied != was_denied {
                        return Ok(());
                    }
                }
                () = self.exchange.changed() => sleep(GATHER).await,
            }
        }
    }

    /// A version that is being fetched: a picture, then its changes until the fetch ends.
    async fn follow(&mut self, session: &Session) -> Result<(), FrameError> {
        let mut changes = session.watch();
        let mut told = Told::default();
        loop {
            changes.mark_unchanged();
            let ended = session.has_ended() || self.is_denied();
            let mut updates = updates(session.news(&mut told));
            updates.extend(self.exchange.updates(self.shared).await);
            self.tell(updates).await?;
            self.claimed = Claimed::Something;
            if ended {
                return Ok(());
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return Ok(()); },
                () = self.exchange.changed() => {}
            }
            sleep(GATHER).await;
        }
    }

    async fn tell(&mut self, mut updates: Vec<HoldingsUpdate>) -> Result<(), FrameError> {
        if self.claimed == Claimed::Unasked {
            updates.push(HoldingsUpdate::Snapshot);
        }
        for update in updates {
            write_frame(&mut self.writer, &update, ANSWER_DEADLINE).await?;
        }
        Ok(())
    }
}

/// News as frames.
fn updates(news: News) -> Vec<HoldingsUpdate> {
    let mut done = news.done;
    done.sort_unstable();
    let mut updates: Vec<_> = HoldingsUpdate::shards(done).collect();
    for (shard, groups) in &news.partial {
        updates.extend(HoldingsUpdate::partial(*shard, groups));
    }
    updates
}

/// What one peer is told of the other peers of the swarm.
struct Exchange {
    /// The peer's own place in the swarm; `None` if that is full.
    member: Option<Member>,
    told: BTreeSet<PeerId>,
    /// When those whose address was not known are looked at again.
    again: Option<Instant>,
    pause: Duration,
}

impl Exchange {
    fn new(member: Option<Member>) -> Self {
        Self {
            member,
            told: BTreeSet::new(),
            again: None,
            pause: LOOK_AGAIN_MIN,
        }
    }

    /// Those who joined since and may be told of, as frames.
    async fn updates(&mut self, shared: &Shared) -> Vec<HoldingsUpdate> {
        let (Some(member), Some(net)) = (&self.member, shared.running_net()) else {
            return Vec::new();
        };
        let mut fresh = member.others();
        fresh.retain(|peer| !self.told.contains(peer));
        self.again = None;
        if fresh.is_empty() || self.told.len() >= PEERS_TOLD_MAX {
            return Vec::new();
        }
        let asked = fresh.len();
        let mut known = net.reachable(fresh).await;
        if known.len() < asked {
            self.again = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(LOOK_AGAIN_MAX);
        }
        known.truncate(PEERS_TOLD_MAX - self.told.len());
        self.told.extend(known.iter().map(|known| known.peer));
        let mut known = known.iter().filter_map(Shared::wire_address).peekable();
        let frames = std::iter::from_fn(|| {
            known.peek()?;
            Some(HoldingsUpdate::Peers(BoundedVec::take_from(&mut known)))
        });
        frames.collect()
    }

    /// Tells when there may be more to tell. Safe to cancel.
    async fn changed(&mut self) {
        let again = async {
            match self.again {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        match &mut self.member {
            Some(member) => tokio::select! {
                () = member.joined() => self.pause = LOOK_AGAIN_MIN,
                () = again => {}
            },
            None => std::future::pending().await,
        }
    }
}
