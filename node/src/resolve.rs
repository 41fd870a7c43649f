//! From what a user typed to a version: link, id, exported manifest or known name, then records.

pub(crate) mod history;
pub(crate) mod owned;
mod search;
mod wish;

use std::{sync::Arc, time::Duration};

use opendag_protocol::{
    DatasetId, ManifestId, RecordId, Timestamp,
    catalogue::{Applied, DatasetState},
    link::LinkError,
    record::{Manifest, Record, SignedRecord},
};

use self::owned::OwnedError;
pub(crate) use self::{
    search::Search,
    wish::{Asked, Wish, addresses},
};
use crate::{
    carry::CarryError,
    fault::Fault,
    net::Net,
    node::Shared,
    ops::HeadInfo,
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
    /// Nothing is called so.
    #[error("no version of \"{name}\" is called \"{revision}\": {hint}")]
    NoVersion {
        /// The dataset's name.
        name: String,
        /// What stands behind the `@`.
        revision: String,
        /// What could be meant.
        hint: String,
    },
    /// Several versions are called so.
    #[error("several versions of \"{name}\" are called \"{revision}\"; give the id of one:{ids}")]
    SeveralVersions {
        /// The dataset's name.
        name: String,
        /// What stands behind the `@`.
        revision: String,
        /// Which versions, a line each.
        ids: String,
    },
    /// An exported manifest cannot be read, or is refused.
    #[error(transparent)]
    File(#[from] Box<CarryError>),
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
    /// A task died.
    #[error("a task stopped unexpectedly")]
    Stopped,
    /// A publisher's dataset by the user's name for the publisher.
    #[error(transparent)]
    Owned(Box<OwnedError>),
    /// What looks like one, but is nothing.
    #[error("\"{text}\" is neither a file nor a link, and {source}")]
    NoAlias {
        /// What was given.
        text: String,
        /// That there is no such alias.
        source: Box<OwnedError>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<OwnedError> for ResolveError {
    fn from(error: OwnedError) -> Self {
        Self::Owned(Box::new(error))
    }
}

impl ResolveError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::NotALink { .. }
            | Self::Ambiguous { .. }
            | Self::SeveralVersions { .. }
            | Self::NotAnAddress(_)
            | Self::OtherRecord(_)
            | Self::NoAlias { .. } => Fault::Input,
            Self::File(error) => error.fault(),
            Self::Owned(error) => error.fault(),
            Self::NotFound { .. } | Self::NotHere(_) | Self::NoVersion { .. } => Fault::NotFound,
            Self::Stopped | Self::Store(_) => Fault::Local,
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

    /// Is it the newest that is known of its dataset?
    pub(crate) fn is_newest(&self) -> bool {
        self.state.newest_manifest() == Some(self.id)
    }

    /// What the owners said last about which version is the newest.
    pub(crate) fn head(&self) -> Option<HeadInfo> {
        let head = self.state.newest()?;
        Some(HeadInfo {
            manifest: head.manifest(),
            sequence: head.sequence(),
            issued_at: head.issued_at(),
            expires_at: head.expires_at(),
            expired: head.expires_at() <= now(),
        })
    }
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
    shared.store.mark_used(manifest.fields().dataset);
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
    #[allow(dead_code, reason = "for what follows")]
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
