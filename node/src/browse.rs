//! What the gateway reads: files of versions that lie here, verified on every read.

use std::ops::Range;

use axum::body::Bytes;
use opendag_protocol::{
    DatasetPath, Hash, RecordId,
    limits::CHUNK_GROUP_BYTES,
    table::{Page, TableIndex, TableTotals},
    wire::GroupRange,
};

use crate::{
    api::{GatewayError, GatewayFile, GatewaySource},
    node::Node,
    resolve,
    store::StoreError,
};

impl GatewaySource for Node {
    async fn find(&self, id: RecordId, path: &str) -> Result<GatewayFile, GatewayError> {
        let path = DatasetPath::parse(path).map_err(|_| GatewayError::NotFound)?;
        let store = &self.shared.store;
        let version = resolve::local(&self.shared, id).map_err(|error| failed(&error))?;
        let version = version.ok_or(GatewayError::NotFound)?;
        let fields = version.manifest().fields();
        let totals = TableTotals {
            files: fields.files,
            bytes: fields.bytes,
        };
        let stored = |error: StoreError| failed(&error);
        let index = store
            .blob(&fields.table)
            .await
            .map_err(stored)?
            .ok_or(GatewayError::NotHere)?;
        let index = TableIndex::decode(&index, totals).map_err(|error| failed(&error))?;
        let page_ref = index.page_of_path(&path).ok_or(GatewayError::NotFound)?;
        let page = store
            .blob(&page_ref.page())
            .await
            .map_err(stored)?
            .ok_or(GatewayError::NotHere)?;
        let page = Page::decode(&page, page_ref).map_err(|error| failed(&error))?;
        let (_, entry) = page.find(&path).ok_or(GatewayError::NotFound)?;
        if entry.size() > 0 && !store.has_shard(entry.hash()).map_err(stored)? {
            return Err(GatewayError::NotHere);
        }
        Ok(GatewayFile {
            manifest: version.id,
            hash: entry.hash(),
            size: entry.size(),
            media_type: entry.media_type().map(str::to_owned),
        })
    }

    async fn read(&self, hash: Hash, range: Range<u64>) -> Result<Bytes, GatewayError> {
        let groups = GroupRange::covering(range.start, range.end).ok_or(GatewayError::Failed)?;
        let store = self.shared.store.clone();
        let read = tokio::task::spawn_blocking(move || store.read_verified(hash, groups)).await;
        let bytes = read.map_err(|error| failed(&error))?.map_err(|error| {
            tracing::debug!(%hash, %error, "the gateway cannot read a shard");
            GatewayError::NotHere
        })?;
        let skip = usize::try_from(range.start % CHUNK_GROUP_BYTES).unwrap_or(0);
        let length = usize::try_from(range.end - range.start).map_err(|error| failed(&error))?;
        let part = bytes
            .get(skip..skip.saturating_add(length))
            .ok_or(GatewayError::Failed)?;
        Ok(Bytes::copy_from_slice(part))
    }
}

fn failed(error: &dyn std::fmt::Display) -> GatewayError {
    tracing::warn!(%error, "the gateway cannot answer");
    GatewayError::Failed
}
