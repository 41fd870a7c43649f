//! Publisher keys of this node, and who owns a dataset.

pub(crate) mod renew;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use opendag_protocol::{
    catalogue::DatasetState,
    draft::Draft,
    key::{PublicKey, SecretKey},
    record::{
        Dataset, DatasetFields, Head, HeadFields, RecordError, SignedRecord, UnfinishedRecord,
    },
};

use crate::{
    disk::{self, Access, DiskError},
    drafts::{self, DraftsError, Signing},
    fault::Fault,
    node::Shared,
    ops::{
        Event, KeyFileRequest, KeyInfo, KeyRequest, LinkRequest, OwnerRecordInfo, OwnersChange,
        OwnersInfo, OwnersRequest, RotateRequest, SignRequest,
    },
    publish,
    report::Reporter,
    resolve::{self, Asked, ResolveError},
    store::{KeyStoreError, StoreError},
};

/// Why keys or owners could not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnersError {
    /// The link leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyStoreError),
    /// Neither a local key nor a public key.
    #[error("\"{0}\" is neither a key of this node (see `opendag key list`) nor a public key")]
    NotAKey(String),
    /// The record cannot be made.
    #[error("the record is refused: {0}")]
    Record(#[from] RecordError),
    /// It is an owner.
    #[error("{0} is an owner of this dataset already; see `opendag owners show`")]
    OwnerAlready(PublicKey),
    /// It is none.
    #[error("{0} is not an owner of this dataset; see `opendag owners show`")]
    NoOwner(PublicKey),
    /// Fewer owners than must sign.
    #[error(
        "{threshold} of {owners} owners cannot sign; lower the threshold first with `opendag owners threshold`, or add an owner"
    )]
    TooFewOwners {
        /// How many there would be.
        owners: usize,
        /// How many would have to sign.
        threshold: u8,
    },
    /// There is no head to be signed again.
    #[error("this dataset has no version yet")]
    NoVersion,
    /// A draft cannot be made or signed.
    #[error(transparent)]
    Drafts(#[from] DraftsError),
    /// The old and the new owners must sign, and some of their keys are not here.
    #[error(
        "the keys of {missing} of the owners that must sign are not on this node; gather their signatures with --draft FILE, or import the keys with `opendag key import`"
    )]
    Missing {
        /// How many.
        missing: usize,
    },
    /// A key file cannot be used.
    #[error("cannot use {path}: {source}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read a key file.
    #[error("others may read {path}; make it private with: chmod 600 {path}", path = path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OwnersError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Resolve(error) => error.fault(),
            Self::Drafts(error) => error.fault(),
            Self::Key(error) => crate::fault::of_keys(error),
            Self::NotAKey(_)
            | Self::Record(_)
            | Self::OwnerAlready(_)
            | Self::NoOwner(_)
            | Self::NoVersion
            | Self::TooFewOwners { .. }
            | Self::File { .. }
            | Self::Exposed { .. } => Fault::Input,
            Self::Missing { .. } => Fault::Refused,
            Self::Disk(_) | Self::Store(_) => Fault::Local,
        }
    }
}

fn info(name: &str, key: &SecretKey) -> KeyInfo {
    KeyInfo {
        name: name.to_owned(),
        public: key.public().to_string(),
    }
}

/// All keys.
pub(crate) fn keys(shared: &Shared) -> Result<Event, OwnersError> {
    let keys = shared.keys();
    let list = keys
        .names()?
        .iter()
        .map(|name| Ok(info(name, &keys.get(name)?)))
        .collect::<Result<_, KeyStoreError>>()?;
    Ok(Event::Keys { keys: list })
}

/// Makes a key.
pub(crate) fn new(shared: &Shared, request: &KeyRequest) -> Result<Event, OwnersError> {
    let key = shared.keys().create(&request.name)?;
    Ok(Event::Keys {
        keys: vec![info(&request.name, &key)],
    })
}

/// Writes a key to a new file that only its owner can read.
pub(crate) fn export(shared: &Shared, request: &KeyFileRequest) -> Result<Event, OwnersError> {
    let text = shared.keys().export(&request.name)?;
    let mut file = disk::create_new(&request.file, Access::Owner)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|source| OwnersError::File {
        path: request.file.clone(),
        source,
    })?;
    let key = shared.keys().get(&request.name)?;
    Ok(Event::Keys {
        keys: vec![info(&request.name, &key)],
    })
}

/// Takes a key from a file that only its owner can read.
pub(crate) fn import(shared: &Shared, request: &KeyFileRequest) -> Result<Event, OwnersError> {
    let text = private_text(&request.file)?;
    let key = shared.keys().import(&request.name, &text)?;
    Ok(Event::Keys {
        keys: vec![info(&request.name, &key)],
    })
}

fn private_text(path: &Path) -> Result<zeroize::Zeroizing<String>, OwnersError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |source| OwnersError::File {
        path: path.to_owned(),
        source,
    };
    let mode = std::fs::metadata(path)
        .map_err(failed)?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(OwnersError::Exposed {
            path: path.to_owned(),
        });
    }
    Ok(std::fs::read_to_string(path).map_err(failed)?.into())
}

/// Who owns a dataset, and who did.
pub(crate) fn show(shared: &Shared, request: &LinkRequest) -> Result<Event, OwnersError> {
    let state = state(shared, request.link.as_deref().unwrap_or_default())?;
    let current = state.owners().current();
    let record = |signed: &SignedRecord| {
        let dataset = signed.as_dataset()?;
        Some(OwnerRecordInfo {
            record: signed.id(),
            sequence: dataset.sequence(),
            owners: drafts::owner_set(dataset),
            signers: signed.signers().map(|key| key.to_string()).collect(),
        })
    };
    let mut records: Vec<_> = state.owners().records().filter_map(record).collect();
    records.reverse();
    let mut here = Vec::new();
    for name in shared.keys().names()? {
        let key = shared.keys().get(&name)?;
        if current.owners().contains(&key.public()) {
            here.push(info(&name, &key));
        }
    }
    Ok(Event::Owners(Box::new(OwnersInfo {
        dataset: state.dataset_id(),
        name: state.name().to_owned(),
        records,
        here,
    })))
}

/// Gives a dataset other owners.
pub(crate) async fn rotate(
    shared: &Arc<Shared>,
    request: &RotateRequest,
) -> Result<Event, OwnersError> {
    let state = state(shared, &request.link)?;
    let owners = request.owners.iter().map(|text| owner(shared, text));
    let mut owners = owners.collect::<Result<Vec<_>, _>>()?;
    owners.sort_unstable();
    owners.dedup();
    hand_over(
        shared,
        &state,
        (owners, request.threshold),
        request.draft.as_deref(),
    )
    .await
}

/// Adds an owner, removes one, or changes how many must sign.
pub(crate) async fn change(
    shared: &Arc<Shared>,
    request: &OwnersRequest,
) -> Result<Event, OwnersError> {
    let state = state(shared, &request.link)?;
    let current = state.owners().current();
    let (mut owners, mut threshold) = (current.owners().to_vec(), current.threshold());
    match &request.change {
        OwnersChange::Add(text) => {
            let key = owner(shared, text)?;
            if owners.contains(&key) {
                return Err(OwnersError::OwnerAlready(key));
            }
            owners.push(key);
        }
        OwnersChange::Remove(text) => {
            let key = owner(shared, text)?;
            if !owners.contains(&key) {
                return Err(OwnersError::NoOwner(key));
            }
            owners.retain(|owner| *owner != key);
        }
        OwnersChange::Threshold(wanted) => threshold = *wanted,
        OwnersChange::Renew => return renew::renew(shared, &state, request.draft.as_deref()).await,
    }
    if usize::from(threshold) > owners.len() || threshold == 0 {
        return Err(OwnersError::TooFewOwners {
            owners: owners.len(),
            threshold,
        });
    }
    hand_over(
        shared,
        &state,
        (owners, threshold),
        request.draft.as_deref(),
    )
    .await
}

/// What is known of the dataset that a link means.
fn state(shared: &Shared, link: &str) -> Result<DatasetState, OwnersError> {
    let wish = Asked::parse(shared, link, Path::new("."), &[])?.here(shared)?;
    if let Some(version) = resolve::local(shared, wish.id)? {
        return Ok(version.state);
    }
    let state = shared.store.dataset(&wish.id.into())?;
    Ok(state.ok_or(ResolveError::NotHere(wish.id))?)
}

/// Signs the next owner record, and the head under it, so that nobody needs the former owners any more.
/// Applies both, or writes a draft of them.
async fn hand_over(
    shared: &Arc<Shared>,
    state: &DatasetState,
    (owners, threshold): (Vec<PublicKey>, u8),
    file: Option<&Path>,
) -> Result<Event, OwnersError> {
    let current = state.owners().current();
    let next = Dataset::new(DatasetFields {
        name: current.name().to_owned(),
        owners,
        threshold,
        sequence: current.sequence() + 1,
        dataset: Some(state.dataset_id()),
        previous: Some(current.id()),
    })?;
    let head = match state.newest() {
        Some(newest) => {
            let version = (newest.sequence(), newest.manifest());
            let fields = HeadFields {
                owner_record: next.id(),
                ..publish::head_fields(shared, state, version)
            };
            Some(UnfinishedRecord::new(Head::new(fields)?))
        }
        None => None,
    };
    let records = std::iter::once(UnfinishedRecord::new(next)).chain(head);
    match sign_all(shared, state, records, file)? {
        Signed::Draft(event) => Ok(event),
        Signed::Finished(draft, records) => {
            Ok(drafts::apply_owners(shared, &draft, &records).await?)
        }
    }
}

/// What came of signing with all keys that are here.
enum Signed {
    /// A draft was written, for other owners.
    Draft(Event),
    /// Nobody else needs to sign.
    Finished(Draft, Vec<SignedRecord>),
}

/// Signs records of a dataset with all keys that are here, into a draft if there is a file for it.
fn sign_all(
    shared: &Arc<Shared>,
    state: &DatasetState,
    records: impl IntoIterator<Item = UnfinishedRecord>,
    file: Option<&Path>,
) -> Result<Signed, OwnersError> {
    if let Some(file) = file {
        drafts::check_new(file)?;
    }
    let mut draft = Draft::new(state.owners(), records).map_err(DraftsError::Sign)?;
    let signed = drafts::sign_with(shared, &mut draft, Signing::AllHere)?;
    if let Some(file) = file {
        drafts::write_new(file, &draft)?;
        let info = drafts::info(shared, &draft, file.to_owned(), &signed)?;
        return Ok(Signed::Draft(Event::Draft(Box::new(info))));
    }
    let missing = draft.missing();
    if let Some(most) = missing.iter().map(|missing| missing.count).max() {
        return Err(OwnersError::Missing { missing: most });
    }
    let records = draft.finish().map_err(DraftsError::Sign)?;
    Ok(Signed::Finished(draft, records))
}

/// Signs a draft with keys of this node.
pub(crate) async fn sign(
    shared: &Arc<Shared>,
    request: &SignRequest,
    report: &Reporter,
) -> Result<Event, OwnersError> {
    let (event, is_known) = drafts::sign(shared, request)?;
    if !is_known {
        report
            .warn("this node did not know the dataset: that its owners are those whom the draft names, nothing here confirms")
            .await;
    }
    Ok(event)
}

fn owner(shared: &Shared, text: &str) -> Result<PublicKey, OwnersError> {
    if let Ok(public) = text.parse() {
        return Ok(public);
    }
    let keys = shared.keys();
    if keys.names()?.iter().any(|name| name == text) {
        return Ok(keys.get(text)?.public());
    }
    Err(OwnersError::NotAKey(text.chars().take(64).collect()))
}
