//! Versions that came by following: what is done, and what is let go of.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use opendag_protocol::{DatasetId, ManifestId};
use serde::{Deserialize, Serialize};

use super::Follow;
use crate::{
    disk::DiskError,
    fault::with_causes,
    node::Shared,
    ops::{Event, Watched},
    retain,
    store::{Place, PlaceKind, StoreError},
};

/// A version that came, or was to come, by following.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Came {
    dataset: DatasetId,
    manifest: ManifestId,
    /// The user's folder to which it went; `None`: the data directory.
    #[serde(default)]
    output: Option<PathBuf>,
    /// Did it lie there before? Then it is none of ours to let go of.
    was_here: bool,
    /// Is all of it there?
    pub(super) whole: bool,
}

impl Came {
    pub(super) fn is_whole_in(&self, manifest: ManifestId, output: Option<&Path>) -> bool {
        self.whole && self.manifest == manifest && self.output.as_deref() == output
    }

    fn root(&self, shared: &Shared) -> PathBuf {
        let mirrored = || shared.mirror_folder(self.manifest);
        self.output.clone().unwrap_or_else(mirrored)
    }
}

/// A version that is coming.
pub(super) struct Comes {
    what: Watched,
    keep: Option<u32>,
    came: Came,
    /// What lay where before.
    before: BTreeSet<(ManifestId, PathBuf)>,
}

/// Notes that a version is to come, before any of it does: what a crash leaves is known for what it is.
pub(super) fn begin(
    shared: &Shared,
    follow: &Follow,
    (dataset, manifest, output): (DatasetId, ManifestId, Option<PathBuf>),
) -> Result<Comes, String> {
    let mut comes = Comes {
        what: follow.what,
        keep: follow.keep,
        came: Came {
            dataset,
            manifest,
            output,
            was_here: false,
            whole: false,
        },
        before: places_here(shared)?,
    };
    comes.note(shared)?;
    Ok(comes)
}

impl Comes {
    /// Notes what has come, and lets go of what is too old.
    pub(super) async fn end(mut self, shared: &Arc<Shared>, fetched: &Event) -> Result<(), String> {
        // Another may have become the newest meanwhile.
        if let Event::Fetched { manifest, .. } = fetched {
            self.came.manifest = *manifest;
        }
        self.came.whole = true;
        self.note(shared)?;
        match self.keep {
            Some(keep) => self.let_go(shared, keep).await,
            None => Ok(()),
        }
    }

    fn note(&mut self, shared: &Shared) -> Result<(), String> {
        let place = (self.came.manifest, self.came.root(shared));
        self.came.was_here = self.before.contains(&place);
        let came = self.came.clone();
        change(shared, self.what, |all| {
            let is_it =
                |other: &&mut Came| other.manifest == came.manifest && other.output == came.output;
            match all.iter_mut().find(is_it) {
                // Begun before, it is ours as it was then.
                Some(known) => known.whole |= came.whole,
                None => all.push(came),
            }
        })
    }

    /// Of what came so, only the newest versions of the dataset stay. What is pinned, or in use just now, is let go of
    /// another time.
    async fn let_go(&self, shared: &Arc<Shared>, keep: u32) -> Result<(), String> {
        let dataset = self.came.dataset;
        let mut came = Vec::new();
        change(shared, self.what, |all| came.clone_from(all))?;
        came.retain(|came| came.dataset == dataset);
        let state = shared.store.dataset(&dataset).map_err(told)?;
        let sequence = |came: &Came| {
            let state = state.as_ref();
            state.and_then(|state| state.sequence_of(&came.manifest))
        };
        let mut newest: Vec<_> = came
            .iter()
            .filter(|came| came.whole)
            .map(|came| (sequence(came), came.manifest))
            .collect();
        newest.sort_unstable_by_key(|version| Reverse(*version));
        newest.dedup();
        newest.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        let stays = |came: &Came| {
            came.was_here
                || newest
                    .iter()
                    .any(|(_, manifest)| *manifest == came.manifest)
        };
        let mut places = Vec::new();
        for came in came.iter().filter(|came| !stays(came)) {
            let root = came.root(shared);
            let is_it = |place: &Place| {
                place.root == root && matches!(place.kind, PlaceKind::Fetched | PlaceKind::Mirrored)
            };
            let of_it = shared.store.places_of(&came.manifest).map_err(told)?;
            places.extend(of_it.into_iter().filter(is_it));
        }
        if !places.is_empty() {
            let gone = retain::let_go(shared, places).await;
            gone.map_err(|error| with_causes(&error))?;
        }
        let here = places_here(shared)?;
        change(shared, self.what, |all| {
            all.retain(|came| {
                let place = (came.manifest, came.root(shared));
                came.dataset != dataset || stays(came) || here.contains(&place)
            });
        })
    }
}

/// Where versions lie.
fn places_here(shared: &Shared) -> Result<BTreeSet<(ManifestId, PathBuf)>, String> {
    let places = shared.store.places().map_err(told)?.into_iter();
    Ok(places.map(|place| (place.manifest, place.root)).collect())
}

/// Changes what came by one line; durable when it returns. Nothing to do if that is followed no longer.
fn change(
    shared: &Shared,
    what: Watched,
    change: impl FnOnce(&mut Vec<Came>),
) -> Result<(), String> {
    let changed = shared.follows.lines.change::<_, DiskError>(|lines| {
        if let Some(line) = lines.iter_mut().find(|line| line.what == what) {
            change(&mut line.came);
        }
        Ok(())
    });
    changed.map_err(|error| with_causes(&error))
}

#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
fn told(error: StoreError) -> String {
    with_causes(&error)
}
