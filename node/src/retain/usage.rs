//! What this node has on the disk, by why it is there.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use opendag_protocol::{
    Timestamp,
    retain::{FileKey, Files, Hold, Holding, Usage},
};

use super::Holds;
use crate::{
    node::Shared,
    store::{Place, PlaceKind, RootId, StoreError},
};

/// What lies here.
pub(super) struct Look {
    /// For the decision what makes room.
    pub(super) usage: Usage,
    /// The places of each of its versions.
    pub(super) places: Vec<Vec<Place>>,
    /// Bytes of it, by kind.
    pub(super) kinds: Kinds,
}

/// Bytes by kind; a file that several versions share counts as the kind that holds it most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kinds {
    /// Copied or mirrored, pinned or not let go.
    pub(super) kept: u64,
    /// Held by mirrors.
    pub(super) mirrored: u64,
    /// Held by nothing.
    pub(super) let_go: u64,
    /// Fetched to folders of the user's.
    pub(super) fetched: u64,
    /// Published in place: these count for nothing.
    pub(super) published: u64,
    /// What running fetches still need.
    pub(super) arriving: u64,
    /// Records, descriptions, outboards and the index.
    pub(super) records: u64,
    /// The cache.
    pub(super) cache: u64,
}

/// A folder in which versions lie.
struct Root {
    places: Vec<Place>,
    hold: Hold,
    owner: Owner,
    files: BTreeMap<FileKey, u64>,
    bytes: u64,
    /// The least wanted go first.
    order: (Reverse<usize>, Timestamp),
}

/// Whose the files of a folder are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// Ours.
    Node,
    /// The user's, put there by a fetch.
    Fetched,
    /// The user's.
    User,
}

impl Look {
    /// Looks at all rows of files and at the folders of the data directory. Blocks.
    pub(super) fn now(shared: &Shared, limit: u64) -> Result<Self, StoreError> {
        let mut roots = roots(shared)?;
        shared.store.each_file(|root, inode, size| {
            if let Some(root) = roots.get_mut(&root) {
                let new = root.owner != Owner::Node
                    || root.files.insert(FileKey(inode.into()), size).is_none();
                root.bytes = root.bytes.saturating_add(if new { size } else { 0 });
            }
        })?;
        let mut kinds = Kinds {
            records: shared.store.own_bytes(),
            cache: shared.readers.cache().in_use().bytes,
            ..Kinds::default()
        };
        for (root, needs) in shared.quota.arriving() {
            let here = roots.get(&root).map_or(0, |root| root.bytes);
            let rest: u64 = needs.saturating_sub(here);
            kinds.arriving = kinds.arriving.saturating_add(rest);
        }
        let mut ours = Vec::new();
        for root in roots.into_values() {
            match root.owner {
                Owner::User => kinds.published = kinds.published.saturating_add(root.bytes),
                Owner::Fetched => kinds.fetched = kinds.fetched.saturating_add(root.bytes),
                Owner::Node => ours.push(root),
            }
        }
        kinds.count(&ours);
        ours.sort_by_key(|root| root.order);
        let mut places = Vec::new();
        let mut holdings = Vec::new();
        for root in ours {
            // A copy that was let go may be the only one: only the user removes it.
            let loose_copy = root.hold == Hold::Nothing
                && root
                    .places
                    .iter()
                    .any(|place| place.kind == PlaceKind::Copied);
            holdings.push(Holding {
                hold: if loose_copy { Hold::Kept } else { root.hold },
                files: root.files.into_iter().collect::<Files>(),
            });
            places.push(root.places);
        }
        let fixed = [kinds.fetched, kinds.arriving, kinds.records];
        let usage = Usage {
            limit,
            fixed: fixed.into_iter().fold(0, u64::saturating_add),
            cache: kinds.cache,
            holdings,
        };
        Ok(Self {
            usage,
            places,
            kinds,
        })
    }
}

impl Kinds {
    fn count(&mut self, ours: &[Root]) {
        let mut seen = BTreeSet::new();
        for (hold, sum) in [
            (Hold::Kept, &mut self.kept),
            (Hold::Mirror, &mut self.mirrored),
            (Hold::Nothing, &mut self.let_go),
        ] {
            let files = ours.iter().filter(|root| root.hold == hold);
            for (key, bytes) in files.flat_map(|root| &root.files) {
                if seen.insert(*key) {
                    *sum = sum.saturating_add(*bytes);
                }
            }
        }
    }
}

fn roots(shared: &Shared) -> Result<BTreeMap<RootId, Root>, StoreError> {
    let holds = Holds::look(shared)?;
    let running = shared.sessions.running();
    let mut roots = BTreeMap::<RootId, Root>::new();
    for place in shared.store.places()? {
        let hold = match running.contains(&place.manifest) {
            true => Hold::Kept,
            false => holds.of(&place),
        };
        let owner = match place.kind {
            PlaceKind::Published => Owner::User,
            _ if shared.store.is_copy(&place.root) => Owner::Node,
            PlaceKind::Copied | PlaceKind::Fetched | PlaceKind::Mirrored => Owner::Fetched,
        };
        let order = order(shared, &place)?;
        let root = roots.entry(place.root_id()).or_insert_with(|| Root {
            places: Vec::new(),
            hold,
            owner,
            files: BTreeMap::new(),
            bytes: 0,
            order,
        });
        root.hold = root.hold.max(hold);
        root.owner = root.owner.max(owner);
        root.order = root.order.max(order);
        root.places.push(place);
    }
    Ok(roots)
}

/// How many newer versions of its dataset are known, and when it was made.
fn order(shared: &Shared, place: &Place) -> Result<(Reverse<usize>, Timestamp), StoreError> {
    let record = shared.store.manifest_of(&place.manifest)?;
    let Some(manifest) = record.as_ref().and_then(|record| record.as_manifest()) else {
        return Ok((Reverse(usize::MAX), Timestamp::from_secs(0)));
    };
    let state = shared.store.dataset(&manifest.dataset())?;
    let newer = state.map_or(0, |state| {
        let known = state.manifests();
        known
            .filter(|(sequence, _)| *sequence > manifest.sequence())
            .count()
    });
    Ok((Reverse(newer), manifest.created_at()))
}
