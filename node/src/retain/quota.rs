//! The disk budget: how much may lie here, and what makes room.
//!
//! The cache goes first, then what nothing holds, then what mirrors hold, the oldest versions first. What the user put
//! here is never removed, and what they published in place counts for nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opendag_protocol::{
    DatasetId,
    retain::{Hold, Room},
};

use super::{Holds, free, usage::Look};
use crate::{
    disk::{self, DiskError},
    fault::Fault,
    keep::KeepError,
    node::Shared,
    ops::{Event, FreedInfo, FreedWhy, QuotaInfo, QuotaRequest, SetQuota},
    report::size,
    store::{DataDir, DataDirError, Place, RootId, Saved, StoreError},
};

/// Why there is no room within the budget.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuotaError {
    /// It would be passed.
    #[error(
        "this needs {} on the disk, and of the budget of {} that is {} too much, even without all that may go; allow more with `opendag quota SIZE`, let something go with `opendag rm`, or take less with --include",
        size(*.needed), size(*.limit), size(*.lacks)
    )]
    NoRoom {
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that all may have.
        limit: u64,
        /// Bytes that are missing.
        lacks: u64,
    },
    /// A task died.
    #[error("a task stopped unexpectedly")]
    Stopped,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl QuotaError {
    /// Who is to blame.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::NoRoom { .. } => Fault::Refused,
            Self::Stopped | Self::Store(_) => Fault::Local,
        }
    }
}

/// The disk budget of a node.
#[derive(Debug)]
pub(crate) struct Quota {
    /// What the user set; `None`: nothing.
    set: Saved<Option<SetQuota>>,
    configured: Option<u64>,
    arriving: Arriving,
    /// One after the other is let in.
    turn: tokio::sync::Mutex<()>,
}

/// What running fetches need in all in their folders.
#[derive(Clone, Debug, Default)]
struct Arriving(Arc<Mutex<BTreeMap<u64, (RootId, u64)>>>);

impl Arriving {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, (RootId, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room that a running fetch may use until this is dropped.
#[derive(Debug)]
#[must_use = "the room is given back when this is dropped"]
pub(crate) struct Admitted {
    arriving: Arriving,
    id: u64,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.arriving.lock().remove(&self.id);
    }
}

/// What a fetch is about to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs<'a> {
    /// Its folder.
    pub(crate) root: &'a Path,
    /// Bytes that are not there yet.
    pub(crate) more: u64,
    /// Bytes that will be there at the end.
    pub(crate) all: u64,
    /// May what mirrors hold make room for it?
    pub(crate) over_mirrors: bool,
}

impl Quota {
    /// The budget that was set last, else that of the configuration.
    pub(crate) fn open(data_dir: &DataDir, configured: Option<u64>) -> Result<Self, DataDirError> {
        Ok(Self {
            set: Saved::open(data_dir.quota_path())?,
            configured,
            arriving: Arriving::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Bytes that all may have.
    pub(crate) fn limit(&self) -> Option<u64> {
        match *self.set.get() {
            Some(SetQuota::Bytes(bytes)) => Some(bytes),
            Some(SetQuota::None) => None,
            None => self.configured,
        }
    }

    /// Folders of running fetches, and what they need there in all.
    pub(super) fn arriving(&self) -> Vec<(RootId, u64)> {
        self.arriving.lock().values().copied().collect()
    }

    fn admit(&self, needs: Needs<'_>) -> Admitted {
        let mut arriving = self.arriving.lock();
        let id = arriving.last_key_value().map_or(0, |(id, _)| id + 1);
        arriving.insert(id, (RootId::of(needs.root), needs.all));
        Admitted {
            arriving: self.arriving.clone(),
            id,
        }
    }
}

/// Shows the budget and what lies here, after setting it if that was asked for.
pub(crate) async fn quota(
    shared: &Arc<Shared>,
    request: &QuotaRequest,
) -> Result<Event, KeepError> {
    let _turn = shared.quota.turn.lock().await;
    let mut freed = None;
    if let Some(set) = request.set {
        let changed = shared.quota.set.change::<_, DiskError>(|limit| {
            *limit = Some(set);
            Ok(())
        });
        changed.map_err(StoreError::from)?;
        let (look, room) = decide(shared, 0, true).await?;
        freed = Some(make(shared, look, room).await?);
    }
    let (look, room) = decide(shared, 0, true).await?;
    let kinds = look.kinds;
    let data_dir = fs::File::open(shared.data_dir.path()).ok();
    Ok(Event::Quota(Box::new(QuotaInfo {
        limit: shared.quota.limit(),
        used: look.usage.bytes(),
        over: room.lacks,
        kept: kinds.kept,
        fetched: kinds.fetched,
        mirrored: kinds.mirrored,
        let_go: kinds.let_go,
        cache: kinds.cache,
        records: kinds.records,
        arriving: kinds.arriving,
        published: kinds.published,
        free: data_dir.and_then(|dir| disk::free_bytes(&dir).ok()),
        freed,
    })))
}

/// Lets a fetch in if there is room for it or room can be made, which is done then.
///
/// # Errors
/// [`QuotaError::NoRoom`]; nothing was removed then.
pub(crate) async fn admit(shared: &Arc<Shared>, needs: Needs<'_>) -> Result<Admitted, QuotaError> {
    let Some(limit) = shared.quota.limit() else {
        return Ok(shared.quota.admit(needs));
    };
    let _turn = shared.quota.turn.lock().await;
    let (mut look, room) = decide(shared, needs.more, needs.over_mirrors).await?;
    if room.lacks > 0 {
        return Err(QuotaError::NoRoom {
            needed: needs.more,
            limit,
            lacks: room.lacks,
        });
    }
    let admitted = shared.quota.admit(needs);
    look.usage.fixed = look.usage.fixed.saturating_add(needs.more);
    make(shared, look, room)
        .await
        .map_err(|error| match error {
            KeepError::Store(error) => QuotaError::Store(error),
            _ => QuotaError::Stopped,
        })?;
    Ok(admitted)
}

/// Lets the cache have what the rest leaves. To be called when something came or went.
pub(crate) async fn settle(shared: &Arc<Shared>) {
    if shared.quota.limit().is_none() {
        return;
    }
    let _turn = shared.quota.turn.lock().await;
    match decide(shared, 0, true).await {
        Ok((look, _)) => allow_cache(shared, &look).await,
        Err(error) => tracing::warn!(%error, "cannot tell what lies here"),
    }
}

/// Looks, and decides what makes room for so many bytes more.
async fn decide(
    shared: &Arc<Shared>,
    needed: u64,
    over_mirrors: bool,
) -> Result<(Look, Room), QuotaError> {
    let shared = shared.clone();
    let decided = tokio::task::spawn_blocking(move || {
        let limit = shared.quota.limit().unwrap_or(u64::MAX);
        let mut look = Look::now(&shared, limit)?;
        if !over_mirrors {
            let mirrored = look.usage.holdings.iter_mut();
            for holding in mirrored.filter(|holding| holding.hold == Hold::Mirror) {
                holding.hold = Hold::Kept;
            }
        }
        let room = look.usage.make_room(needed);
        Ok::<_, StoreError>((look, room))
    });
    Ok(decided.await.map_err(|_| QuotaError::Stopped)??)
}

/// Makes room as decided.
async fn make(shared: &Arc<Shared>, mut look: Look, room: Room) -> Result<FreedInfo, KeepError> {
    let mut places: Vec<Place> = Vec::new();
    for at in &room.remove {
        places.extend(look.places.get(*at).into_iter().flatten().cloned());
        if let Some(holding) = look.usage.holdings.get_mut(*at) {
            holding.files.clear();
        }
    }
    let mut freed = free::plan(shared, &places, FreedWhy::NoRoom).await?;
    freed.planned = false;
    freed.cache_bytes = room.cache;
    freed.bytes = freed.bytes.saturating_add(room.cache);
    for version in &freed.versions {
        tracing::info!(manifest = %version.manifest, "removed to make room in the disk budget");
    }
    free::remove(shared, places, "what makes room").await?;
    allow_cache(shared, &look).await;
    Ok(freed)
}

/// What the rest leaves is the cache's.
async fn allow_cache(shared: &Arc<Shared>, look: &Look) {
    let limit = shared.quota.limit().unwrap_or(u64::MAX);
    let rest = look.usage.bytes().saturating_sub(look.usage.cache);
    let allowed = limit.saturating_sub(rest);
    let shared = shared.clone();
    let allow = move || shared.readers.cache().allow(allowed);
    // A task that dies here costs room, nothing else.
    let _ = tokio::task::spawn_blocking(allow).await;
}

/// Bytes that mirrors of some datasets may take: what the budget leaves beside all that stays. `None`: no budget. Blocks.
pub(super) fn room_beside(
    shared: &Shared,
    theirs: impl Fn(DatasetId) -> bool,
) -> Result<Option<u64>, StoreError> {
    let Some(limit) = shared.quota.limit() else {
        return Ok(None);
    };
    let mut look = Look::now(shared, limit)?;
    let holds = Holds::look(shared)?;
    for (holding, places) in look.usage.holdings.iter_mut().zip(&look.places) {
        let is_theirs = |place: &Place| holds.dataset_of(place).is_some_and(&theirs);
        let goes = match holding.hold {
            Hold::Kept => false,
            Hold::Nothing => true,
            Hold::Mirror => places.iter().any(is_theirs),
        };
        if goes {
            holding.files.clear();
        }
    }
    look.usage.cache = 0;
    Ok(Some(limit.saturating_sub(look.usage.bytes())))
}
