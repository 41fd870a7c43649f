//! Packs of chunk maps, read in parts: the front, which tells where each map lies, and then the chunk groups that hold
//! wanted maps.

use std::collections::{BTreeMap, VecDeque};

use opendag_protocol::{
    BlobId,
    chunkmap::{ChunkMap, Cut, MapPack, PackIndex},
    limits::CHUNK_GROUP_BYTES,
    table::{Page, PageRef, ShardIndex},
    wire::{GroupRange, GroupRanges},
};

use super::maps::is_packed;
use crate::fetch::table::Wanted;

/// The changed files of a page must have so many times the bytes that their maps cost.
const WORTH: u64 = 2;
/// A pack of which more than three quarters are wanted is got whole: then others can have it from here.
const WHOLE_QUARTERS: u64 = 3;

/// The pack of one page, and whose maps are wanted of it.
#[derive(Debug)]
pub(super) struct Pack {
    pub(super) page: PageRef,
    pub(super) blob: BlobId,
    /// Files whose maps were not read yet, by number.
    files: VecDeque<ShardIndex>,
    index: Option<PackIndex>,
    /// The last chunk group that was read: the next map may begin in it.
    last: Option<(u64, Vec<u8>)>,
}

/// What to ask for next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// The front.
    Index(GroupRange),
    /// The maps of so many of the next files.
    Maps {
        files: usize,
        ranges: Vec<GroupRange>,
    },
}

impl Part {
    /// The chunk groups to ask for.
    pub(super) fn ranges(&self) -> Vec<GroupRange> {
        match self {
            Self::Whole => vec![GroupRange::ALL],
            Self::Index(range) => vec![*range],
            Self::Maps { ranges, .. } => ranges.clone(),
        }
    }

    /// The bytes of its chunk groups; `pack_bytes` are those of the whole pack, about.
    pub(super) fn cost_bytes(&self, pack_bytes: u64) -> u64 {
        match self {
            Self::Whole => pack_bytes,
            Self::Index(range) => range.count * CHUNK_GROUP_BYTES,
            Self::Maps { ranges, .. } => {
                ranges.iter().map(|range| range.count).sum::<u64>() * CHUNK_GROUP_BYTES
            }
        }
    }
}

impl Pack {
    /// The pack of a page, if it has one.
    pub(super) fn of(page: &PageRef) -> Option<Self> {
        Some(Self {
            blob: page.maps()?,
            page: page.clone(),
            files: VecDeque::new(),
            index: None,
            last: None,
        })
    }

    /// Wants the map of a file as well. They come in order.
    pub(super) fn want(&mut self, shard: ShardIndex) {
        self.files.push_back(shard);
    }

    /// Bytes of the pack, once it is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.index.as_ref().map(PackIndex::blob_bytes)
    }

    /// Is nothing left to be read?
    pub(super) fn is_read(&self) -> bool {
        self.files.is_empty()
    }

    /// Are maps likely to save more than they cost?
    pub(super) fn is_worth(&self, page: &Page) -> bool {
        let mut files = self.files.iter().peekable();
        let (mut bytes, mut at) = (0_u64, 0_u64);
        // The front, and about the chunk groups of these maps.
        let mut groups = PackIndex::groups(page).count;
        let mut next = 0;
        for (shard, entry) in page.shards() {
            let size = entry.size();
            let map_bytes = if is_packed(size) {
                Cut::map_bytes_about(size)
            } else {
                0
            };
            if files.next_if(|file| **file == shard).is_some() {
                bytes = bytes.saturating_add(size);
                let end = (at + map_bytes).div_ceil(CHUNK_GROUP_BYTES);
                groups += end.saturating_sub(next.max(at / CHUNK_GROUP_BYTES));
                next = next.max(end);
            }
            at += map_bytes;
        }
        bytes / WORTH >= at.min(groups * CHUNK_GROUP_BYTES)
    }

    /// What to ask for next, of about so many bytes.
    pub(super) fn next(&self, page: &Page, bytes: u64) -> Part {
        let Some(index) = &self.index else {
            let wanted = self.files.iter().map(|shard| size_of(page, *shard));
            let wanted: u64 = wanted.map(Cut::map_bytes_about).sum();
            let whole = pack_bytes(page);
            return if whole <= bytes && wanted >= whole / 4 * WHOLE_QUARTERS {
                Part::Whole
            } else {
                Part::Index(PackIndex::groups(page))
            };
        };
        let mut groups = GroupRanges::new();
        let mut count = 0;
        for shard in &self.files {
            if let Some(range) = index.bytes_of(*shard)
                && let Some(range) = GroupRange::covering(range.start, range.end)
            {
                let mut more = groups.clone();
                more.insert(range);
                if let Some((last, _)) = &self.last
                    && let Some(here) = GroupRange::between(*last, *last + 1)
                {
                    more.remove(here);
                }
                if count > 0 && count_of(&more) * CHUNK_GROUP_BYTES > bytes {
                    break;
                }
                groups = more;
            }
            count += 1;
        }
        Part::Maps {
            files: count,
            ranges: groups.iter().collect(),
        }
    }

    /// Takes the whole pack. Answers the maps of wanted files.
    pub(super) fn take_whole(&mut self, bytes: &[u8], page: &Page) -> Vec<(Wanted, ChunkMap)> {
        let pack = MapPack::decode(bytes, page).ok();
        let map = |shard| {
            let map = pack.as_ref()?.map(shard)?.clone();
            Some((wanted(page, shard)?, map))
        };
        self.files.drain(..).filter_map(map).collect()
    }

    /// Takes a part: the chunk groups of its ranges, in their order. Answers the maps of wanted files.
    pub(super) fn take(
        &mut self,
        part: &Part,
        bytes: &[Vec<u8>],
        page: &Page,
    ) -> Vec<(Wanted, ChunkMap)> {
        let mut groups: BTreeMap<u64, &[u8]> = BTreeMap::new();
        let group_bytes = usize::try_from(CHUNK_GROUP_BYTES).unwrap_or(usize::MAX);
        for (range, bytes) in part.ranges().iter().zip(bytes) {
            groups.extend((range.first..).zip(bytes.chunks(group_bytes)));
        }
        let files = match part {
            Part::Whole => return self.take_whole(bytes.first().map_or(&[], Vec::as_slice), page),
            Part::Index(_) => {
                let front = bytes.first().map_or(&[][..], Vec::as_slice);
                match PackIndex::decode(front, page) {
                    Ok(index) => self.index = Some(index),
                    Err(_) => self.files.clear(),
                }
                self.files.len()
            }
            Part::Maps { files, .. } => *files,
        };
        let last = self.last.take();
        if let Some((at, bytes)) = &last {
            groups.entry(*at).or_insert(bytes);
        }
        let mut maps = Vec::new();
        for _ in 0..files {
            let Some(shard) = self.files.front().copied() else {
                break;
            };
            let range = self.index.as_ref().and_then(|index| index.bytes_of(shard));
            let list = range.map(|range| cut_out(&groups, range));
            // The front holds some maps already.
            if matches!((&list, part), (Some(None), Part::Index(_))) {
                break;
            }
            self.files.pop_front();
            if let Some(Some(list)) = list
                && let Some(wanted) = wanted(page, shard)
                && let Ok(map) = PackIndex::map(&list, wanted.entry.size())
            {
                maps.push((wanted, map));
            }
        }
        let last = groups.last_key_value();
        self.last = last.map(|(at, bytes)| (*at, bytes.to_vec()));
        maps
    }
}

/// Bytes of the pack of a page, about.
pub(super) fn pack_bytes(page: &Page) -> u64 {
    let sizes = page.entries().iter().map(|entry| entry.size());
    let maps = sizes.filter(|size| is_packed(*size));
    maps.map(Cut::map_bytes_about).sum()
}

/// Bytes of a pack, if all of their chunk groups are here.
fn cut_out(groups: &BTreeMap<u64, &[u8]>, bytes: std::ops::Range<u64>) -> Option<Vec<u8>> {
    let range = GroupRange::covering(bytes.start, bytes.end)?;
    let mut found = Vec::new();
    for group in range.first..range.end() {
        found.extend_from_slice(groups.get(&group)?);
    }
    let start = bytes.start - range.first * CHUNK_GROUP_BYTES;
    let (start, len) = (start, bytes.end - bytes.start);
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    found.get(start..end).map(<[u8]>::to_vec)
}

/// A file of a page.
pub(super) fn wanted(page: &Page, shard: ShardIndex) -> Option<Wanted> {
    let at = shard.0.checked_sub(page.first_shard().0)?;
    let entry = page.entries().get(usize::try_from(at).ok()?)?;
    Some(Wanted {
        shard,
        entry: entry.without_remarks(),
    })
}

fn size_of(page: &Page, shard: ShardIndex) -> u64 {
    let at = shard.0.checked_sub(page.first_shard().0);
    let entry = at.and_then(|at| page.entries().get(usize::try_from(at).ok()?));
    entry.map_or(0, |entry| entry.size())
}

fn count_of(groups: &GroupRanges) -> u64 {
    groups.iter().map(|range| range.count).sum()
}

#[cfg(test)]
mod tests;
