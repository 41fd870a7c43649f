//! The top of a mount: which names stand there, and which version each of them means.

use std::{collections::BTreeMap, sync::Arc};

use opendag_protocol::{
    DatasetId, RecordId,
    http::{alias::Alias, hf::Repo},
    revision,
};

use crate::{
    gateway::repo::{self, MAIN, NoVersion},
    node::Shared,
    read::{ReadFault, ReadVersion},
    resolve::{
        self, Version,
        owned::{OwnedError, Publisher},
    },
};

/// Between a name that several datasets have, and the end of an id.
const MARK: char = '~';
/// Characters of an id behind the name that several datasets have.
const ID_CHARS: usize = 8;

/// The datasets of which something lies here, by the names under which they stand at the top, each in its
/// newest version. Blocks.
///
/// # Errors
/// [`ReadFault::Failed`].
pub(super) fn list(shared: &Shared) -> Result<BTreeMap<String, Version>, ReadFault> {
    let mut by_name: BTreeMap<String, Vec<Version>> = BTreeMap::new();
    for version in newest(shared)?.into_values() {
        by_name.entry(version.name()).or_default().push(version);
    }
    let mut listed = BTreeMap::new();
    for (name, versions) in by_name {
        let is_one = versions.len() == 1;
        for version in versions {
            let name = match is_one {
                true => name.clone(),
                false => format!("{name}{MARK}{}", id_end(version.dataset())),
            };
            listed.insert(name, version);
        }
    }
    Ok(listed)
}

/// The same of a publisher's datasets, each under its name; of several of one name none.
///
/// # Errors
/// As [`list`]; [`ReadFault::Unknown`] if there is no such alias.
pub(super) fn list_theirs(
    shared: &Shared,
    alias: &str,
) -> Result<BTreeMap<String, Version>, ReadFault> {
    let publisher = publisher(shared, alias)?.ok_or(ReadFault::Unknown)?;
    let mut listed = BTreeMap::new();
    for version in newest(shared)?.into_values() {
        if publisher.vouches(&version.state) {
            let same = listed.entry(version.name()).or_insert_with(Vec::new);
            same.push(version);
        }
    }
    let one = |(name, versions): (String, Vec<Version>)| {
        let [version] = <[Version; 1]>::try_from(versions).ok()?;
        Some((name, version))
    };
    Ok(listed.into_iter().filter_map(one).collect())
}

/// Does the name mean the folder of a publisher? Not if a dataset has it of which something lies here; but what
/// others call theirs never hides one.
///
/// # Errors
/// [`ReadFault::Failed`].
pub(super) async fn is_publisher(shared: &Arc<Shared>, name: &str) -> Result<bool, ReadFault> {
    if name.parse::<Alias>().is_err() {
        return Ok(false);
    }
    let (shared, name) = (shared.clone(), name.to_owned());
    let is = tokio::task::spawn_blocking(move || {
        if publisher(&shared, &name)?.is_none() {
            return Ok(false);
        }
        let known = shared.store.by_name(&name);
        let known = known.map_err(|error| failed(&error))?;
        if known.is_empty() {
            return Ok(true);
        }
        let here = newest(&shared)?;
        Ok(!known.iter().any(|id| here.contains_key(id)))
    });
    is.await.map_err(|error| failed(&error))?
}

/// The version of a publisher's dataset that a name means, with `@` and a revision or without. What is not known
/// here is asked of the network.
///
/// # Errors
/// [`ReadFault::Failed`].
pub(super) async fn find_theirs(
    shared: &Arc<Shared>,
    alias: &str,
    name: &str,
) -> Result<Option<Arc<ReadVersion>>, ReadFault> {
    let (shared_of, alias, text) = (shared.clone(), alias.to_owned(), name.to_owned());
    let read = tokio::task::spawn_blocking(move || {
        let Some(publisher) = publisher(&shared_of, &alias)? else {
            return Ok(None);
        };
        let read = publisher.split(&shared_of, &text);
        let (name, revision) = read.map_err(|error| failed(&error))?;
        let (name, revision) = (name.to_owned(), revision.unwrap_or(MAIN).to_owned());
        let namespace = alias;
        Ok(Some((Repo { namespace, name }, revision)))
    });
    match read.await.map_err(|error| failed(&error))?? {
        Some((repo, revision)) => opened(repo::version(shared, &repo, &revision).await),
        None => Ok(None),
    }
}

/// The publisher that an alias stands for.
fn publisher(shared: &Shared, alias: &str) -> Result<Option<Publisher>, ReadFault> {
    match Publisher::find(shared, alias) {
        Ok(publisher) => Ok(Some(publisher)),
        Err(OwnedError::NoAlias(_)) => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

/// The newest versions of the datasets of which something lies here.
fn newest(shared: &Shared) -> Result<BTreeMap<DatasetId, Version>, ReadFault> {
    let places = shared.store.places().map_err(|error| failed(&error))?;
    let mut newest = BTreeMap::new();
    for place in places {
        let version = resolve::version(shared, place.manifest).map_err(|error| failed(&error))?;
        let Some(dataset) = version.map(|version| version.dataset()) else {
            continue;
        };
        if newest.contains_key(&dataset) {
            continue;
        }
        let version = resolve::local(shared, dataset.into()).map_err(|error| failed(&error))?;
        if let Some(version) = version.filter(|version| shared.denial(version).is_none()) {
            newest.insert(dataset, version);
        }
    }
    Ok(newest)
}

/// The version that a name at the top means: of what is listed, by an id, or by the name of a dataset
/// that is known; each also with `@` and a label, a sequence number or a commit. `None`: nothing.
/// Only an id is asked of the network.
///
/// # Errors
/// [`ReadFault::Failed`].
pub(super) async fn find(
    shared: &Arc<Shared>,
    name: &str,
) -> Result<Option<Arc<ReadVersion>>, ReadFault> {
    if let Some(id) = dataset(shared, name).await? {
        return version(shared, id, MAIN).await;
    }
    for (name, revision) in revision::split(name) {
        if let Some(id) = dataset(shared, name).await? {
            return version(shared, id, revision).await;
        }
    }
    Ok(None)
}

async fn version(
    shared: &Arc<Shared>,
    id: RecordId,
    revision: &str,
) -> Result<Option<Arc<ReadVersion>>, ReadFault> {
    opened(repo::of_id(shared, id, revision).await)
}

fn opened(
    version: Result<Arc<ReadVersion>, NoVersion>,
) -> Result<Option<Arc<ReadVersion>>, ReadFault> {
    match version {
        Ok(version) => Ok(Some(version)),
        Err(NoVersion::Revision | NoVersion::Name(_) | NoVersion::Repo(ReadFault::Unknown)) => {
            Ok(None)
        }
        Err(NoVersion::Repo(fault)) => Err(fault),
    }
}

/// The dataset or version that is called so.
async fn dataset(shared: &Arc<Shared>, name: &str) -> Result<Option<RecordId>, ReadFault> {
    if let Ok(id) = name.parse() {
        return Ok(Some(id));
    }
    let (shared, name) = (shared.clone(), name.to_owned());
    let found = tokio::task::spawn_blocking(move || named(&shared, &name));
    found.await.map_err(|error| failed(&error))?
}

/// The one dataset of that name: of several the one of which something lies here. With the end of its id
/// behind it, any.
fn named(shared: &Shared, name: &str) -> Result<Option<RecordId>, ReadFault> {
    let by_name = |name: &str| shared.store.by_name(name).map_err(|error| failed(&error));
    let known = by_name(name)?;
    if let [one] = known.as_slice() {
        return Ok(Some((*one).into()));
    }
    if known.is_empty()
        && let Some((name, end)) = name.rsplit_once(MARK)
    {
        let mut found = by_name(name)?.into_iter();
        return Ok(found.find(|id| id_end(*id) == end).map(RecordId::from));
    }
    let here = newest(shared)?;
    let mut here = known.into_iter().filter(|id| here.contains_key(id));
    match (here.next(), here.next()) {
        (Some(one), None) => Ok(Some(one.into())),
        (_, _) => Ok(None),
    }
}

/// What tells datasets of one name apart.
fn id_end(id: DatasetId) -> String {
    let id = id.to_string();
    let begin = id.len().saturating_sub(ID_CHARS);
    id.get(begin..).unwrap_or_default().to_owned()
}

fn failed(error: &dyn std::fmt::Display) -> ReadFault {
    tracing::warn!(%error, "the datasets of a mount cannot be looked up");
    ReadFault::Failed
}
