//! From a namespace and a name to the dataset that they mean.
//!
//! `opendag/<id>` and `opendag/<name>` mean what is known here; `<alias>/<name>` a dataset of the publisher
//! that the user gave that name.

use opendag_protocol::{
    DatasetId, RecordId,
    http::{
        alias::{Alias, OWN_NAMESPACE},
        hf::Repo,
    },
    key::PublicKey,
    record::Dataset,
};

use crate::{node::Shared, read::ReadFault, store::Part};

/// Ids that a refusal names at most.
const IDS_TOLD_MAX: usize = 8;

/// Characters of a stranger's text that a refusal quotes at most.
const NAME_CHARS_MAX: usize = 64;

/// Datasets that one page of a publisher's looks at: whose each is stands in its state, and most are others'.
const LOOKED_AT_MAX: usize = 4096;

/// Why a name means no dataset.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoName {
    /// Nobody has that name, which is cut and escaped.
    #[error(
        "there is no alias {0} on this node; the user sets one with: opendag alias set {0} KEY"
    )]
    NoAlias(String),
    /// Several datasets have it.
    #[error("{count} datasets known here are called {name}; ask for one by its id: {ids}")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many.
        count: usize,
        /// Which ones.
        ids: String,
    },
    /// It is known, and belongs to others.
    #[error("the dataset {name} is not owned by the publisher that {alias} stands for")]
    NotTheirs {
        /// The alias.
        alias: String,
        /// The dataset's name.
        name: String,
    },
    /// No such dataset, or the lookup failed.
    #[error(transparent)]
    Unread(#[from] ReadFault),
}

/// What a name means.
pub(super) struct Meant {
    pub(super) id: RecordId,
    /// Whose it must be. A dataset that is not known here must be looked for before that can be told.
    pub(super) publisher: Option<PublicKey>,
}

/// The dataset that a name means.
pub(super) fn meant(shared: &Shared, repo: &Repo) -> Result<Meant, NoName> {
    if repo.namespace == OWN_NAMESPACE {
        let id = match repo.name.parse() {
            Ok(id) => id,
            Err(_) => one(&repo.name, &by_name(shared, &repo.name)?)?.ok_or(ReadFault::Unknown)?,
        };
        let publisher = None;
        return Ok(Meant { id, publisher });
    }
    let key = publisher(shared, &repo.namespace)?;
    let mut theirs = Vec::new();
    for id in by_name(shared, &repo.name)? {
        if is_vouched(shared, id, &key)? {
            theirs.push(id);
        }
    }
    let id = match one(&repo.name, &theirs)? {
        Some(id) => id,
        // Not seen here yet: name and key alone say the id under which a publisher begins it.
        None => Dataset::first(&repo.name, key)
            .map_err(|_| ReadFault::Unknown)?
            .id(),
    };
    let publisher = Some(key);
    Ok(Meant { id, publisher })
}

/// Is the dataset the publisher's who was meant? Asked when it is known here.
pub(super) fn check(
    shared: &Shared,
    repo: &Repo,
    (meant, dataset): (&Meant, DatasetId),
) -> Result<(), NoName> {
    match &meant.publisher {
        Some(key) if !is_vouched(shared, dataset, key)? => Err(NoName::NotTheirs {
            alias: repo.namespace.clone(),
            name: repo.name.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Does a namespace exist?
pub(super) fn check_namespace(shared: &Shared, namespace: &str) -> Result<(), NoName> {
    match namespace {
        OWN_NAMESPACE => Ok(()),
        other => publisher(shared, other).map(|_| ()),
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
        let names = store.listed_ids(part).map_err(|error| failed(&error))?;
        let until = None;
        return Ok(Below { names, until });
    }
    let key = publisher(shared, namespace)?;
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
            theirs = theirs || is_vouched(shared, id, &key)?;
        }
        if theirs {
            names.push(name);
        }
    }
    let until = last.filter(|_| count >= LOOKED_AT_MAX && names.len() < part.max);
    Ok(Below { names, until })
}

fn publisher(shared: &Shared, namespace: &str) -> Result<PublicKey, NoName> {
    let none = || {
        let shown: String = namespace.chars().take(NAME_CHARS_MAX).collect();
        NoName::NoAlias(shown.escape_debug().to_string())
    };
    let alias: Alias = namespace.parse().map_err(|_| none())?;
    let found = shared.data_dir.aliases().get(&alias);
    found.map_err(|error| failed(&error))?.ok_or_else(none)
}

fn by_name(shared: &Shared, name: &str) -> Result<Vec<DatasetId>, ReadFault> {
    shared.store.by_name(name).map_err(|error| failed(&error))
}

fn one(name: &str, known: &[DatasetId]) -> Result<Option<RecordId>, NoName> {
    match known {
        [] => Ok(None),
        [one] => Ok(Some((*one).into())),
        many => {
            let ids = many.iter().take(IDS_TOLD_MAX).map(ToString::to_string);
            Err(NoName::Ambiguous {
                name: name.to_owned(),
                count: many.len(),
                ids: ids.collect::<Vec<_>>().join(", "),
            })
        }
    }
}

/// Does the key own the dataset now, by its own signature?
fn is_vouched(shared: &Shared, id: DatasetId, key: &PublicKey) -> Result<bool, ReadFault> {
    let state = shared.store.dataset(&id).map_err(|error| failed(&error))?;
    Ok(state.is_some_and(|state| state.owners().is_vouched_by(key)))
}

fn failed(error: &dyn std::fmt::Display) -> ReadFault {
    tracing::warn!(%error, "a dataset cannot be looked up");
    ReadFault::Failed
}
