//! Why a fetch fails.

use std::{fmt, path::PathBuf, time::Duration};

use opendag_protocol::{
    BlobId,
    denial::Denial,
    path::SiblingError,
    record::Denied,
    table::{IndexError, PageError},
};

use super::writer::WriteError;
use crate::{
    fault::Fault,
    ops::{ForkInfo, ForkSide},
    resolve::ResolveError,
    retain::QuotaError,
    selection::GlobError,
    store::{StoreError, TargetError},
};

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The link leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A pattern does not parse.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// It is undecided which version is the newest.
    #[error("{0}")]
    Forked(Box<Forked>),
    /// The user of this node, or a list that they heed, does not want it.
    #[error(
        "{0}; see `opendag denylist list`, {without}fetch it all the same with --ignore-denylists",
        without = match .0.what {
            Denied::Blob(_) => "leave the file out with --exclude, or ",
            Denied::Dataset(_) | Denied::Manifest(_) | Denied::Publisher(_) => "or ",
        }
    )]
    Denied(Box<Denial>),
    /// Nothing matches.
    #[error(
        "no file of this version matches --include and --exclude; see its files with `opendag show --files`"
    )]
    NothingSelected,
    /// The table breaks its rules.
    #[error("the publisher's file table is refused: {0}")]
    Index(#[source] IndexError),
    /// A page breaks its rules.
    #[error("the publisher's file table is refused: {0}")]
    Page(#[source] PageError),
    /// Two paths exclude each other.
    #[error("the publisher's file table is refused: {0}")]
    Siblings(#[source] SiblingError),
    /// The table is not here, and nobody gave it.
    #[error("nobody gave the description {blob} of this version")]
    NoDescription {
        /// What was looked for.
        blob: BlobId,
    },
    /// No peer has it.
    #[error("no peer gave the file table within {} s (looked at: {looked}); name a peer that has it with --peer, or wait longer with --timeout", .within.as_secs())]
    NoPeers {
        /// For how long.
        within: Duration,
        /// Where.
        looked: String,
    },
    /// Something of the user's is in the way.
    #[error("{path} is there already and is something else; move it away, choose another folder with -o, or replace it with --overwrite", path = path.display())]
    InTheWay {
        /// Which file.
        path: PathBuf,
    },
    /// Not enough space.
    #[error("{path} has {free} bytes free, and this fetch needs {needed} more; free some space, or choose another folder with -o", path = path.display())]
    Space {
        /// Where.
        path: PathBuf,
        /// What is there.
        free: u64,
        /// What is needed.
        needed: u64,
    },
    /// Another fetch of the same version runs in this node.
    #[error("this version is being fetched already; see `opendag status`")]
    Running,
    /// Nothing moved.
    #[error("nothing arrived for {} s: it waits for {why}; what is here stays, run the same command again to go on", .waited.as_secs())]
    Stalled {
        /// For how long.
        waited: Duration,
        /// For what.
        why: String,
    },
    /// The user stopped it.
    #[error("stopped; what is here stays, run the same command again to go on")]
    Cancelled,
    /// Bytes could not be kept.
    #[error("{0}; what is here stays, run the same command again to go on")]
    Write(#[from] WriteError),
    /// The disk budget has no room.
    #[error(transparent)]
    Quota(#[from] QuotaError),
    /// The target cannot be used.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network did not start.
    #[error(transparent)]
    Net(#[from] crate::net::NetError),
    /// A task died.
    #[error("a task of the fetch stopped unexpectedly")]
    Stopped,
}

/// A dataset whose owners signed two versions with one number.
#[derive(Debug)]
pub(crate) struct Forked {
    /// What it is called.
    pub(crate) name: String,
    /// The two.
    pub(crate) fork: ForkInfo,
}

impl fmt::Display for Forked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, fork } = self;
        let said = |side: &ForkSide| match side.manifest {
            Some(manifest) => manifest.to_string(),
            None => format!("that of the record {}", side.record),
        };
        write!(
            f,
            "the owners of \"{name}\" signed two versions with the number {}: {} and {}; which one they \
             mean, nobody can tell. Ask them; fetch one of the two by its id, or what is newest by their \
             clocks with --accept-fork. `opendag show` tells more",
            fork.sequence,
            said(&fork.first),
            said(&fork.second)
        )
    }
}

impl FetchError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Resolve(error) => error.fault(),
            Self::Quota(error) => error.fault(),
            Self::Glob(_) | Self::NothingSelected | Self::InTheWay { .. } | Self::Running => {
                Fault::Input
            }
            Self::Index(_)
            | Self::Page(_)
            | Self::Siblings(_)
            | Self::Forked(_)
            | Self::Denied(_) => Fault::Refused,
            Self::NoDescription { .. } | Self::NoPeers { .. } | Self::Stalled { .. } => {
                Fault::NotFound
            }
            Self::Space { .. }
            | Self::Cancelled
            | Self::Write(_)
            | Self::Store(_)
            | Self::Net(_)
            | Self::Stopped => Fault::Local,
            Self::Target(TargetError::Busy { .. }) => Fault::Input,
            Self::Target(TargetError::Disk(_)) => Fault::Local,
        }
    }
}
