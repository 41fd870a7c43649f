//! Packs: the chunk maps of the small files of one page of the file table, in one blob.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{ChunkMap, ChunkMapError, check_size, encode};
use crate::{
    cbor,
    limits::{DESCRIPTION_BLOB_BYTES_MAX, PAGE_ENTRIES_MAX},
    table::{EncodedBlob, Page, ShardIndex},
    wire::BoundedVec,
};

/// Version of the format.
const MAP_PACK_VERSION: u64 = 1;

const TYPE: &str = "chunk-maps";

/// Bytes before each map in a pack, at most: the head of a byte string.
const HEAD_BYTES_MAX: usize = 5;

/// What a pack has besides its maps, and more.
const FRAME_BYTES_MAX: usize = 64;

/// The chunk maps of a page's files, as far as they have one that is no blob of its own.
///
/// Invariant: as many maps, or gaps, as the page has entries; each map makes up the file of its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapPack {
    first_shard: ShardIndex,
    maps: Vec<Option<ChunkMap>>,
}

/// The form of a pack. An entry without a map has an empty string.
#[derive(Serialize, Deserialize)]
struct MapPackForm {
    r#type: String,
    version: u64,
    maps: BoundedVec<ByteBuf, PAGE_ENTRIES_MAX>,
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
        let (maps, entries) = (form.maps.len(), page.entries().len());
        if maps != entries {
            return Err(ChunkMapError::Entries { maps, entries });
        }
        let read = |(list, size): (ByteBuf, u64)| {
            (!list.is_empty())
                .then(|| ChunkMap::from_list(&list, size))
                .transpose()
        };
        let sizes = page.entries().iter().map(|entry| entry.size());
        let maps: Result<_, _> = form.maps.into_iter().zip(sizes).map(read).collect();
        Ok(Self {
            first_shard: page.first_shard(),
            maps: maps?,
        })
    }

    /// The blob that holds it.
    ///
    /// # Errors
    /// If it is larger than a description may be.
    pub fn encode(&self) -> Result<EncodedBlob, ChunkMapError> {
        let list = |map: &Option<ChunkMap>| map.as_ref().map(ChunkMap::to_list).unwrap_or_default();
        encode(&MapPackForm {
            r#type: TYPE.to_owned(),
            version: MAP_PACK_VERSION,
            maps: BoundedVec::take_from(&mut self.maps.iter().map(list)),
        })
    }

    /// The map of a shard's file; `None` if it has none here, or is on another page.
    #[must_use]
    pub fn map(&self, shard: ShardIndex) -> Option<&ChunkMap> {
        let at = shard.0.checked_sub(self.first_shard.0)?;
        self.maps.get(usize::try_from(at).ok()?)?.as_ref()
    }
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
            let frame = PAGE_ENTRIES_MAX * HEAD_BYTES_MAX + FRAME_BYTES_MAX;
            u64::try_from(bytes.saturating_add(frame))
                .is_ok_and(|bytes| bytes <= DESCRIPTION_BLOB_BYTES_MAX)
        };
        let map = map.filter(|map| map.is_useful() && fits(map));
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
