//! Delta: files of a version are put together from chunks that other files on this node have, and only the
//! rest is asked of peers.
//!
//! The flow: [`Delta::look`] finds files that are worth it; [`Delta::next`] gets the chunk maps of some of
//! them ([`maps`]), cuts what lies here ([`bases`]) and finds their chunks in it ([`chunks`]); an [`Assembly`]
//! copies these into [`draft`]s, and a session asks peers for the [`spans`] that are missing. What fails on the
//! way is fetched in the ordinary way. Specified in `specs/fetching.md`, section *Delta*.

mod assembly;
mod bases;
mod chunks;
mod draft;
mod maps;
mod older;
mod seen;
mod spans;
mod transfer;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use libp2p::PeerId;
use opendag_protocol::{
    chunkmap::{ChunkMap, Cut},
    table::TableIndex,
};
use tokio_util::sync::CancellationToken;

pub(super) use self::{
    assembly::{Assembly, Found},
    seen::Seen,
    transfer::SpanTransfer,
};
use self::{
    chunks::Source,
    maps::Wants,
    older::{Kind, Older},
};
use super::{FetchError, plan::Plan, table::Wanted, writer::SMALL_BYTES_MAX};
use crate::{net::Net, node::Shared, resolve::Version};

/// Chunks of the files that are assembled together: about 40 MiB of memory.
const CHUNKS_AT_ONCE: u64 = 1 << 19;
/// Bytes of small files that are assembled together: they lie in memory.
const SMALL_BYTES_AT_ONCE: u64 = 64 * 1024 * 1024;
/// A file is assembled if at least one in so many of its bytes is here.
const WORTH: u64 = 8;
/// Packs of chunk maps may cost one in so many bytes of the version before it is known that they help; one is always
/// tried.
const MAPS_SHARE: u64 = 100;
/// Other files of older versions are read up to so many times the bytes that are still missing.
const OTHERS_READ: u64 = 8;

/// What may be assembled of a version.
pub(super) struct Delta {
    shared: Arc<Shared>,
    net: Net,
    index: TableIndex,
    older: Arc<Older>,
    /// Files to look at, by number.
    queue: VecDeque<Wanted>,
    /// Files to look at if the maps of others help.
    deferred: Vec<Wanted>,
    cancel: CancellationToken,
    /// Bytes of maps that may be asked for before they prove useful.
    allowance: u64,
    asked_bytes: u64,
    /// Bytes of files whose maps were seen, and of their chunks that are here.
    looked_bytes: u64,
    found_bytes: u64,
    /// Bytes of maps received.
    pub(super) received_bytes: u64,
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
        let paths: HashSet<String> = plan.paths().map(|path| path.as_str().to_owned()).collect();
        let older = Older::find(shared, version, plan.target.as_ref(), &paths).await?;
        if older.is_empty() {
            return Ok(None);
        }
        let older = Arc::new(older);
        let (look, store, fetch) = (older.clone(), shared.store.clone(), plan.fetch.clone());
        let target = plan.target.clone();
        let begun = move || -> Result<VecDeque<Wanted>, FetchError> {
            let mut queue = VecDeque::new();
            for wanted in fetch {
                let (size, hash) = (wanted.entry.size(), wanted.entry.hash());
                let has_map = wanted.entry.chunk_map().is_some() || maps::is_packed(size);
                let is_begun = |target: &crate::store::Target| target.has_partial(hash);
                if has_map
                    && !store.has_shard(hash)?
                    && !target.as_ref().is_some_and(is_begun)
                    && look.may_have(wanted.entry.path(), size)
                {
                    queue.push_back(wanted);
                }
            }
            Ok(queue)
        };
        let queue = tokio::task::spawn_blocking(begun)
            .await
            .map_err(|_| FetchError::Stopped)??;
        Ok((!queue.is_empty()).then(|| Self {
            shared: shared.clone(),
            net: net.clone(),
            index,
            older,
            queue,
            deferred: Vec::new(),
            cancel: cancel.clone(),
            allowance: version.manifest().bytes() / MAPS_SHARE,
            asked_bytes: 0,
            looked_bytes: 0,
            found_bytes: 0,
            received_bytes: 0,
        }))
    }

    /// The next files that are worth assembling, with what is here of them; perhaps none. `None`: that was all.
    pub(super) async fn next(&mut self, peers: &[PeerId]) -> Result<Option<Found>, FetchError> {
        if self.queue.is_empty() && self.helps() {
            self.queue = std::mem::take(&mut self.deferred).into();
        }
        if self.queue.is_empty() {
            return Ok(None);
        }
        let files = self.with_maps(peers).await?;
        let (older, cancel) = (self.older.clone(), self.cancel.clone());
        let looked = tokio::task::spawn_blocking(move || find(&older, files, &cancel));
        let looked = looked.await.map_err(|_| FetchError::Stopped)?;
        let Looked {
            found,
            looked_bytes,
            found_bytes,
        } = looked.ok_or(FetchError::Cancelled)?;
        self.looked_bytes += looked_bytes;
        self.found_bytes += found_bytes;
        Ok(Some(found))
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

    /// Takes some files off the queue and gets their maps. Files without a map fall out.
    async fn with_maps(&mut self, peers: &[PeerId]) -> Result<Vec<(Wanted, ChunkMap)>, FetchError> {
        let files = self.some_files();
        let mut wants: Vec<Wants> = Vec::new();
        let mut rest = files.as_slice();
        while let Some(first) = rest.first() {
            let page = maps::page_of(&self.shared, &self.index, first.shard).await?;
            let Some((page_ref, page)) = page else {
                break;
            };
            let on_page = rest.partition_point(|wanted| wanted.shard.0 < page_ref.shards().end);
            let (some, more) = rest.split_at(on_page.max(1));
            rest = more;
            wants.push(Wants::new(page_ref, page, some));
        }
        // The cheapest first: they tell whether the others are worth it.
        wants.sort_by_key(|want| want.pack_bytes);
        let mut later = HashSet::new();
        for want in wants.iter_mut().filter(|want| want.has_pack()) {
            if !self.allows(want.pack_bytes) {
                later.extend(want.drop_pack());
            }
        }
        let source = maps::Source {
            shared: &self.shared,
            net: &self.net,
            peers,
        };
        let blobs = wants.iter().flat_map(Wants::blobs).collect();
        self.received_bytes += source.get(blobs).await?;
        let mut maps = BTreeMap::new();
        for want in &wants {
            want.read(&self.shared, &mut maps).await?;
        }
        let mut with_map = Vec::new();
        for wanted in files {
            match maps.remove(&wanted.shard) {
                Some(map) => with_map.push((wanted, map)),
                None if later.contains(&wanted.shard) => self.deferred.push(wanted),
                None => {}
            }
        }
        Ok(with_map)
    }

    /// Until maps have shown that they help, packs may cost a small share of the version only; one is always tried.
    fn allows(&mut self, bytes: u64) -> bool {
        let asked = self.asked_bytes.saturating_add(bytes);
        let allowed = self.helps() || self.asked_bytes == 0 || asked <= self.allowance;
        if allowed {
            self.asked_bytes = asked;
        }
        allowed
    }

    /// Did the maps that were got find some of their files?
    const fn helps(&self) -> bool {
        self.looked_bytes > 0 && self.found_bytes >= self.looked_bytes / WORTH
    }

    /// As many files as are assembled together, at least one.
    fn some_files(&mut self) -> Vec<Wanted> {
        let mut files = Vec::new();
        let (mut chunks, mut small_bytes) = (0_u64, 0_u64);
        while let Some(wanted) = self.queue.pop_front() {
            let size = wanted.entry.size();
            chunks += size / u64::from(Cut::for_size(size).average()) + 1;
            if size <= SMALL_BYTES_MAX {
                small_bytes += size;
            }
            if !files.is_empty() && (chunks > CHUNKS_AT_ONCE || small_bytes > SMALL_BYTES_AT_ONCE) {
                self.queue.push_front(wanted);
                break;
            }
            files.push(wanted);
        }
        files
    }
}

/// What was found of some files.
struct Looked {
    found: Found,
    looked_bytes: u64,
    found_bytes: u64,
}

/// Looks for chunks: in the file at the same path of older versions, then in their other files. `None` if the fetch
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
    find_in_others(&mut found, older, &files, cancel)?;
    let looked_bytes = files.iter().map(|(wanted, _)| wanted.entry.size()).sum();
    let chunks = &found.chunks;
    let found_bytes = files.iter().map(|(_, map)| chunks.found_bytes(map)).sum();
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

/// Looks into files of older versions whose paths are gone: a wanted file may be one of them under another name.
fn find_in_others(
    found: &mut Found,
    older: &Older,
    files: &[(Wanted, ChunkMap)],
    cancel: &CancellationToken,
) -> Option<()> {
    let mut cuts = HashMap::new();
    let mut missing_bytes = 0_u64;
    for (wanted, map) in files {
        let size = wanted.entry.size();
        let missing = size - found.chunks.found_bytes(map).min(size);
        missing_bytes = missing_bytes.saturating_add(missing);
        if missing > 0 {
            let kind = Kind::of(wanted.entry.path(), size);
            cuts.extend(kind.near().map(|near| (near, Cut::for_size(size))));
        }
    }
    let mut may_read = missing_bytes.saturating_mul(OTHERS_READ);
    for other in older.others() {
        if found.chunks.is_complete() {
            break;
        }
        if let Some(cut) = cuts.get(&other.kind)
            && let Some(left) = may_read.checked_sub(other.size)
            && let Some(id) = found.bases.add(&other.folder, &other.path)
        {
            may_read = left;
            cut_base(found, id, *cut, cancel)?;
        }
    }
    Some(())
}

/// Offers all chunks of a base. One that cannot be read gives nothing. `None` if the fetch was cancelled.
fn cut_base(
    found: &mut Found,
    id: bases::BaseId,
    cut: Cut,
    cancel: &CancellationToken,
) -> Option<()> {
    let map = found
        .bases
        .file(id)
        .map(|file| bases::cut(file, cut, cancel));
    if cancel.is_cancelled() {
        return None;
    }
    if let Some(Ok(Some(map))) = map {
        for (offset, chunk) in map.with_offsets() {
            found.chunks.offer(chunk.hash, Source { base: id, offset });
        }
    }
    Some(())
}
