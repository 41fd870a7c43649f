//! Delta: files of a version are put together from chunks that other files on this node have, and only the
//! rest is asked of peers.
//!
//! The flow: [`Delta::look`] finds files that are worth it; [`Delta::next`] gets the chunk maps of some of
//! them ([`maps`]), cuts what lies here ([`bases`], [`strangers`]) and finds their chunks in it ([`chunks`]); an [`Assembly`]
//! copies these into [`draft`]s, and a session asks peers for the [`spans`] that are missing. What fails on the
//! way is fetched in the ordinary way. Specified in `specs/fetching.md`, section *Delta*.

mod assembly;
mod bases;
mod chunks;
mod draft;
mod maps;
mod older;
mod packs;
mod seen;
mod spans;
mod strangers;
mod transfer;

use std::sync::Arc;

use libp2p::PeerId;
use opendag_protocol::{
    chunkmap::{ChunkMap, Cut},
    table::ShardIndex,
};
use tokio_util::sync::CancellationToken;

pub(super) use self::{
    assembly::{Assembly, Found},
    seen::Seen,
    transfer::SpanTransfer,
};
use self::{
    chunks::Source,
    maps::Maps,
    older::{Kin, Older},
};
use super::{FetchError, plan::Plan, table::Wanted};
use crate::{net::Net, node::Shared, resolve::Version};

/// A file is assembled if at least one in so many of its bytes is here.
const WORTH: u64 = 8;

/// What may be assembled of a version.
pub(super) struct Delta {
    older: Arc<Older>,
    maps: Maps,
    cancel: CancellationToken,
}

impl Delta {
    /// Which files of a plan may be assembled; `None` if there is nothing here to begin with, so that a first
    /// fetch costs nothing more.
    pub(super) async fn look(
        (shared, net): (&Arc<Shared>, &Net),
        version: &Version,
        plan: &Plan,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>, FetchError> {
        if plan.fetch.is_empty() {
            return Ok(None);
        }
        let index = shared.store.table(version.manifest()).await?;
        let older = Older::find(shared, version, plan).await?;
        if older.is_empty() {
            return Ok(None);
        }
        let older = Arc::new(older);
        let (look, store, fetch) = (older.clone(), shared.store.clone(), plan.fetch.clone());
        let target = plan.target.clone();
        let begun = move || -> Result<Vec<(ShardIndex, u64, Kin)>, FetchError> {
            let mut files = Vec::new();
            for wanted in fetch {
                let (size, hash) = (wanted.entry.size(), wanted.entry.hash());
                let has_map = wanted.entry.chunk_map().is_some() || maps::is_packed(size);
                let is_begun = |target: &crate::store::Target| target.has_partial(hash);
                if has_map
                    && !store.has_shard(hash)?
                    && !target.as_ref().is_some_and(is_begun)
                    && let Some(kin) = look.may_have(wanted.entry.path(), size)
                {
                    files.push((wanted.shard, size, kin));
                }
            }
            Ok(files)
        };
        let files = tokio::task::spawn_blocking(begun)
            .await
            .map_err(|_| FetchError::Stopped)??;
        Ok((!files.is_empty()).then(|| Self {
            older,
            maps: Maps::new((shared, net), index, files.into_iter()),
            cancel: cancel.clone(),
        }))
    }

    /// The next files that are worth assembling, with what is here of them; perhaps none. `None`: that was all.
    pub(super) async fn next(&mut self, peers: &[PeerId]) -> Result<Option<Found>, FetchError> {
        if self.maps.has_doubts() {
            let samples = self.maps.samples(peers).await?;
            let (older, cancel) = (self.older.clone(), self.cancel.clone());
            let seen =
                tokio::task::spawn_blocking(move || strangers::help(&older, &samples, &cancel));
            let seen = seen.await.map_err(|_| FetchError::Stopped)?;
            self.maps.end_samples(seen);
        }
        let files = self.maps.next(peers).await?;
        if files.is_empty() {
            return Ok(None);
        }
        let (older, cancel) = (self.older.clone(), self.cancel.clone());
        let looked = tokio::task::spawn_blocking(move || find(&older, files, &cancel));
        let looked = looked.await.map_err(|_| FetchError::Stopped)?;
        let Looked {
            found,
            looked_bytes,
            found_bytes,
        } = looked.ok_or(FetchError::Cancelled)?;
        self.maps.budget.note(looked_bytes, found_bytes);
        Ok(Some(found))
    }

    /// Bytes of maps received.
    pub(super) const fn received_bytes(&self) -> u64 {
        self.maps.received_bytes
    }

    /// Bytes that need not be received, if all goes well. Nothing is written but maps.
    pub(super) async fn reusable_bytes(&mut self, peers: &[PeerId]) -> Result<u64, FetchError> {
        let mut bytes = 0;
        while let Some(found) = self.next(peers).await? {
            let files = found.files.iter();
            bytes += files
                .map(|(_, map)| found.chunks.found_bytes(map))
                .sum::<u64>();
        }
        Ok(bytes)
    }
}

/// What was found of some files.
struct Looked {
    found: Found,
    /// Bytes of the small ones, and of their chunks that are here.
    looked_bytes: u64,
    found_bytes: u64,
}

/// Looks for chunks: in the file at the same path of older versions, then in other files here. `None` if the fetch
/// was cancelled. Blocks.
fn find(
    older: &Older,
    files: Vec<(Wanted, ChunkMap)>,
    cancel: &CancellationToken,
) -> Option<Looked> {
    let mut found = Found::default();
    for (_, map) in &files {
        found.chunks.want(map);
    }
    for (wanted, map) in &files {
        let size = wanted.entry.size();
        let mut is_read = false;
        for folder in older.folders() {
            // Another folder may have another old version: it is read if this one does not help enough.
            if is_read && found.chunks.found_bytes(map) > size / 2 {
                break;
            }
            if let Some(id) = found.bases.add(folder, wanted.entry.path()) {
                is_read = true;
                cut_base(&mut found, id, Cut::for_size(size), cancel)?;
            }
        }
    }
    strangers::find(&mut found, older, &files, cancel)?;
    let small = files
        .iter()
        .filter(|(wanted, _)| maps::is_packed(wanted.entry.size()));
    let chunks = &found.chunks;
    let (mut looked_bytes, mut found_bytes) = (0, 0);
    for (wanted, map) in small {
        looked_bytes += wanted.entry.size();
        found_bytes += chunks.found_bytes(map);
    }
    let pays = |(wanted, map): &(Wanted, ChunkMap)| {
        chunks.found_bytes(map).saturating_mul(WORTH) >= wanted.entry.size()
    };
    found.files = files.into_iter().filter(pays).collect();
    Some(Looked {
        found,
        looked_bytes,
        found_bytes,
    })
}

/// Offers all chunks of a base. One that cannot be read gives nothing. `None` if the fetch was cancelled.
fn cut_base(
    found: &mut Found,
    id: bases::BaseId,
    cut: Cut,
    cancel: &CancellationToken,
) -> Option<()> {
    let file = found.bases.file(id);
    let map = file.map(|file| bases::cut(file, (cut, u64::MAX), cancel));
    if cancel.is_cancelled() {
        return None;
    }
    if let Some(Ok(Some(map))) = map {
        offer(found, id, &map);
    }
    Some(())
}

/// Offers the chunks of a base.
fn offer(found: &mut Found, base: bases::BaseId, map: &ChunkMap) {
    for (offset, chunk) in map.with_offsets() {
        found.chunks.offer(chunk.hash, Source { base, offset });
    }
}
