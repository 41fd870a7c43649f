//! Telling the network what is here: provider records, heads, gossip.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use opendag_protocol::{
    DatasetId, RecordId,
    catalogue::DatasetState,
    limits::{CLOCK_SKEW_MAX, HEAD_BYTES_MAX},
    link::Link,
    record::{Head, SignedRecord},
};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::{
    net::{HeadRank, Net},
    node::Shared,
    owners::renew,
    publish::{self, PublishError, Signed},
    resolve::{Version, now},
    store::Store,
};

/// What lies here is looked at so often: what is new is announced, heads are signed again in time. Those who came late
/// compare their catalogues.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(10 * 60);
/// Owners are told so often that they must sign a head again.
const WARN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// Telling the network of a publish must not hold up the one who publishes.
const TELL_MAX: Duration = Duration::from_secs(5);
/// Addresses in a link: enough for several networks, few enough to paste.
const LINK_ADDRESSES_MAX: usize = 4;

fn learn_all(shared: &Shared, records: &[SignedRecord]) {
    for record in records {
        if let Err(error) = shared.learn(record) {
            tracing::debug!(record = %record.id(), %error, "a record is refused");
        }
    }
}

/// How new `value` is, if it is a head of the dataset whose hash is `key`, signed by its owners as far
/// as they are known here.
pub(crate) fn rank_head(store: &Store, key: &[u8], value: &[u8]) -> Option<HeadRank> {
    if value.len() > HEAD_BYTES_MAX {
        return None;
    }
    let signed = SignedRecord::decode(value).ok()?;
    let fields = signed.as_head()?.fields();
    if fields.dataset.hash().as_bytes() != key
        || fields.issued_at > now().saturating_add(CLOCK_SKEW_MAX)
    {
        return None;
    }
    let state = store.dataset(&fields.dataset).ok().flatten();
    let owners_known = state.is_some();
    let authorised = state.is_none_or(|state| state.owners().authorises(&signed).is_ok());
    authorised.then_some(HeadRank {
        owners_known,
        sequence: fields.sequence,
        issued_at: fields.issued_at.as_secs(),
    })
}

/// Keeps what lies here announced, and heads that this node may sign fresh, until the network ends.
pub(crate) async fn keep_announced(shared: Arc<Shared>, net: Net) {
    let mut ticks = interval(ANNOUNCE_EVERY);
    let mut told = BTreeMap::new();
    let mut warned = Warned::default();
    shared.renewals.found(BTreeSet::new());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let versions = match shared.store.places() {
            Ok(places) => places
                .into_iter()
                .map(|place| place.manifest)
                .collect::<BTreeSet<_>>(),
            Err(error) => {
                tracing::warn!(%error, "cannot read what is to be announced");
                continue;
            }
        };
        shared.protect_own();
        let (mut datasets, mut waiting) = (BTreeSet::new(), BTreeSet::new());
        for manifest in versions {
            if shared.is_denied_version(manifest) {
                continue;
            }
            net.provide(manifest.hash()).await;
            if let Ok(Some(version)) = crate::resolve::version(&shared, manifest)
                && datasets.insert(version.dataset())
                && freshen(&shared, version.dataset(), &mut warned)
            {
                waiting.insert(version.dataset());
            }
        }
        shared.renewals.found(waiting);
        for dataset in datasets {
            net.provide(dataset.hash()).await;
            let state = shared.store.dataset(&dataset).ok().flatten();
            let head = state.as_ref().and_then(DatasetState::newest_record);
            let Some(head) = head else { continue };
            let id = head.id();
            // What was told before this node started others have heard of, or compare.
            match told.insert(dataset, id) {
                Some(before) if before == id => {}
                Some(_) => tell_head(&shared, &net, dataset).await,
                None if is_fresh(head) => tell_head(&shared, &net, dataset).await,
                None => net.put_head(dataset, head.bytes().to_vec()).await,
            }
        }
    }
}

/// Was it signed so lately that others may not have heard of it?
fn is_fresh(head: &SignedRecord) -> bool {
    let issued_at = head.as_head().map(Head::issued_at);
    issued_at.is_some_and(|at| at.saturating_add(ANNOUNCE_EVERY) > now())
}

pub(crate) async fn tell_head(shared: &Shared, net: &Net, dataset: DatasetId) {
    let state = shared.store.dataset(&dataset).ok().flatten();
    let state = state.filter(|state| shared.denial_of_dataset(state).is_none());
    let Some(head) = state
        .as_ref()
        .and_then(DatasetState::newest_record)
        .map(|head| head.bytes().to_vec())
    else {
        return;
    };
    net.gossip_head(head.clone()).await;
    net.put_head(dataset, head).await;
}

/// When somebody was last told that a head waits for its owners.
#[derive(Default)]
struct Warned(BTreeMap<DatasetId, Instant>);

impl Warned {
    /// Was that long ago? From now on it was not.
    fn is_due(&mut self, dataset: DatasetId) -> bool {
        let now = Instant::now();
        let last = self.0.get(&dataset);
        let due = last.is_none_or(|last| now.duration_since(*last) >= WARN_EVERY);
        if due {
            self.0.insert(dataset, now);
        }
        due
    }
}

/// Signs the head again if half of its life is over and the keys are here. Answers whether it waits for other owners.
fn freshen(shared: &Shared, dataset: DatasetId, warned: &mut Warned) -> bool {
    let Ok(Some(state)) = shared.store.dataset(&dataset) else {
        return false;
    };
    let Some(head) = state.newest() else {
        return false;
    };
    let fields = head.fields();
    if !renew::is_due(shared, fields) {
        return false;
    }
    match publish::sign_head(shared, &state, fields.sequence, fields.manifest) {
        Ok(head) => learn_all(shared, &[head]),
        Err(PublishError::Threshold { .. }) => {
            if let Ok(Some(renewal)) = renew::due(shared, &state) {
                if warned.is_due(dataset) {
                    tracing::warn!(%dataset, "{}", renew::warning(&state, &renewal));
                }
                return true;
            }
        }
        Err(error) => tracing::warn!(%dataset, %error, "cannot sign a head again"),
    }
    false
}

impl Shared {
    /// Sees that what is known of own datasets is never forgotten, whether they lie here or not.
    pub(crate) fn protect_own(&self) {
        let keys = self.keys();
        let owners = keys.names().map(|names| {
            let keys = names.iter().filter_map(|name| keys.get(name).ok());
            keys.map(|key| key.public()).collect::<BTreeSet<_>>()
        });
        match owners {
            Ok(owners) => {
                self.store.protect_owned_by(owners.clone());
                // Lists that are heeded must not make room for others.
                let mut wanted = owners;
                wanted.extend(self.denylists.subscribed());
                self.store.want_statements_of(wanted);
            }
            Err(error) => tracing::warn!(%error, "cannot read the publisher keys"),
        }
    }

    /// Announces a version that was just published, if this node is on the network. Answers its link.
    pub(crate) async fn announce(&self, signed: &Signed) -> String {
        let denied = self.is_denied_version(signed.manifest);
        if let (Some(net), false) = (self.running_net(), denied) {
            let tell = async {
                net.provide(signed.manifest.hash()).await;
                net.provide(signed.dataset.hash()).await;
                tell_head(self, net, signed.dataset).await;
            };
            if timeout(TELL_MAX, tell).await.is_err() {
                tracing::debug!("announcing takes long: it is done again later");
            }
        }
        self.link(signed.dataset.into(), &signed.name).await
    }

    /// Announces that this node fetches a version, and so serves parts of it.
    pub(crate) async fn announce_fetch(&self, net: &Net, version: &Version) {
        if self.denial(version).is_some() {
            return;
        }
        net.provide(version.id.hash()).await;
        net.provide(version.dataset().hash()).await;
    }

    /// A link with the name, and the addresses of this node if it listens.
    pub(crate) async fn link(&self, id: RecordId, name: &str) -> String {
        let mut addresses = self.addresses().await;
        let loopback =
            |address: &String| address.starts_with("/ip4/127.") || address.starts_with("/ip6/::1/");
        if addresses.iter().any(|address| !loopback(address)) {
            addresses.retain(|address| !loopback(address));
        }
        addresses.truncate(LINK_ADDRESSES_MAX);
        let link = Link::new(id, Some(name.to_owned()), addresses);
        link.unwrap_or_else(|_| Link::from(id)).to_string()
    }
}
