//! Lockfiles: writing down which versions a project uses, and restoring exactly those.

mod choice;
mod file;

use std::{
    fs,
    io::{self, Read},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use self::choice::{Means, chosen, means, not_locked};
use self::file::{Entry, FILE_BYTES_MAX, FILE_NAME, Lock, LockFileError};
use crate::{
    disk::{self, Access, DiskError},
    fault::Fault,
    fetch::{self, FetchError, Forked},
    fork,
    inspect::{self, InspectError},
    node::Shared,
    ops::{Event, FetchRequest, LinkRequest, LockChange, LockRequest, LockedInfo, RestoreRequest},
    report::Reporter,
    resolve::{Version, Wish},
    store::StoreError,
};

/// Why a lockfile was not written, or not restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// The link leads nowhere.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The version cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is none.
    #[error("there is no {FILE_NAME} in {dir}; make one with `opendag lock LINK`", dir = dir.display())]
    Missing {
        /// Where.
        dir: PathBuf,
    },
    /// What it says is not valid.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: LockFileError,
    },
    /// The target is not below the folder of the file.
    #[error("{path} is not below {dir}, where {FILE_NAME} lies; name a folder below it with -o", path = path.display(), dir = dir.display())]
    Outside {
        /// The target.
        path: PathBuf,
        /// The folder of the file.
        dir: PathBuf,
    },
    /// A symbolic link in the way.
    #[error(
        "{path} is a symbolic link, and a lockfile never leads through one; to put the files elsewhere, name that folder with -o", path = path.display()
    )]
    Symlink {
        /// Which part of the target.
        path: PathBuf,
    },
    /// The file does not say that.
    #[error(
        "\"{link}\" is not what {FILE_NAME} says, which has {has}; lock it first, with `opendag lock` or `opendag lock --update`"
    )]
    NotLocked {
        /// What was asked for.
        link: String,
        /// What it has.
        has: String,
    },
    /// The signed records say something else than the file.
    #[error(
        "{FILE_NAME} says that {manifest} is {said}, but its owners signed it as {signed}; nothing was fetched for it"
    )]
    Disagrees {
        /// Which version.
        manifest: String,
        /// What the file says.
        said: String,
        /// What the records say.
        signed: String,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LockError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Inspect(error) => error.fault(),
            Self::Fetch(error) => error.fault(),
            Self::Read { .. } | Self::Missing { .. } | Self::File { .. } | Self::Outside { .. } => {
                Fault::Input
            }
            Self::Symlink { .. } | Self::NotLocked { .. } | Self::Disagrees { .. } => {
                Fault::Refused
            }
            Self::Disk(_) | Self::Store(_) => Fault::Local,
        }
    }
}

/// Writes the versions that links mean now into the lockfile, or the newest of what it has.
pub(crate) async fn lock(
    shared: &Arc<Shared>,
    request: &LockRequest,
    report: &Reporter,
) -> Result<Event, LockError> {
    let path = request.dir.join(FILE_NAME);
    let mut lock = read(&path)?.unwrap_or_default();
    let before = lock.clone();
    let mut datasets = Vec::new();
    let entries = match request.update {
        true => newest(shared, request, (&lock, &path), report).await?,
        false => meant(shared, request, &lock, report).await?,
    };
    for entry in entries {
        datasets.push(info(&entry, &lock));
        lock.put(entry).map_err(|source| of(&path, source))?;
    }
    if lock != before || !path.exists() {
        let text = lock.to_text().map_err(|source| of(&path, source))?;
        disk::write_durable(&path, text.as_bytes(), Access::Umask)?;
    }
    Ok(Event::Locked {
        file: path,
        datasets,
    })
}

/// The entries of the links of a request.
async fn meant(
    shared: &Arc<Shared>,
    request: &LockRequest,
    lock: &Lock,
    report: &Reporter,
) -> Result<Vec<Entry>, LockError> {
    let mut entries = Vec::new();
    for link in &request.links {
        let version = version(shared, request, (link, true), report).await?;
        let target = match &request.output {
            Some(output) => Some(target(&request.dir, output)?),
            None => None,
        };
        let mut of_dataset = lock.entries().filter(|entry| entry.id == version.dataset());
        let known = match &target {
            Some(target) => of_dataset.find(|entry| entry.target == *target),
            // The dataset stays where it is, if that is one place.
            None => of_dataset.next().filter(|_| of_dataset.next().is_none()),
        };
        let mut entry = entry(&version);
        if let Some(known) = known {
            entry.target.clone_from(&known.target);
            entry.include.clone_from(&known.include);
            entry.exclude.clone_from(&known.exclude);
        }
        if let Some(target) = target {
            entry.target = target;
        }
        if !request.include.is_empty() || !request.exclude.is_empty() {
            entry.include.clone_from(&request.include);
            entry.exclude.clone_from(&request.exclude);
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// The entries of a file as they are in the newest versions.
async fn newest(
    shared: &Arc<Shared>,
    request: &LockRequest,
    (lock, path): (&Lock, &Path),
    report: &Reporter,
) -> Result<Vec<Entry>, LockError> {
    if !path.exists() {
        let dir = request.dir.clone();
        return Err(LockError::Missing { dir });
    }
    let mut entries = Vec::new();
    for known in lock.entries() {
        let names = |link: &String| means(known, link) != Means::Another;
        if !request.links.is_empty() && !request.links.iter().any(names) {
            continue;
        }
        let id = known.id.to_string();
        let version = version(shared, request, (&id, true), report).await?;
        entries.push(Entry {
            target: known.target.clone(),
            include: known.include.clone(),
            exclude: known.exclude.clone(),
            ..entry(&version)
        });
    }
    let is_entry = |link: &&String| {
        lock.entries()
            .all(|entry| means(entry, link) == Means::Another)
    };
    match request.links.iter().find(is_entry) {
        Some(link) => Err(not_locked(link, lock)),
        None => Ok(entries),
    }
}

/// The version that a link means. Of two that the owners signed as the newest none is locked.
async fn version(
    shared: &Arc<Shared>,
    request: &LockRequest,
    (link, newest): (&str, bool),
    report: &Reporter,
) -> Result<Version, LockError> {
    let about = LinkRequest {
        link: Some(link.to_owned()),
        peers: request.peers.clone(),
        timeout_ms: request.timeout_ms,
        newest,
    };
    let (version, wish): (Version, Wish) = inspect::version(shared, &about, report).await?;
    inspect::warn_if_expired(&version, &wish, report).await;
    if wish.id != version.id.into()
        && let Some(fork) = fork::open(shared, &version.state)?
    {
        let name = version.name();
        return Err(FetchError::Forked(Box::new(Forked { name, fork })).into());
    }
    Ok(version)
}

fn entry(version: &Version) -> Entry {
    Entry {
        name: version.name(),
        id: version.dataset(),
        manifest: version.id,
        sequence: version.manifest().sequence(),
        label: version.manifest().label().map(str::to_owned),
        target: version.name(),
        include: Vec::new(),
        exclude: Vec::new(),
    }
}

/// A folder as the file says it.
fn target(dir: &Path, output: &Path) -> Result<String, LockError> {
    let outside = || LockError::Outside {
        path: output.to_owned(),
        dir: dir.to_owned(),
    };
    let below = output.strip_prefix(dir).map_err(|_| outside())?;
    let parts = below.components().map(|part| match part {
        Component::Normal(part) => part.to_str().ok_or_else(outside),
        _ => Err(outside()),
    });
    let parts: Vec<_> = parts.collect::<Result<_, _>>()?;
    match parts.is_empty() {
        true => Err(outside()),
        false => Ok(parts.join("/")),
    }
}

fn info(entry: &Entry, before: &Lock) -> LockedInfo {
    let known = before.entries().find(|known| known.target == entry.target);
    LockedInfo {
        name: entry.name.clone(),
        dataset: entry.id,
        manifest: entry.manifest,
        sequence: entry.sequence,
        label: entry.label.clone(),
        target: entry.target.clone(),
        include: entry.include.clone(),
        exclude: entry.exclude.clone(),
        change: match known {
            None => LockChange::Added,
            Some(known) if known == entry => LockChange::Same,
            Some(_) => LockChange::Updated,
        },
        before: known.map(|known| known.sequence),
    }
}

/// Restores what a lockfile says.
pub(crate) async fn restore(
    shared: &Arc<Shared>,
    request: &RestoreRequest,
    report: &Reporter,
    cancel: &CancellationToken,
) -> Result<Event, LockError> {
    let path = request.dir.join(FILE_NAME);
    let Some(lock) = read(&path)? else {
        let dir = request.dir.clone();
        return Err(LockError::Missing { dir });
    };
    let entries = chosen(&lock, &request.links)?;
    let base = request.output.as_ref().unwrap_or(&request.dir);
    // Nothing moves unless all of it can.
    for entry in &entries {
        check_way(base, &entry.target)?;
    }
    let (mut files, mut bytes, mut received_bytes) = (0, 0, 0);
    for entry in &entries {
        check(shared, request, entry, report).await?;
        let fetch = FetchRequest {
            link: entry.manifest.to_string(),
            output: Some(base.join(&entry.target)),
            cwd: request.dir.clone(),
            include: entry.include.clone(),
            exclude: entry.exclude.clone(),
            peers: request.peers.clone(),
            no_seed: request.no_seed,
            no_delta: request.no_delta,
            overwrite: request.overwrite,
            timeout_ms: request.timeout_ms,
            ..FetchRequest::default()
        };
        let fetched = Box::pin(fetch::space::fetch(shared, &fetch, report, cancel)).await?;
        if let Event::Fetched {
            files: some_files,
            bytes: some_bytes,
            received_bytes: received,
            ..
        } = &fetched
        {
            files += some_files;
            bytes += some_bytes;
            received_bytes += received;
        }
        report.send(fetched).await;
    }
    Ok(Event::Restored {
        file: path,
        datasets: u64::try_from(entries.len()).unwrap_or(u64::MAX),
        files,
        bytes,
        received_bytes,
    })
}

/// Is a version what the file says of it?
async fn check(
    shared: &Arc<Shared>,
    request: &RestoreRequest,
    entry: &Entry,
    report: &Reporter,
) -> Result<(), LockError> {
    let about = LinkRequest {
        link: Some(entry.manifest.to_string()),
        peers: request.peers.clone(),
        timeout_ms: request.timeout_ms,
        newest: false,
    };
    let (version, _) = inspect::version(shared, &about, report).await?;
    let (dataset, manifest) = (version.dataset(), version.manifest());
    let same = dataset == entry.id
        && manifest.sequence() == entry.sequence
        && manifest.label() == entry.label.as_deref();
    match same {
        true => Ok(()),
        false => Err(LockError::Disagrees {
            manifest: entry.manifest.to_string(),
            said: described(&entry.id, entry.sequence, entry.label.as_deref()),
            signed: described(&dataset, manifest.sequence(), manifest.label()),
        }),
    }
}

fn described(dataset: &impl std::fmt::Display, sequence: u64, label: Option<&str>) -> String {
    let label = label.map(|label| format!(" ({label})")).unwrap_or_default();
    format!("version {sequence}{label} of {dataset}")
}

/// No part of the way to a target, below the base that the user chose, may be a symbolic link.
fn check_way(base: &Path, target: &str) -> Result<(), LockError> {
    let mut path = base.to_owned();
    for part in target.split('/') {
        path.push(part);
        let found = fs::symlink_metadata(&path);
        if found.is_ok_and(|found| found.is_symlink()) {
            return Err(LockError::Symlink { path });
        }
    }
    Ok(())
}

/// The lockfile, if there is one.
fn read(path: &Path) -> Result<Option<Lock>, LockError> {
    let failed = |source| LockError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    let mut bounded = file.take(FILE_BYTES_MAX + 1);
    bounded.read_to_string(&mut text).map_err(failed)?;
    if bounded.limit() == 0 {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    Lock::parse(&text)
        .map(Some)
        .map_err(|source| of(path, source))
}

fn of(path: &Path, source: LockFileError) -> LockError {
    LockError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
