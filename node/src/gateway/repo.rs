//! From the names that clients use to versions.

use std::{sync::Arc, time::Duration};

use opendag_protocol::{DatasetId, ManifestId, RecordId, http::hf::Repo};

use crate::{
    node::Shared,
    read::{ReadFault, ReadVersion},
    resolve::{self, Version},
};

/// How long a dataset is looked for that is not known here: clients wait for 10 s.
const FIND_MAX: Duration = Duration::from_secs(8);
/// The namespace of datasets by their id, or by their name where it is unambiguous.
const OWN_NAMESPACE: &str = "opendag";
/// The revision that clients ask for unless told otherwise.
pub(crate) const MAIN: &str = "main";
/// Bytes of the short id of a version, which clients take for a Git commit.
const COMMIT_BYTES: usize = 20;

/// Why there is no version.
#[derive(Debug)]
pub(crate) enum NoVersion {
    /// No such dataset.
    Repo(ReadFault),
    /// The dataset is known, but not that version of it.
    Revision,
}

/// The version that a dataset's name and a revision mean.
pub(super) async fn version(
    shared: &Arc<Shared>,
    repo: &Repo,
    revision: &str,
) -> Result<Arc<ReadVersion>, NoVersion> {
    let id = id(shared, repo).map_err(NoVersion::Repo)?;
    of_id(shared, id, revision).await
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

fn id(shared: &Shared, repo: &Repo) -> Result<RecordId, ReadFault> {
    if repo.namespace != OWN_NAMESPACE {
        return Err(ReadFault::Unknown);
    }
    if let Ok(id) = repo.name.parse() {
        return Ok(id);
    }
    let known = shared.store.by_name(&repo.name);
    match known.map_err(|error| failed(&error))?.as_slice() {
        [one] => Ok(RecordId::from(*one)),
        [] | [_, ..] => Err(ReadFault::Unknown),
    }
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

fn failed(error: &dyn std::fmt::Display) -> ReadFault {
    tracing::warn!(%error, "a dataset cannot be looked up");
    ReadFault::Failed
}
