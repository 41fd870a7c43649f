//! From what a user typed to a version: link, id, exported manifest or known name, then records.

mod search;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use opendag_protocol::{
    DatasetId, ManifestId, RecordId, Timestamp,
    catalogue::{Applied, DatasetState},
    link::{Link, LinkError},
    record::{Manifest, Record, SignedRecord},
};

pub(crate) use self::search::Search;
use crate::{
    export,
    fault::{Fault, with_causes},
    find::PeerHint,
    net::Net,
    node::Shared,
    report::Reporter,
    store::{CatalogueChange, StoreError},
};
use tokio::sync::broadcast;

/// Why a link leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// Not a link, id, file or name.
    #[error(
        "\"{text}\" is neither a link, an id, an exported manifest nor the name of a dataset known here ({source})"
    )]
    NotALink {
        /// What was given.
        text: String,
        /// Why it is no link.
        source: LinkError,
    },
    /// A name that several datasets have.
    #[error("{count} datasets known here have the name \"{name}\"; give the id of one: {ids}")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many.
        count: usize,
        /// Which ones.
        ids: String,
    },
    /// The exported manifest cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no exported manifest.
    #[error("{path}: {source}", path = path.display())]
    Export {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: export::ExportError,
    },
    /// The records of an exported manifest are not valid.
    #[error("{path} is refused: {reason}", path = path.display())]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The address of a peer does not parse.
    #[error(
        "\"{0}\" is not the address of a peer; one looks like /ip4/203.0.113.7/tcp/4421/p2p/12D3KooW…"
    )]
    NotAnAddress(String),
    /// Nobody had it.
    #[error("{id} was not found within {} s (looked at: {looked}); check the link, or name a peer that has it with --peer", .within.as_secs())]
    NotFound {
        /// What was looked for.
        id: RecordId,
        /// For how long.
        within: Duration,
        /// Where.
        looked: String,
    },
    /// It is not known here, and the network is not to be asked.
    #[error("{0} is not known on this node")]
    NotHere(RecordId),
    /// The id is of a record that is no version and no dataset.
    #[error("{0} is neither a dataset nor a version of one")]
    OtherRecord(RecordId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ResolveError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::NotALink { .. }
            | Self::Ambiguous { .. }
            | Self::NotAnAddress(_)
            | Self::OtherRecord(_) => Fault::Input,
            Self::Read { .. } | Self::Export { .. } => Fault::Input,
            Self::Refused { .. } => Fault::Refused,
            Self::NotFound { .. } | Self::NotHere(_) => Fault::NotFound,
            Self::Store(_) => Fault::Local,
        }
    }
}

/// One version and what its dataset says of it.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) id: ManifestId,
    pub(crate) record: SignedRecord,
    manifest: Manifest,
    pub(crate) state: DatasetState,
}

impl Version {
    /// What the manifest says.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its dataset.
    pub(crate) fn dataset(&self) -> DatasetId {
        self.manifest().fields().dataset
    }

    /// The dataset's name.
    pub(crate) fn name(&self) -> String {
        self.state.owners().current().fields().name.clone()
    }
}

/// What a user means, before any network.
#[derive(Debug)]
pub(crate) struct Wish {
    /// The dataset or version.
    pub(crate) id: RecordId,
    /// Peers to ask first.
    pub(crate) hints: Vec<PeerHint>,
}

impl Wish {
    /// Parses `text`; records of an exported manifest are stored on the way.
    pub(crate) fn parse(
        shared: &Shared,
        text: &str,
        cwd: &Path,
        peers: &[String],
    ) -> Result<Self, ResolveError> {
        let mut hints = addresses(peers)?;
        let id = match text.parse::<Link>() {
            Ok(link) => {
                hints.extend(addresses(link.peers())?);
                link.id()
            }
            Err(source) => match named(shared, text)? {
                Some(id) => id,
                None if cwd.join(text).is_file() => exported(shared, &cwd.join(text))?,
                None => {
                    return Err(ResolveError::NotALink {
                        text: text.chars().take(64).collect(),
                        source,
                    });
                }
            },
        };
        Ok(Self { id, hints })
    }
}

fn addresses(texts: &[String]) -> Result<Vec<PeerHint>, ResolveError> {
    let parse = |text: &String| {
        text.parse()
            .map(PeerHint)
            .map_err(|_| ResolveError::NotAnAddress(text.clone()))
    };
    texts.iter().map(parse).collect()
}

fn named(shared: &Shared, name: &str) -> Result<Option<RecordId>, ResolveError> {
    let known = shared.store.by_name(name)?;
    match known.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).into())),
        many => Err(ResolveError::Ambiguous {
            name: name.to_owned(),
            count: many.len(),
            ids: many
                .iter()
                .take(8)
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// Stores the records of an exported manifest; its version is the last manifest in it.
fn exported(shared: &Shared, path: &Path) -> Result<RecordId, ResolveError> {
    let read = |source| ResolveError::Read {
        path: path.to_owned(),
        source,
    };
    let refused = |reason: String| ResolveError::Refused {
        path: path.to_owned(),
        reason,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(read)?;
    file.take(export::EXPORT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(read)?;
    let records = export::parse(&bytes).map_err(|source| ResolveError::Export {
        path: path.to_owned(),
        source,
    })?;
    let mut version = None;
    for bytes in records {
        let record = SignedRecord::decode(&bytes).map_err(|error| refused(with_causes(&error)))?;
        shared
            .learn(&record)
            .map_err(|error| refused(with_causes(&error)))?;
        if matches!(record.record(), Record::Manifest(_)) {
            version = Some(record.id());
        }
    }
    version.ok_or_else(|| refused("it has no manifest".to_owned()))
}

/// The version that `id` means, as far as this node knows: of a dataset the newest one.
pub(crate) fn local(shared: &Shared, id: RecordId) -> Result<Option<Version>, ResolveError> {
    let Some(record) = shared.store.record(&id)? else {
        return Ok(None);
    };
    let manifest = match record.record() {
        Record::Manifest(_) => Some(id.into()),
        Record::Dataset(dataset) => {
            let dataset = dataset.fields().dataset.unwrap_or_else(|| id.into());
            shared
                .store
                .dataset(&dataset)?
                .and_then(|state| state.newest_manifest())
        }
        Record::Head(_) | Record::Statement(_) | Record::Other(_) => {
            return Err(ResolveError::OtherRecord(id));
        }
    };
    manifest.map_or(Ok(None), |manifest| version(shared, manifest))
}

/// A version by the id of its manifest, if its records are here.
pub(crate) fn version(shared: &Shared, id: ManifestId) -> Result<Option<Version>, ResolveError> {
    let Some(record) = shared.store.record(&id.into())? else {
        return Ok(None);
    };
    let Record::Manifest(manifest) = record.record() else {
        return Err(ResolveError::OtherRecord(id.into()));
    };
    let state = shared.store.dataset(&manifest.fields().dataset)?;
    let manifest = manifest.clone();
    Ok(state.map(|state| Version {
        id,
        record: record.clone(),
        manifest,
        state,
    }))
}

/// Finds the version in the network: exactly it for a manifest's id, the newest for a dataset's.
///
/// What this node knows already is taken if nobody answers. Dropping it is safe: what was learned stays.
pub(crate) async fn resolve(
    shared: &Arc<Shared>,
    net: &Net,
    wish: &Wish,
    within: Duration,
    report: &Reporter,
) -> Result<Version, ResolveError> {
    let mut search = Search::start(shared, net, wish, within, report).await?;
    let version = search.found().await?;
    search.newest(version).await
}

impl Shared {
    /// Tells which datasets and statements become known or change, from now on. Whoever lags looks at all.
    #[allow(dead_code, reason = "for what indexes and follows")]
    pub(crate) fn catalogue_changes(&self) -> broadcast::Receiver<CatalogueChange> {
        self.store.catalogue_changes()
    }

    /// Judges a record and keeps it if it is new.
    pub(crate) fn learn(&self, record: &SignedRecord) -> Result<Applied, StoreError> {
        self.store.apply(record, now())
    }
}

/// The wall clock, as records carry it.
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_secs(since.map_or(0, |since| since.as_secs()))
}
