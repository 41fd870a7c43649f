//! One pass of a mirror: what it would like to have, what there is room for, and bringing that about.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use opendag_protocol::{
    DatasetId, ManifestId,
    retain::{Candidate, Choice, FileKey, Files, Hold, choose},
};
use tokio_util::sync::CancellationToken;

use super::{Line, MirrorError};
use crate::{
    fault::with_causes,
    fetch::{
        self, FetchError,
        table::{self, Wanted},
    },
    inspect,
    node::Shared,
    ops::FetchRequest,
    place::Held,
    report::Reporter,
    resolve::{self, Version, Wish, history},
    retain::{Holds, QuotaError, free, quota::room_beside},
    selection::Selection,
    store::{Place, Store, StoreError},
};

/// A fetch that finds no source and makes no progress gives up after so long; it is tried again later.
const FETCH_WAIT_MS: u64 = 60_000;
/// The same for the list of files of a version.
const TABLE_WAIT_MS: u64 = 20_000;
/// Peers are asked for older versions so long.
const OLDER_MAX: Duration = Duration::from_secs(10);
/// Lists of files that are asked for in one pass to see whether what is too large is not, for what it shares.
const ASKED_MAX: usize = 8;

/// A pass over one line.
pub(super) struct Pass<'a> {
    shared: &'a Arc<Shared>,
    pub(super) line: Line,
    selection: Selection,
    /// Whom to ask first.
    pub(super) peers: Vec<String>,
    report: &'a Reporter,
    cancel: &'a CancellationToken,
    /// Lists of files that peers were asked for, those that nobody gave included.
    asked: BTreeMap<ManifestId, Option<Files>>,
    /// Versions that failed, with the reason.
    failed: BTreeMap<ManifestId, String>,
    /// Versions that the disk budget refused, with the bytes that they need.
    refused: BTreeMap<ManifestId, u64>,
}

/// A version that the line means.
pub(super) struct Meant {
    pub(super) version: Version,
    /// All of it lies here.
    pub(super) here: bool,
    /// The user keeps it: it costs the mirror nothing.
    kept: bool,
}

/// What a line means, the most wanted first, and what of it there is room for.
pub(super) struct Wanting {
    pub(super) meant: Vec<Meant>,
    pub(super) choice: Choice,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        line: Line,
        (report, cancel): (&'a Reporter, &'a CancellationToken),
    ) -> Result<Self, MirrorError> {
        Ok(Self {
            shared,
            selection: Selection::new(&line.include, &line.exclude)?,
            line,
            peers: Vec::new(),
            report,
            cancel,
            asked: BTreeMap::new(),
            failed: BTreeMap::new(),
            refused: BTreeMap::new(),
        })
    }

    /// Brings about what there is room for.
    pub(super) async fn run(mut self) -> Result<(), MirrorError> {
        let _turn = self.shared.mirrors.turn.lock().await;
        self.learn_older().await?;
        loop {
            let mut wanting = self.look().await?;
            if let Some(at) = self.worth_asking(&wanting) {
                self.ask(&wanting.meant, at).await;
                continue;
            }
            let mut next = wanting.meant.iter().zip(&wanting.choice.left_out);
            let next = next.position(|(meant, left_out)| {
                let id = meant.version.id;
                left_out.is_none() && !meant.here && !self.failed.contains_key(&id)
            });
            let Some(at) = next else {
                self.let_go(&wanting).await?;
                break;
            };
            let version = wanting.meant.get(at).map(|meant| &meant.version);
            if let Some(version) = version
                && let Some(denial) = self.shared.denial(version)
            {
                self.failed.insert(version.id, denial.to_string());
                continue;
            }
            // Nothing goes for what nobody has.
            self.ask(&wanting.meant, at).await;
            let version = wanting.meant.swap_remove(at).version;
            if self.asked.get(&version.id).is_none_or(Option::is_none) {
                let nobody = "no peer gave its list of files".to_owned();
                self.failed.insert(version.id, nobody);
                continue;
            }
            let wanting = self.look().await?;
            self.let_go(&wanting).await?;
            if let Err(error) = self.fetch(&version).await {
                if self.cancel.is_cancelled() {
                    break;
                }
                self.note(&version, &error);
            }
        }
        match self.failed.pop_first() {
            Some((version, problem)) => Err(MirrorError::Behind { version, problem }),
            None => Ok(()),
        }
    }

    /// What it means and has room for, as far as can be told without asking others.
    pub(super) async fn look(&self) -> Result<Wanting, MirrorError> {
        let meant = self.meant().await?;
        let (shared, line) = (self.shared.clone(), self.line.clone());
        let room = tokio::task::spawn_blocking(move || {
            let theirs = line.what.datasets(&shared)?;
            room_beside(&shared, |dataset| theirs.contains(&dataset))
        });
        let room: Option<u64> = room.await.map_err(|_| MirrorError::Stopped)??;
        let budget = self
            .line
            .budget
            .or(room)
            .map(|budget| budget.min(room.unwrap_or(budget)));
        let Some(budget) = budget else {
            let left_out = meant
                .iter()
                .map(|meant| self.refused.get(&meant.version.id).copied());
            let choice = Choice {
                left_out: left_out.collect(),
                bytes: 0,
            };
            return Ok(Wanting { meant, choice });
        };
        let mut candidates = Vec::new();
        for meant in &meant {
            candidates.push(self.candidate(meant).await?);
        }
        let mut choice = choose(&candidates, budget);
        for (meant, left_out) in meant.iter().zip(&mut choice.left_out) {
            *left_out = left_out.or(self.refused.get(&meant.version.id).copied());
        }
        Ok(Wanting { meant, choice })
    }

    /// The versions that are meant: the newest of each dataset first, then those before them, and so on.
    async fn meant(&self) -> Result<Vec<Meant>, MirrorError> {
        let (shared, line) = (self.shared.clone(), self.line.clone());
        let known = tokio::task::spawn_blocking(move || {
            let keep = line.keep.map_or(usize::MAX, |keep| {
                usize::try_from(keep).unwrap_or(usize::MAX)
            });
            let mut known = Vec::new();
            for dataset in line.what.datasets(&shared)? {
                let Some(state) = shared.store.dataset(&dataset)? else {
                    continue;
                };
                let versions = history::known(&shared, &state)?;
                known.extend(versions.into_iter().take(keep).enumerate());
            }
            known.sort_by_key(|(newer, version)| {
                (*newer, Reverse(version.manifest().created_at()), version.id)
            });
            let holds = Holds::look(&shared)?;
            let mut meant = Vec::new();
            for (_, version) in known {
                let places = shared.store.places_of(&version.id)?;
                let kept = places.iter().any(|place| holds.of(place) == Hold::Kept);
                meant.push((version, places, kept));
            }
            Ok::<_, MirrorError>(meant)
        });
        let mut meant = Vec::new();
        for (version, places, kept) in known.await.map_err(|_| MirrorError::Stopped)?? {
            let here = self.is_here(&version, places).await?;
            meant.push(Meant {
                here,
                kept: kept && here,
                version,
            });
        }
        Ok(meant)
    }

    async fn is_here(&self, version: &Version, places: Vec<Place>) -> Result<bool, MirrorError> {
        if places.is_empty() {
            return Ok(false);
        }
        if self.shared.places.held(version.id).await == Held::Complete {
            return Ok(true);
        }
        let Ok(wanted) = table::local(self.shared, version, &self.selection).await else {
            return Ok(false);
        };
        let store = self.shared.store.clone();
        let whole = move || places.iter().any(|place| is_whole(&store, place, &wanted));
        let whole = tokio::task::spawn_blocking(whole).await;
        Ok(!self.selection.is_all() && whole.map_err(|_| MirrorError::Stopped)?)
    }

    async fn candidate(&self, meant: &Meant) -> Result<Candidate, MirrorError> {
        if meant.kept {
            let files = Some(Files::new());
            return Ok(Candidate { files, bytes: 0 });
        }
        let version = &meant.version;
        let files = match self.asked.get(&version.id) {
            Some(Some(files)) => Some(files.clone()),
            Some(None) | None => {
                let local = table::local(self.shared, version, &self.selection).await;
                local.ok().map(|wanted| files(&wanted))
            }
        };
        Ok(Candidate {
            files,
            bytes: version.manifest().bytes(),
        })
    }

    /// A version that seems too large and may share files with others.
    fn worth_asking(&self, wanting: &Wanting) -> Option<usize> {
        let is_new = |meant: &Meant| {
            let id = meant.version.id;
            let is_known = self.asked.contains_key(&id) || self.refused.contains_key(&id);
            !meant.here && !is_known && self.shared.denial(&meant.version).is_none()
        };
        let left_out = wanting.meant.iter().zip(&wanting.choice.left_out);
        let mut left_out = left_out
            .enumerate()
            .filter(|(_, (_, left_out))| left_out.is_some());
        let at = left_out
            .find(|(_, (meant, _))| is_new(meant))
            .map(|(at, _)| at);
        at.filter(|_| self.asked.len() < ASKED_MAX)
    }

    /// Gets the list of files of a version, from here or from peers.
    async fn ask(&mut self, meant: &[Meant], at: usize) {
        let Some(version) = meant.get(at).map(|meant| &meant.version) else {
            return;
        };
        if matches!(self.asked.get(&version.id), Some(Some(_))) {
            return;
        }
        let wish = Wish {
            id: version.id.into(),
            hints: resolve::addresses(&self.peers).unwrap_or_default(),
            publisher: None,
        };
        let asked = inspect::table_of(
            self.shared,
            (version, &wish),
            &self.selection,
            Some(TABLE_WAIT_MS),
        );
        let asked = self.cancel.run_until_cancelled(Box::pin(asked)).await;
        let files = asked.and_then(Result::ok).map(|wanted| files(&wanted));
        self.asked.insert(version.id, files);
    }

    /// Lets go what the line holds and there is no room for.
    async fn let_go(&self, wanting: &Wanting) -> Result<(), MirrorError> {
        let chosen = wanting.meant.iter().zip(&wanting.choice.left_out);
        let chosen: BTreeSet<ManifestId> = chosen
            .filter(|(_, left_out)| left_out.is_none())
            .map(|(meant, _)| meant.version.id)
            .collect();
        let (shared, line) = (self.shared.clone(), self.line.clone());
        let surplus = tokio::task::spawn_blocking(move || surplus(&shared, &line, &chosen));
        let surplus = surplus.await.map_err(|_| MirrorError::Stopped)??;
        if surplus.is_empty() {
            return Ok(());
        }
        for place in &surplus {
            tracing::info!(manifest = %place.manifest, "a mirror has no room for it any more");
        }
        free::remove(self.shared, surplus, "what is mirrored").await?;
        Ok(())
    }

    async fn fetch(&self, version: &Version) -> Result<(), FetchError> {
        let request = FetchRequest {
            link: version.id.to_string(),
            cwd: PathBuf::from("/"),
            include: self.line.include.clone(),
            exclude: self.line.exclude.clone(),
            peers: self.peers.clone(),
            timeout_ms: Some(FETCH_WAIT_MS),
            mirror: true,
            for_mirror: true,
            ..FetchRequest::default()
        };
        let (name, number) = (version.name(), version.manifest().sequence());
        let what = format!("mirror {name}, version {number}");
        let _running = self.shared.running.begin(what);
        let fetch = fetch::space::fetch(self.shared, &request, self.report, self.cancel);
        Box::pin(fetch).await?;
        self.shared.places.forget(&version.id);
        Ok(())
    }

    fn note(&mut self, version: &Version, error: &FetchError) {
        if let FetchError::Quota(QuotaError::NoRoom { needed, .. }) = error {
            self.refused.insert(version.id, *needed);
        } else {
            self.failed.insert(version.id, with_causes(error));
        }
    }

    /// Versions that are older than what is known.
    async fn learn_older(&self) -> Result<(), MirrorError> {
        let datasets = self.line.what.datasets(self.shared)?;
        for dataset in datasets {
            let Some(newest) = resolve::local(self.shared, dataset.into())? else {
                continue;
            };
            if self.line.keep == Some(1) || history::gap(self.shared, &newest)?.is_none() {
                continue;
            }
            let Ok(net) = self.shared.net().await else {
                return Ok(());
            };
            let hints = resolve::addresses(&self.peers)?;
            let learn = history::learn(self.shared, &net, &newest, (hints, OLDER_MAX), None);
            if let Some(learned) = self.cancel.run_until_cancelled(Box::pin(learn)).await {
                learned?;
            }
        }
        Ok(())
    }
}

fn files(wanted: &[Wanted]) -> Files {
    let key = |wanted: &Wanted| {
        let hash = wanted.entry.hash();
        let first = hash.as_bytes().first_chunk::<16>();
        FileKey(first.map_or(0, |bytes| u128::from_le_bytes(*bytes)))
    };
    wanted
        .iter()
        .map(|wanted| (key(wanted), wanted.entry.size()))
        .collect()
}

/// Are all these files in a folder, as far as is known? Blocks.
fn is_whole(store: &Store, place: &Place, wanted: &[Wanted]) -> bool {
    let root = place.root_id();
    wanted.iter().all(|wanted| {
        let found = store.shard_find(wanted.entry.hash()).unwrap_or_default();
        let here = |at: &crate::store::ShardLocation| {
            at.root == root && at.path == *wanted.entry.path() && !at.stale
        };
        found.iter().any(here)
    })
}

/// What mirrors hold of the datasets of a line, and the line did not choose. What another line means is its matter.
fn surplus(
    shared: &Shared,
    line: &Line,
    chosen: &BTreeSet<ManifestId>,
) -> Result<Vec<Place>, StoreError> {
    let mut theirs: BTreeSet<DatasetId> = line.what.datasets(shared)?;
    for other in shared.mirrors.lines.get().clone() {
        if other.what != line.what {
            for dataset in other.what.datasets(shared)? {
                theirs.remove(&dataset);
            }
        }
    }
    let holds = Holds::look(shared)?;
    let running = shared.sessions.running();
    let mut places = shared.store.places()?;
    places.retain(|place| {
        let meant = holds
            .dataset_of(place)
            .is_some_and(|id| theirs.contains(&id));
        let loose = holds.of(place) == Hold::Mirror && !running.contains(&place.manifest);
        meant && loose && !chosen.contains(&place.manifest)
    });
    Ok(places)
}
