//! Preparing a fetch: space, place, working files, and what other versions on this node, or the cache, have already.

use std::sync::Arc;

use opendag_protocol::{
    Hash,
    fetch::ShardSpec,
    table::ShardIndex,
    wire::{GroupRange, GroupRanges, groups_in},
};

use super::{
    FetchError,
    job::Job,
    plan::Plan,
    space,
    table::Wanted,
    writer::{Destination, WriteError, Writer},
};
use crate::{
    node::Shared,
    store::{Expect, PieceDecoder, Place, PlaceKind, Target},
};

/// Chunk groups that are copied at once: 1 MiB.
const COPY_GROUPS: u64 = 64;

/// A fetch that is ready to run.
pub(super) struct Prepared {
    pub(super) writer: Arc<Writer>,
    /// In place already.
    pub(super) here: Vec<ShardIndex>,
    pub(super) copies: Vec<(opendag_protocol::DatasetPath, Wanted)>,
}

/// What is to come from peers in the ordinary way.
pub(super) struct Begun {
    pub(super) shards: Vec<ShardSpec>,
    /// Put in place just now.
    pub(super) here: Vec<ShardIndex>,
    /// Bytes that have to come from peers.
    pub(super) to_fetch_bytes: u64,
}

/// Opens working files, and takes from other versions what they have whole, and from the cache what it has.
/// Blocks.
pub(super) fn begin(shared: &Shared, writer: &Writer) -> Result<Begun, FetchError> {
    let mut shards = writer.begin()?;
    let mut here = Vec::new();
    for spec in &mut shards {
        here.extend(reuse(shared, writer, spec)?);
    }
    here.extend(writer.sync()?);
    let missing = |spec: &ShardSpec| spec.size - spec.have.len_bytes(spec.size);
    let to_fetch_bytes = shards.iter().map(missing).sum();
    Ok(Begun {
        shards,
        here,
        to_fetch_bytes,
    })
}

impl Job<'_> {
    pub(super) async fn prepare(&self, plan: Plan) -> Result<Prepared, FetchError> {
        let target = plan.target.clone().ok_or(FetchError::Stopped)?;
        let kind = if self.request.mirror {
            PlaceKind::Mirrored
        } else {
            PlaceKind::Fetched
        };
        let place = (!self.request.no_seed).then(|| Place {
            manifest: self.version.id,
            root: target.path().to_owned(),
            kind,
            pinned: !self.request.for_mirror,
            include: self.request.include.clone(),
            exclude: self.request.exclude.clone(),
        });
        let shared = self.shared.clone();
        let prepared = tokio::task::spawn_blocking(move || prepare(&shared, plan, target, place));
        prepared.await.map_err(|_| FetchError::Stopped)?
    }
}

fn prepare(
    shared: &Shared,
    plan: Plan,
    target: Target,
    place: Option<Place>,
) -> Result<Prepared, FetchError> {
    check_space(&plan, &target)?;
    if let Some(place) = &place {
        // A folder that was published stays one: its files are the user's.
        let known = shared.store.places_of(&place.manifest)?;
        if known.iter().any(|known| known.root == place.root) {
            if place.pinned {
                shared
                    .store
                    .set_pinned(&place.manifest, &place.root, true)?;
            }
        } else {
            shared.store.place(place)?;
        }
        let rows = plan
            .here
            .iter()
            .map(|(_, placed)| (placed.hash, placed.path.clone(), placed.fingerprint));
        shared.store.shards_put(place.root_id(), rows)?;
    }
    let place = place.map(|place| place.root_id());
    let destination = Destination {
        store: shared.store.clone(),
        target,
        replace: plan.replace,
        place,
    };
    Ok(Prepared {
        writer: Arc::new(Writer::new(destination, plan.fetch)),
        here: plan.here.iter().map(|(shard, _)| *shard).collect(),
        copies: plan.copies,
    })
}

/// Asks the disk before anything is made: a table of a stranger may promise any size.
fn check_space(plan: &Plan, target: &Target) -> Result<(), FetchError> {
    let fetched = plan.fetch.iter();
    let all = fetched.chain(plan.copies.iter().map(|(_, wanted)| wanted));
    let rooms = all.map(|wanted| space::room_for(wanted.entry.size()));
    let needed = rooms.fold(space::SPARED_BYTES, u64::saturating_add);
    // What an earlier run left unfinished is taken over, and needs no more room.
    let needed = needed.saturating_sub(target.unfinished_bytes());
    let free = target.free_bytes().map_err(WriteError::from)?;
    if needed > free && needed > space::SPARED_BYTES {
        let path = target.path().to_owned();
        return Err(FetchError::Space { path, free, needed });
    }
    Ok(())
}

/// Takes from other versions on this node, and from the cache, what they have of a shard. What fails comes
/// from peers.
fn reuse(
    shared: &Shared,
    writer: &Writer,
    spec: &mut ShardSpec,
) -> Result<Vec<ShardIndex>, FetchError> {
    let Some(hash) = writer.hash(spec.shard) else {
        return Ok(Vec::new());
    };
    let missing = spec.have.missing_within(groups_in(spec.size));
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    if shared.store.has_shard(hash)? {
        let size = spec.size;
        let read = |piece| shared.store.read_bao(hash, Some(size), piece).ok();
        return copy(writer, (hash, spec), &missing, read);
    }
    match shared.readers.cache().find(hash, spec.size) {
        Ok(Some(cached)) => {
            let here = cached.have().intersect(&missing);
            copy(writer, (hash, spec), &here, |piece| {
                cached.read_bao(piece).ok()
            })
        }
        Ok(None) => Ok(Vec::new()),
        Err(error) => {
            tracing::warn!(%error, "a fetch cannot use what was read before");
            Ok(Vec::new())
        }
    }
}

/// Copies groups of a shard as long as `read` gives them, as a peer would.
fn copy(
    writer: &Writer,
    (hash, spec): (Hash, &mut ShardSpec),
    groups: &GroupRanges,
    read: impl Fn(GroupRange) -> Option<Vec<u8>>,
) -> Result<Vec<ShardIndex>, FetchError> {
    let mut placed = Vec::new();
    let all = groups_in(spec.size);
    let is_large = spec.size > super::writer::SMALL_BYTES_MAX;
    if !is_large && groups.len_groups() < all {
        // A part of a small shard is not kept.
        return Ok(placed);
    }
    let step = if is_large { COPY_GROUPS } else { all.max(1) };
    for range in groups.iter() {
        let mut first = range.first;
        while let Some(piece) = GroupRange::between(first, range.end().min(first + step)) {
            let Some(encoded) = read(piece) else {
                return Ok(placed);
            };
            let mut decoder = PieceDecoder::new(hash, Expect::Size(spec.size), piece);
            if decoder.push(&encoded).is_err() || !decoder.is_complete() {
                return Ok(placed);
            }
            placed.extend(writer.keep(spec.shard, decoder.into_piece())?);
            spec.have.insert(piece);
            first = piece.end();
        }
    }
    Ok(placed)
}
