//! What this node holds of versions that are being fetched. What lies here is [`crate::place`]'s.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opendag_protocol::{
    ManifestId,
    table::ShardIndex,
    wire::{GroupRange, GroupRanges},
};
use tokio::sync::{mpsc, oneshot, watch};

/// What readers ask of one fetch and is not handled yet: full means that readers wait.
const URGENT_WAITING_MAX: usize = 256;

/// The version of the news of a session that has ended.
const ENDED: u64 = u64::MAX;

/// The fetches that run now, by version, so that what they have can be served meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    running: Arc<Mutex<BTreeMap<ManifestId, Arc<Session>>>>,
    /// Rings when a session begins or ends.
    changed: watch::Sender<()>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            running: Arc::default(),
            changed: watch::Sender::new(()),
        }
    }
}

/// Does a fetch give to others what it has?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// It does.
    Seed,
    /// It keeps all for itself.
    None,
    /// It does, and is no fetch: what readers want comes into the cache. A fetch takes its place.
    Cache,
}

/// What a running fetch has so far.
///
/// Invariant: what is in `done` and in `partial` is verified and written, durable or not. A shard in `done` is whole, and
/// is there once and for ever; if the disk loses it, the fetch fails, and with it the session ends.
#[derive(Debug)]
pub(crate) struct Session {
    sharing: Sharing,
    state: Mutex<State>,
    version: watch::Sender<u64>,
    urgent: mpsc::Sender<Urgent>,
}

/// A reader waits for groups of a version that is being fetched.
#[derive(Debug)]
pub(crate) struct Urgent {
    pub(crate) shard: ShardIndex,
    pub(crate) groups: GroupRange,
    /// Will they come?
    pub(crate) answer: oneshot::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    done: Vec<ShardIndex>,
    /// A bit for each shard: is it in `done`?
    is_done: Vec<u64>,
    partial: BTreeMap<ShardIndex, GroupRanges>,
}

/// What somebody was told of a session.
#[derive(Debug, Default)]
pub(crate) struct Told {
    done: usize,
    partial: BTreeMap<ShardIndex, GroupRanges>,
}

/// What changed since somebody was told last.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Shards that became whole.
    pub(crate) done: Vec<ShardIndex>,
    /// What came of others.
    pub(crate) partial: Vec<(ShardIndex, GroupRanges)>,
}

impl Sessions {
    /// The running fetch of a version, if it gives what it has.
    pub(crate) fn get(&self, manifest: &ManifestId) -> Option<Arc<Session>> {
        let session = self.lock().get(manifest).cloned();
        session.filter(|session| session.sharing != Sharing::None)
    }

    /// The running fetch of a version, if readers can have what it has: none while only readers themselves want it.
    pub(crate) fn fetch_of(&self, manifest: &ManifestId) -> Option<Arc<Session>> {
        let session = self.lock().get(manifest).cloned();
        session.filter(|session| session.sharing == Sharing::Seed)
    }

    /// Begins a session, or `None` if that version is being fetched already.
    pub(crate) fn begin(&self, manifest: ManifestId, sharing: Sharing) -> Option<Running> {
        let mut sessions = self.lock();
        if let Some(running) = sessions.get(&manifest) {
            if running.sharing != Sharing::Cache || sharing == Sharing::Cache {
                return None;
            }
            running.version.send_replace(ENDED);
        }
        let (urgent, asked) = mpsc::channel(URGENT_WAITING_MAX);
        let session = Arc::new(Session {
            urgent,
            sharing,
            state: Mutex::default(),
            version: watch::Sender::new(0),
        });
        sessions.insert(manifest, session.clone());
        self.changed.send_replace(());
        Some(Running {
            sessions: self.clone(),
            manifest,
            session,
            asked,
        })
    }

    /// Tells when a session began or ended.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Lets all who watch look again.
    pub(crate) fn touch(&self) {
        self.changed.send_replace(());
    }

    /// Versions that are being fetched.
    pub(crate) fn running(&self) -> Vec<ManifestId> {
        let running = self.lock();
        let fetches = running
            .iter()
            .filter(|(_, session)| session.sharing != Sharing::Cache);
        fetches.map(|(manifest, _)| *manifest).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ManifestId, Arc<Session>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    sessions: Sessions,
    manifest: ManifestId,
    session: Arc<Session>,
    asked: mpsc::Receiver<Urgent>,
}

impl Running {
    /// What a reader waits for next. Safe to cancel.
    pub(crate) async fn urgent(&mut self) -> Option<Urgent> {
        self.asked.recv().await
    }
}

impl std::ops::Deref for Running {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.sessions.lock();
        if running
            .get(&self.manifest)
            .is_some_and(|one| Arc::ptr_eq(one, &self.session))
        {
            running.remove(&self.manifest);
        }
        drop(running);
        self.session.version.send_replace(ENDED);
        self.sessions.changed.send_replace(());
    }
}

impl Session {
    /// Shards became whole; those that were said to be whole before are passed over.
    pub(crate) fn done(&self, shards: &[ShardIndex]) {
        let mut state = self.lock();
        let before = state.done.len();
        shards.iter().for_each(|shard| state.add(*shard));
        let is_news = state.done.len() > before;
        drop(state);
        if is_news {
            self.ring();
        }
    }

    /// More of a shard is here.
    pub(crate) fn partial(&self, shard: ShardIndex, groups: &GroupRanges) {
        if !groups.is_empty() {
            let mut state = self.lock();
            state.partial.entry(shard).or_default().insert_all(groups);
            drop(state);
            self.ring();
        }
    }

    /// Are these groups here, to be read?
    pub(crate) fn has(&self, shard: ShardIndex, groups: GroupRange) -> bool {
        let state = self.lock();
        let of_partial = || state.partial.get(&shard);
        state.has_done(shard) || of_partial().is_some_and(|here| here.contains_all(groups))
    }

    /// A reader waits for these groups: will the fetch bring them next?
    pub(crate) async fn hurry(&self, shard: ShardIndex, groups: GroupRange) -> bool {
        let (answer, comes) = oneshot::channel();
        let urgent = Urgent {
            shard,
            groups,
            answer,
        };
        // Who has ended brings nothing.
        self.urgent.send(urgent).await.is_ok() && comes.await.unwrap_or(false)
    }

    /// Tells when something changed.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// What changed since `told`, which is then up to date.
    pub(crate) fn news(&self, told: &mut Told) -> News {
        let state = self.lock();
        let done = state.done.get(told.done..).unwrap_or_default().to_vec();
        told.done = state.done.len();
        for shard in &done {
            told.partial.remove(shard);
        }
        let mut partial = Vec::new();
        for (shard, groups) in &state.partial {
            let known = told.partial.entry(*shard).or_default();
            let mut more = groups.clone();
            more.remove_all(known);
            if !more.is_empty() {
                known.insert_all(&more);
                partial.push((*shard, more));
            }
        }
        News { done, partial }
    }

    /// Has the fetch ended, and so its news?
    pub(crate) fn has_ended(&self) -> bool {
        *self.version.borrow() == ENDED
    }

    fn ring(&self) {
        self.version.send_if_modified(|version| {
            let is_running = *version != ENDED;
            *version += u64::from(is_running);
            is_running
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_done(&self, shard: ShardIndex) -> bool {
        let (word, bit) = (shard.0 / u64::BITS, shard.0 % u64::BITS);
        let word = usize::try_from(word).ok();
        let word = word.and_then(|at| self.is_done.get(at));
        word.is_some_and(|word| word & (1 << bit) != 0)
    }

    fn add(&mut self, shard: ShardIndex) {
        let (word, bit) = (shard.0 / u64::BITS, shard.0 % u64::BITS);
        let word = usize::try_from(word).unwrap_or(usize::MAX);
        if self.is_done.len() <= word {
            self.is_done.resize(word.saturating_add(1), 0);
        }
        let Some(word) = self.is_done.get_mut(word) else {
            return;
        };
        if *word & (1 << bit) == 0 {
            *word |= 1 << bit;
            self.partial.remove(&shard);
            self.done.push(shard);
        }
    }
}

#[cfg(test)]
mod tests {
    use opendag_protocol::{Hash, wire::GroupRange};

    use super::*;

    fn groups(first: u64, count: u64) -> GroupRanges {
        GroupRange { first, count }.into()
    }

    #[test]
    fn a_session_tells_all_once_and_ends_with_its_fetch() {
        let sessions = Sessions::default();
        let manifest = ManifestId::from_hash(Hash::of(b"m"));
        let mut began = sessions.watch();
        let running = sessions.begin(manifest, Sharing::Seed).unwrap();
        assert!(began.has_changed().unwrap());
        began.mark_unchanged();
        assert!(
            sessions.begin(manifest, Sharing::Seed).is_none(),
            "one fetch of a version at a time"
        );
        let mut watch = sessions.get(&manifest).unwrap().watch();
        let (one, two) = (ShardIndex(1), ShardIndex(2));
        let mut told = Told::default();
        running.partial(one, &groups(0, 3));
        running.partial(two, &groups(5, 1));
        let news = running.news(&mut told);
        assert_eq!(news.partial, [(one, groups(0, 3)), (two, groups(5, 1))]);
        running.partial(two, &groups(4, 4));
        running.done(&[one]);
        assert!(watch.has_changed().unwrap());
        watch.mark_unchanged();
        let news = running.news(&mut told);
        assert_eq!(news.done, [one]);
        let more: GroupRanges = [groups(4, 1), groups(6, 2)]
            .iter()
            .flat_map(GroupRanges::iter)
            .collect();
        assert_eq!(
            news.partial,
            [(two, more)],
            "a whole shard is not partly here"
        );
        // It is said to be whole when it can be read, and again when it has its name.
        running.done(&[one]);
        let news = running.news(&mut told);
        assert!(news.done.is_empty() && news.partial.is_empty());
        // Who comes late is told all.
        let news = running.news(&mut Told::default());
        assert_eq!(
            (news.done, news.partial),
            (vec![one], vec![(two, groups(4, 4))])
        );
        drop(running);
        assert!(began.has_changed().unwrap());
        assert!(sessions.get(&manifest).is_none());
    }

    #[test]
    fn a_fetch_takes_the_place_of_what_readers_have() {
        let sessions = Sessions::default();
        let manifest = ManifestId::from_hash(Hash::of(b"m"));
        let reading = sessions.begin(manifest, Sharing::Cache).unwrap();
        reading.partial(ShardIndex(0), &groups(0, 1));
        assert!(sessions.running().is_empty(), "it is no fetch");
        let told = sessions.get(&manifest).unwrap();
        let fetch = sessions.begin(manifest, Sharing::Seed).unwrap();
        assert!(told.has_ended() && sessions.begin(manifest, Sharing::Cache).is_none());
        reading.partial(ShardIndex(0), &groups(1, 1));
        assert!(told.has_ended(), "it stays so");
        drop(reading);
        assert!(!sessions.get(&manifest).unwrap().has_ended());
        drop(fetch);
        assert!(sessions.get(&manifest).is_none());
    }

    #[test]
    fn a_fetch_that_gives_nothing_tells_nothing() {
        let sessions = Sessions::default();
        let manifest = ManifestId::from_hash(Hash::of(b"m"));
        let running = sessions.begin(manifest, Sharing::None).unwrap();
        running.done(&[ShardIndex(0)]);
        assert!(sessions.get(&manifest).is_none());
        assert!(sessions.begin(manifest, Sharing::Seed).is_none());
        assert_eq!(sessions.running(), [manifest]);
    }
}
