//! Files that versions in the folder of copies share: a mirrored version gives those that lie there already a second
//! name, so that ten versions of a dataset take the room of what differs between them.

use std::sync::Arc;

use opendag_protocol::DatasetPath;

use super::{FetchError, plan::Plan, table::Wanted, writer::WriteError};
use crate::{
    disk::Confined,
    store::{Names, Store, Target},
};

/// Files that get their names together.
const AT_ONCE: usize = 256;

/// Takes from other versions what they have of the plan's files, and puts it in place. What cannot be linked is fetched
/// or copied as ever. Blocks.
pub(super) fn take(store: &Store, plan: &mut Plan) -> Result<(), FetchError> {
    let Some(target) = plan.target.clone() else {
        return Ok(());
    };
    let mut names = Names::default();
    let mut missing = Vec::new();
    for some in std::mem::take(&mut plan.fetch).chunks(AT_ONCE) {
        let mut batch = target.batch(store.outboards(), plan.replace);
        for wanted in some {
            if let Some((folder, source)) = find(store, wanted, &target)?
                && let Err(error) = batch.put_link(
                    wanted.entry.path(),
                    (&*folder, &source),
                    wanted.entry.hash(),
                )
            {
                tracing::debug!(%error, "a file of another version is not linked");
            }
        }
        let placed = batch.name(&mut names).map_err(WriteError::from)?.placed;
        for wanted in some {
            let path = wanted.entry.path();
            match placed.iter().find(|placed| placed.path == *path) {
                Some(placed) => {
                    plan.missing_bytes -= wanted.entry.size();
                    plan.here.push((wanted.shard, placed.clone()));
                }
                None => missing.push(wanted.clone()),
            }
        }
    }
    names.sync(&target).map_err(WriteError::from)?;
    plan.fetch = missing;
    plan.here.sort_unstable_by_key(|(shard, _)| *shard);
    Ok(())
}

/// Where a file lies in another folder of copies.
fn find(
    store: &Store,
    wanted: &Wanted,
    target: &Target,
) -> Result<Option<(Arc<Confined>, DatasetPath)>, FetchError> {
    for location in store.shard_find(wanted.entry.hash())? {
        let Some(root) = store.root_path(location.root)? else {
            continue;
        };
        if location.stale || root == target.path() || !store.is_copy(&root) {
            continue;
        }
        if let Some(folder) = store.open_root(location.root) {
            return Ok(Some((folder, location.path)));
        }
    }
    Ok(None)
}
