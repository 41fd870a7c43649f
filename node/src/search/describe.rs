//! From the store to what the index is told.

use opendag_protocol::{DatasetId, catalogue::DatasetState, record::Manifest, table::Page};

use super::entry::{CARD_BYTES_MAX, Entry, PATHS_MAX, stamp};
use crate::store::{Store, StoreError};

/// Does a version of a dataset lie here? Then card and table may be here too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lies {
    Here,
    Elsewhere,
}

/// What an entry of this dataset would be made from; `None`: no version of it is known.
pub(super) fn stamp_of(state: &DatasetState, lies: Lies) -> Option<u64> {
    let newest = state.newest_manifest()?;
    let lies: &[u8] = match lies {
        Lies::Here => b"here",
        Lies::Elsewhere => b"",
    };
    Some(stamp(&[
        newest.hash().as_bytes(),
        state.owners().current_id().hash().as_bytes(),
        lies,
    ]))
}

/// What the index is told of a dataset; `None` if the record of its newest version is not here. Blocks.
pub(super) fn entry(
    store: &Store,
    dataset: &DatasetId,
    lies: Lies,
) -> Result<Option<Entry>, StoreError> {
    let Some(state) = store.dataset(dataset)? else {
        return Ok(None);
    };
    let (Some(newest), Some(stamp)) = (state.newest_manifest(), stamp_of(&state, lies)) else {
        return Ok(None);
    };
    let Some(record) = store.manifest_of(&newest)? else {
        return Ok(None);
    };
    let Some(manifest) = record.as_manifest() else {
        return Ok(None);
    };
    let owners = &state.owners().current().fields().owners;
    let publishers = owners.iter().map(ToString::to_string).collect();
    let mut entry = Entry::new(state.name(), publishers, manifest, stamp);
    if lies == Lies::Here {
        let description = describe(store, manifest);
        (entry.card, entry.paths) = store.inner.runtime.block_on(description)?;
    }
    Ok(Some(entry))
}

/// Card and paths of a version, as far as they are here.
pub(super) async fn describe(
    store: &Store,
    manifest: &Manifest,
) -> Result<(Option<String>, Vec<String>), StoreError> {
    let mut card = None;
    if let Some(id) = manifest.card()
        && let Some(mut bytes) = store.blob(&id).await?
    {
        bytes.truncate(CARD_BYTES_MAX);
        card = Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    let mut paths = Vec::new();
    let pages = match store.table(manifest).await {
        Ok(index) => index.pages().to_vec(),
        Err(StoreError::MissingBlob { .. } | StoreError::BadTable { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    for page_ref in pages {
        let Some(bytes) = store.blob(&page_ref.page()).await? else {
            break;
        };
        let Ok(page) = Page::decode(&bytes, &page_ref) else {
            break;
        };
        let room = PATHS_MAX.saturating_sub(paths.len());
        let entries = page.entries().iter().take(room);
        paths.extend(entries.map(|entry| entry.path().to_string()));
        if paths.len() >= PATHS_MAX {
            break;
        }
    }
    Ok((card, paths))
}
