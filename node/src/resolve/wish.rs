//! What a user typed: a link, an id, an exported manifest or a known name, with a revision or without.

use std::{path::Path, sync::Arc, time::Duration};

use opendag_protocol::{
    DatasetId, RecordId,
    http::alias::Alias,
    link::Link,
    revision::{self, Meaning, Revision},
};
use tokio::time::Instant;

use super::{
    ResolveError, history,
    owned::{OwnedError, Publisher},
    resolve,
};
use crate::{carry, find::PeerHint, net::Net, node::Shared, report::Reporter};

/// What a user means: a dataset, or a version by its id.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// The dataset or version.
    pub(crate) id: RecordId,
    /// Peers to ask first.
    pub(crate) hints: Vec<PeerHint>,
    /// Who must own it.
    pub(crate) publisher: Option<Publisher>,
}

/// What a user typed. Which version a revision means is found out by [`Asked::here`] or
/// [`Asked::anywhere`].
#[derive(Debug)]
pub(crate) struct Asked {
    wish: Wish,
    revision: Option<Revision>,
}

impl Asked {
    /// Parses `text`; records of an exported manifest are stored on the way. Blocks.
    pub(crate) fn parse(
        shared: &Shared,
        text: &str,
        cwd: &Path,
        peers: &[String],
    ) -> Result<Self, ResolveError> {
        let mut hints = addresses(peers)?;
        let mut publisher = None;
        let (id, revision) = match text.parse::<Link>() {
            Ok(link) => {
                hints.extend(addresses(link.peers())?);
                (link.id(), link.revision().cloned())
            }
            Err(source) => match named(shared, text)? {
                Some(named) => named,
                None if cwd.join(text).is_file() => (exported(shared, &cwd.join(text))?, None),
                None => match owned(shared, text)? {
                    Some((owner, id, revision)) => {
                        publisher = Some(owner);
                        (id, revision)
                    }
                    None => {
                        return Err(ResolveError::NotALink {
                            text: text.chars().take(64).collect(),
                            source,
                        });
                    }
                },
            },
        };
        let wish = Wish {
            id,
            hints,
            publisher,
        };
        let revision = revision.filter(|revision| !revision.is_newest());
        Ok(Self { wish, revision })
    }

    /// What it means, as far as this node knows. Blocks.
    pub(crate) fn here(self, shared: &Shared) -> Result<Wish, ResolveError> {
        match (self.if_known(shared)?, &self.revision) {
            (Some(wish), _) => Ok(wish),
            (None, Some(revision)) => Err(self.unknown(shared, revision)?),
            (None, None) => Ok(self.wish),
        }
    }

    /// What it means, if this node knows. Blocks.
    pub(crate) fn if_known(&self, shared: &Shared) -> Result<Option<Wish>, ResolveError> {
        let id = match &self.revision {
            None => Some(self.wish.id),
            Some(revision) => self.known(shared, revision)?,
        };
        let wish = self.wish.clone();
        Ok(id.map(|id| Wish { id, ..wish }))
    }

    /// What it means; older versions than are known here are asked for. Dropping it is safe.
    pub(crate) async fn anywhere(
        self,
        shared: &Arc<Shared>,
        net: &Net,
        within: Duration,
        report: &Reporter,
    ) -> Result<Wish, ResolveError> {
        if let Some(wish) = self.if_known(shared)? {
            return Ok(wish);
        }
        let until = Instant::now() + within;
        let mut newest = resolve(shared, net, &self.wish, within, report).await?;
        if self.wish.id == newest.id.into() {
            let wish = Wish {
                id: newest.dataset().into(),
                ..self.wish.clone()
            };
            newest = resolve(shared, net, &wish, within, report).await?;
        }
        if self.if_known(shared)?.is_none() {
            report.waiting("resolve", "older versions").await;
            let within = until.saturating_duration_since(Instant::now());
            let hints = self.wish.hints.clone();
            history::learn(
                shared,
                net,
                &newest,
                (hints, within),
                self.revision.as_ref(),
            )
            .await?;
        }
        self.here(shared)
    }

    fn known(
        &self,
        shared: &Shared,
        revision: &Revision,
    ) -> Result<Option<RecordId>, ResolveError> {
        let Some(dataset) = self.dataset(shared)? else {
            return Ok(None);
        };
        let Some(state) = shared.store.dataset(&dataset)? else {
            return Ok(None);
        };
        match history::meaning(shared, &state, revision)? {
            Meaning::None => Ok(None),
            Meaning::One(id) => Ok(Some(id.into())),
            Meaning::Several(ids) => Err(ResolveError::SeveralVersions {
                name: state.name().to_owned(),
                revision: revision.to_string(),
                ids: ids.iter().map(|id| format!("\n  {id}")).collect(),
            }),
        }
    }

    /// The dataset, if a record of it is here.
    fn dataset(&self, shared: &Shared) -> Result<Option<DatasetId>, ResolveError> {
        let record = shared.store.record(&self.wish.id)?;
        Ok(record.and_then(|record| record.record().dataset_id()))
    }

    /// That nothing is called so, with what is.
    fn unknown(&self, shared: &Shared, revision: &Revision) -> Result<ResolveError, ResolveError> {
        let dataset = self.dataset(shared)?;
        let state = dataset
            .map(|dataset| shared.store.dataset(&dataset))
            .transpose()?;
        let Some(state) = state.flatten() else {
            return Ok(ResolveError::NotHere(self.wish.id));
        };
        Ok(ResolveError::NoVersion {
            name: state.name().to_owned(),
            revision: revision.to_string(),
            hint: history::hint(shared, &state, revision)?,
        })
    }
}

/// Parses the addresses of peers to ask first.
pub(crate) fn addresses(texts: &[String]) -> Result<Vec<PeerHint>, ResolveError> {
    let parse = |text: &String| {
        text.parse()
            .map(PeerHint)
            .map_err(|_| ResolveError::NotAnAddress(text.clone()))
    };
    texts.iter().map(parse).collect()
}

/// A known name, or one with a revision behind it.
fn named(
    shared: &Shared,
    text: &str,
) -> Result<Option<(RecordId, Option<Revision>)>, ResolveError> {
    if let Some(id) = by_name(shared, text)? {
        return Ok(Some((id, None)));
    }
    for (name, revision) in revision::split(text) {
        if let (Ok(revision), Some(id)) = (revision.parse(), by_name(shared, name)?) {
            return Ok(Some((id, Some(revision))));
        }
    }
    Ok(None)
}

/// A publisher's dataset by the user's name for the publisher, with a revision behind it or none.
fn owned(
    shared: &Shared,
    text: &str,
) -> Result<Option<(Publisher, RecordId, Option<Revision>)>, ResolveError> {
    let Some((alias, name)) = text.split_once('/') else {
        return Ok(None);
    };
    if alias.parse::<Alias>().is_err() {
        return Ok(None);
    }
    let publisher = Publisher::find(shared, alias).map_err(|source| match source {
        OwnedError::NoAlias(_) => ResolveError::NoAlias {
            text: text.chars().take(64).collect(),
            source: Box::new(source),
        },
        other => other.into(),
    })?;
    let (name, revision) = publisher.split(shared, name)?;
    let Ok(revision) = revision.map(str::parse).transpose() else {
        return Ok(None);
    };
    let id = publisher.dataset(shared, name)?;
    Ok(id.map(|id| (publisher, id, revision)))
}

/// The dataset of that name: of several the one of which something lies here.
fn by_name(shared: &Shared, name: &str) -> Result<Option<RecordId>, ResolveError> {
    let known = shared.store.by_name(name)?;
    if let [] | [_] = known.as_slice() {
        return Ok(known.first().copied().map(RecordId::from));
    }
    let mut here = Vec::new();
    for dataset in &known {
        if is_here(shared, dataset)? {
            here.push(*dataset);
        }
    }
    if let [one] = here.as_slice() {
        return Ok(Some((*one).into()));
    }
    let ids = known.iter().take(8).map(ToString::to_string);
    Err(ResolveError::Ambiguous {
        name: name.to_owned(),
        count: known.len(),
        ids: ids.collect::<Vec<_>>().join(", "),
    })
}

/// Does a version of a dataset have a place on this node?
fn is_here(shared: &Shared, dataset: &DatasetId) -> Result<bool, ResolveError> {
    let Some(state) = shared.store.dataset(dataset)? else {
        return Ok(false);
    };
    for (_, manifest) in state.manifests() {
        if !shared.store.places_of(&manifest)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Stores the records of an exported manifest, and answers which version it carries. Blocks.
fn exported(shared: &Shared, path: &Path) -> Result<RecordId, ResolveError> {
    let carried = carry::read(path).map_err(Box::new)?;
    carry::learn(shared, &carried).map_err(|error| Box::new(error.into()))?;
    Ok(carried.manifest().id().into())
}
