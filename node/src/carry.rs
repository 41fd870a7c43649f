//! Versions that are carried as files: what `manifest export` writes of them, and what `manifest import`
//! and links to files take in.
//!
//! Nothing in a file is trusted: [`opendag_protocol::exchange`] builds its records again, verifies all of
//! them, and only then any of it is stored.

mod croissant;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use data_encoding::BASE64;
use opendag_protocol::{
    BlobId,
    catalogue::Applied,
    croissant::{CroissantError, Described},
    exchange::{self, Carried, Document, ExchangeError},
    limits::{EXCHANGE_BLOBS_BYTES_MAX, EXCHANGE_BYTES_MAX},
    record::SignedRecord,
};
use tokio_util::sync::CancellationToken;

use crate::{
    export::{self, ExportError},
    fault::Fault,
    inspect::{self, InspectError},
    node::Shared,
    ops::{Event, ExportRequest, ImportRequest, ImportedInfo, LinkRequest},
    publish::PublishError,
    report::Reporter,
    resolve::{Version, Wish, now},
    store::StoreError,
};

/// Why a file is not taken in, or a version not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CarryError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in the file is refused.
    #[error("{path} is refused", path = path.display())]
    Document {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ExchangeError,
    },
    /// The file is no list of records.
    #[error("{path} is refused", path = path.display())]
    Records {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ExportError,
    },
    /// The description is refused.
    #[error("{path} is refused", path = path.display())]
    Croissant {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CroissantError,
    },
    /// A description of nothing that can be checked.
    #[error(
        "{path} describes no file with a SHA-256, so no file can be told from another; publish the folder of \
         files that you have with `opendag publish`", path = path.display()
    )]
    NoFiles {
        /// Which file.
        path: PathBuf,
    },
    /// Options for a description with records, or the other way round.
    #[error("--files, -o, --name, --label, --license and --key are for descriptions in Croissant, and {path} is none", path = path.display())]
    NotDescription {
        /// Which file.
        path: PathBuf,
    },
    /// Nowhere to write to.
    #[error("a draft is written of described files; name a new file for it with -o")]
    NoDraft,
    /// No name.
    #[error("the description has no name that a dataset can have; name it with --name")]
    NoName,
    /// Some files are not there.
    #[error(
        "{count} of the described files are not in {folder} as they should be: {named}; import the description \
         without --files to see where they can be had", folder = folder.display()
    )]
    Missing {
        /// Where they should be.
        folder: PathBuf,
        /// How many.
        count: usize,
        /// Which ones.
        named: String,
    },
    /// No draft can be made.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The version, or its table, cannot be had.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The version cannot be written.
    #[error("the version cannot be exported")]
    Export(#[source] ExchangeError),
    /// A task died.
    #[error("a task stopped unexpectedly")]
    Stopped,
    /// The store failed, or what it knows speaks against a record.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CarryError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Document { source, .. } if source.is_refusal() => Fault::Refused,
            Self::Records {
                source: ExportError::Record { .. },
                ..
            }
            | Self::Store(StoreError::Refused { .. }) => Fault::Refused,
            Self::Read { .. } | Self::Document { .. } | Self::Records { .. } => Fault::Input,
            Self::Croissant { .. }
            | Self::NoFiles { .. }
            | Self::NotDescription { .. }
            | Self::NoDraft
            | Self::NoName
            | Self::Missing { .. } => Fault::Input,
            Self::Publish(error) => error.fault(),
            Self::Inspect(error) => error.fault(),
            Self::Export(_) => Fault::Input,
            Self::Stopped | Self::Store(_) => Fault::Local,
        }
    }
}

/// The records of a version as a file carries them, and the blobs that describe it if they are wanted.
pub(crate) async fn export(
    shared: &Arc<Shared>,
    request: &ExportRequest,
    report: &Reporter,
) -> Result<Event, CarryError> {
    let about = LinkRequest {
        link: Some(request.link.clone()),
        peers: request.peers.clone(),
        timeout_ms: request.timeout_ms,
        newest: request.newest,
    };
    let (version, wish) = inspect::version(shared, &about, report).await?;
    let mut records: Vec<SignedRecord> = version.state.owners().records().cloned().collect();
    records.push(version.record.clone());
    records.extend(version.state.newest_record().cloned());
    let blobs = match request.files {
        true => blobs(shared, (&version, &wish), request.timeout_ms).await?,
        false => Vec::new(),
    };
    let records = records
        .iter()
        .map(|record| export::encode_record(record.bytes()));
    Ok(Event::Exported {
        manifest: version.id,
        name: version.name(),
        records: records.collect(),
        blobs: blobs.iter().map(|blob| BASE64.encode(blob)).collect(),
    })
}

/// The index and the pages of a version's file table, and its card and Croissant if they are here.
async fn blobs(
    shared: &Arc<Shared>,
    (version, wish): (&Version, &Wish),
    timeout_ms: Option<u64>,
) -> Result<Vec<Vec<u8>>, CarryError> {
    let manifest = version.manifest();
    // What is missing comes from peers.
    let index = inspect::described(shared, (version, wish), timeout_ms).await?;
    let mut wanted: Vec<BlobId> = vec![manifest.table()];
    wanted.extend(index.pages().iter().map(|page| page.page()));
    let mut blobs = Vec::new();
    let mut bytes = 0_usize;
    for (id, is_needed) in wanted.into_iter().map(|id| (id, true)).chain(
        [manifest.card(), manifest.croissant()]
            .into_iter()
            .flatten()
            .map(|id| (id, false)),
    ) {
        match shared.store.blob(&id).await? {
            Some(blob) => {
                bytes = bytes.saturating_add(blob.len());
                blobs.push(blob);
            }
            None if is_needed => {
                return Err(StoreError::MissingBlob {
                    manifest: version.id,
                    blob: id,
                }
                .into());
            }
            None => {}
        }
        if bytes > EXCHANGE_BLOBS_BYTES_MAX {
            return Err(CarryError::Export(ExchangeError::BlobsTooLarge));
        }
    }
    Ok(blobs)
}

/// Takes in what a file carries.
pub(crate) async fn import(
    shared: &Arc<Shared>,
    request: &ImportRequest,
    report: &Reporter,
    cancel: &CancellationToken,
) -> Result<Event, CarryError> {
    let file = request.file.clone();
    let read = tokio::task::spawn_blocking(move || read_any(&file));
    let carried = match read.await.map_err(|_| CarryError::Stopped)?? {
        Content::Carried(carried) => carried,
        Content::Described(described) => {
            return croissant::import(shared, request, *described, (report, cancel)).await;
        }
    };
    let plain = ImportRequest {
        file: request.file.clone(),
        ..ImportRequest::default()
    };
    if *request != plain {
        return Err(CarryError::NotDescription {
            path: request.file.clone(),
        });
    }
    let _working = shared.store.work().await;
    let asked = shared.clone();
    let taken = tokio::task::spawn_blocking(move || {
        let is_new = learn(&asked, &carried)?;
        Ok::<_, CarryError>((carried, is_new))
    });
    let (carried, new) = taken.await.map_err(|_| CarryError::Stopped)??;
    let blobs: Vec<_> = carried
        .blobs()
        .iter()
        .map(|blob| blob.bytes.clone())
        .collect();
    if !blobs.is_empty() {
        shared.store.put_blobs(blobs).await?;
    }
    let manifest = carried.manifest();
    let id = manifest.id();
    Ok(Event::Imported(Box::new(ImportedInfo {
        dataset: manifest.dataset(),
        manifest: id,
        name: carried.name().to_owned(),
        sequence: manifest.sequence(),
        label: manifest.label().map(str::to_owned),
        title: manifest.title().map(str::to_owned),
        license: manifest.license().map(str::to_owned),
        files: manifest.files(),
        bytes: manifest.bytes(),
        new,
        table: carried.has_table(),
        link: shared.link(id.into(), carried.name()).await,
    })))
}

/// What a file may be.
enum Content {
    /// Records of a version, verified.
    Carried(Carried),
    /// A description by others.
    Described(Box<Described>),
}

/// What is in a file. Blocks.
fn read_any(path: &Path) -> Result<Content, CarryError> {
    let bytes = bytes_of(path)?;
    let is_ours = export::looks_like(&bytes) || exchange::looks_like(&bytes);
    if is_ours || !opendag_protocol::croissant::looks_like(&bytes) {
        return opened(path, &bytes).map(Content::Carried);
    }
    let described = Described::read(&bytes).map_err(|source| CarryError::Croissant {
        path: path.to_owned(),
        source,
    })?;
    Ok(Content::Described(Box::new(described)))
}

/// What a file carries, of any format but Croissant, verified. Blocks.
pub(crate) fn read(path: &Path) -> Result<Carried, CarryError> {
    opened(path, &bytes_of(path)?)
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, CarryError> {
    let mut bytes = Vec::new();
    let bytes_max = u64::try_from(EXCHANGE_BYTES_MAX).unwrap_or(u64::MAX);
    // One byte more tells that it is too long.
    let opened = File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes));
    opened.map_err(|source| CarryError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(bytes)
}

fn opened(path: &Path, bytes: &[u8]) -> Result<Carried, CarryError> {
    let refused = |source| CarryError::Document {
        path: path.to_owned(),
        source,
    };
    if export::looks_like(bytes) {
        let records = export::parse(bytes).map_err(|source| CarryError::Records {
            path: path.to_owned(),
            source,
        })?;
        return Carried::new(records, Vec::new()).map_err(refused);
    }
    let document = Document::read(bytes).map_err(refused)?;
    document.open().map_err(refused)
}

/// Keeps the records that were carried; durable when it returns. Was the version new here? Blocks.
pub(crate) fn learn(shared: &Shared, carried: &Carried) -> Result<bool, StoreError> {
    let taken = shared.store.apply_all(carried.records(), now())?;
    let mut new = false;
    for (record, applied) in carried.records().iter().zip(taken) {
        let is_version = record.as_manifest().is_some();
        match applied? {
            // The user asked for this one, whatever else is remembered of the dataset.
            Applied::Unneeded | Applied::Retired if is_version => {
                new = shared.store.record(&record.id())?.is_none();
                shared.store.keep_record(record)?;
            }
            Applied::New | Applied::Equivocation { .. } if is_version => new = true,
            Applied::New
            | Applied::Newer
            | Applied::Known
            | Applied::Stale
            | Applied::Equivocation { .. }
            | Applied::Unneeded
            | Applied::Retired => {}
        }
    }
    Ok(new)
}
