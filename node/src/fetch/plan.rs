//! What of a version is here already, and what has to come from peers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use opendag_protocol::{DatasetPath, Hash, table::ShardIndex};

use super::{FetchError, links, table::Wanted, writer::WriteError};
use crate::{
    disk::Replace,
    node::Shared,
    ops::FetchRequest,
    report::{Meter, Reporter},
    retain::Needs,
    store::{
        Digests, Existing, HashError, Place, PlaceKind, Placed, RootId, ShardLocation, Target,
    },
};

/// Which files a fetch leaves, copies and fetches.
#[derive(Debug)]
pub(super) struct Plan {
    /// `None` if it does not exist and nothing is to be written.
    pub(super) target: Option<Target>,
    pub(super) replace: Replace,
    /// Nothing of the user's lies in the target.
    fresh: bool,
    /// In place already.
    pub(super) here: Vec<(ShardIndex, Placed)>,
    /// To come from peers, each content once, sorted by number.
    pub(super) fetch: Vec<Wanted>,
    /// The same content as another file of the version, which has this path.
    pub(super) copies: Vec<(DatasetPath, Wanted)>,
    /// Files in all.
    pub(super) files: u64,
    /// Bytes in all.
    pub(super) bytes: u64,
    /// Bytes of `fetch`.
    pub(super) missing_bytes: u64,
}

impl Plan {
    /// The target, if files lie in it.
    pub(super) fn used_target(&self) -> Option<&Target> {
        self.target.as_ref().filter(|_| !self.fresh)
    }

    /// What it is going to take on the disk.
    pub(super) fn needs<'a>(&'a self, output: &'a Path, request: &FetchRequest) -> Needs<'a> {
        let copies = self.copies.iter().map(|(_, wanted)| wanted.entry.size());
        Needs {
            root: self.target.as_ref().map_or(output, Target::path),
            more: copies.fold(self.missing_bytes, u64::saturating_add),
            all: self.bytes,
            over_mirrors: !request.for_mirror,
        }
    }

    /// Is a path one of the files that were selected?
    pub(super) fn has(&self, path: &DatasetPath) -> bool {
        let of = |wanted: &Wanted| wanted.entry.path().cmp(path);
        // Each list is sorted by number, and so by path.
        self.fetch.binary_search_by(of).is_ok()
            || self
                .here
                .binary_search_by(|(_, placed)| placed.path.cmp(path))
                .is_ok()
            || self
                .copies
                .binary_search_by(|(_, wanted)| of(wanted))
                .is_ok()
    }
}

/// The first file with some content, by its position in the plan.
#[derive(Clone, Copy, Debug)]
enum First {
    Here(usize),
    Fetched(usize),
}

impl First {
    fn path(self, plan: &Plan) -> Option<DatasetPath> {
        let path = match self {
            Self::Here(at) => &plan.here.get(at)?.1.path,
            Self::Fetched(at) => plan.fetch.get(at)?.entry.path(),
        };
        Some(path.clone())
    }
}

/// Why the target is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// To tell what would move.
    Look,
    /// To move it.
    Fetch,
}

/// Looks at the target. Nothing is written below it but our working folder.
pub(super) async fn make(
    shared: &Arc<Shared>,
    output: &Path,
    wanted: Vec<Wanted>,
    request: &FetchRequest,
    report: &Reporter,
) -> Result<Plan, FetchError> {
    let bytes = wanted.iter().map(|wanted| wanted.entry.size()).sum();
    let files = u64::try_from(wanted.len()).unwrap_or(u64::MAX);
    let look = Look {
        shared: shared.clone(),
        output: output.to_owned(),
        overwrite: request.overwrite,
        mirror: request.mirror,
        mode: if request.plan {
            Mode::Look
        } else {
            Mode::Fetch
        },
        meter: Meter::new(report.clone(), "plan", files, bytes),
    };
    tokio::task::spawn_blocking(move || look.run(wanted))
        .await
        .map_err(|_| FetchError::Stopped)?
}

struct Look {
    shared: Arc<Shared>,
    output: PathBuf,
    overwrite: bool,
    mirror: bool,
    mode: Mode,
    meter: Meter,
}

impl Look {
    fn run(mut self, wanted: Vec<Wanted>) -> Result<Plan, FetchError> {
        let target = match self.mode {
            Mode::Look if !self.output.exists() => None,
            Mode::Look | Mode::Fetch => Some(Target::open(&self.output)?),
        };
        let fresh = target.as_ref().map(Target::is_fresh).transpose();
        let fresh = fresh.map_err(WriteError::from)?.unwrap_or(true);
        let mut plan = Plan {
            target,
            replace: Replace::Never,
            fresh,
            here: Vec::new(),
            fetch: Vec::new(),
            copies: Vec::new(),
            files: self.meter.now.files_total,
            bytes: self.meter.now.bytes_total,
            missing_bytes: 0,
        };
        let mut first_of: BTreeMap<Hash, First> = BTreeMap::new();
        let mut missing = Vec::new();
        for wanted in wanted {
            self.meter.now.files += 1;
            self.meter.now.bytes += wanted.entry.size();
            self.meter.tick();
            let existing = if fresh {
                None
            } else {
                self.existing(&wanted, &mut plan)?
            };
            match existing {
                Some(placed) => {
                    let first = First::Here(plan.here.len());
                    first_of.entry(placed.hash).or_insert(first);
                    plan.here.push((wanted.shard, placed));
                }
                None => missing.push(wanted),
            }
        }
        let mut copies = Vec::new();
        let (mut number, mut missing_bytes) = (0, 0);
        // In place: a version may have a million files.
        missing.retain(|wanted| {
            if let Some(first) = first_of.get(&wanted.entry.hash()) {
                copies.push((*first, wanted.clone()));
                return false;
            }
            first_of.insert(wanted.entry.hash(), First::Fetched(number));
            number += 1;
            missing_bytes += wanted.entry.size();
            true
        });
        plan.fetch = missing;
        plan.missing_bytes = missing_bytes;
        for (first, wanted) in copies {
            if let Some(path) = first.path(&plan) {
                plan.copies.push((path, wanted));
            }
        }
        if self.mirror && self.mode == Mode::Fetch {
            links::take(&self.shared.store, &mut plan)?;
        }
        Ok(plan)
    }

    fn existing(&self, wanted: &Wanted, plan: &mut Plan) -> Result<Option<Placed>, FetchError> {
        let Some(target) = plan.target.clone() else {
            return Ok(None);
        };
        let (path, hash) = (wanted.entry.path(), wanted.entry.hash());
        let outboards = self.shared.store.outboards();
        let shard = (hash, wanted.entry.size());
        match target
            .existing(path, shard, outboards)
            .map_err(hash_error)?
        {
            Existing::Same(fingerprint) => Ok(Some(Placed {
                path: path.clone(),
                hash,
                fingerprint,
            })),
            Existing::Absent => Ok(None),
            Existing::Other if self.overwrite || self.is_ours(&target, path)? => {
                plan.replace = Replace::Yes;
                Ok(None)
            }
            Existing::Other => Err(FetchError::InTheWay {
                path: target.path().join(path.as_str()),
            }),
        }
    }

    /// Was the file at this path put there by us, for another version, and not changed since?
    fn is_ours(&self, target: &Target, path: &DatasetPath) -> Result<bool, FetchError> {
        let Ok(file) = target.open_read(path) else {
            return Ok(false);
        };
        let shown = target.path().join(path.as_str());
        let outboards = self.shared.store.outboards();
        let hashed = outboards
            .hash_file(&file, &shown, Digests::Blake3, &mut |_| {})
            .map_err(hash_error)?;
        let root = RootId::of(target.path());
        let is_here = |location: &ShardLocation| {
            location.root == root && location.path == *path && !location.stale
        };
        let placed_here = self
            .shared
            .store
            .shard_find(hashed.hash)?
            .iter()
            .any(is_here);
        let published =
            |place: &Place| place.kind == PlaceKind::Published && place.root_id() == root;
        Ok(placed_here && !self.shared.store.places()?.iter().any(published))
    }
}

fn hash_error(error: HashError) -> FetchError {
    match error {
        HashError::Disk(error) => FetchError::Write(WriteError::Disk(error)),
        HashError::Changed { path } => FetchError::InTheWay { path },
    }
}
