//! Describing a version: its file table and its card, as blobs in the store.

use std::path::{Path, PathBuf};

use opendag_protocol::{
    BlobId,
    limits::DESCRIPTION_BLOB_BYTES_MAX,
    table::{FileEntry, FileFields, TableTotals, TableWriter},
};

use super::{PublishError, walk::Walk};
use crate::{node::Shared, ops::PublishRequest, store::HashedFile};

/// The name of the card that is taken when the user names none.
const CARD: &str = "README.md";

/// What describes a version besides its manifest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Described {
    pub(super) table: BlobId,
    pub(super) totals: TableTotals,
    pub(super) card: Option<BlobId>,
}

/// Writes the table and the card into the store.
pub(super) async fn describe(
    shared: &Shared,
    request: &PublishRequest,
    walk: &Walk,
    hashed: &[HashedFile],
) -> Result<Described, PublishError> {
    let mut writer = TableWriter::new();
    for (found, hashed) in walk.files.iter().zip(hashed) {
        let mut fields = FileFields::new(found.path.clone(), hashed.size, hashed.hash);
        fields.sha256 = hashed.sha256;
        fields.media_type = mime_guess::from_path(&found.file)
            .first_raw()
            .map(str::to_owned);
        if let Some(page) = writer.push(FileEntry::new(fields)?)? {
            shared.store.put_blob(page.bytes).await?;
        }
    }
    let (page, index, totals) = writer.finish()?;
    if let Some(page) = page {
        shared.store.put_blob(page.bytes).await?;
    }
    let table = shared.store.put_blob(index.bytes).await?;
    let card = match card(request, walk) {
        Some(path) => Some(shared.store.put_blob(read(&path)?).await?),
        None => None,
    };
    Ok(Described {
        table,
        totals,
        card,
    })
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
        .or_else(|| found().map(|found| found.file.clone()))
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
