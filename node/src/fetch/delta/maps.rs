//! Getting chunk maps: which blobs hold them, from the store or from peers.

use std::{collections::BTreeMap, sync::Arc};

use libp2p::PeerId;
use opendag_protocol::{
    BlobId,
    chunkmap::{ChunkMap, Cut, MapPack},
    limits::PACKED_FILE_BYTES_MAX,
    table::{Page, PageRef, ShardIndex, TableIndex},
};
use tokio::task::JoinSet;

use crate::{ask, fetch::table::Wanted, net::Net, node::Shared, store::StoreError};

/// Maps that are asked for at once.
const ASKED_AT_ONCE: usize = 8;
/// Peers that are asked for one map.
const PEERS_ASKED_MAX: usize = 3;
/// A pack is worth asking for if the changed files of its page have so many times its bytes.
const PACK_WORTH: u64 = 2;

/// Whom to ask, and where to keep it.
pub(super) struct Source<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) net: &'a Net,
    pub(super) peers: &'a [PeerId],
}

/// A page of the table, with what is wanted of it.
pub(super) struct Wants {
    page_ref: PageRef,
    page: Page,
    large: Vec<(ShardIndex, BlobId)>,
    pack: Option<(BlobId, Vec<ShardIndex>)>,
    /// Bytes of the pack, about.
    pub(super) pack_bytes: u64,
}

impl Wants {
    /// What is to be got for some files of one page.
    pub(super) fn new(page_ref: &PageRef, page: Page, files: &[Wanted]) -> Self {
        let large = files.iter().filter_map(|wanted| {
            let map = wanted.entry.chunk_map()?;
            Some((wanted.shard, map))
        });
        let large: Vec<_> = large.collect();
        let small = files.iter().filter(|wanted| is_packed(wanted.entry.size()));
        let bytes: u64 = small.clone().map(|wanted| wanted.entry.size()).sum();
        let sizes = page.entries().iter().map(|entry| entry.size());
        let pack_bytes = sizes
            .filter(|size| is_packed(*size))
            .map(Cut::map_bytes_about)
            .sum();
        let small = small.map(|wanted| wanted.shard).collect();
        let pack = page_ref
            .maps()
            .filter(|_| bytes > 0 && bytes / PACK_WORTH >= pack_bytes)
            .map(|maps| (maps, small));
        Self {
            page_ref: page_ref.clone(),
            page,
            large,
            pack,
            pack_bytes,
        }
    }

    /// Is it about a pack?
    pub(super) const fn has_pack(&self) -> bool {
        self.pack.is_some()
    }

    /// Does without the pack. Answers the files that it would be for.
    pub(super) fn drop_pack(&mut self) -> Vec<ShardIndex> {
        self.pack.take().map(|(_, files)| files).unwrap_or_default()
    }

    /// The blobs that hold the maps.
    pub(super) fn blobs(&self) -> impl Iterator<Item = BlobId> + '_ {
        let pack = self.pack.as_ref().map(|(pack, _)| *pack);
        self.large.iter().map(|(_, map)| *map).chain(pack)
    }

    /// The maps whose blobs are here. One that is malformed is left out.
    pub(super) async fn read(
        &self,
        shared: &Shared,
        maps: &mut BTreeMap<ShardIndex, ChunkMap>,
    ) -> Result<(), StoreError> {
        for (shard, blob) in &self.large {
            let entry = self.page.shards().find(|(found, _)| found == shard);
            let Some(bytes) = shared.store.blob(blob).await? else {
                continue;
            };
            let size = entry.map_or(0, |(_, entry)| entry.size());
            if let Ok(map) = ChunkMap::decode(&bytes, size) {
                maps.insert(*shard, map);
            }
        }
        if let Some((blob, shards)) = &self.pack
            && let Some(bytes) = shared.store.blob(blob).await?
            && let Ok(pack) = MapPack::decode(&bytes, &self.page)
        {
            let of = |shard: &ShardIndex| Some((*shard, pack.map(*shard)?.clone()));
            maps.extend(shards.iter().filter_map(of));
        }
        tracing::debug!(page = %self.page_ref.page(), maps = maps.len(), "chunk maps were read");
        Ok(())
    }
}

/// Is the map of a file of this size in the pack of its page? Very small files have none.
pub(super) fn is_packed(size: u64) -> bool {
    size <= PACKED_FILE_BYTES_MAX && Cut::map_bytes_about(size) > 0
}

/// The page of a shard, if it is here.
pub(super) async fn page_of<'a>(
    shared: &Shared,
    index: &'a TableIndex,
    shard: ShardIndex,
) -> Result<Option<(&'a PageRef, Page)>, StoreError> {
    let Some(page_ref) = index.page_of_shard(shard) else {
        return Ok(None);
    };
    let bytes = shared.store.blob(&page_ref.page()).await?;
    let page = bytes.and_then(|bytes| Page::decode(&bytes, page_ref).ok());
    Ok(page.map(|page| (page_ref, page)))
}

impl Source<'_> {
    /// Gets blobs into the store, as far as peers give them. Answers the bytes received.
    pub(super) async fn get(&self, blobs: Vec<BlobId>) -> Result<u64, StoreError> {
        let mut missing = Vec::new();
        for blob in blobs {
            if self.shared.store.blob(&blob).await?.is_none() {
                missing.push(blob);
            }
        }
        let mut received = 0;
        for (turn, some) in missing.chunks(ASKED_AT_ONCE).enumerate() {
            let mut asked = JoinSet::new();
            for (at, blob) in some.iter().enumerate() {
                let (net, blob) = (self.net.clone(), *blob);
                let peers = self.peers.iter().cycle().skip(turn + at);
                let peers: Vec<_> = peers
                    .take(PEERS_ASKED_MAX.min(self.peers.len()))
                    .copied()
                    .collect();
                asked.spawn(async move { ask_one(&net, &peers, blob).await });
            }
            let got: Vec<Vec<u8>> = asked.join_all().await.into_iter().flatten().collect();
            received += got.iter().map(|bytes| len64(bytes.len())).sum::<u64>();
            if !got.is_empty() {
                self.shared.store.put_blobs(got).await?;
            }
        }
        Ok(received)
    }
}

async fn ask_one(net: &Net, peers: &[PeerId], blob: BlobId) -> Option<Vec<u8>> {
    for peer in peers {
        match ask::blob(net, *peer, blob).await {
            Ok(bytes) => return Some(bytes),
            Err(error) => tracing::debug!(%peer, %blob, %error, "a peer gave no chunk map"),
        }
    }
    None
}

fn len64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
