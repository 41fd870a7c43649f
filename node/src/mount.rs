//! Mounting: datasets as a read-only tree of files, over the same reader as the gateway.
//!
//! `fs` is the tree and, at its edge, FUSE. It is built for Linux with the feature `fuse`.

#[cfg(all(feature = "fuse", target_os = "linux"))]
mod fs;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    fault::Fault,
    node::Shared,
    ops::{Event, MountRequest, UnmountRequest},
    report::Reporter,
};

/// A read waits so long for bytes, unless the user says: a program that reads a file tries no second time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why nothing was mounted or unmounted.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(
    not(all(feature = "fuse", target_os = "linux")),
    expect(dead_code, reason = "without mounts only one of them happens")
)]
pub(crate) enum MountError {
    /// This program cannot.
    #[error(
        "this build of OpenDAG cannot mount: that needs Linux and the feature `fuse`; `opendag daemon --gateway` serves the same files over HTTP"
    )]
    #[cfg_attr(all(feature = "fuse", target_os = "linux"), expect(dead_code))]
    Unsupported,
    /// There is no such folder.
    #[error("there is no folder {dir}; make it first", dir = dir.display())]
    Missing {
        /// Where.
        dir: PathBuf,
    },
    /// What was mounted there died.
    #[error("{dir} is what a killed mount left; free it with `fusermount3 -u {dir}` or `umount {dir}`", dir = dir.display())]
    Stale {
        /// Where.
        dir: PathBuf,
    },
    /// It has files, which nobody would see.
    #[error("{dir} is not empty; name an empty folder", dir = dir.display())]
    NotEmpty {
        /// Where.
        dir: PathBuf,
    },
    /// The folder cannot be used.
    #[error("cannot look at {dir}", dir = dir.display())]
    Look {
        /// Where.
        dir: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// This node has a mount there.
    #[error("{dir} is mounted already", dir = dir.display())]
    Mounted {
        /// Where.
        dir: PathBuf,
    },
    /// This node has no mount there.
    #[error("this node mounted nothing at {dir}", dir = dir.display())]
    NotMounted {
        /// Where.
        dir: PathBuf,
    },
    /// The system refused.
    #[error(
        "cannot mount at {dir} ({source}); it needs /dev/fuse, and the program fusermount3 (package fuse3) or root; --allow-other needs the line user_allow_other in /etc/fuse.conf", dir = dir.display()
    )]
    System {
        /// Where.
        dir: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

impl MountError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Unsupported
            | Self::Missing { .. }
            | Self::Stale { .. }
            | Self::NotEmpty { .. }
            | Self::Look { .. }
            | Self::Mounted { .. }
            | Self::NotMounted { .. } => Fault::Input,
            Self::System { .. } => Fault::Local,
        }
    }
}

/// The mounts of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mounts(Arc<Mutex<BTreeMap<PathBuf, Ends>>>);

/// Two ends of a mount.
#[derive(Clone, Debug, Default)]
struct Ends {
    /// It shall end.
    stop: CancellationToken,
    /// It has ended.
    gone: CancellationToken,
}

/// Takes a mount from the list when it is dropped.
struct Listed {
    mounts: Mounts,
    dir: PathBuf,
    ends: Ends,
}

impl Mounts {
    fn add(&self, dir: &Path) -> Result<Listed, MountError> {
        let ends = Ends::default();
        let mut mounts = self.lock();
        if mounts.contains_key(dir) {
            let dir = dir.to_owned();
            return Err(MountError::Mounted { dir });
        }
        mounts.insert(dir.to_owned(), ends.clone());
        let (mounts, dir) = (self.clone(), dir.to_owned());
        Ok(Listed { mounts, dir, ends })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Ends>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.mounts.lock().remove(&self.dir);
        self.ends.gone.cancel();
    }
}

/// Mounts, and stays until it is unmounted, by whomever, or cancelled. Dropping it unmounts.
pub(crate) async fn mount(
    shared: &Arc<Shared>,
    request: &MountRequest,
    report: &Reporter,
    cancel: &CancellationToken,
) -> Result<Event, MountError> {
    let dir = request.dir.clone();
    let listed = shared.mounts.add(&dir)?;
    let patience = request.timeout_ms.map_or(PATIENCE, Duration::from_millis);
    let mut session = start(shared, &dir, (patience, request.allow_other)).await?;
    report.send(Event::Mounted { dir: dir.clone() }).await;
    tokio::select! {
        () = session.ended() => {}
        () = listed.ends.stop.cancelled() => {}
        () = cancel.cancelled() => {}
    }
    // Unmounted before it is told: what is dropped later is dropped first.
    drop(session);
    Ok(Event::Unmounted { dir })
}

/// Ends a mount, and waits until it has ended.
pub(crate) async fn unmount(
    shared: &Arc<Shared>,
    request: &UnmountRequest,
) -> Result<Event, MountError> {
    let dir = request.dir.clone();
    let ends = shared.mounts.lock().get(&dir).cloned();
    let Some(ends) = ends else {
        return Err(MountError::NotMounted { dir });
    };
    ends.stop.cancel();
    ends.gone.cancelled().await;
    Ok(Event::Unmounted { dir })
}

#[cfg(all(feature = "fuse", target_os = "linux"))]
async fn start(
    shared: &Arc<Shared>,
    dir: &Path,
    (patience, allow_other): (Duration, bool),
) -> Result<fs::Session, MountError> {
    let (shared, dir) = (shared.clone(), dir.to_owned());
    let system = |dir: &Path, source| MountError::System {
        dir: dir.to_owned(),
        source,
    };
    let failed = dir.clone();
    let acl = match allow_other {
        true => fuser::SessionACL::All,
        false => fuser::SessionACL::Owner,
    };
    let started = tokio::task::spawn_blocking(move || {
        check(&dir)?;
        fs::Session::start(&shared, &dir, (patience, acl)).map_err(|error| system(&dir, error))
    });
    started
        .await
        .map_err(|error| system(&failed, io::Error::other(error)))?
}

/// Can it be mounted at `dir`?
#[cfg(all(feature = "fuse", target_os = "linux"))]
fn check(dir: &Path) -> Result<(), MountError> {
    let dir = dir.to_owned();
    let mut entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(MountError::Missing { dir });
        }
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            return Err(MountError::Stale { dir });
        }
        Err(source) => return Err(MountError::Look { dir, source }),
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(MountError::NotEmpty { dir }),
    }
}

#[cfg(not(all(feature = "fuse", target_os = "linux")))]
async fn start(_: &Arc<Shared>, _: &Path, _: (Duration, bool)) -> Result<NoSession, MountError> {
    Err(MountError::Unsupported)
}

/// What a build without mounts never makes.
#[cfg(not(all(feature = "fuse", target_os = "linux")))]
struct NoSession;

#[cfg(not(all(feature = "fuse", target_os = "linux")))]
impl NoSession {
    async fn ended(&mut self) {
        std::future::pending().await
    }
}
