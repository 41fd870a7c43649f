//! Verified reads of any part of any file of a version, here or not.
//!
//! [`Readers`] finds versions and keeps them at hand; a [`ReadVersion`] finds its files and gives
//! [`FileReader`]s. What is kept on this node is read from there; what is not comes from peers as a
//! reader wants it (`fetch/on_demand`), through the [`Cache`]. Every byte is verified on its way out.

mod cache;
mod stream;
mod version;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opendag_protocol::{ManifestId, RecordId};
use tokio::{sync::mpsc, time::Instant};

pub(crate) use self::{
    cache::{Cache, CachedFile},
    stream::FileReader,
    version::{Listed, ReadVersion},
};
use crate::{
    fork,
    node::Shared,
    report::Reporter,
    resolve::{self, Wish},
};

/// Versions at hand: an index of a table each, some pages, perhaps a swarm.
const VERSIONS_MAX: usize = 64;
/// So long a dataset's newest version is taken from what is known here before the network is asked again.
const NEWEST_FOR: Duration = Duration::from_secs(60);

/// Why something cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadFault {
    /// No such dataset or version is known here, and nobody else told of one.
    #[error("no such dataset or version is known to this node or its peers")]
    Unknown,
    /// The version has no such file.
    #[error("the version has no such file")]
    NoFile,
    /// It may come yet.
    #[error("it has not come yet; this node waits for {waits_for}")]
    NotYet {
        /// What is waited for.
        waits_for: String,
    },
    /// Nobody has it.
    #[error("no peer has given {what} for {} s; this node waits for {waits_for}", .waited.as_secs())]
    Nobody {
        /// What is missing.
        what: String,
        /// What is waited for.
        waits_for: String,
        /// For how long.
        waited: Duration,
    },
    /// It went wrong here; the log says more.
    #[error("this node could not read it: its log says why")]
    Failed,
}

impl ReadFault {
    fn failed(error: &dyn std::fmt::Display) -> Self {
        tracing::warn!(%error, "a reader cannot be served");
        Self::Failed
    }
}

/// What readers of a node share.
#[derive(Debug)]
pub(crate) struct Readers {
    cache: Cache,
    versions: Mutex<BTreeMap<ManifestId, (Instant, Arc<ReadVersion>)>>,
    /// When the network was asked last for the newest version of a dataset.
    asked: Mutex<BTreeMap<RecordId, Instant>>,
}

impl Readers {
    /// With this cache.
    pub(crate) fn new(cache: Cache) -> Self {
        Self {
            cache,
            versions: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// The version that an id means: exactly it, or the newest of a dataset. Asks the network if it is
    /// not known here, and now and then for a newer one.
    ///
    /// # Errors
    /// [`ReadFault::Unknown`] after `within`; `Failed`.
    pub(crate) async fn version(
        &self,
        shared: &Arc<Shared>,
        id: RecordId,
        within: Duration,
    ) -> Result<Arc<ReadVersion>, ReadFault> {
        let known = resolve::local(shared, id).map_err(|error| ReadFault::failed(&error))?;
        let exact = known
            .as_ref()
            .is_some_and(|known| RecordId::from(known.id) == id);
        let version = match known {
            Some(version) => {
                if !exact && self.is_due(id) {
                    let shared = shared.clone();
                    tokio::spawn(async move { ask(&shared, id, within).await });
                }
                version
            }
            None => ask(shared, id, within).await.ok_or(ReadFault::Unknown)?,
        };
        let version = match exact || RecordId::from(version.id) == id {
            true => version,
            false => {
                fork::undisputed(shared, version).map_err(|error| ReadFault::failed(&error))?
            }
        };
        self.open(shared, version).await
    }

    /// A version that is known here, ready to be read.
    pub(crate) async fn open(
        &self,
        shared: &Arc<Shared>,
        version: resolve::Version,
    ) -> Result<Arc<ReadVersion>, ReadFault> {
        let id = version.id;
        let now = Instant::now();
        if let Some((used, version)) = self.versions().get_mut(&id) {
            *used = now;
            return Ok(version.clone());
        }
        let opened = Arc::new(ReadVersion::new(
            shared.clone(),
            self.cache.clone(),
            version,
        ));
        let mut versions = self.versions();
        if versions.len() >= VERSIONS_MAX
            && let Some(oldest) = versions
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(id, _)| *id)
        {
            versions.remove(&oldest);
        }
        let (_, version) = versions.entry(id).or_insert((now, opened));
        Ok(version.clone())
    }

    /// Makes durable what was read. Blocks.
    pub(crate) fn save(&self) {
        self.cache.save();
    }

    fn versions(
        &self,
    ) -> std::sync::MutexGuard<'_, BTreeMap<ManifestId, (Instant, Arc<ReadVersion>)>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self, id: RecordId) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        asked.retain(|_, at| now.duration_since(*at) < NEWEST_FOR);
        asked.insert(id, now).is_none()
    }
}

/// Asks the network for the version that an id means.
async fn ask(shared: &Arc<Shared>, id: RecordId, within: Duration) -> Option<resolve::Version> {
    let net = shared.net().await.ok()?;
    let wish = Wish {
        id,
        hints: Vec::new(),
    };
    // Nobody listens to how it goes.
    let (events, _) = mpsc::channel(1);
    let report = Reporter::new(events);
    let found = resolve::resolve(shared, &net, &wish, within, &report).await;
    found
        .inspect_err(|error| tracing::debug!(%id, %error, "a reader's dataset was not found"))
        .ok()
}
