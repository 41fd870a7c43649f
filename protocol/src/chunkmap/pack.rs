//! Packs: the chunk maps of the small files of one page of the file table, in one blob.
//!
//! How many chunks each map has stands before all maps, so that who wants a few of them reads the front of the pack
//! ([`PackIndex`]) and then only the parts in which they lie.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{ChunkMap, ChunkMapError, ENCODED_CHUNK_BYTES, check_size, encode};
use crate::{
    cbor,
    limits::{CHUNK_GROUP_BYTES, DESCRIPTION_BLOB_BYTES_MAX, PAGE_ENTRIES_MAX},
    table::{EncodedBlob, Page, ShardIndex},
    wire::GroupRange,
};

/// Version of the format.
const MAP_PACK_VERSION: u64 = 2;

const TYPE: &str = "chunk-maps";

/// Bytes that say how many chunks a map has.
const COUNT_BYTES: usize = 2;

/// The longest head of a byte string.
const HEAD_BYTES_MAX: usize = 5;

/// What a pack has besides its counts and maps, and more.
const FRAME_BYTES_MAX: usize = 64;

/// What precedes the counts: a map of four, and the first key.
const BEFORE_COUNTS: &[u8] = b"\xa4\x64each";
/// What precedes the maps.
const BEFORE_MAPS: &[u8] = b"\x64maps";
/// What follows them: type and version.
const AFTER_MAPS: &[u8] = b"\x64type\x6achunk-maps\x67version\x02";

/// The chunk maps of a page's files, as far as they have one that is no blob of its own.
///
/// Invariant: as many maps, or gaps, as the page has entries; each map makes up the file of its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapPack {
    first_shard: ShardIndex,
    maps: Vec<Option<ChunkMap>>,
}

/// The form of a pack: how many chunks each entry's map has, 0 if it has none, and then the chunks of all.
#[derive(Serialize, Deserialize)]
struct MapPackForm {
    each: ByteBuf,
    maps: ByteBuf,
    r#type: String,
    version: u64,
}

impl MapPack {
    /// Reads the pack of a page. The caller has verified the hash of `bytes`.
    ///
    /// # Errors
    /// If it is malformed, does not go with the page, or the chunks of a map do not make up its file.
    pub fn decode(bytes: &[u8], page: &Page) -> Result<Self, ChunkMapError> {
        check_size(bytes)?;
        let form: MapPackForm = cbor::from_slice_canonical(bytes).map_err(ChunkMapError::Form)?;
        if form.r#type != TYPE || form.version != MAP_PACK_VERSION {
            return Err(ChunkMapError::OtherType);
        }
        let counts = counts(&form.each, page)?;
        let mut rest = form.maps.as_slice();
        let mut maps = Vec::with_capacity(counts.len());
        for (count, entry) in counts.iter().zip(page.entries()) {
            let lengths = || ChunkMapError::Lengths { size: entry.size() };
            let list = rest.split_at_checked(count * ENCODED_CHUNK_BYTES);
            let (list, more) = list.ok_or_else(lengths)?;
            rest = more;
            let map = (!list.is_empty()).then(|| ChunkMap::from_list(list, entry.size()));
            maps.push(map.transpose()?);
        }
        if !rest.is_empty() {
            return Err(ChunkMapError::PackLength);
        }
        Ok(Self {
            first_shard: page.first_shard(),
            maps,
        })
    }

    /// The blob that holds it.
    ///
    /// # Errors
    /// If it is larger than a description may be.
    pub fn encode(&self) -> Result<EncodedBlob, ChunkMapError> {
        let (mut each, mut maps) = (Vec::new(), Vec::new());
        for map in &self.maps {
            let chunks = map.as_ref().map_or(0, |map| map.chunks().len());
            let count = u16::try_from(chunks).map_err(|_| ChunkMapError::PackLength)?;
            each.extend_from_slice(&count.to_le_bytes());
            if let Some(map) = map {
                maps.extend_from_slice(&map.to_list());
            }
        }
        encode(&MapPackForm {
            each: ByteBuf::from(each),
            maps: ByteBuf::from(maps),
            r#type: TYPE.to_owned(),
            version: MAP_PACK_VERSION,
        })
    }

    /// The map of a shard's file; `None` if it has none here, or is on another page.
    #[must_use]
    pub fn map(&self, shard: ShardIndex) -> Option<&ChunkMap> {
        let at = shard.0.checked_sub(self.first_shard.0)?;
        self.maps.get(usize::try_from(at).ok()?)?.as_ref()
    }
}

/// Where in a pack each map lies: its first bytes.
///
/// Invariant: the maps that it places lie behind one another, within a blob of [`PackIndex::blob_bytes`], which is no
/// larger than a description may be. Whether they are maps is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackIndex {
    first_shard: ShardIndex,
    /// Where the maps begin.
    start: u64,
    /// By entry: the number of the first chunk that is not before its map; and one more, of all.
    chunks: Vec<u32>,
}

impl PackIndex {
    /// The chunk groups that hold the index of a page's pack. A pack is never shorter.
    #[must_use]
    pub fn groups(page: &Page) -> GroupRange {
        let bytes = BEFORE_COUNTS.len()
            + HEAD_BYTES_MAX
            + page.entries().len() * COUNT_BYTES
            + BEFORE_MAPS.len()
            + HEAD_BYTES_MAX;
        // The end of a short pack is as long.
        let groups = to_u64(bytes).div_ceil(CHUNK_GROUP_BYTES);
        GroupRange {
            first: 0,
            count: groups,
        }
    }

    /// Reads the front of a page's pack, at least [`PackIndex::groups`] or all of it. The caller has verified it.
    ///
    /// # Errors
    /// If it is another kind of blob, or does not go with the page.
    pub fn decode(front: &[u8], page: &Page) -> Result<Self, ChunkMapError> {
        let other = || ChunkMapError::OtherType;
        let rest = front.strip_prefix(BEFORE_COUNTS).ok_or_else(other)?;
        let counts_bytes = page.entries().len() * COUNT_BYTES;
        let head = bytes_head(counts_bytes);
        let rest = rest.strip_prefix(head.as_slice());
        let rest = rest.and_then(|rest| rest.split_at_checked(counts_bytes));
        let (each, rest) = rest.ok_or(ChunkMapError::PackLength)?;
        let mut chunks = vec![0_u32];
        let mut sum = 0_u32;
        for count in counts(each, page)? {
            // At most 8192 times 65,535.
            sum = sum.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
            chunks.push(sum);
        }
        let maps_bytes = usize::try_from(sum).unwrap_or(usize::MAX) * ENCODED_CHUNK_BYTES;
        let before = [BEFORE_MAPS, &bytes_head(maps_bytes)].concat();
        if !rest.starts_with(&before) {
            return Err(other());
        }
        let start = to_u64(front.len() - rest.len() + before.len());
        let index = Self {
            first_shard: page.first_shard(),
            start,
            chunks,
        };
        match index.blob_bytes() {
            ..=DESCRIPTION_BLOB_BYTES_MAX => Ok(index),
            _ => Err(ChunkMapError::PackLength),
        }
    }

    /// Bytes of the whole pack.
    #[must_use]
    pub fn blob_bytes(&self) -> u64 {
        self.position(self.chunks.len() - 1) + to_u64(AFTER_MAPS.len())
    }

    /// Where the map of a shard's file lies in the pack; `None` if it has none here, or is on another page.
    #[must_use]
    pub fn bytes_of(&self, shard: ShardIndex) -> Option<Range<u64>> {
        let at = usize::try_from(shard.0.checked_sub(self.first_shard.0)?).ok()?;
        let range = self.position(at)..self.position(at.checked_add(1)?);
        (at + 1 < self.chunks.len() && !range.is_empty()).then_some(range)
    }

    /// The map of a file of `size` bytes, from the bytes of the pack that [`PackIndex::bytes_of`] tells.
    ///
    /// # Errors
    /// If its chunks do not make up such a file.
    pub fn map(bytes: &[u8], size: u64) -> Result<ChunkMap, ChunkMapError> {
        ChunkMap::from_list(bytes, size)
    }

    fn position(&self, entry: usize) -> u64 {
        let chunks = self.chunks.get(entry).copied().unwrap_or(0);
        self.start + u64::from(chunks) * to_u64(ENCODED_CHUNK_BYTES)
    }
}

/// How many chunks each entry's map has.
fn counts(each: &[u8], page: &Page) -> Result<Vec<usize>, ChunkMapError> {
    let (counts, rest) = each.as_chunks::<COUNT_BYTES>();
    let (maps, entries) = (counts.len(), page.entries().len());
    if maps != entries || !rest.is_empty() {
        return Err(ChunkMapError::Entries { maps, entries });
    }
    let counts = counts.iter().map(|count| u16::from_le_bytes(*count));
    Ok(counts.map(usize::from).collect())
}

/// The head of a byte string, in its shortest form.
fn bytes_head(len: usize) -> Vec<u8> {
    let [.., a, b, c, d] = to_u64(len).to_be_bytes();
    match len {
        0..24 => vec![0x40 | d],
        24..0x100 => vec![0x58, d],
        0x100..0x1_0000 => vec![0x59, c, d],
        _ => vec![0x5a, a, b, c, d],
    }
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Gathers the maps of a page that is being written.
#[derive(Debug, Default)]
pub(crate) struct PackBuilder {
    pub(super) maps: Vec<Option<ChunkMap>>,
    bytes: usize,
    /// Is there any map?
    is_needed: bool,
}

impl PackBuilder {
    /// Takes what belongs to the next entry. A map that saves nothing, or that does not fit a blob any
    /// more, is left out.
    pub(crate) fn push(&mut self, map: Option<ChunkMap>) {
        let fits = |map: &ChunkMap| {
            let bytes = self.bytes.saturating_add(map.list_bytes());
            let frame = PAGE_ENTRIES_MAX * COUNT_BYTES + FRAME_BYTES_MAX;
            u64::try_from(bytes.saturating_add(frame))
                .is_ok_and(|bytes| bytes <= DESCRIPTION_BLOB_BYTES_MAX)
        };
        let map = map.filter(|map| {
            map.is_useful() && fits(map) && u16::try_from(map.chunks().len()).is_ok()
        });
        if let Some(map) = &map {
            self.bytes = self.bytes.saturating_add(map.list_bytes());
            self.is_needed = true;
        }
        self.maps.push(map);
    }

    /// The blob of a page that ends, if any of its files has a map; and begins anew.
    pub(crate) fn take(&mut self) -> Result<Option<EncodedBlob>, ChunkMapError> {
        let Self {
            maps, is_needed, ..
        } = std::mem::take(self);
        is_needed
            .then(|| {
                MapPack {
                    first_shard: ShardIndex(0),
                    maps,
                }
                .encode()
            })
            .transpose()
    }
}
