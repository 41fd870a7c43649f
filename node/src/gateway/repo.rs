//! From the names that clients use to versions.

use std::{sync::Arc, time::Duration};

pub(super) use opendag_protocol::revision::commit;
use opendag_protocol::{
    DatasetId, RecordId,
    http::hf::Repo,
    revision::{Meaning, Revision},
};

use super::names::{self, NoName};
use crate::{
    node::Shared,
    read::{ReadFault, ReadVersion},
    resolve::{self, ResolveError, Version, history},
};

/// How long a dataset is looked for that is not known here: clients wait for 10 s.
const FIND_MAX: Duration = Duration::from_secs(8);
/// The revision that clients ask for unless told otherwise.
pub(crate) const MAIN: &str = "main";
/// Older versions are asked for so long.
const OLDER_MAX: Duration = Duration::from_secs(4);

/// Why there is no version.
#[derive(Debug)]
pub(crate) enum NoVersion {
    /// The name means no dataset, for a reason that the user should know.
    Name(NoName),
    /// No such dataset.
    Repo(ReadFault),
    /// The dataset is known, but not that version of it.
    Revision,
}

impl From<NoName> for NoVersion {
    fn from(error: NoName) -> Self {
        match error {
            NoName::Unread(fault) => Self::Repo(fault),
            NoName::Owned(_) => Self::Name(error),
        }
    }
}

/// The version that a dataset's name and a revision mean.
pub(crate) async fn version(
    shared: &Arc<Shared>,
    repo: &Repo,
    revision: &str,
) -> Result<Arc<ReadVersion>, NoVersion> {
    let meant = names::meant(shared, repo)?;
    let version = of_id(shared, meant.id, revision).await?;
    let dataset = version.version().dataset();
    names::check(shared, (&meant, dataset))?;
    Ok(version)
}

/// The version of a dataset or version by its id.
pub(crate) async fn of_id(
    shared: &Arc<Shared>,
    id: RecordId,
    revision: &str,
) -> Result<Arc<ReadVersion>, NoVersion> {
    let readers = &shared.readers;
    let revision: Revision = revision.parse().map_err(|_| NoVersion::Revision)?;
    let newest = readers
        .version(shared, id, FIND_MAX)
        .await
        .map_err(NoVersion::Repo)?;
    if revision.is_newest() || revision.as_str() == commit(newest.version().id) {
        return Ok(newest);
    }
    let failed = |error: ResolveError| {
        tracing::warn!(%error, "a version cannot be read");
        NoVersion::Repo(ReadFault::Failed)
    };
    let mut meaning = meaning(shared, &newest, &revision).await.map_err(failed)?;
    if meaning == Meaning::None {
        let found = older(shared, newest.version(), &revision).await;
        meaning = found.map_err(failed)?;
    }
    let manifest = match meaning {
        Meaning::One(manifest) => manifest,
        Meaning::None => return Err(NoVersion::Revision),
        Meaning::Several(_) => {
            tracing::debug!(%id, %revision, "several versions are called so");
            return Err(NoVersion::Revision);
        }
    };
    let version = resolve::version(shared, manifest).map_err(failed)?;
    let version = version.ok_or(NoVersion::Revision)?;
    readers.open(shared, version).await.map_err(NoVersion::Repo)
}

/// What a revision means among the versions that are known here.
async fn meaning(
    shared: &Arc<Shared>,
    of: &ReadVersion,
    revision: &Revision,
) -> Result<Meaning, ResolveError> {
    let (shared, dataset) = (shared.clone(), of.version().dataset());
    let revision = revision.clone();
    let meaning = tokio::task::spawn_blocking(move || match shared.store.dataset(&dataset)? {
        Some(state) => history::meaning(&shared, &state, &revision),
        None => Ok(Meaning::None),
    });
    meaning.await.map_err(|_| ResolveError::Stopped)?
}

/// The same when older versions were asked for. Clients ask for many revisions that are none: so this is
/// done only now and then, and not where all versions are known.
async fn older(
    shared: &Arc<Shared>,
    newest: &Version,
    revision: &Revision,
) -> Result<Meaning, ResolveError> {
    if !shared.readers.is_due(newest.id.into()) || history::gap(shared, newest)?.is_none() {
        return Ok(Meaning::None);
    }
    let Ok(net) = shared.net().await else {
        return Ok(Meaning::None);
    };
    let whom = (Vec::new(), OLDER_MAX);
    history::learn(shared, &net, newest, whom, Some(revision)).await?;
    match shared.store.dataset(&newest.dataset())? {
        Some(state) => history::meaning(shared, &state, revision),
        None => Ok(Meaning::None),
    }
}

/// The dataset's versions that are known here, the newest first.
pub(super) fn history(shared: &Shared, dataset: DatasetId) -> Vec<Version> {
    let state = shared.store.dataset(&dataset).ok().flatten();
    let known = state.map(|state| history::known(shared, &state).unwrap_or_default());
    known.unwrap_or_default()
}
