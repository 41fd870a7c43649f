//! What the user decides to follow.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Follow, protect};
use crate::{
    disk::DiskError,
    fault::Fault,
    node::{Role, Shared},
    ops::{Event, FollowInfo, FollowRequest, FollowedInfo, UnfollowRequest, Watched},
    resolve::ResolveError,
    selection::{GlobError, Selection},
    store::{DataDirError, StoreError},
};

/// Lines of what is followed: each is looked at when a dataset changes.
const FOLLOWS_MAX: usize = 1000;

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    /// The link leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A pattern does not parse.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// It is not followed.
    #[error("\"{0}\" is not followed; see: opendag follow list")]
    NotFollowed(String),
    /// More than are looked at.
    #[error("{FOLLOWS_MAX} are followed already; unfollow one first")]
    TooMany,
    /// An alias cannot be read.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What is decided cannot be kept.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FollowError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Resolve(error) => error.fault(),
            Self::Glob(_) | Self::NotFollowed(_) | Self::TooMany => Fault::Input,
            Self::DataDir(_) | Self::Disk(_) | Self::Store(_) => Fault::Local,
        }
    }
}

/// Follows from now on, or in another way than before.
pub(crate) fn follow(shared: &Arc<Shared>, request: &FollowRequest) -> Result<Event, FollowError> {
    Selection::new(&request.include, &request.exclude)?;
    let what = Watched::here::<FollowError>(shared, &request.what)?;
    let line = Follow {
        what,
        auto_fetch: request.auto_fetch,
        output: request.output.clone(),
        keep: request.keep,
        include: request.include.clone(),
        exclude: request.exclude.clone(),
        came: Vec::new(),
    };
    decide(shared, |lines| {
        let mut line = line;
        if let Some(before) = lines.iter_mut().find(|line| line.what == what) {
            line.came = std::mem::take(&mut before.came);
            // Of other files something may be missing.
            if line.include != before.include || line.exclude != before.exclude {
                line.came.iter_mut().for_each(|came| came.whole = false);
            }
        }
        lines.retain(|line| line.what != what);
        if lines.len() >= FOLLOWS_MAX {
            return Err(FollowError::TooMany);
        }
        lines.push(line);
        Ok(())
    })?;
    let then = match (&request.output, request.auto_fetch) {
        (Some(folder), _) => format!("; new versions go to {}", folder.display()),
        (None, true) => "; new versions go into the data directory".to_owned(),
        (None, false) => String::new(),
    };
    let who = match shared.role {
        Role::Daemon => "",
        Role::Command => "; that is the daemon's work, and none runs here: opendag daemon",
    };
    changed(format!("{} is followed{then}{who}", request.what))
}

/// Follows no longer.
pub(crate) fn unfollow(
    shared: &Arc<Shared>,
    request: &UnfollowRequest,
) -> Result<Event, FollowError> {
    let text = &request.what;
    let what = Watched::here::<FollowError>(shared, text)?;
    decide(shared, |lines| {
        let before = lines.len();
        lines.retain(|line| line.what != what);
        match lines.len() < before {
            true => Ok(()),
            false => Err(FollowError::NotFollowed(text.chars().take(64).collect())),
        }
    })?;
    changed(format!(
        "{text} is followed no longer; what was fetched stays"
    ))
}

/// All that is followed, and how far that is.
pub(crate) fn list(shared: &Shared) -> Result<Event, FollowError> {
    let lines = shared.follows.lines.get().clone();
    let now = Instant::now();
    let mut follows = Vec::new();
    for line in lines {
        let mut datasets = Vec::new();
        for dataset in line.what.datasets(shared)? {
            let newest = line.newest(shared, dataset)?;
            let failed = shared.follows.failed().get(&dataset).cloned();
            datasets.push(FollowedInfo {
                dataset,
                here: newest.as_ref().is_some_and(|newest| newest.is_done),
                newest: newest.as_ref().map(|newest| newest.manifest),
                name: newest.map(|newest| newest.name),
                retry_in: failed
                    .as_ref()
                    .map(|failed| failed.again.saturating_duration_since(now).as_secs()),
                problem: failed.map(|failed| failed.problem),
            });
        }
        follows.push(FollowInfo {
            what: line.what,
            auto_fetch: line.auto_fetch,
            output: line.output,
            keep: line.keep,
            include: line.include,
            exclude: line.exclude,
            datasets,
        });
    }
    Ok(Event::Follows { follows })
}

fn changed(message: String) -> Result<Event, FollowError> {
    Ok(Event::Changed {
        message,
        freed_bytes: 0,
    })
}

/// Changes what is followed; durable when it returns.
fn decide(
    shared: &Arc<Shared>,
    change: impl FnOnce(&mut Vec<Follow>) -> Result<(), FollowError>,
) -> Result<(), FollowError> {
    shared.follows.lines.change(change)?;
    shared.follows.failed().clear();
    shared.follows.changed.notify_one();
    Ok(protect(shared)?)
}
