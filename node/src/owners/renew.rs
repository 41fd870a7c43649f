//! Heads that a node cannot sign again alone: their owners are told in time, and sign together.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use opendag_protocol::{
    DatasetId,
    catalogue::DatasetState,
    key::PublicKey,
    record::{Head, HeadFields, UnfinishedRecord},
};

use super::{OwnersError, Signed, sign_all};
use crate::{
    announce, drafts,
    inspect::date,
    node::Shared,
    ops::{Event, RenewalInfo},
    publish,
    resolve::now,
    store::StoreError,
};

/// Is it time to sign a head again? Half of its life is over.
pub(crate) fn is_due(shared: &Shared, head: &HeadFields) -> bool {
    head.expires_at <= now().saturating_add(shared.config.head_lifetime / 2)
}

/// Whom a head waits for, if it is time to sign it again, a key here may, and those here are too few.
pub(crate) fn due(
    shared: &Shared,
    state: &DatasetState,
) -> Result<Option<RenewalInfo>, OwnersError> {
    let Some(head) = state.newest().filter(|head| is_due(shared, head.fields())) else {
        return Ok(None);
    };
    let owners = state.owners().current();
    let keys = shared.keys();
    let mut here: BTreeSet<PublicKey> = BTreeSet::new();
    for name in keys.names()? {
        let key = keys.get(&name)?.public();
        if owners.owners().contains(&key) {
            here.insert(key);
        }
    }
    let here = u8::try_from(here.len()).unwrap_or(u8::MAX);
    let waits = (1..owners.threshold()).contains(&here);
    Ok(waits.then(|| RenewalInfo {
        expires_at: head.expires_at(),
        threshold: owners.threshold(),
        here,
    }))
}

/// The datasets whose heads wait for their owners, as a daemon found them when it last looked at all. Without a daemon
/// nobody has.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Option<BTreeSet<DatasetId>>>);

impl Waiting {
    /// What was found.
    pub(crate) fn found(&self, datasets: BTreeSet<DatasetId>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(datasets);
    }

    fn get(&self) -> Option<BTreeSet<DatasetId>> {
        let datasets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        datasets.clone()
    }
}

/// How many datasets that lie here wait for their owners.
pub(crate) fn count(shared: &Shared) -> Result<u64, StoreError> {
    let datasets = match shared.renewals.get() {
        Some(found) => found,
        None => shared.store.placed_datasets()?,
    };
    let mut count = 0;
    for dataset in datasets {
        let state = shared.store.dataset(&dataset)?;
        let waits = state.is_some_and(|state| matches!(due(shared, &state), Ok(Some(_))));
        count += u64::from(waits);
    }
    Ok(count)
}

/// What the log says of a head that waits.
pub(crate) fn warning(state: &DatasetState, renewal: &RenewalInfo) -> String {
    let (name, until) = (state.name(), date(renewal.expires_at));
    format!(
        "the owners' word that the newest version of {name} is the newest {} on {until}, and {} of them must sign \
         it again: opendag owners renew {name} --draft FILE",
        if renewal.expires_at <= now() {
            "expired"
        } else {
            "expires"
        },
        renewal.threshold
    )
}

/// Signs the newest head again. Applies it, or writes a draft of it.
pub(super) async fn renew(
    shared: &Arc<Shared>,
    state: &DatasetState,
    file: Option<&Path>,
) -> Result<Event, OwnersError> {
    let newest = state.newest().ok_or(OwnersError::NoVersion)?;
    let version = (newest.sequence(), newest.manifest());
    let fields = publish::head_fields(shared, state, version);
    let expires_at = fields.expires_at;
    let head = UnfinishedRecord::new(Head::new(fields)?);
    let (draft, records) = match sign_all(shared, state, [head], file)? {
        Signed::Draft(event) => return Ok(event),
        Signed::Finished(draft, records) => (draft, records),
    };
    drafts::learn(shared, &draft, &records)?;
    if let Some(net) = shared.running_net() {
        announce::tell_head(shared, net, state.dataset_id()).await;
    }
    Ok(Event::Changed {
        message: format!(
            "the owners say until {} that the newest version of {} is the newest",
            date(expires_at),
            state.name()
        ),
        freed_bytes: 0,
    })
}
