//! The versions of a dataset, the newest first: which of them a revision means, and asking for older ones.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use libp2p::PeerId;
use opendag_protocol::{
    DatasetId, ManifestId, RecordId,
    catalogue::DatasetState,
    limits::MANIFESTS_KNOWN_MAX,
    record::SignedRecord,
    revision::{Called, Meaning, Revision},
};
use tokio::time::{Instant, timeout_at};

use super::{ResolveError, Version, now, version};
use crate::{
    ask,
    find::{Finder, PeerHint},
    net::Net,
    node::Shared,
};

/// Older versions that are taken in together: one sync for all of them.
const TAKEN_AT_ONCE: usize = 64;

/// The versions of a dataset whose records are here, the newest first. Blocks.
pub(crate) fn known(shared: &Shared, state: &DatasetState) -> Result<Vec<Version>, ResolveError> {
    let ids = state.manifests().map(|(_, id)| id).rev();
    let versions = ids.map(|id| version(shared, id));
    versions.filter_map(Result::transpose).collect()
}

/// Which of the known versions of a dataset a revision means. Blocks.
pub(crate) fn meaning(
    shared: &Shared,
    state: &DatasetState,
    revision: &Revision,
) -> Result<Meaning, ResolveError> {
    let known = known(shared, state)?;
    Ok(revision.among(known.iter().map(called)))
}

fn called(version: &Version) -> Called<'_> {
    Called {
        manifest: version.id,
        sequence: version.manifest().sequence(),
        label: version.manifest().label(),
    }
}

/// What could have been meant instead, as the end of a sentence. Blocks.
pub(super) fn hint(
    shared: &Shared,
    state: &DatasetState,
    revision: &Revision,
) -> Result<String, ResolveError> {
    let known = known(shared, state)?;
    let labels = known
        .iter()
        .filter_map(|version| version.manifest().label());
    let nearest = revision.nearest(labels);
    let numbers = known.iter().map(|version| version.manifest().sequence());
    let numbers = match (numbers.clone().min(), numbers.max()) {
        (Some(oldest), Some(newest)) if oldest != newest => format!("{oldest} to {newest}"),
        (Some(only), _) => only.to_string(),
        (None, _) => return Ok("no version of it is known".to_owned()),
    };
    Ok(match nearest.is_empty() {
        true => format!("its versions have no labels; numbers known here: {numbers}"),
        false => {
            let labels = nearest.join(", ");
            format!("the nearest labels are: {labels}; numbers known here: {numbers}")
        }
    })
}

/// The parent of the oldest known version in the line of `from`, if its record is not here. Blocks.
pub(crate) fn gap(shared: &Shared, from: &Version) -> Result<Option<ManifestId>, ResolveError> {
    let mut next = from.manifest().parent();
    for _ in 0..MANIFESTS_KNOWN_MAX {
        let Some(parent) = next else { return Ok(None) };
        match shared.store.manifest_of(&parent)? {
            Some(record) => next = record.as_manifest().and_then(|manifest| manifest.parent()),
            None => return Ok(Some(parent)),
        }
    }
    Ok(None)
}

/// Asks peers for the versions before `from`, one parent after the other, until one is called as is
/// wanted, the first of all is known, or as many as this node remembers. What nobody gives in time is
/// no error. Dropping it is safe: what was taken in stays.
pub(crate) async fn learn(
    shared: &Arc<Shared>,
    net: &Net,
    from: &Version,
    (hints, within): (Vec<PeerHint>, Duration),
    wanted: Option<&Revision>,
) -> Result<(), ResolveError> {
    let Some(mut next) = gap(shared, from)? else {
        return Ok(());
    };
    let mut peers = Peers::start(net, from.dataset(), hints, Instant::now() + within);
    let mut taken = Vec::new();
    for _ in 0..MANIFESTS_KNOWN_MAX {
        let Some(record) = peers.record(next).await else {
            break;
        };
        let Some(manifest) = record
            .as_manifest()
            .filter(|it| it.dataset() == from.dataset())
        else {
            break;
        };
        let called = Called {
            manifest: next,
            sequence: manifest.sequence(),
            label: manifest.label(),
        };
        let found =
            wanted.is_some_and(|wanted| wanted.among(std::iter::once(called)) != Meaning::None);
        let parent = manifest.parent();
        taken.push(record);
        if taken.len() >= TAKEN_AT_ONCE {
            take(shared, std::mem::take(&mut taken)).await?;
        }
        match parent.filter(|_| !found) {
            Some(parent) => next = parent,
            None => break,
        }
    }
    take(shared, taken).await
}

/// Children come before their parents: what a known child names is believed of former owners, too.
async fn take(shared: &Arc<Shared>, records: Vec<SignedRecord>) -> Result<(), ResolveError> {
    let shared = shared.clone();
    let taken = tokio::task::spawn_blocking(move || shared.store.apply_all(&records, now()));
    for refused in taken.await.map_err(|_| ResolveError::Stopped)?? {
        if let Err(error) = refused {
            tracing::debug!(%error, "an older version is refused");
        }
    }
    Ok(())
}

/// Peers that may know the versions of a dataset, those that gave something first.
struct Peers {
    net: Net,
    finder: Finder,
    known: VecDeque<PeerId>,
    until: Instant,
}

impl Peers {
    fn start(net: &Net, dataset: DatasetId, hints: Vec<PeerHint>, until: Instant) -> Self {
        Self {
            net: net.clone(),
            finder: Finder::start(net.clone(), vec![dataset.hash()], hints),
            known: VecDeque::new(),
            until,
        }
    }

    /// A record, from whoever has it; `None` when all who were found have it not, or time is up.
    async fn record(&mut self, id: ManifestId) -> Option<SignedRecord> {
        let mut asked = Vec::new();
        loop {
            let peer = match self.known.iter().find(|peer| !asked.contains(*peer)) {
                Some(peer) => *peer,
                None => self.more().await?,
            };
            if asked.contains(&peer) {
                continue;
            }
            asked.push(peer);
            let answer = ask::named(&self.net, peer, RecordId::from(id));
            match timeout_at(self.until, answer).await.ok()? {
                Ok(record) => {
                    self.known.retain(|known| *known != peer);
                    self.known.push_front(peer);
                    return Some(record);
                }
                Err(error) => {
                    tracing::debug!(%peer, version = %id, %error, "a peer does not know a version");
                }
            }
        }
    }

    /// One more peer; `None` when all ways of finding were tried, or time is up.
    async fn more(&mut self) -> Option<PeerId> {
        let looked = self.finder.looked().clone();
        let found = tokio::select! {
            biased;
            found = timeout_at(self.until, self.finder.next()) => found.ok()??,
            () = looked.cancelled() => return None,
        };
        if !self.known.contains(&found) {
            self.known.push_back(found);
        }
        Some(found)
    }
}
