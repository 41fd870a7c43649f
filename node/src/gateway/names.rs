//! From a namespace and a name to the dataset that they mean.
//!
//! `opendag/<id>` and `opendag/<name>` mean what is known here; `<alias>/<name>` a dataset of the publisher
//! that the user gave that name.

use opendag_protocol::{
    DatasetId, RecordId,
    http::{alias::OWN_NAMESPACE, hf::Repo},
};

use crate::{
    node::Shared,
    read::ReadFault,
    resolve::owned::{OwnedError, Publisher},
    store::Part,
};

/// Datasets that one page of a publisher's looks at: whose each is stands in its state, and most are others'.
const LOOKED_AT_MAX: usize = 4096;

/// Why a name means no dataset.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoName {
    /// For a reason that the user should know.
    #[error(transparent)]
    Owned(OwnedError),
    /// No such dataset, or the lookup failed.
    #[error(transparent)]
    Unread(#[from] ReadFault),
}

impl From<OwnedError> for NoName {
    fn from(error: OwnedError) -> Self {
        match error {
            OwnedError::DataDir(error) => failed(&error).into(),
            OwnedError::Store(error) => failed(&error).into(),
            OwnedError::NoAlias(_)
            | OwnedError::Ambiguous { .. }
            | OwnedError::NotTheirs { .. } => Self::Owned(error),
        }
    }
}

/// What a name means.
pub(super) struct Meant {
    pub(super) id: RecordId,
    /// Whose it must be. A dataset that is not known here must be looked for before that can be told.
    pub(super) publisher: Option<Publisher>,
}

/// The dataset that a name means.
pub(super) fn meant(shared: &Shared, repo: &Repo) -> Result<Meant, NoName> {
    if repo.namespace == OWN_NAMESPACE {
        let id = match repo.name.parse() {
            Ok(id) => id,
            Err(_) => known(shared, &repo.name)?,
        };
        let publisher = None;
        return Ok(Meant { id, publisher });
    }
    let publisher = Publisher::find(shared, &repo.namespace)?;
    let id = publisher.dataset(shared, &repo.name)?;
    let id = id.ok_or(ReadFault::Unknown)?;
    let publisher = Some(publisher);
    Ok(Meant { id, publisher })
}

/// The one dataset of that name.
fn known(shared: &Shared, name: &str) -> Result<RecordId, NoName> {
    let known = shared.store.by_name(name).map_err(|error| failed(&error))?;
    match known.as_slice() {
        [] => Err(ReadFault::Unknown.into()),
        [one] => Ok((*one).into()),
        many => Err(OwnedError::ambiguous(name, many).into()),
    }
}

/// Is the dataset the publisher's who was meant? Asked when it is known here.
pub(super) fn check(shared: &Shared, (meant, dataset): (&Meant, DatasetId)) -> Result<(), NoName> {
    let Some(publisher) = &meant.publisher else {
        return Ok(());
    };
    let state = shared.store.dataset(&dataset);
    let state = state.map_err(|error| failed(&error))?;
    Ok(publisher.check(&state.ok_or(ReadFault::Unknown)?)?)
}

/// Does a namespace exist?
pub(super) fn check_namespace(shared: &Shared, namespace: &str) -> Result<(), NoName> {
    match namespace {
        OWN_NAMESPACE => Ok(()),
        other => Ok(Publisher::find(shared, other).map(drop)?),
    }
}

/// All namespaces, sorted.
pub(super) fn namespaces(shared: &Shared) -> Result<Vec<String>, ReadFault> {
    let aliases = shared.data_dir.aliases().all();
    let aliases = aliases.map_err(|error| failed(&error))?;
    let mut names: Vec<_> = aliases.keys().map(ToString::to_string).collect();
    names.push(OWN_NAMESPACE.to_owned());
    names.sort_unstable();
    Ok(names)
}

/// What stands below a namespace: of datasets known here the ids, of a publisher's the names, each with a slash.
pub(super) struct Below {
    /// In the order of their bytes.
    pub(super) names: Vec<String>,
    /// So far was looked, if there may be more than the names that were found.
    pub(super) until: Option<String>,
}

/// A part of what stands below a namespace. Blocks.
pub(super) fn below(shared: &Shared, namespace: &str, part: &Part<'_>) -> Result<Below, NoName> {
    let store = &shared.store;
    if namespace == OWN_NAMESPACE {
        let is_listed = |id: &DatasetId| !shared.is_denied_dataset(*id);
        let names = store.listed_ids(part, is_listed);
        let names = names.map_err(|error| failed(&error))?;
        let until = None;
        return Ok(Below { names, until });
    }
    let publisher = Publisher::find(shared, namespace)?;
    let known = store.listed_names(&Part {
        max: LOOKED_AT_MAX,
        ..*part
    });
    let known = known.map_err(|error| failed(&error))?;
    let count: usize = known.iter().map(|(_, ids)| ids.len()).sum();
    let last = known.last().map(|(name, _)| name.clone());
    let mut names = Vec::new();
    for (name, ids) in known {
        if names.len() == part.max {
            break;
        }
        let mut theirs = false;
        for id in ids {
            if shared.is_denied_dataset(id) {
                continue;
            }
            let vouched = publisher.vouches_for(shared, id);
            theirs = theirs || vouched.map_err(|error| failed(&error))?;
        }
        if theirs {
            names.push(name);
        }
    }
    let until = last.filter(|_| count >= LOOKED_AT_MAX && names.len() < part.max);
    Ok(Below { names, until })
}

fn failed(error: &dyn std::fmt::Display) -> ReadFault {
    tracing::warn!(%error, "a dataset cannot be looked up");
    ReadFault::Failed
}
