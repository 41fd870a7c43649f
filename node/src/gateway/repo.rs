//! From the names that clients use to versions.

use std::{sync::Arc, time::Duration};

use opendag_protocol::{DatasetId, ManifestId, RecordId, http::hf::Repo};

use super::names::{self, NoName};
use crate::{
    node::Shared,
    read::{ReadFault, ReadVersion},
    resolve::{self, Version},
};

/// How long a dataset is looked for that is not known here: clients wait for 10 s.
const FIND_MAX: Duration = Duration::from_secs(8);
/// The revision that clients ask for unless told otherwise.
pub(crate) const MAIN: &str = "main";
/// Bytes of the short id of a version, which clients take for a Git commit.
const COMMIT_BYTES: usize = 20;

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
            NoName::NoAlias(_) | NoName::Ambiguous { .. } | NoName::NotTheirs { .. } => {
                Self::Name(error)
            }
        }
    }
}

/// The version that a dataset's name and a revision mean.
pub(super) async fn version(
    shared: &Arc<Shared>,
    repo: &Repo,
    revision: &str,
) -> Result<Arc<ReadVersion>, NoVersion> {
    let meant = names::meant(shared, repo)?;
    let version = of_id(shared, meant.id, revision).await?;
    let dataset = version.version().dataset();
    names::check(shared, repo, (&meant, dataset))?;
    Ok(version)
}

/// The version of a dataset or version by its id.
pub(crate) async fn of_id(
    shared: &Arc<Shared>,
    id: RecordId,
    revision: &str,
) -> Result<Arc<ReadVersion>, NoVersion> {
    let readers = &shared.readers;
    let newest = readers
        .version(shared, id, FIND_MAX)
        .await
        .map_err(NoVersion::Repo)?;
    if revision == MAIN || is_revision(newest.version(), revision) {
        return Ok(newest);
    }
    // Of all versions of the dataset, the newest that is called so.
    let known: Vec<ManifestId> = newest
        .version()
        .state
        .manifests()
        .map(|(_, id)| id)
        .rev()
        .collect();
    for manifest in known {
        let failed = |error: resolve::ResolveError| {
            tracing::warn!(%error, "a version cannot be read");
            NoVersion::Repo(ReadFault::Failed)
        };
        if let Some(version) = resolve::version(shared, manifest).map_err(failed)?
            && is_revision(&version, revision)
        {
            return readers.open(shared, version).await.map_err(NoVersion::Repo);
        }
    }
    Err(NoVersion::Revision)
}

fn is_revision(version: &Version, revision: &str) -> bool {
    let fields = version.manifest().fields();
    fields.label.as_deref() == Some(revision)
        || commit(version.id) == revision
        || version.id.to_string() == revision
        || fields.sequence.to_string() == revision
}

/// The short id of a version: 40 hexadecimal digits, as clients want of what never changes.
pub(super) fn commit(manifest: ManifestId) -> String {
    let hash = manifest.hash();
    let bytes = hash.as_bytes().get(..COMMIT_BYTES).unwrap_or_default();
    data_encoding::HEXLOWER.encode(bytes)
}

/// The dataset's versions that are known here, the newest first.
pub(super) fn history(shared: &Shared, dataset: DatasetId) -> Vec<Version> {
    let state = shared.store.dataset(&dataset).ok().flatten();
    let known = state.map(|state| {
        state
            .manifests()
            .map(|(_, id)| id)
            .rev()
            .collect::<Vec<_>>()
    });
    let versions = known.unwrap_or_default().into_iter();
    versions
        .filter_map(|manifest| resolve::version(shared, manifest).ok().flatten())
        .collect()
}
