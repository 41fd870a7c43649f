//! Describing a version: its files hashed batch by batch, its file table, chunk maps and card, as blobs in
//! the store.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use opendag_protocol::{
    BlobId,
    limits::{DESCRIPTION_BLOB_BYTES_MAX, PACKED_FILE_BYTES_MAX},
    table::{EncodedBlob, EncodedPage, FileEntry, FileFields, TableTotals, TableWriter},
};
use tokio_util::sync::CancellationToken;

use super::{
    PublishError, blocking,
    earlier::EarlierFiles,
    hash::{Hashed, Hasher, Map},
    walk::{Found, Walk},
};
use crate::{
    node::Shared,
    ops::PublishRequest,
    report::Reporter,
    store::{HashedFile, HashedFiles},
};

/// The name of the card that is taken when the user names none.
const CARD: &str = "README.md";
/// Files that are hashed before their chunk maps are written: the maps of so many are held in memory.
const BATCH_FILES_MAX: usize = 4096;
/// Bytes of these files, unless it is one: their maps have at most some 20 MiB.
const BATCH_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of blobs that are written at once; each writing waits for the disk.
const BLOBS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What describes a version besides its manifest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Described {
    pub(super) table: BlobId,
    pub(super) totals: TableTotals,
    pub(super) card: Option<BlobId>,
}

/// What became of the files.
pub(super) struct Files {
    /// In the order of the walk.
    pub(super) hashed: Vec<HashedFile>,
    /// What is remembered of them.
    pub(super) known: HashedFiles,
    /// Bytes that were read; what is known already is not.
    pub(super) bytes_read: u64,
}

/// Hashes the files, and writes table, chunk maps and card into the store.
pub(super) async fn describe(
    shared: &Arc<Shared>,
    request: &PublishRequest,
    walk: &Arc<Walk>,
    control: (&Reporter, &CancellationToken),
) -> Result<(Described, Files), PublishError> {
    let totals = (
        u64::try_from(walk.files.len()).unwrap_or(u64::MAX),
        walk.files.iter().map(|found| found.size).sum(),
    );
    let hasher = Arc::new(Hasher::new(shared, request, &walk.root, totals, control)?);
    let mut writer = TableWriter::new();
    let mut blobs = Blobs::new(shared);
    let mut hashed = Vec::with_capacity(walk.files.len());
    let mut earlier = EarlierFiles::open(shared, request, &walk.root).await?;
    let mut known = HashedFiles::default();
    while let Some(batch) = batch(walk.files.get(hashed.len()..).unwrap_or_default()) {
        let range = hashed.len()..hashed.len() + batch;
        let files = walk.files.get(range.clone()).unwrap_or_default();
        let earlier = earlier.of(files).await?;
        let files = (Arc::clone(walk), Arc::clone(&hasher));
        let made = blocking(move || {
            let (walk, hasher) = files;
            hasher.hash_all(walk.files.get(range).unwrap_or_default(), earlier)
        })
        .await?;
        for made in made {
            let Some(found) = walk.files.get(hashed.len()) else {
                break;
            };
            hashed.push(made.file);
            if let Some(made) = &made.known {
                known.push(&found.path, made);
            }
            enter(&mut writer, &mut blobs, found, made).await?;
        }
    }
    let (page, index, totals) = writer.finish()?;
    if let Some(page) = page {
        blobs.page(page).await?;
    }
    let table = index.id;
    blobs.push(index).await?;
    let card = match card(request, walk) {
        Some(path) => {
            let card = EncodedBlob::of(read(&path)?);
            let id = card.id;
            blobs.push(card).await?;
            Some(id)
        }
        None => None,
    };
    blobs.write().await?;
    let ended = Arc::clone(&hasher);
    blocking(move || ended.end()).await?;
    let described = Described {
        table,
        totals,
        card,
    };
    let files = Files {
        hashed,
        known,
        bytes_read: hasher.bytes_read(),
    };
    Ok((described, files))
}

/// How many of the next files are hashed together; `None` if there are none.
fn batch(files: &[Found]) -> Option<usize> {
    let mut bytes = 0_u64;
    let fits = |found: &&Found| {
        bytes = bytes.saturating_add(found.size);
        bytes <= BATCH_BYTES_MAX
    };
    let fitting = files.iter().take(BATCH_FILES_MAX).take_while(fits).count();
    (!files.is_empty()).then_some(fitting.max(1))
}

/// Enters a file into the table, and its chunk map where it belongs.
async fn enter(
    writer: &mut TableWriter,
    blobs: &mut Blobs<'_>,
    found: &Found,
    Hashed { file, map, .. }: Hashed,
) -> Result<(), PublishError> {
    let mut fields = FileFields::new(found.path.clone(), file.size, file.hash);
    fields.sha256 = file.sha256;
    fields.media_type = mime_guess::from_path(found.path.as_str())
        .first_raw()
        .map(str::to_owned);
    let page = match map {
        Map::Made(map) if file.size <= PACKED_FILE_BYTES_MAX => {
            writer.push_with_map(FileEntry::new(fields)?, map)?
        }
        Map::Made(map) => {
            let map = map.encode()?;
            fields.chunk_map = Some(map.id);
            blobs.push(map).await?;
            writer.push(FileEntry::new(fields)?)?
        }
        Map::Kept(map) => {
            fields.chunk_map = Some(map);
            writer.push(FileEntry::new(fields)?)?
        }
        Map::None => writer.push(FileEntry::new(fields)?)?,
    };
    match page {
        Some(page) => blobs.page(page).await,
        None => Ok(()),
    }
}

/// Blobs on their way to the store, many at a time.
struct Blobs<'a> {
    shared: &'a Shared,
    waiting: Vec<Vec<u8>>,
    bytes: usize,
}

impl<'a> Blobs<'a> {
    const fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            waiting: Vec::new(),
            bytes: 0,
        }
    }

    async fn page(&mut self, page: EncodedPage) -> Result<(), PublishError> {
        for blob in page.into_blobs() {
            self.push(blob).await?;
        }
        Ok(())
    }

    async fn push(&mut self, blob: EncodedBlob) -> Result<(), PublishError> {
        self.bytes = self.bytes.saturating_add(blob.bytes.len());
        self.waiting.push(blob.bytes);
        if self.bytes >= BLOBS_BYTES_MAX {
            self.write().await?;
        }
        Ok(())
    }

    /// Writes what waits; durable when it returns.
    async fn write(&mut self) -> Result<(), PublishError> {
        self.bytes = 0;
        let blobs = std::mem::take(&mut self.waiting);
        self.shared.store.put_blobs(blobs).await?;
        Ok(())
    }
}

fn card(request: &PublishRequest, walk: &Walk) -> Option<PathBuf> {
    let found = || {
        walk.files
            .iter()
            .find(|found| found.path.as_str() == CARD && found.size < DESCRIPTION_BLOB_BYTES_MAX)
    };
    request
        .card
        .clone()
        .or_else(|| found().map(|found| walk.file(found)))
}

fn read(path: &Path) -> Result<Vec<u8>, PublishError> {
    let refused = |reason: String| PublishError::Card {
        path: path.to_owned(),
        reason,
    };
    let size = std::fs::metadata(path)
        .map_err(|error| refused(error.to_string()))?
        .len();
    if size > DESCRIPTION_BLOB_BYTES_MAX {
        return Err(refused(format!(
            "it has more than {DESCRIPTION_BLOB_BYTES_MAX} bytes"
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    if std::str::from_utf8(&bytes).is_err() {
        return Err(refused("it is not text in UTF-8".to_owned()));
    }
    Ok(bytes)
}
