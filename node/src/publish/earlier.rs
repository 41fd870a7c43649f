//! What an earlier publish of the same folder found out: hashes and chunk maps of files that did not change.

use std::sync::Arc;

use opendag_protocol::{
    chunkmap::{Cut, MapPack},
    limits::PACKED_FILE_BYTES_MAX,
    record::Manifest,
    table::{Page, PageRef, ShardIndex, TableIndex},
};

use super::{PublishError, blocking, hash::Map, walk::Found};
use crate::{
    node::Shared,
    ops::PublishRequest,
    store::{HashedFiles, Known, Place, RootId},
};

/// A file as it was, and its chunk map.
#[derive(Debug)]
pub(super) struct Earlier {
    pub(super) known: Known,
    pub(super) map: Map,
}

/// What is known of a folder.
pub(super) struct EarlierFiles {
    shared: Arc<Shared>,
    files: Arc<HashedFiles>,
    maps: Maps,
}

/// Where chunk maps come from.
enum Maps {
    /// None are wanted.
    Unwanted,
    /// There is no earlier version, or its table is not here.
    Unknown,
    /// The table of the last version in this folder, and the page that was looked at last: files come in
    /// the order of the table.
    Table(TableIndex, Option<OpenPage>),
}

struct OpenPage {
    first_shard: ShardIndex,
    page: Page,
    pack: Option<MapPack>,
}

impl EarlierFiles {
    /// What is known of the files below `root`.
    pub(super) async fn open(
        shared: &Arc<Shared>,
        request: &PublishRequest,
        root: &std::path::Path,
    ) -> Result<Self, PublishError> {
        let (asked, path) = (Arc::clone(shared), root.to_owned());
        let (files, last) = blocking(move || {
            let files = asked.store.hashed_files(RootId::of(&path));
            let places = asked.store.places()?;
            let here = places.into_iter().filter(|place| place.root == path);
            Ok((files, last_version(&asked, here)?))
        })
        .await?;
        let maps = match last {
            _ if request.no_chunk_maps => Maps::Unwanted,
            Some(manifest) if !files.is_empty() => match shared.store.table(&manifest).await {
                Ok(index) => Maps::Table(index, None),
                Err(_) => Maps::Unknown,
            },
            _ => Maps::Unknown,
        };
        Ok(Self {
            shared: Arc::clone(shared),
            files: Arc::new(files),
            maps,
        })
    }

    /// What is known of these files, in their order. Whether they are still so is seen when they are opened.
    pub(super) async fn of(
        &mut self,
        files: &[Found],
    ) -> Result<Vec<Option<Earlier>>, PublishError> {
        let mut earlier = Vec::with_capacity(files.len());
        for found in files {
            let known = self.files.get(&found.path);
            let known = known.filter(|known| known.stamp.fingerprint.size == found.size);
            earlier.push(match known {
                Some(known) => self
                    .map(found, &known)
                    .await?
                    .map(|map| Earlier { known, map }),
                None => None,
            });
        }
        Ok(earlier)
    }

    /// The chunk map of a file as it was; `None` if it must be made.
    async fn map(&mut self, found: &Found, known: &Known) -> Result<Option<Map>, PublishError> {
        let (index, open) = match &mut self.maps {
            Maps::Unwanted => return Ok(Some(Map::None)),
            Maps::Unknown => return Ok(None),
            Maps::Table(index, open) => (index, open),
        };
        let Some(page_ref) = index.page_of_path(&found.path) else {
            return Ok(None);
        };
        if open
            .as_ref()
            .is_none_or(|open| open.first_shard != page_ref.first_shard())
        {
            *open = open_page(&self.shared, page_ref).await?;
        }
        let Some((open, (shard, entry))) = open
            .as_ref()
            .and_then(|open| Some((open, open.page.find(&found.path)?)))
        else {
            return Ok(None);
        };
        if entry.hash() != known.hash {
            return Ok(None);
        }
        let needs_none = Cut::map_bytes_about(entry.size()) == 0;
        if entry.size() > PACKED_FILE_BYTES_MAX {
            return Ok(match entry.chunk_map() {
                Some(map) => {
                    let is_here = self.shared.store.blob(&map).await?.is_some();
                    is_here.then_some(Map::Kept(map))
                }
                None => needs_none.then_some(Map::None),
            });
        }
        Ok(match &open.pack {
            Some(pack) => Some(pack.map(shard).cloned().map_or(Map::None, Map::Made)),
            None => needs_none.then_some(Map::None),
        })
    }
}

/// The version of these places that was made last.
fn last_version(
    shared: &Shared,
    places: impl Iterator<Item = Place>,
) -> Result<Option<Manifest>, PublishError> {
    let mut last: Option<Manifest> = None;
    for place in places {
        let record = shared.store.manifest_of(&place.manifest)?;
        let manifest = record.as_ref().and_then(|record| record.as_manifest());
        let at = |manifest: &Manifest| {
            let fields = manifest.fields();
            (fields.created_at, fields.sequence)
        };
        if let Some(manifest) = manifest
            && last.as_ref().is_none_or(|last| at(last) < at(manifest))
        {
            last = Some(manifest.clone());
        }
    }
    Ok(last)
}

/// A page with its maps, if they are here.
async fn open_page(shared: &Shared, page_ref: &PageRef) -> Result<Option<OpenPage>, PublishError> {
    let Some(bytes) = shared.store.blob(&page_ref.page()).await? else {
        return Ok(None);
    };
    let Ok(page) = Page::decode(&bytes, page_ref) else {
        return Ok(None);
    };
    let pack = match page_ref.maps() {
        Some(maps) => shared.store.blob(&maps).await?,
        None => None,
    };
    let pack = pack.and_then(|bytes| MapPack::decode(&bytes, &page).ok());
    Ok(Some(OpenPage {
        first_shard: page_ref.first_shard(),
        page,
        pack,
    }))
}
