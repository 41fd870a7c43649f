//! Publisher keys of this node, and who owns a dataset.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use opendag_protocol::{
    key::{PublicKey, SecretKey},
    record::{Dataset, DatasetFields, Record, RecordError, SignedRecord},
};

use crate::{
    disk::{self, Access, DiskError},
    fault::Fault,
    node::Shared,
    ops::{Event, KeyFileRequest, KeyInfo, KeyRequest, RotateRequest},
    publish::{self, PublishError},
    resolve::{self, ResolveError, Wish},
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
    #[error("the new owners are refused: {0}")]
    Record(#[from] RecordError),
    /// The keys here are not enough.
    #[error("{0}")]
    Sign(#[from] PublishError),
    /// The old and the new owners must sign, and some of their keys are not here.
    #[error(
        "the keys of {missing} of the owners that must sign are not on this node; import them with `opendag key import`"
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
            Self::Sign(error) => error.fault(),
            Self::Key(error) => crate::fault::of_keys(error),
            Self::NotAKey(_) | Self::Record(_) | Self::File { .. } | Self::Exposed { .. } => {
                Fault::Input
            }
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

/// Gives a dataset other owners: signed by enough of the old and of the new ones.
pub(crate) async fn rotate(
    shared: &Arc<Shared>,
    request: &RotateRequest,
) -> Result<Event, OwnersError> {
    let wish = Wish::parse(shared, &request.link, Path::new("."), &[])?;
    let version = resolve::local(shared, wish.id)?.ok_or(ResolveError::NotHere(wish.id))?;
    let current = version.state.owners().current().fields();
    let mut owners = request
        .owners
        .iter()
        .map(|text| owner(shared, text))
        .collect::<Result<Vec<_>, _>>()?;
    owners.sort_unstable();
    owners.dedup();
    let next = Dataset::new(DatasetFields {
        name: current.name.clone(),
        owners,
        threshold: request.threshold,
        sequence: current.sequence + 1,
        dataset: Some(version.dataset()),
        previous: Some(version.state.owners().current_id()),
    })?;
    let mut keys = enough(shared, &current.owners, current.threshold)?;
    for key in enough(shared, &next.fields().owners, request.threshold)? {
        if keys.iter().all(|known| known.public() != key.public()) {
            keys.push(key);
        }
    }
    let sequence = next.fields().sequence;
    let signed = SignedRecord::sign(&Record::Dataset(next), &keys.iter().collect::<Vec<_>>())?;
    shared.learn(&signed)?;
    renew_head(shared, version.dataset())?;
    if let Some(net) = shared.running_net() {
        crate::announce::tell_head(shared, net, version.dataset()).await;
    }
    Ok(Event::Rotated {
        dataset: version.dataset(),
        record: signed.id(),
        sequence,
    })
}

/// The newest version is said to be the newest by the new owners, so that nobody needs the old ones.
fn renew_head(shared: &Shared, dataset: opendag_protocol::DatasetId) -> Result<(), OwnersError> {
    let Some(state) = shared.store.dataset(&dataset)? else {
        return Ok(());
    };
    let Some((sequence, manifest)) = state
        .newest()
        .map(|head| (head.fields().sequence, head.fields().manifest))
    else {
        return Ok(());
    };
    shared.learn(&publish::sign_head(shared, &state, sequence, manifest)?)?;
    Ok(())
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

/// `threshold` local keys among `owners`.
fn enough(
    shared: &Shared,
    owners: &[PublicKey],
    threshold: u8,
) -> Result<Vec<SecretKey>, OwnersError> {
    let mut found = Vec::new();
    for name in shared.keys().names()? {
        let key = shared.keys().get(&name)?;
        if found.len() < usize::from(threshold) && owners.contains(&key.public()) {
            found.push(key);
        }
    }
    match usize::from(threshold).saturating_sub(found.len()) {
        0 => Ok(found),
        missing => Err(OwnersError::Missing { missing }),
    }
}
