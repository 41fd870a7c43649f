//! Receipts: signing what was verified on this node, and checking what others signed.
//!
//! Nothing is stated that was not hashed for it: a receipt is made only when every selected file was read
//! again and is as the version's table says.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use libp2p::{PeerId, identity};
use opendag_protocol::{
    key::PublicKey,
    limits::RECEIPT_BYTES_MAX,
    receipt::{Receipt, ReceiptError, ReceiptFields, SignerKind, Subject, Tally, Verified},
};
use tokio_util::sync::CancellationToken;

use crate::{
    fault::{Fault, of_keys},
    fetch::table::{self, Wanted},
    inspect::{self, InspectError},
    keep::{self, KeepError},
    node::Shared,
    ops::{BadShard, CheckReceiptRequest, Event, LinkRequest, ReceiptInfo, ReceiptRequest},
    report::Reporter,
    resolve::{self, Asked, ResolveError, Version, now},
    selection::{GlobError, Selection},
    store::{KeyStoreError, Place, StoreError},
};

/// Why there is no receipt, or one is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiptFault {
    /// The version, or its table, cannot be had.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The files cannot be checked.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The version does not lie here.
    #[error(
        "\"{0}\" does not lie on this node, so nothing can be said of its files; see `opendag ls`"
    )]
    NotHere(String),
    /// Some files are not as they should be.
    #[error(
        "{bad} of {files} files in {path} are not as they should be, the first of them \"{first}\"; no receipt was signed. Run `opendag verify`, and again", path = path.display()
    )]
    Bad {
        /// How many.
        bad: usize,
        /// Of how many.
        files: usize,
        /// Where.
        path: PathBuf,
        /// One of them.
        first: String,
    },
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyStoreError),
    /// It cannot be signed.
    #[error("a receipt cannot be signed: {0}")]
    Sign(#[source] ReceiptError),
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no receipt, or its signature does not hold.
    #[error("{path} is refused: {source}", path = path.display())]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ReceiptError,
    },
    /// Its patterns do not parse.
    #[error("{path} is refused: {source}", path = path.display())]
    Glob {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: GlobError,
    },
    /// The version is another.
    #[error("{path} is refused: what it says of the version {manifest} is not what the owners signed", path = path.display())]
    OtherVersion {
        /// Which file.
        path: PathBuf,
        /// The version.
        manifest: String,
    },
    /// The file table says something else.
    #[error("{path} is refused: it states other files or hashes than the file table of the version {manifest} has", path = path.display())]
    OtherFiles {
        /// Which file.
        path: PathBuf,
        /// The version.
        manifest: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ResolveError> for ReceiptFault {
    fn from(error: ResolveError) -> Self {
        Self::Inspect(error.into())
    }
}

impl ReceiptFault {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Inspect(error) => error.fault(),
            Self::Keep(error) => error.fault(),
            Self::Key(error) => of_keys(error),
            Self::NotHere(_) | Self::Sign(_) | Self::Read { .. } => Fault::Input,
            Self::Refused { source, .. } => match source {
                ReceiptError::TooLarge
                | ReceiptError::NotAReceipt
                | ReceiptError::Form(_)
                | ReceiptError::Version(_)
                | ReceiptError::Field { .. } => Fault::Input,
                ReceiptError::Signature(_) => Fault::Refused,
            },
            Self::Glob { .. } => Fault::Input,
            Self::OtherVersion { .. } | Self::OtherFiles { .. } => Fault::Refused,
            Self::Bad { .. } | Self::Store(_) => Fault::Local,
        }
    }
}

/// Verifies what lies here of a version, and signs it.
pub(crate) async fn make(
    shared: &Arc<Shared>,
    request: &ReceiptRequest,
    report: &Reporter,
    cancel: &CancellationToken,
) -> Result<Event, ReceiptFault> {
    let wish = Asked::parse(shared, &request.link, Path::new("/"), &[])?.here(shared)?;
    let not_here = || ReceiptFault::NotHere(request.link.clone());
    let version = resolve::local(shared, wish.id)?.ok_or_else(not_here)?;
    let (key, signed_by) = match &request.key {
        Some(name) => (shared.keys().get(name)?, SignerKind::Publisher),
        None => (shared.node_key(), SignerKind::Node),
    };
    // The most of it that lies in one folder.
    let mut places = shared.store.places_of(&version.id)?;
    places.sort_by_key(|place| {
        (
            place.include.len() + place.exclude.len(),
            place.root.clone(),
        )
    });
    let place = places.into_iter().next().ok_or_else(not_here)?;
    let selection = Selection::new(&place.include, &place.exclude);
    let selection = selection.map_err(|error| KeepError::Fetch(error.into()))?;
    let wanted = table::local(shared, &version, &selection).await;
    let wanted = Arc::new(wanted.map_err(KeepError::from)?);
    let bad = keep::check_place(shared, &place, &wanted, (report, cancel)).await?;
    if let Some(first) = bad.first() {
        return Err(ReceiptFault::Bad {
            bad: bad.len(),
            files: wanted.len(),
            path: place.root,
            first: first.path.display().to_string(),
        });
    }
    let globs = (place.include, place.exclude);
    let verified = (tally(&wanted), now());
    let receipt = Receipt::sign(subject(&version), globs, verified, (&key, signed_by));
    let receipt = receipt.map_err(ReceiptFault::Sign)?;
    let text = receipt.to_text().map_err(ReceiptFault::Sign)?;
    let checked = (Some(place.root), Vec::new());
    let info = info(&version, receipt.fields(), checked, Some(text));
    Ok(Event::Receipt(Box::new(info)))
}

/// Checks a receipt.
pub(crate) async fn check(
    shared: &Arc<Shared>,
    request: &CheckReceiptRequest,
    report: &Reporter,
    cancel: &CancellationToken,
) -> Result<Event, ReceiptFault> {
    let path = || request.file.clone();
    let receipt = Receipt::parse(&read(&request.file)?);
    let receipt = receipt.map_err(|source| ReceiptFault::Refused {
        path: path(),
        source,
    })?;
    let fields = receipt.fields();
    let selection = Selection::new(&fields.include, &fields.exclude);
    let selection = selection.map_err(|source| ReceiptFault::Glob {
        path: path(),
        source,
    })?;
    let about = LinkRequest {
        link: Some(fields.manifest.to_string()),
        peers: request.peers.clone(),
        timeout_ms: request.timeout_ms,
        newest: false,
    };
    let (version, wish) = inspect::version(shared, &about, report).await?;
    let manifest = || version.id.to_string();
    if !receipt.is_about(&subject(&version)) {
        return Err(ReceiptFault::OtherVersion {
            path: path(),
            manifest: manifest(),
        });
    }
    let found = (&version, &wish);
    let wanted = inspect::table_of(shared, found, &selection, about.timeout_ms).await?;
    if tally(&wanted) != fields.verified() {
        return Err(ReceiptFault::OtherFiles {
            path: path(),
            manifest: manifest(),
        });
    }
    let wanted = Arc::new(wanted);
    let (mut here, mut bad) = (None, Vec::new());
    for place in shared.store.places_of(&version.id)? {
        if has_all(&place, &wanted)? {
            bad = keep::check_place(shared, &place, &wanted, (report, cancel)).await?;
            here = Some(place.root);
            break;
        }
    }
    let info = info(&version, fields, (here, bad), None);
    Ok(Event::Receipt(Box::new(info)))
}

/// Was all of this wanted at a place?
fn has_all(place: &Place, wanted: &[Wanted]) -> Result<bool, ReceiptFault> {
    let selection = Selection::new(&place.include, &place.exclude);
    let selection = selection.map_err(|error| KeepError::Fetch(error.into()))?;
    let is_wanted = |wanted: &Wanted| selection.wants(wanted.entry.path());
    Ok(wanted.iter().all(is_wanted))
}

fn tally(wanted: &[Wanted]) -> Verified {
    let mut tally = Tally::default();
    for wanted in wanted {
        tally.push(&wanted.entry);
    }
    tally.finish()
}

fn subject(version: &Version) -> Subject {
    let fields = version.manifest().fields();
    Subject {
        dataset: fields.dataset,
        manifest: version.id,
        sequence: fields.sequence,
        table: fields.table,
    }
}

fn info(
    version: &Version,
    fields: &ReceiptFields,
    (here, bad): (Option<PathBuf>, Vec<BadShard>),
    text: Option<String>,
) -> ReceiptInfo {
    ReceiptInfo {
        name: version.name(),
        dataset: fields.dataset,
        manifest: fields.manifest,
        sequence: fields.sequence,
        table: fields.table,
        include: fields.include.clone(),
        exclude: fields.exclude.clone(),
        files: fields.files,
        bytes: fields.bytes,
        digest: fields.digest,
        verified_at: fields.verified_at,
        signed_by: fields.signed_by,
        signer: fields.signer.to_string(),
        node: match fields.signed_by {
            SignerKind::Node => node_id(&fields.signer).map(|id| id.to_string()),
            SignerKind::Publisher => None,
        },
        here,
        bad,
        text,
    }
}

/// The id of the node that has this key.
fn node_id(key: &PublicKey) -> Option<PeerId> {
    let key = identity::ed25519::PublicKey::try_from_bytes(key.as_bytes()).ok()?;
    Some(identity::PublicKey::from(key).to_peer_id())
}

fn read(path: &Path) -> Result<Vec<u8>, ReceiptFault> {
    let failed = |source| ReceiptFault::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    let bytes_max = u64::try_from(RECEIPT_BYTES_MAX).unwrap_or(u64::MAX);
    // One byte more tells that it is too long.
    let mut bounded = file.take(bytes_max.saturating_add(1));
    bounded.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
