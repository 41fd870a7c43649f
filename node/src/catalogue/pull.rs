//! Asking a peer for records by their ids, with what is needed to judge them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use libp2p::PeerId;
use opendag_protocol::{
    DatasetId, RecordId,
    admission::{self, Verdict as Judged},
    catalogue::Applied,
    limits::RECORDS_PER_REQUEST_MAX,
    record::{Head, Record, SignedRecord},
};
use tokio::task::JoinSet;

use crate::{
    ask::{self, AskError},
    net::Net,
    node::Shared,
    resolve::now,
};

/// Requests under way to one peer: a long way is used well, and an answer has at most 4 MiB.
const AT_ONCE: usize = 4;
/// Datasets of one batch whose owners changed and which are asked for one by one.
const ROTATED_MAX: usize = RECORDS_PER_REQUEST_MAX;

/// What came of asking.
#[derive(Debug, Default)]
pub(super) struct Pulled {
    /// Records that are new here.
    pub(super) new: usize,
    /// Heads that are newer or prove equivocation.
    pub(super) heads: Vec<SignedRecord>,
}

/// Asks `peer` for these records and takes them in.
pub(super) async fn pull(
    shared: &Arc<Shared>,
    net: &Net,
    peer: PeerId,
    ids: &BTreeSet<RecordId>,
) -> Result<Pulled, AskError> {
    let ids: Vec<RecordId> = ids.iter().copied().collect();
    let mut left = ids.chunks(RECORDS_PER_REQUEST_MAX);
    let mut under_way = JoinSet::new();
    let mut pulled = Pulled::default();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(some) = left.next()
        {
            let (shared, net, some) = (shared.clone(), net.clone(), some.to_vec());
            under_way.spawn(async move { batch(&shared, &net, peer, &some).await });
        }
        match under_way.join_next().await {
            Some(Ok(batch)) => {
                let batch = batch?;
                pulled.new += batch.new;
                pulled.heads.extend(batch.heads);
            }
            // The node ends.
            Some(Err(_)) => {}
            None => return Ok(pulled),
        }
    }
}

async fn batch(
    shared: &Shared,
    net: &Net,
    peer: PeerId,
    ids: &[RecordId],
) -> Result<Pulled, AskError> {
    let mut told = ask::some(net, peer, ids).await?;
    // What is denied here is neither kept nor passed on.
    told.retain(|record| {
        let denied = shared.is_withheld_record(record.record());
        if denied {
            shared.catalogue.is_useless(record.id());
            shared.catalogue.wanted.found(&record.id());
        }
        !denied
    });
    let heads: Vec<&Head> = told.iter().filter_map(SignedRecord::as_head).collect();
    let owners = owners_of(shared, net, peer, &heads).await?;
    let missing: BTreeSet<RecordId> = heads
        .iter()
        .map(|head| RecordId::from(head.manifest()))
        .filter(|id| !shared.store.has_record(id).unwrap_or(true))
        .collect();
    let missing: Vec<_> = missing.into_iter().collect();
    let manifests = ask::some(net, peer, &missing).await?;
    let mut manifests_of: BTreeMap<DatasetId, Vec<SignedRecord>> = BTreeMap::new();
    for manifest in manifests {
        if let Record::Manifest(fields) = manifest.record() {
            let of = manifests_of.entry(fields.dataset()).or_default();
            of.push(manifest.clone());
        }
    }
    let mut records = Vec::new();
    for signed in told {
        let Some(head) = signed.as_head() else {
            // An owner record without a head would be a dataset that nobody keeps alive.
            if signed.as_dataset().is_none() {
                records.push(signed);
            }
            continue;
        };
        let dataset = head.dataset();
        let mut before = owners.get(&dataset).cloned().unwrap_or_default();
        before.extend(manifests_of.remove(&dataset).unwrap_or_default());
        if shared.is_denied_with(dataset, &before) {
            shared.catalogue.is_useless(signed.id());
            continue;
        }
        let known = shared.store.dataset(&dataset).ok().flatten();
        match admission::judge_with(signed.bytes(), known, &before, now()) {
            Judged::Accept(head) => {
                records.extend(before);
                records.push(head);
            }
            judged @ (Judged::Ignore(_) | Judged::NeedOwners { .. } | Judged::Reject(_)) => {
                shared.catalogue.is_useless(signed.id());
                if let Judged::Reject(error) = judged {
                    tracing::debug!(%peer, %error, "banned for a forged head");
                    net.ban(peer).await;
                }
            }
        }
    }
    Ok(take(shared, records).await)
}

/// The owner records that are not known here, in order: at one go for all datasets whose owners never changed.
async fn owners_of(
    shared: &Shared,
    net: &Net,
    peer: PeerId,
    heads: &[&Head],
) -> Result<BTreeMap<DatasetId, Vec<SignedRecord>>, AskError> {
    let is_missing = |head: &&&Head| {
        !shared
            .store
            .has_record(&head.owner_record())
            .unwrap_or(true)
    };
    let missing: BTreeSet<RecordId> = heads
        .iter()
        .filter(is_missing)
        .map(|head| head.owner_record())
        .collect();
    let missing: Vec<_> = missing.into_iter().collect();
    let mut owners: BTreeMap<DatasetId, Vec<SignedRecord>> = BTreeMap::new();
    let mut rotated = BTreeSet::new();
    for record in ask::some(net, peer, &missing).await? {
        match record.as_dataset() {
            Some(dataset) if dataset.sequence() == 0 => {
                let of = owners.entry(dataset.dataset_id()).or_default();
                of.push(record.clone());
            }
            Some(dataset) => {
                rotated.insert(dataset.dataset_id());
            }
            None => {}
        }
    }
    for dataset in rotated.into_iter().take(ROTATED_MAX) {
        let told = ask::dataset(net, peer, dataset).await?;
        let chain = told.into_iter().filter(|record| {
            record.as_dataset().is_some() && record.record().dataset_id() == Some(dataset)
        });
        owners.insert(dataset, chain.collect());
    }
    Ok(owners)
}

async fn take(shared: &Shared, records: Vec<SignedRecord>) -> Pulled {
    let mut pulled = Pulled::default();
    let Some(taken) = shared.catalogue.intake.take(records.clone()).await else {
        return pulled;
    };
    for (record, taken) in records.into_iter().zip(taken) {
        let id = record.id();
        match taken {
            Ok(Applied::New | Applied::Newer | Applied::Equivocation { .. }) => {
                pulled.new += 1;
                if record.as_head().is_some() {
                    shared.want_manifest(&record);
                    pulled.heads.push(record);
                }
            }
            Ok(Applied::Known) => {}
            Ok(Applied::Stale | Applied::Unneeded | Applied::Retired) => {
                shared.catalogue.is_useless(id);
            }
            Err(error) => {
                tracing::debug!(record = %id, %error, "a record is refused");
                shared.catalogue.is_useless(id);
            }
        }
        shared.catalogue.wanted.found(&id);
    }
    pulled
}
