//! What the user decides to mirror.

use std::{sync::Arc, time::Duration};

use opendag_protocol::RecordId;
use tokio_util::sync::CancellationToken;

use super::{Line, pass::Pass};
use crate::{
    disk::DiskError,
    fault::Fault,
    fetch::{self, FetchError},
    keep::KeepError,
    net::NetError,
    node::{Role, Shared},
    ops::{Event, FetchRequest, LeftOut, MirrorInfo, MirrorRequest, UnmirrorRequest, Watched},
    report::Reporter,
    resolve::{self, Asked, ResolveError},
    selection::{GlobError, Selection},
    store::{DataDirError, StoreError},
};

/// What is mirrored at once: each line is looked at when a dataset changes.
const LINES_MAX: usize = 1000;
/// How long the network is asked, unless the user says.
const FIND_MAX: Duration = Duration::from_secs(60);

/// Why something is not mirrored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MirrorError {
    /// The link leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A pattern does not parse.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// A version did not come.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What has no room could not be let go.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// Some version did not come.
    #[error("{problem} (version {version}); the daemon tries again")]
    Behind {
        /// Which one.
        version: opendag_protocol::ManifestId,
        /// Why not.
        problem: String,
    },
    /// It is not mirrored.
    #[error("\"{0}\" is not mirrored; see: opendag mirror --list")]
    NotMirrored(String),
    /// More than are looked at.
    #[error("{LINES_MAX} are mirrored already; `opendag unmirror` one first")]
    TooMany,
    /// An alias cannot be read.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What is decided cannot be kept.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The network did not start.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A task died.
    #[error("a task stopped unexpectedly")]
    Stopped,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MirrorError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Resolve(error) => error.fault(),
            Self::Fetch(error) => error.fault(),
            Self::Keep(error) => error.fault(),
            Self::Behind { .. } => Fault::NotFound,
            Self::Glob(_) | Self::NotMirrored(_) | Self::TooMany => Fault::Input,
            Self::DataDir(_) | Self::Disk(_) | Self::Net(_) | Self::Stopped | Self::Store(_) => {
                Fault::Local
            }
        }
    }
}

/// What a text means.
enum Meant {
    Line(Watched),
    Version(RecordId),
}

/// Mirrors from now on, or in another way than before, and brings what there is room for.
pub(crate) async fn mirror(
    shared: &Arc<Shared>,
    request: &MirrorRequest,
    (report, cancel): (&Reporter, &CancellationToken),
) -> Result<Event, MirrorError> {
    Selection::new(&request.include, &request.exclude)?;
    let what = match meant(shared, request, report).await? {
        Meant::Line(what) => what,
        Meant::Version(id) => return one(shared, id, request, (report, cancel)).await,
    };
    let line = Line {
        what,
        budget: request.budget,
        keep: request.keep,
        include: request.include.clone(),
        exclude: request.exclude.clone(),
    };
    shared.mirrors.lines.change(|lines| {
        lines.retain(|line| line.what != what);
        if lines.len() >= LINES_MAX {
            return Err(MirrorError::TooMany);
        }
        lines.push(line.clone());
        Ok(())
    })?;
    shared.mirrors.changed.notify_one();
    let mut pass = Pass::new(shared, line.clone(), (report, cancel))?;
    pass.peers.clone_from(&request.peers);
    let came = Box::pin(pass.run()).await;
    shared.mirrors.came(what, &came);
    match came {
        Err(error @ MirrorError::Behind { .. }) => report.warn(error.to_string()).await,
        came => came?,
    }
    if shared.role == Role::Command {
        let sentence = "it is mirrored from now on; what comes later is the daemon's work, and none runs here: opendag daemon";
        report.warn(sentence.to_owned()).await;
    }
    let mirrors = vec![info(shared, line).await?];
    Ok(Event::Mirrors { mirrors })
}

/// Fetches one version for good.
async fn one(
    shared: &Arc<Shared>,
    id: RecordId,
    request: &MirrorRequest,
    (report, cancel): (&Reporter, &CancellationToken),
) -> Result<Event, MirrorError> {
    let request = FetchRequest {
        link: id.to_string(),
        cwd: request.cwd.clone(),
        include: request.include.clone(),
        exclude: request.exclude.clone(),
        peers: request.peers.clone(),
        timeout_ms: request.timeout_ms,
        accept_fork: request.accept_fork,
        mirror: true,
        ..FetchRequest::default()
    };
    let fetch = fetch::space::fetch(shared, &request, report, cancel);
    Ok(Box::pin(fetch).await?)
}

/// Mirrors no longer.
pub(crate) fn unmirror(
    shared: &Arc<Shared>,
    request: &UnmirrorRequest,
) -> Result<Event, MirrorError> {
    let text = &request.what;
    let what = Watched::here::<MirrorError>(shared, text)?;
    shared.mirrors.lines.change(|lines| {
        let before = lines.len();
        lines.retain(|line| line.what != what);
        match lines.len() < before {
            true => Ok(()),
            false => Err(MirrorError::NotMirrored(text.chars().take(64).collect())),
        }
    })?;
    shared.mirrors.changed.notify_one();
    let message = format!(
        "{text} is mirrored no longer; what came of it stays until `opendag gc` frees it or something else needs its room"
    );
    Ok(Event::Changed {
        message,
        freed_bytes: 0,
    })
}

/// All that is mirrored, and how far that is.
pub(crate) async fn list(shared: &Arc<Shared>) -> Result<Vec<MirrorInfo>, MirrorError> {
    let lines = shared.mirrors.lines.get().clone();
    let mut mirrors = Vec::new();
    for line in lines {
        mirrors.push(info(shared, line).await?);
    }
    Ok(mirrors)
}

async fn info(shared: &Arc<Shared>, line: Line) -> Result<MirrorInfo, MirrorError> {
    let (report, cancel) = (Reporter::nobody(), CancellationToken::new());
    let pass = Pass::new(shared, line.clone(), (&report, &cancel))?;
    let wanting = pass.look().await?;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let mut left_out = Vec::new();
    for (meant, needs) in wanting.meant.iter().zip(&wanting.choice.left_out) {
        let needs = match (needs, meant.here) {
            (Some(needs), _) => *needs,
            (None, true) => continue,
            (None, false) => 0,
        };
        left_out.push(LeftOut {
            manifest: meant.version.id,
            dataset: meant.version.dataset(),
            name: meant.version.name(),
            sequence: meant.version.manifest().sequence(),
            needs,
        });
    }
    let name = match line.what {
        Watched::Dataset(id) => shared
            .store
            .dataset(&id)?
            .map(|state| state.name().to_owned()),
        Watched::Publisher(_) => None,
    };
    Ok(MirrorInfo {
        what: line.what,
        name,
        budget: line.budget,
        keep: line.keep,
        include: line.include,
        exclude: line.exclude,
        versions: count(wanting.meant.len()),
        held: count(wanting.meant.iter().filter(|meant| meant.here).count()),
        needs: left_out
            .iter()
            .fold(0, |sum: u64, left| sum.saturating_add(left.needs)),
        left_out,
        problem: shared.mirrors.problem(line.what),
    })
}

async fn meant(
    shared: &Arc<Shared>,
    request: &MirrorRequest,
    report: &Reporter,
) -> Result<Meant, MirrorError> {
    let text = &request.what;
    if let Some(publisher) = Watched::publisher(shared, text)? {
        return Ok(Meant::Line(publisher));
    }
    let asked = Asked::parse(shared, text, &request.cwd, &request.peers)?;
    let within = request.timeout_ms.map_or(FIND_MAX, Duration::from_millis);
    let wish = match asked.if_known(shared)? {
        Some(wish) => wish,
        None => {
            let net = shared.net().await?;
            Box::pin(asked.anywhere(shared, &net, within, report)).await?
        }
    };
    let version = match resolve::local(shared, wish.id)? {
        Some(known) if request.peers.is_empty() && wish.hints.is_empty() => known,
        Some(_) | None => {
            let net = shared.net().await?;
            Box::pin(resolve::resolve(shared, &net, &wish, within, report)).await?
        }
    };
    Ok(match wish.id == version.id.into() {
        true => Meant::Version(wish.id),
        false => Meant::Line(Watched::Dataset(version.dataset())),
    })
}
