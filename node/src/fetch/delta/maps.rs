//! Getting chunk maps: which are worth it, from the store or from peers.
//!
//! Maps of large files are small beside these, and come as a whole. Those of small files are up to a
//! twenty-fifth of them: their packs are read in parts, and what they cost is bounded by what they save.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use libp2p::PeerId;
use opendag_protocol::{
    BlobId,
    chunkmap::{Chunk, ChunkMap, Cut},
    limits::{CHUNK_GROUP_BYTES, DESCRIPTION_BLOB_BYTES_MAX, PACKED_FILE_BYTES_MAX},
    table::{Page, PageRef, ShardIndex, TableIndex},
    wire::GroupRange,
};
use tokio::task::JoinSet;

use super::{
    older::Kin,
    packs::{self, Pack, Part},
};
use crate::{
    ask,
    fetch::{table::Wanted, writer::SMALL_BYTES_MAX},
    net::Net,
    node::Shared,
    store::{Expect, StoreError},
};

/// Maps, or parts of packs, that are asked for at once.
const ASKED_AT_ONCE: usize = 8;
/// Peers that are asked for one map.
const PEERS_ASKED_MAX: usize = 3;
/// Large files of which the first chunks are looked for in other datasets.
const SAMPLES: usize = 4;
/// Chunks of the files that are assembled together: about 40 MiB of memory.
const CHUNKS_AT_ONCE: usize = 1 << 19;
/// Bytes of small files that are assembled together: they lie in memory.
const SMALL_BYTES_AT_ONCE: u64 = 32 * 1024 * 1024;
/// Bytes of a part of a pack before maps have shown that they help, and after.
const FIRST_PART_BYTES: u64 = 2 * CHUNK_GROUP_BYTES;
const PART_BYTES_MAX: u64 = 512 * 1024;

/// The maps of files that may be assembled.
pub(super) struct Maps {
    shared: Arc<Shared>,
    net: Net,
    index: TableIndex,
    /// Files that have a map of their own, by number.
    large: VecDeque<ShardIndex>,
    /// Those of them that only files of other datasets resemble.
    doubtful: VecDeque<ShardIndex>,
    packs: VecDeque<Pack>,
    /// Read, and not handed out yet.
    ready: VecDeque<(Wanted, ChunkMap)>,
    pub(super) budget: Budget,
    /// Bytes of maps received.
    pub(super) received_bytes: u64,
}

impl Maps {
    /// Of some files of a version, which come by number.
    pub(super) fn new(
        (shared, net): (&Arc<Shared>, &Net),
        index: TableIndex,
        files: impl Iterator<Item = (ShardIndex, u64, Kin)>,
    ) -> Self {
        let (mut large, mut doubtful) = (VecDeque::new(), VecDeque::new());
        let mut packs: VecDeque<Pack> = VecDeque::new();
        let mut packed_bytes = 0_u64;
        for (shard, size, kin) in files {
            if !is_packed(size) {
                match kin {
                    Kin::Older => large.push_back(shard),
                    Kin::Stranger => doubtful.push_back(shard),
                }
                continue;
            }
            let begun = packs.back_mut();
            let begun = begun.filter(|pack| pack.page.shards().contains(&shard.0));
            if let Some(pack) = begun {
                pack.want(shard);
            } else if let Some(mut pack) = index.page_of_shard(shard).and_then(Pack::of) {
                pack.want(shard);
                packs.push_back(pack);
            } else {
                continue;
            }
            packed_bytes = packed_bytes.saturating_add(size);
        }
        Self {
            shared: shared.clone(),
            net: net.clone(),
            index,
            large,
            doubtful,
            packs,
            ready: VecDeque::new(),
            budget: Budget::new(packed_bytes),
            received_bytes: 0,
        }
    }

    /// The next files that are assembled together, with their maps; none: that was all.
    pub(super) async fn next(
        &mut self,
        peers: &[PeerId],
    ) -> Result<Vec<(Wanted, ChunkMap)>, StoreError> {
        while self.ready.is_empty() && !(self.large.is_empty() && self.packs.is_empty()) {
            if self.large.is_empty() {
                self.read_packs(peers).await?;
            } else {
                self.read_large(peers).await?;
            }
        }
        let mut files = Vec::new();
        let (mut chunks, mut small_bytes) = (0, 0);
        while let Some((wanted, map)) = self.ready.pop_front() {
            chunks += map.chunks().len();
            if wanted.entry.size() <= SMALL_BYTES_MAX {
                small_bytes += wanted.entry.size();
            }
            if !files.is_empty() && (chunks > CHUNKS_AT_ONCE || small_bytes > SMALL_BYTES_AT_ONCE) {
                self.ready.push_front((wanted, map));
                break;
            }
            files.push((wanted, map));
        }
        files.sort_unstable_by_key(|(wanted, _)| wanted.shard);
        Ok(files)
    }

    /// The first chunks of a few large files that only files of other datasets resemble; once.
    pub(super) async fn samples(
        &mut self,
        peers: &[PeerId],
    ) -> Result<Vec<(Wanted, Vec<Chunk>)>, StoreError> {
        let step = self.doubtful.len().div_ceil(SAMPLES).max(1);
        let some: Vec<ShardIndex> = self.doubtful.iter().step_by(step).copied().collect();
        let mut files = Vec::new();
        for shard in some {
            if let Some((_, page)) = page_of(&self.shared, &self.index, shard).await?
                && let Some(wanted) = packs::wanted(&page, shard)
                && let Some(map) = wanted.entry.chunk_map()
            {
                files.push((wanted, map));
            }
        }
        let front = GroupRange { first: 0, count: 1 };
        let asked = files.iter().map(|(_, map)| {
            let expect = Expect::AtMost(DESCRIPTION_BLOB_BYTES_MAX);
            (*map, expect, vec![front])
        });
        let got = self.ask(peers, asked.collect()).await;
        let sample = |(wanted, map): (Wanted, BlobId)| {
            let front = got.get(&map)?.first()?;
            Some((wanted, ChunkMap::front(front)))
        };
        Ok(files.into_iter().filter_map(sample).collect())
    }

    /// What came of the samples: the maps of those files are worth it, or not.
    pub(super) fn end_samples(&mut self, is_worth: bool) {
        let mut doubtful = std::mem::take(&mut self.doubtful);
        if is_worth {
            self.large.append(&mut doubtful);
        }
    }

    /// Are there files of which samples are to be looked at?
    pub(super) fn has_doubts(&self) -> bool {
        !self.doubtful.is_empty()
    }

    /// Gets the maps of the next large files. What is malformed, or nobody gives, is left out.
    async fn read_large(&mut self, peers: &[PeerId]) -> Result<(), StoreError> {
        let mut files = Vec::new();
        let mut chunks = 0_u64;
        while let Some(shard) = self.large.pop_front() {
            let Some((_, page)) = page_of(&self.shared, &self.index, shard).await? else {
                continue;
            };
            let Some(wanted) = packs::wanted(&page, shard) else {
                continue;
            };
            let size = wanted.entry.size();
            chunks += size / u64::from(Cut::for_size(size).average()) + 1;
            files.extend(wanted.entry.chunk_map().map(|map| (wanted, map)));
            if chunks > u64::try_from(CHUNKS_AT_ONCE).unwrap_or(u64::MAX) {
                break;
            }
        }
        let mut missing = Vec::new();
        for (_, map) in &files {
            if self.shared.store.blob(map).await?.is_none() {
                missing.push((
                    *map,
                    Expect::AtMost(DESCRIPTION_BLOB_BYTES_MAX),
                    vec![GroupRange::ALL],
                ));
            }
        }
        for some in missing.chunks(ASKED_AT_ONCE) {
            let got = self.ask(peers, some.to_vec()).await;
            let blobs: Vec<Vec<u8>> = got.into_values().flatten().collect();
            if !blobs.is_empty() {
                self.shared.store.put_blobs(blobs).await?;
            }
        }
        for (wanted, map) in files {
            if let Some(bytes) = self.shared.store.blob(&map).await?
                && let Ok(map) = ChunkMap::decode(&bytes, wanted.entry.size())
            {
                self.ready.push_back((wanted, map));
            }
        }
        Ok(())
    }

    /// Gets parts of the next packs, as far as the budget goes; if it allows none, all packs are dropped.
    async fn read_packs(&mut self, peers: &[PeerId]) -> Result<(), StoreError> {
        let mut parts = Vec::new();
        let mut later = VecDeque::new();
        while let Some(mut pack) = self.packs.pop_front() {
            if parts.len() >= ASKED_AT_ONCE {
                later.push_back(pack);
                continue;
            }
            let Some(page) = read_page(&self.shared, &pack.page).await? else {
                continue;
            };
            if let Some(bytes) = self.shared.store.blob(&pack.blob).await? {
                self.ready.extend(pack.take_whole(&bytes, &page));
                continue;
            }
            if !pack.is_worth(&page) {
                continue;
            }
            let part = pack.next(&page, self.budget.part_bytes());
            if part.ranges().is_empty() {
                self.ready.extend(pack.take(&part, &[], &page));
                later.extend((!pack.is_read()).then_some(pack));
            } else if self.budget.take(part.cost_bytes(packs::pack_bytes(&page))) {
                parts.push((pack, page, part));
            } else {
                later.push_back(pack);
            }
        }
        if parts.is_empty() && self.ready.is_empty() {
            later.clear();
        }
        let asked = parts.iter().map(|(pack, _, part)| {
            let expect = pack
                .size()
                .map_or(Expect::AtMost(DESCRIPTION_BLOB_BYTES_MAX), Expect::Size);
            (pack.blob, expect, part.ranges())
        });
        let mut got = self.ask(peers, asked.collect()).await;
        for (mut pack, page, part) in parts {
            let Some(bytes) = got.remove(&pack.blob) else {
                continue;
            };
            self.ready.extend(pack.take(&part, &bytes, &page));
            if part == Part::Whole {
                self.shared.store.put_blobs(bytes).await?;
            }
            if !pack.is_read() {
                later.push_back(pack);
            }
        }
        self.packs = later;
        Ok(())
    }

    /// Asks peers for parts of blobs. Answers those that somebody gave.
    async fn ask(
        &mut self,
        peers: &[PeerId],
        wanted: Vec<(BlobId, Expect, Vec<GroupRange>)>,
    ) -> BTreeMap<BlobId, Vec<Vec<u8>>> {
        let mut asked = JoinSet::new();
        for (turn, (blob, expect, ranges)) in wanted.into_iter().enumerate() {
            let net = self.net.clone();
            let turns = peers.iter().cycle().skip(turn);
            let turns = turns.take(PEERS_ASKED_MAX.min(peers.len()));
            let peers: Vec<_> = turns.copied().collect();
            asked.spawn(async move {
                for peer in peers {
                    match ask::parts(&net, peer, blob, (expect, &ranges)).await {
                        Ok(parts) => return Some((blob, parts)),
                        Err(error) => {
                            tracing::debug!(%peer, %blob, %error, "a peer gave no chunk map");
                        }
                    }
                }
                None
            });
        }
        let got = asked.join_all().await.into_iter().flatten();
        let mut all = BTreeMap::new();
        for (blob, parts) in got {
            let bytes = parts.iter().map(|part| len64(part.len())).sum::<u64>();
            self.received_bytes += bytes;
            all.insert(blob, parts);
        }
        all
    }
}

/// What maps of small files may cost: a hundredth of these and half of what they saved. So a version that shares
/// nothing costs little more than without them.
#[derive(Debug)]
pub(super) struct Budget {
    base_bytes: u64,
    asked_bytes: u64,
    parts: u32,
    /// Bytes of files whose maps were read, and of their chunks that are here.
    looked_bytes: u64,
    found_bytes: u64,
}

impl Budget {
    /// Of the bytes of the files.
    const SHARE: u64 = 100;
    /// Parts that are always tried until some map was read: the front of a pack, and a map that is not in it.
    const PARTS_TRIED: u32 = 2;
    /// After so many bytes, of which as good as nothing was found, no more is.
    const ENOUGH_BYTES: u64 = 4 * 1024 * 1024;
    /// As good as nothing, and enough that maps help: one in so many bytes.
    const NOTHING: u64 = 64;
    const HELPS: u64 = 8;

    pub(super) const fn new(files_bytes: u64) -> Self {
        let share = files_bytes / Self::SHARE;
        Self {
            base_bytes: if share > CHUNK_GROUP_BYTES {
                share
            } else {
                CHUNK_GROUP_BYTES
            },
            asked_bytes: 0,
            parts: 0,
            looked_bytes: 0,
            found_bytes: 0,
        }
    }

    /// Notes what maps of small files let find.
    pub(super) const fn note(&mut self, looked_bytes: u64, found_bytes: u64) {
        self.looked_bytes += looked_bytes;
        self.found_bytes += found_bytes;
    }

    const fn helps(&self) -> bool {
        self.looked_bytes > 0 && self.found_bytes >= self.looked_bytes / Self::HELPS
    }

    const fn left_bytes(&self) -> u64 {
        let may = self.base_bytes.saturating_add(self.found_bytes / 2);
        may.saturating_sub(self.asked_bytes)
    }

    /// The size of the next part.
    fn part_bytes(&self) -> u64 {
        if self.helps() {
            PART_BYTES_MAX.min(self.left_bytes())
        } else {
            FIRST_PART_BYTES
        }
    }

    /// May so many bytes be asked for? Then they are counted.
    const fn take(&mut self, bytes: u64) -> bool {
        let is_hopeless = self.looked_bytes >= Self::ENOUGH_BYTES
            && self.found_bytes < self.looked_bytes / Self::NOTHING;
        let is_tried = self.looked_bytes == 0 && self.parts < Self::PARTS_TRIED;
        let may = !is_hopeless && (bytes <= self.left_bytes() || is_tried);
        if may {
            self.asked_bytes = self.asked_bytes.saturating_add(bytes);
            self.parts = self.parts.saturating_add(1);
        }
        may
    }
}

/// Is the map of a file of this size in the pack of its page? Very small files have none.
pub(super) fn is_packed(size: u64) -> bool {
    size <= PACKED_FILE_BYTES_MAX && Cut::map_bytes_about(size) > 0
}

/// The page of a shard, if it is here.
async fn page_of<'a>(
    shared: &Shared,
    index: &'a TableIndex,
    shard: ShardIndex,
) -> Result<Option<(&'a PageRef, Page)>, StoreError> {
    let Some(page_ref) = index.page_of_shard(shard) else {
        return Ok(None);
    };
    let page = read_page(shared, page_ref).await?;
    Ok(page.map(|page| (page_ref, page)))
}

/// A page, if it is here.
pub(super) async fn read_page(
    shared: &Shared,
    page_ref: &PageRef,
) -> Result<Option<Page>, StoreError> {
    let bytes = shared.store.blob(&page_ref.page()).await?;
    Ok(bytes.and_then(|bytes| Page::decode(&bytes, page_ref).ok()))
}

fn len64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_files_that_share_nothing_cost_a_hundredth() {
        let mut budget = Budget::new(100_000_000);
        let mut asked = 0;
        while budget.take(FIRST_PART_BYTES) {
            asked += FIRST_PART_BYTES;
            budget.note(100_000, 0);
        }
        assert!((900_000..=1_000_000).contains(&asked), "{asked}");
        // Soon enough it is known.
        let mut budget = Budget::new(10_000_000_000);
        let mut parts = 0;
        while budget.take(FIRST_PART_BYTES) {
            parts += 1;
            budget.note(700_000, 0);
        }
        assert_eq!(parts, 6);
    }

    #[test]
    fn maps_that_help_pay_for_others() {
        let mut budget = Budget::new(1_000_000);
        assert!(budget.take(CHUNK_GROUP_BYTES));
        assert_eq!(budget.part_bytes(), FIRST_PART_BYTES);
        budget.note(400_000, 300_000);
        assert!(budget.helps());
        assert_eq!(budget.part_bytes(), 150_000);
        assert!(!budget.take(150_001) && budget.take(150_000));
        assert!(!budget.take(1));
    }

    #[test]
    fn a_map_behind_the_front_of_a_pack_is_tried_whatever_it_costs() {
        let mut budget = Budget::new(1000);
        assert!(budget.take(2 * CHUNK_GROUP_BYTES) && budget.take(CHUNK_GROUP_BYTES));
        assert!(!budget.take(1));
        let mut budget = Budget::new(1000);
        assert!(budget.take(CHUNK_GROUP_BYTES));
        budget.note(1000, 0);
        assert!(!budget.take(CHUNK_GROUP_BYTES));
    }
}
