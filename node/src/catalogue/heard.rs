//! What gossip brings: heads are judged, taken in, and only then passed on.

use std::{sync::Arc, time::Duration};

use libp2p::PeerId;
use opendag_protocol::{
    DatasetId, RecordId,
    admission::{self, Verdict as Judged},
    record::{Record, SignedRecord},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::timeout,
};

use crate::{
    ask,
    net::{GossipId, Net, NetEvent, Verdict},
    node::Shared,
    resolve::now,
};

/// An introduction: less than the 30 seconds within which gossip wants a verdict.
const INTRODUCTION_MAX: Duration = Duration::from_secs(20);

/// Handles what the network tells, until it ends.
pub(crate) async fn listen(shared: Arc<Shared>, net: Net, mut events: mpsc::Receiver<NetEvent>) {
    while let Some(event) = events.recv().await {
        match event {
            NetEvent::Gossip { id, from, bytes } => hear(&shared, &net, (id, from), bytes).await,
            NetEvent::PeerConnected { peer } => {
                let is_second = shared.peer_id() > peer;
                shared.catalogue.schedule.connected(peer, is_second);
            }
            NetEvent::PeerDisconnected { peer } => shared.catalogue.schedule.disconnected(&peer),
            NetEvent::LanPeer { .. } | NetEvent::Listening { .. } => {}
        }
    }
}

async fn hear(shared: &Arc<Shared>, net: &Net, (id, from): (GossipId, PeerId), bytes: Vec<u8>) {
    if admission::head_dataset(&bytes).is_some_and(|dataset| shared.is_denied_dataset(dataset)) {
        return net.verdict(id, Verdict::Ignore).await;
    }
    let verdict = match judge(shared, &bytes) {
        Judged::Accept(head) => match may_take(shared, &head) {
            Some(permit) => {
                let (shared, net) = (shared.clone(), net.clone());
                tokio::spawn(async move {
                    let verdict = take(&shared, vec![head]).await;
                    net.verdict(id, verdict).await;
                    drop(permit);
                });
                return;
            }
            None => Verdict::Ignore,
        },
        Judged::NeedOwners { dataset, .. } => match shared.catalogue.gate.introduces(from) {
            Some(permit) => {
                let (shared, net) = (shared.clone(), net.clone());
                tokio::spawn(async move {
                    let introduced = introduce(&shared, &net, from, dataset, &bytes);
                    let verdict = timeout(INTRODUCTION_MAX, introduced).await;
                    net.verdict(id, verdict.unwrap_or(Verdict::Ignore)).await;
                    drop(permit);
                });
                return;
            }
            None => Verdict::Ignore,
        },
        Judged::Ignore(_) => Verdict::Ignore,
        Judged::Reject(_) => Verdict::Reject,
    };
    net.verdict(id, verdict).await;
}

/// Room and time for one more head of its dataset.
fn may_take(shared: &Shared, head: &SignedRecord) -> Option<OwnedSemaphorePermit> {
    let dataset = head.record().dataset_id()?;
    shared.catalogue.gate.takes(dataset)
}

fn judge(shared: &Shared, bytes: &[u8]) -> Judged {
    let state = admission::head_dataset(bytes)
        .and_then(|dataset| shared.store.dataset(&dataset).ok().flatten());
    admission::judge(bytes, state.as_ref(), now())
}

/// Asks who passed a head on for its owners, and keeps them only together with the head.
async fn introduce(
    shared: &Shared,
    net: &Net,
    from: PeerId,
    dataset: DatasetId,
    bytes: &[u8],
) -> Verdict {
    let told = match ask::dataset(net, from, dataset).await {
        Ok(told) => told,
        Err(error) => {
            tracing::debug!(peer = %from, %error, "no owners for a head");
            return Verdict::Ignore;
        }
    };
    let of_it = |record: &SignedRecord| record.record().dataset_id() == Some(dataset);
    let mut told: Vec<_> = told.into_iter().filter(of_it).collect();
    if shared.is_denied_with(dataset, &told) {
        return Verdict::Ignore;
    }
    let known = shared.store.dataset(&dataset).ok().flatten();
    match admission::judge_with(bytes, known, &told, now()) {
        Judged::Accept(head) => {
            told.push(head);
            take(shared, told).await
        }
        Judged::Ignore(_) | Judged::NeedOwners { .. } => Verdict::Ignore,
        Judged::Reject(_) => Verdict::Reject,
    }
}

/// Takes records in, of which the last is the head that is judged.
async fn take(shared: &Shared, records: Vec<SignedRecord>) -> Verdict {
    let head = records.last().cloned();
    let taken = shared.catalogue.intake.take(records).await;
    let became = taken.and_then(|mut taken| taken.pop());
    if let Some(head) = &head {
        shared.want_manifest(head);
    }
    match became {
        // The same head may have come with its owners.
        Some(Ok(_)) => Verdict::Accept,
        Some(Err(error)) => {
            tracing::debug!(%error, "a head was not kept");
            Verdict::Ignore
        }
        None => Verdict::Ignore,
    }
}

impl Shared {
    /// Wants the version that a head names, unless it is here.
    pub(super) fn want_manifest(&self, head: &SignedRecord) {
        if let Record::Head(head) = head.record() {
            let manifest = RecordId::from(head.manifest());
            if !self.store.has_record(&manifest).unwrap_or(true) {
                self.catalogue.wanted.add(manifest);
                self.catalogue.schedule.wants();
            }
        }
    }
}
