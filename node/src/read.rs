//! Verified reads of any part of any file of a version, here or not.
//!
//! [`Readers`] finds versions and keeps them at hand; a [`ReadVersion`] finds its files and gives
//! [`FileReader`]s. What is kept on this node is read from there; what is not comes from peers as a
//! reader wants it (`fetch/on_demand`), through the [`Cache`]. Every byte is verified on its way out.

mod cache;
mod fresh;
mod hope;
mod joined;
mod stream;
mod version;
mod window;

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use libp2p::PeerId;
use opendag_protocol::{ManifestId, RecordId};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

pub(crate) use self::{
    cache::{Cache, CacheUse, CachedFile},
    stream::FileReader,
    version::{Listed, ReadVersion},
};
use crate::{
    fork,
    net::Net,
    node::Shared,
    report::Reporter,
    resolve::{self, ResolveError, Search, Wish},
};

/// Versions at hand: an index of a table each, some pages, perhaps a swarm.
const VERSIONS_MAX: usize = 64;
/// So long a dataset's newest version is taken from what is known here before the network is asked again.
const NEWEST_FOR: Duration = Duration::from_secs(60);
/// Readers are told to come again while peers gave nothing for so long although somebody waited; then that nobody has it.
const HOPE: Duration = Duration::from_secs(60);

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
    /// The user of this node, or a list that they heed, does not want it to be read.
    #[error("{0}")]
    Denied(String),
    /// It went wrong here; the log says more.
    #[error("this node could not read it: its log says why")]
    Failed,
}

impl ReadFault {
    /// What is told who waited in vain for `what`, when peers gave anything last so long ago.
    fn waited(ago: Duration, what: &str, waits_for: String) -> Self {
        match ago < HOPE {
            true => Self::NotYet { waits_for },
            false => Self::Nobody {
                what: what.to_owned(),
                waits_for,
                waited: ago,
            },
        }
    }

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
    /// Held by who looks for what is not known here; as many as readers wait at most.
    finding: Mutex<BTreeMap<RecordId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Readers {
    /// With this cache.
    pub(crate) fn new(cache: Cache) -> Self {
        Self {
            cache,
            versions: Mutex::default(),
            asked: Mutex::default(),
            finding: Mutex::default(),
        }
    }

    /// The version that an id means: exactly it, or the newest of a dataset. Asks the network if it is
    /// not known here, and now and then for a newer one.
    ///
    /// # Errors
    /// [`ReadFault::Unknown`] after `within`; `Denied`; `Failed`.
    pub(crate) async fn version(
        &self,
        shared: &Arc<Shared>,
        id: RecordId,
        within: Duration,
    ) -> Result<Arc<ReadVersion>, ReadFault> {
        if let Some(denial) = shared.denial_of_id(id) {
            return Err(ReadFault::Denied(denial.to_string()));
        }
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
            // Large, and seldom needed.
            None => return Box::pin(self.find_once(shared, id, within)).await,
        };
        self.open(shared, undisputed(shared, id, version)?).await
    }

    /// As [`Readers::find`], one after the other for each id: a hundred readers of a dataset that is not known here are
    /// one question, which peers answer, and not a hundred, which they refuse.
    async fn find_once(
        &self,
        shared: &Arc<Shared>,
        id: RecordId,
        within: Duration,
    ) -> Result<Arc<ReadVersion>, ReadFault> {
        let turn = {
            let mut finding = self.finding.lock().unwrap_or_else(PoisonError::into_inner);
            finding.retain(|_, turn| Arc::strong_count(turn) > 1);
            finding.entry(id).or_default().clone()
        };
        let turn = timeout(within, turn.lock()).await;
        let _turn = turn.map_err(|_| ReadFault::Unknown)?;
        let known = resolve::local(shared, id).map_err(|error| ReadFault::failed(&error))?;
        match known {
            Some(version) => self.open(shared, undisputed(shared, id, version)?).await,
            None => self.find(shared, id, within).await,
        }
    }

    /// Finds what is not known here. Its description is got while others are still asked for a newer
    /// version.
    async fn find(
        &self,
        shared: &Arc<Shared>,
        id: RecordId,
        within: Duration,
    ) -> Result<Arc<ReadVersion>, ReadFault> {
        let not_found = |error: ResolveError| {
            tracing::debug!(%id, %error, "a reader's dataset was not found");
            ReadFault::Unknown
        };
        let net = shared
            .net()
            .await
            .map_err(|error| ReadFault::failed(&error))?;
        let mut search = search(shared, &net, id, within).await.map_err(not_found)?;
        let mut version = search.found().await.map_err(not_found)?;
        loop {
            let found = version.id;
            check(shared, &version)?;
            let opened = self.open_from(shared, version, search.answered());
            let newer = Box::pin(search.newer(found));
            let prepare = Box::pin(opened.prepare());
            match beside(newer, prepare).await.map_err(not_found)? {
                Some(newer) => version = newer,
                None => {
                    let version = undisputed(shared, id, opened.version().clone())?;
                    return self.open(shared, version).await;
                }
            }
        }
    }

    /// A version that is known here, ready to be read.
    pub(crate) async fn open(
        &self,
        shared: &Arc<Shared>,
        version: resolve::Version,
    ) -> Result<Arc<ReadVersion>, ReadFault> {
        check(shared, &version)?;
        Ok(self.open_from(shared, version, &[]))
    }

    /// The same; these peers told of it.
    fn open_from(
        &self,
        shared: &Arc<Shared>,
        version: resolve::Version,
        told: &[PeerId],
    ) -> Arc<ReadVersion> {
        let (id, now) = (version.id, Instant::now());
        let mut versions = self.versions();
        if let Some((used, version)) = versions.get_mut(&id) {
            *used = now;
            return version.clone();
        }
        if versions.len() >= VERSIONS_MAX
            && let Some(oldest) = versions
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(id, _)| *id)
        {
            versions.remove(&oldest);
        }
        let (shared, cache) = (shared.clone(), self.cache.clone());
        let opened = Arc::new(ReadVersion::new(shared, cache, (version, told.to_vec())));
        versions.insert(id, (now, opened.clone()));
        opened
    }

    /// What was read before.
    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// How full the cache is. Blocks.
    pub(crate) fn cache_use(&self) -> CacheUse {
        self.cache.in_use()
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

    /// Was nobody asked about this for a while? From now on somebody was.
    pub(crate) fn is_due(&self, id: RecordId) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        asked.retain(|_, at| now.duration_since(*at) < NEWEST_FOR);
        asked.insert(id, now).is_none()
    }
}

/// What is denied on this node is not read.
fn check(shared: &Shared, version: &resolve::Version) -> Result<(), ReadFault> {
    match shared.denial(version) {
        Some(denial) => Err(ReadFault::Denied(denial.to_string())),
        None => Ok(()),
    }
}

/// The version itself if the id names exactly it, else one that its publisher did not contradict.
fn undisputed(
    shared: &Shared,
    id: RecordId,
    version: resolve::Version,
) -> Result<resolve::Version, ReadFault> {
    match RecordId::from(version.id) == id {
        true => Ok(version),
        false => fork::undisputed(shared, version).map_err(|error| ReadFault::failed(&error)),
    }
}

/// Looks whether the network knows a newer version; what it learns stays.
async fn ask(shared: &Arc<Shared>, id: RecordId, within: Duration) {
    let Ok(net) = shared.net().await else { return };
    let asked = async {
        let mut search = search(shared, &net, id, within).await?;
        let version = search.found().await?;
        search.newest(version).await
    };
    if let Err(error) = asked.await {
        tracing::debug!(%id, %error, "no newer version was looked for");
    }
}

async fn search(
    shared: &Arc<Shared>,
    net: &Net,
    id: RecordId,
    within: Duration,
) -> Result<Search, ResolveError> {
    let wish = Wish {
        id,
        hints: Vec::new(),
        publisher: None,
    };
    // Nobody listens to how it goes.
    let (events, _) = mpsc::channel(1);
    Search::start(shared, net, &wish, within, &Reporter::new(events)).await
}

/// What `first` answers; `second` runs beside it, and is given up with it.
async fn beside<T>(first: impl Future<Output = T>, second: impl Future<Output = ()>) -> T {
    let (mut first, mut second) = (pin!(first), pin!(second));
    tokio::select! {
        answer = &mut first => return answer,
        () = &mut second => {}
    }
    first.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_hope_for_a_minute_after_peers_gave_anything() {
        let told = |secs| {
            let waits_for = "peers that hold this version".to_owned();
            ReadFault::waited(Duration::from_secs(secs), "the bytes of x", waits_for)
        };
        assert!(matches!(told(0), ReadFault::NotYet { .. }));
        assert!(matches!(told(59), ReadFault::NotYet { .. }));
        assert_eq!(
            told(61).to_string(),
            "no peer has given the bytes of x for 61 s; this node waits for peers that hold this version"
        );
    }
}
