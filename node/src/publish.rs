//! Publishing: find the files, hash them in place, describe them, sign, keep, announce.
//!
//! The flow: [`walk`] → [`describe`] (file table; batch by batch it lets [`hash`] read the files) → [`version`] (manifest and head) → the
//! store → [`crate::announce`].

mod card;
mod describe;
mod drafted;
mod earlier;
mod hash;
mod hints;
mod license;
mod readers;
mod version;
pub(crate) mod walk;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::HEXLOWER;
use opendag_protocol::{
    chunkmap::ChunkMapError,
    draft::DraftError,
    record::{OwnerError, RecordError},
    table::{EntryError, TableError},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::drafted::finish;
pub(crate) use self::version::{DEFAULT_KEY, Signed, head_fields, sign_head};
use self::{
    describe::{Described, Files},
    license::Licensed,
    walk::{Links, Walk, WalkError},
};
use crate::{
    disk::{self, DiskError},
    drafts::DraftsError,
    fault::Fault,
    lineage,
    node::Shared,
    ops::{Event, PublishRequest},
    report::Reporter,
    resolve::ResolveError,
    selection::{GlobError, globs},
    store::{HashError, KeyStoreError, PlaceKind, RootId, StoreError},
};

/// What has to be put right first.
fn again_when(error: &HashError) -> &'static str {
    match error {
        HashError::Changed { .. } => "the files are at rest",
        HashError::Disk(error) if error.is_full() => "there is room on the disk",
        HashError::Disk(_) => "that is mended",
    }
}

/// Why a publish failed. Nothing was announced then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The files cannot be published.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// A pattern does not parse.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// A file cannot be read, or changes.
    #[error("{0}; nothing was published, publish again when {when}", when = again_when(.0))]
    Hash(#[from] HashError),
    /// The data directory lies inside of what is to be published.
    #[error("{path} contains this node's data directory; publish another folder, or move the data directory", path = path.display())]
    OwnData {
        /// The folder.
        path: PathBuf,
    },
    /// A path cannot stand in a table.
    #[error("these files cannot be published together: {0}")]
    Table(#[from] TableError),
    /// A chunk map cannot be encoded.
    #[error("cannot describe the chunks of a file: {0}")]
    Chunks(#[from] ChunkMapError),
    /// An entry cannot stand in a table.
    #[error("cannot describe a file: {0}")]
    Entry(#[from] EntryError),
    /// Neither the publisher nor the version before says a licence.
    #[error(
        "a licence is missing, and without one nobody may use the data; name it with --license: an SPDX \
         expression such as CC-BY-4.0, CC0-1.0, ODbL-1.0 or \"MIT OR Apache-2.0\" (all are listed at \
         https://spdx.org/licenses), or LicenseRef-NAME for terms of your own, which the card then tells"
    )]
    NoLicense,
    /// A field of the description is not allowed.
    #[error("the description is refused: {0}")]
    Record(#[from] RecordError),
    /// The keys here are not enough.
    #[error(
        "{have} of the {need} owner keys that must sign are on this node; gather the signatures of the others with `opendag publish --draft FILE`, or import their keys with `opendag key import`"
    )]
    Threshold {
        /// Keys here.
        have: usize,
        /// Keys needed.
        need: u8,
    },
    /// The owner records contradict.
    #[error("the owner records are refused: {0}")]
    Owners(#[from] OwnerError),
    /// The first record of a dataset is not valid.
    #[error("the dataset is refused: {0}")]
    Dataset(#[from] opendag_protocol::catalogue::Refused),
    /// A dataset with this name belongs to other keys.
    #[error("{0}")]
    Key(#[from] KeyStoreError),
    /// The card is too large or cannot be read.
    #[error("cannot use the card {path}: {reason}", path = path.display())]
    Card {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A link of `--derived-from` leads nowhere.
    #[error("--derived-from: {0}")]
    Derived(#[from] ResolveError),
    /// A draft cannot be made or finished.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// A draft cannot be read, written or signed.
    #[error(transparent)]
    Drafts(#[from] DraftsError),
    /// The files are not those that a draft describes.
    #[error(
        "the files in {path} have changed since the draft was made; make it again with `opendag publish --draft`",
        path = path.display()
    )]
    Changed {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not the one that was asked for.
    #[error("{file} has another SHA-256 than it should have; get it again", file = file.display())]
    OtherContent {
        /// Which file.
        file: PathBuf,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user stopped it.
    #[error("stopped; nothing was published")]
    Cancelled,
    /// A task died.
    #[error("a task of the publish stopped unexpectedly")]
    Stopped,
}

impl PublishError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Walk(error) => error.fault(),
            Self::Derived(error) => error.fault(),
            Self::Glob(_)
            | Self::OwnData { .. }
            | Self::Table(_)
            | Self::Chunks(_)
            | Self::Entry(_)
            | Self::NoLicense
            | Self::Record(_) => Fault::Input,
            Self::Card { .. } => Fault::Input,
            Self::Threshold { .. } | Self::Owners(_) | Self::Dataset(_) => Fault::Refused,
            Self::Key(error) => crate::fault::of_keys(error),
            Self::Drafts(error) => error.fault(),
            Self::Draft(_) | Self::Changed { .. } | Self::OtherContent { .. } => Fault::Refused,
            Self::Hash(_) | Self::Disk(_) | Self::Store(_) | Self::Cancelled | Self::Stopped => {
                Fault::Local
            }
        }
    }
}

/// Publishes, or makes a draft, and answers the event that closes the operation.
pub(crate) async fn publish(
    shared: &Arc<Shared>,
    request: &PublishRequest,
    report: &Reporter,
    cancel: &CancellationToken,
) -> Result<Event, PublishError> {
    let start = Instant::now();
    let (asked, wanted) = (shared.clone(), request.clone());
    let Licensed { request, is_kept } = blocking(move || license::fill(&asked, &wanted)).await?;
    let request = &request;
    version::check(request)?;
    let _working = shared.store.work().await;
    let derived_from = version::derivations(shared, &request.derived_from)?;
    let hints = lineage::hints(shared, request.license.as_deref(), &derived_from)?;
    for warning in lineage::warnings(&hints) {
        report.warn(warning).await;
    }
    if let Some(file) = &request.draft {
        return drafted::make(shared, (request, file), derived_from, (report, cancel)).await;
    }
    let read = read(shared, request, (report, cancel)).await?;
    let bytes_read = read.files.bytes_read;
    let (shared_sign, request_sign) = (shared.clone(), request.clone());
    let signed = blocking(move || {
        let unsigned = version::next(&shared_sign, &request_sign, &read.described, derived_from)?;
        let signed = version::sign(&shared_sign, unsigned, &read.described)?;
        keep(&shared_sign, &signed, read)?;
        Ok(signed)
    })
    .await?;
    if let Some(version) = crate::resolve::version(shared, signed.manifest)
        .ok()
        .flatten()
        && let Some(denial) = shared.denial(&version)
    {
        let message = format!("this node gives the version to nobody: {denial}");
        report.warn(message).await;
    }
    let link = shared.announce(&signed).await;
    Ok(Event::Published {
        dataset: signed.dataset,
        manifest: signed.manifest,
        sequence: signed.sequence,
        link,
        license: request.license.clone(),
        license_kept: is_kept,
        files: signed.files,
        bytes: signed.bytes,
        bytes_read,
        seconds: start.elapsed().as_secs_f64(),
        new: signed.new,
    })
}

/// A folder that was read, and what describes it.
struct Read {
    walk: Arc<Walk>,
    described: Described,
    files: Files,
    kind: PlaceKind,
}

/// Finds the files, hashes and describes them.
async fn read(
    shared: &Arc<Shared>,
    request: &PublishRequest,
    (report, cancel): (&Reporter, &CancellationToken),
) -> Result<Read, PublishError> {
    report.waiting("scan", "the list of files").await;
    let (shared_walk, request_walk) = (shared.clone(), request.clone());
    let (walk, told) = blocking(move || gather(&shared_walk, &request_walk)).await?;
    for event in told {
        report.send(event).await;
    }
    let walk = Arc::new(walk);
    let (described, files) = describe::describe(shared, request, &walk, (report, cancel)).await?;
    check_only(request, &walk, &files)?;
    let kind = if request.copy {
        PlaceKind::Copied
    } else {
        PlaceKind::Published
    };
    Ok(Read {
        walk,
        described,
        files,
        kind,
    })
}

/// Is each file the one that was asked for?
fn check_only(request: &PublishRequest, walk: &Walk, files: &Files) -> Result<(), PublishError> {
    if request.only.is_empty() {
        return Ok(());
    }
    for (found, hashed) in walk.files.iter().zip(&files.hashed) {
        let digest = hashed.sha256.map(|digest| HEXLOWER.encode(&digest));
        if digest.as_ref() != request.only.get(found.path.as_str()) {
            return Err(PublishError::OtherContent {
                file: walk.file(found),
            });
        }
    }
    Ok(())
}

/// Makes durable that a version lies in the folder that was read. Blocks.
fn keep(shared: &Shared, signed: &Signed, read: Read) -> Result<(), PublishError> {
    version::keep(shared, signed, &read.walk, read.kind, &read.files.hashed)?;
    remember(shared, read);
    Ok(())
}

/// Remembers what the files of a folder were, for the next publish of it. Blocks.
fn remember(shared: &Shared, read: Read) {
    drop(read.files.hashed);
    // Copies lie in another folder each time.
    if read.kind == PlaceKind::Published
        && let Err(error) = shared
            .store
            .remember_hashed(RootId::of(&read.walk.root), read.files.known)
    {
        tracing::warn!(%error, "the next publish of this folder will read all files again");
    }
}

/// Runs what blocks on a thread for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PublishError> + Send + 'static,
) -> Result<T, PublishError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| PublishError::Stopped)?
}

/// Finds the files, and copies them first if the user wants that; and what the user should know of them.
fn gather(shared: &Shared, request: &PublishRequest) -> Result<(Walk, Vec<Event>), PublishError> {
    let exclude = globs(&request.exclude)?;
    let links = if request.copy {
        Links::Follow
    } else {
        Links::Refuse
    };
    let mut walk = match request.only.is_empty() {
        true => walk::walk(&request.path, &exclude, links)?,
        false => walk::only(&request.path, request.only.keys())?,
    };
    if !request.copy {
        let data = shared.data_dir.path();
        if walk
            .files
            .iter()
            .any(|found| walk.file(found).starts_with(data))
        {
            return Err(PublishError::OwnData { path: walk.root });
        }
    }
    let warning = |message| Event::Warning { message };
    let mut told = Vec::new();
    if request.write_card {
        told.push(match card::write(request, &mut walk, &exclude) {
            Ok(event) => event,
            Err(why) => warning(why),
        });
    }
    told.extend(hints::hints(request, &walk).into_iter().map(warning));
    let walk = match request.copy {
        true => copy(shared, &request.name, &walk)?,
        false => walk,
    };
    Ok((walk, told))
}

/// Copies the files into a folder of this node. The copy is what is published.
fn copy(shared: &Shared, name: &str, walk: &Walk) -> Result<Walk, PublishError> {
    let folder = shared
        .data_dir
        .copies_path()
        .join(format!("{name}-{}", disk::temp_name()));
    let mut copied = Walk {
        root: folder,
        files: Vec::with_capacity(walk.files.len()),
    };
    for found in &walk.files {
        let file = copied.file(found);
        let parent = file.parent().unwrap_or(Path::new(".")).to_owned();
        std::fs::create_dir_all(&parent).map_err(DiskError::io("create", &parent))?;
        let size =
            std::fs::copy(walk.file(found), &file).map_err(DiskError::io("copy to", &file))?;
        copied.files.push(walk::Found {
            path: found.path.clone(),
            size,
        });
    }
    let root = std::fs::File::open(&copied.root).map_err(DiskError::io("open", &copied.root))?;
    disk::sync_file_system(&root).map_err(DiskError::io("sync", &copied.root))?;
    Ok(copied)
}
