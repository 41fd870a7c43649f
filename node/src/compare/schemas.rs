//! How the records of two versions fit: the schemas of their files, group by group.
//!
//! A group is what lies in one folder and has one format. One file speaks for it on each side: of the newer
//! version one that is not in the older, of the older the same path or else its first. So a difference
//! costs parts of two files for each group in which something changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use opendag_protocol::{
    DatasetPath,
    schema::{
        Schema,
        compare::{self, Fit},
    },
    table::Change,
};
use tokio::time::Instant;

use crate::{
    inspect::InspectError,
    node::Shared,
    ops::{SchemaDiff, SchemaFit},
    read::{Listed, ReadVersion},
    resolve::Version,
    schema::{self, Format},
};

/// Groups that are compared: each costs reads of two files.
const GROUPS_MAX: usize = 64;
/// Entries of a folder that are looked at for one of a format.
const LOOKED_MAX: usize = 1000;

/// A folder, with its slash, and a format.
type Group = (String, Format);

/// What changed in the groups of files that have a schema.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// The first path of the newer version that the older does not have so.
    newer: BTreeMap<Group, DatasetPath>,
    /// Paths that both have, with other content.
    changed: BTreeSet<DatasetPath>,
    /// Groups of which the newer version lacks files.
    lacking: BTreeSet<Group>,
}

impl Groups {
    /// One more change, in the order of paths.
    pub(super) fn push(&mut self, change: &Change) {
        let path = match change {
            Change::Added(entry) => entry.path(),
            Change::Changed { new, .. } => {
                self.changed.insert(new.path().clone());
                new.path()
            }
            Change::Removed(entry) => {
                self.lacking.extend(group(entry.path()));
                return;
            }
        };
        if let Some(group) = group(path) {
            self.newer.entry(group).or_insert_with(|| path.clone());
        }
    }
}

fn group(path: &DatasetPath) -> Option<Group> {
    let path = path.as_str();
    let folder = path.rfind('/').and_then(|end| path.get(..=end));
    Some((folder.unwrap_or_default().to_owned(), Format::of(path)?))
}

/// Compares the groups in which something changed.
///
/// # Errors
/// [`InspectError`] if a version cannot be read at all; a file that cannot be read makes its group unknown.
pub(super) async fn compare(
    shared: &Arc<Shared>,
    (old, new): (&Version, &Version),
    groups: Groups,
    within: Duration,
) -> Result<Vec<SchemaDiff>, InspectError> {
    let deadline = Instant::now() + within;
    let old = shared.readers.open(shared, old.clone()).await?;
    let new = shared.readers.open(shared, new.clone()).await?;
    let all: BTreeSet<Group> = groups
        .newer
        .keys()
        .chain(&groups.lacking)
        .cloned()
        .collect();
    let mut diffs = Vec::new();
    for group in all.into_iter().take(GROUPS_MAX) {
        let to = match groups.newer.get(&group) {
            Some(path) => Some(path.clone()),
            None if first(&new, &group).await?.is_some() => continue,
            None => None,
        };
        let from = match &to {
            Some(path) if groups.changed.contains(path) => Some(path.clone()),
            _ => first(&old, &group).await?,
        };
        let (fit, fields) = match (&from, &to) {
            (Some(from), Some(to)) => {
                let from = schema_of(&old, from, group.1, deadline).await;
                let to = schema_of(&new, to, group.1, deadline).await;
                judged(from, to)
            }
            (None, _) => (SchemaFit::New, Vec::new()),
            (Some(_), None) => (SchemaFit::Gone, Vec::new()),
        };
        diffs.push(SchemaDiff {
            folder: group.0,
            format: group.1.name().to_owned(),
            from: from.map(|path| path.to_string()),
            to: to.map(|path| path.to_string()),
            fit,
            fields,
        });
    }
    Ok(diffs)
}

fn judged(from: Option<Schema>, to: Option<Schema>) -> (SchemaFit, Vec<compare::FieldChange>) {
    let (Some(from), Some(to)) = (from, to) else {
        return (SchemaFit::Unknown, Vec::new());
    };
    let fields = compare::compare(&from, &to);
    let worst = fields.iter().map(|change| change.fit).max();
    let fit = match worst {
        None | Some(Fit::Compatible) => SchemaFit::Compatible,
        Some(Fit::Widened) => SchemaFit::Widened,
        Some(Fit::Broken) => SchemaFit::Broken,
    };
    (fit, fields)
}

/// The first file of a group in a version.
async fn first(
    version: &ReadVersion,
    (folder, format): &Group,
) -> Result<Option<DatasetPath>, InspectError> {
    let listed = version.list(folder, Some("/"), None, LOOKED_MAX).await?;
    let mut files = listed.into_iter().filter_map(|listed| match listed {
        Listed::File(_, entry) => Some(entry.path().clone()),
        Listed::Prefix(_) => None,
    });
    Ok(files.find(|path| Format::of(path.as_str()) == Some(*format)))
}

async fn schema_of(
    version: &Arc<ReadVersion>,
    path: &DatasetPath,
    format: Format,
    deadline: Instant,
) -> Option<Schema> {
    let found = async {
        let (shard, entry) = version.file(path).await?;
        schema::of_file(version, (shard, &entry), format, deadline).await
    };
    let schema = found.await.inspect_err(|fault| {
        tracing::debug!(%path, %fault, "a file did not come for its schema");
    });
    schema.ok().flatten()
}
