//! Documents that were made, for whoever asks again.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::Bytes;
use opendag_protocol::ManifestId;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{Urls, describe};
use crate::read::{ReadFault, ReadVersion};

/// Bytes of documents that are kept: that of 10,000 files has some 5 MB.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Documents that are made at once: each takes some 30 MB meanwhile.
const MAKING_MAX: usize = 2;

/// The newest documents, each by its version and where it says that files are. A version never changes.
#[derive(Debug)]
pub(crate) struct Documents {
    kept: Mutex<VecDeque<((ManifestId, Urls), Bytes)>>,
    making: Semaphore,
}

impl Default for Documents {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            making: Semaphore::new(MAKING_MAX),
        }
    }
}

impl Documents {
    /// The document of a version, made if need be, for which files are read for so long.
    ///
    /// # Errors
    /// As [`describe`]; [`ReadFault::NotYet`] if others are being made all that time.
    pub(crate) async fn of(
        &self,
        version: &Arc<ReadVersion>,
        urls: Urls,
        within: Duration,
    ) -> Result<Bytes, ReadFault> {
        let deadline = Instant::now() + within;
        let key = (version.version().id, urls);
        if let Some(kept) = self.find(&key) {
            return Ok(kept);
        }
        let permit = timeout_at(deadline, self.making.acquire()).await;
        let _permit = permit.map_err(|_| ReadFault::NotYet {
            waits_for: "other descriptions that are being made".to_owned(),
        })?;
        // The one before may have made it.
        if let Some(kept) = self.find(&key) {
            return Ok(kept);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let document = describe(version, &key.1, left).await?;
        let text = Bytes::from(document.text);
        if document.is_final {
            self.keep(key, text.clone());
        }
        Ok(text)
    }

    fn find(&self, key: &(ManifestId, Urls)) -> Option<Bytes> {
        let mut kept = self.kept();
        let at = kept.iter().position(|(other, _)| other == key)?;
        let found = kept.remove(at)?;
        let text = found.1.clone();
        kept.push_back(found);
        Some(text)
    }

    fn keep(&self, key: (ManifestId, Urls), text: Bytes) {
        let mut kept = self.kept();
        kept.push_back((key, text));
        let mut bytes: usize = kept.iter().map(|(_, text)| text.len()).sum();
        while bytes > KEPT_BYTES_MAX
            && let Some((_, text)) = kept.pop_front()
        {
            bytes = bytes.saturating_sub(text.len());
        }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<((ManifestId, Urls), Bytes)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
