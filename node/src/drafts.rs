//! Drafts on this node: files that are read, signed, merged and applied.
//!
//! Nothing in a file is trusted: [`opendag_protocol::draft`] verifies all of it, and what it says of the
//! owners is compared with what this node knows. Making and finishing versions is the matter of
//! [`crate::publish`], changing owners that of [`crate::owners`].

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use opendag_protocol::{
    draft::{Draft, DraftError, Missing, Stale, text},
    key::PublicKey,
    limits::DRAFT_BYTES_MAX,
    record::{Dataset, SignedRecord},
};

use crate::{
    announce,
    disk::{self, Access, DiskError},
    fault::Fault,
    node::Shared,
    ops::{DraftInfo, DraftKind, DraftVersion, Event, MissingInfo, OwnerSet, SignRequest},
    store::{KeyStoreError, StoreError},
};

/// Why a draft cannot be read, written, signed or applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DraftsError {
    /// The file cannot be read.
    #[error("cannot read the draft {path}: {source}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in the file is refused.
    #[error("the draft {path} is refused", path = path.display())]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: DraftError,
    },
    /// A new draft replaces no file.
    #[error("{path} exists already; give the draft another name", path = path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// Something happened since the draft was made.
    #[error(
        "{0}; nothing was signed or applied: make the draft again with the same command as before"
    )]
    Stale(#[from] Stale),
    /// No key here may sign.
    #[error(
        "no key on this node has a say in this draft; whoever owns {keys} can sign it, or import that key with `opendag key import`"
    )]
    NoKey {
        /// Who has.
        keys: String,
    },
    /// Signatures are missing.
    #[error(
        "the draft is not complete: {missing}; let them run `opendag sign FILE`, and finish with their files"
    )]
    Incomplete {
        /// Whose.
        missing: String,
    },
    /// The records were not taken, although nothing spoke against them: somebody else was faster.
    #[error("the dataset changed while the draft was applied; make the draft again")]
    Overtaken,
    /// The draft cannot be signed.
    #[error("the draft cannot be signed")]
    Sign(#[source] DraftError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyStoreError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DraftsError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Read { .. } | Self::Exists { .. } => Fault::Input,
            Self::Refused { .. }
            | Self::Stale(_)
            | Self::NoKey { .. }
            | Self::Incomplete { .. }
            | Self::Overtaken
            | Self::Sign(_) => Fault::Refused,
            Self::Key(error) => crate::fault::of_keys(error),
            Self::Disk(_) | Self::Store(_) => Fault::Local,
        }
    }
}

/// Whose keys sign.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signing<'a> {
    /// All of this node that have a say.
    AllHere,
    /// Those with these local names; each must have a say.
    Named(&'a [String]),
}

fn read(path: &Path) -> Result<Draft, DraftsError> {
    let mut bytes = Vec::new();
    let bytes_max = u64::try_from(DRAFT_BYTES_MAX).unwrap_or(u64::MAX);
    let opened = File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes));
    opened.map_err(|source| DraftsError::Read {
        path: path.to_owned(),
        source,
    })?;
    text::read(&bytes).map_err(|source| DraftsError::Refused {
        path: path.to_owned(),
        source,
    })
}

/// One draft out of its copies.
fn merged(paths: &[PathBuf]) -> Result<Draft, DraftsError> {
    let (first, rest) = paths.split_first().ok_or_else(|| DraftsError::Read {
        path: PathBuf::new(),
        source: io::ErrorKind::NotFound.into(),
    })?;
    let mut draft = read(first)?;
    for path in rest {
        draft
            .merge(&read(path)?)
            .map_err(|source| DraftsError::Refused {
                path: path.clone(),
                source,
            })?;
    }
    Ok(draft)
}

/// Refuses to replace a file before any work is done.
pub(crate) fn check_new(path: &Path) -> Result<(), DraftsError> {
    if path.symlink_metadata().is_ok() {
        return Err(DraftsError::Exists {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Writes a draft to a file that must not exist. Blocks.
pub(crate) fn write_new(path: &Path, draft: &Draft) -> Result<(), DraftsError> {
    check_new(path)?;
    write(path, draft)
}

fn write(path: &Path, draft: &Draft) -> Result<(), DraftsError> {
    let text = text::write(draft).map_err(DraftsError::Sign)?;
    Ok(disk::write_durable(path, text.as_bytes(), Access::Umask)?)
}

/// Refuses a draft that came too late, as far as this node knows its dataset. Is the dataset known?
fn check_fresh(shared: &Shared, draft: &Draft) -> Result<bool, DraftsError> {
    let state = shared.store.dataset(&draft.dataset_id())?;
    if let Some(state) = &state {
        draft.check_fresh(state)?;
    }
    Ok(state.is_some())
}

/// Signs with local keys, and answers which ones. Blocks.
pub(crate) fn sign_with(
    shared: &Shared,
    draft: &mut Draft,
    signing: Signing<'_>,
) -> Result<Vec<PublicKey>, DraftsError> {
    let keys = shared.keys();
    let names = match signing {
        Signing::AllHere => keys.names()?,
        Signing::Named(names) => names.to_vec(),
    };
    let mut signed = Vec::new();
    for name in names {
        let key = keys.get(&name)?;
        if matches!(signing, Signing::AllHere) && !draft.has_a_say(&key.public()) {
            continue;
        }
        draft.sign(&key).map_err(DraftsError::Sign)?;
        signed.push(key.public());
    }
    Ok(signed)
}

/// Shows a draft, and signs it unless it is only to be shown. Blocks.
pub(crate) fn sign(shared: &Shared, request: &SignRequest) -> Result<(Event, bool), DraftsError> {
    let mut draft = merged(&request.files)?;
    let is_known = check_fresh(shared, &draft)?;
    let path = request.files.first().cloned().unwrap_or_default();
    if request.show {
        return Ok((
            Event::Draft(Box::new(info(shared, &draft, path, &[])?)),
            is_known,
        ));
    }
    let signing = match request.keys.as_slice() {
        [] => Signing::AllHere,
        names => Signing::Named(names),
    };
    let signed = sign_with(shared, &mut draft, signing)?;
    if signed.is_empty() && request.files.len() < 2 {
        let owners = draft
            .owners()
            .owners()
            .iter()
            .chain(draft.chain().current().owners());
        return Err(DraftsError::NoKey {
            keys: texts(owners),
        });
    }
    for record in draft.chain().records() {
        shared.learn(record)?;
    }
    write(&path, &draft)?;
    let info = info(shared, &draft, path, &signed)?;
    Ok((Event::Draft(Box::new(info)), is_known))
}

/// The draft of these files and its signed records, if it is complete and not too late. Blocks.
pub(crate) fn complete(
    shared: &Shared,
    paths: &[PathBuf],
) -> Result<(Draft, Vec<SignedRecord>), DraftsError> {
    let draft = merged(paths)?;
    check_fresh(shared, &draft)?;
    match draft.finish() {
        Ok(records) => Ok((draft, records)),
        Err(DraftError::Incomplete { missing }) => Err(DraftsError::Incomplete {
            missing: missing.iter().map(sentence).collect::<Vec<_>>().join("; "),
        }),
        Err(error) => Err(DraftsError::Sign(error)),
    }
}

fn sentence(missing: &Missing) -> String {
    let (what, plural) = (
        named(missing.kind),
        if missing.count == 1 { "" } else { "s" },
    );
    format!(
        "{what} needs {} more signature{plural}, of {}",
        missing.count,
        texts(&missing.of)
    )
}

fn named(kind: &str) -> &'static str {
    match kind {
        "dataset" => "the change of owners",
        "manifest" => "the version",
        _ => "the word that it is the newest",
    }
}

fn texts<'a>(keys: impl IntoIterator<Item = &'a PublicKey>) -> String {
    let mut texts: Vec<String> = keys.into_iter().map(ToString::to_string).collect();
    texts.sort_unstable();
    texts.dedup();
    texts.join(", ")
}

/// Takes the records of a draft in. Blocks.
pub(crate) fn learn(
    shared: &Shared,
    draft: &Draft,
    records: &[SignedRecord],
) -> Result<(), DraftsError> {
    for record in records {
        shared.learn(record)?;
    }
    let state = shared.store.dataset(&draft.dataset_id())?;
    let is_newest = |head: &opendag_protocol::record::Head| {
        let newest = state.as_ref().and_then(|state| state.newest_manifest());
        newest == Some(head.manifest())
    };
    let are_owners = state
        .as_ref()
        .is_some_and(|state| state.owners().current_id() == draft.owners().id());
    if are_owners && draft.head().is_none_or(is_newest) {
        Ok(())
    } else {
        Err(DraftsError::Overtaken)
    }
}

/// Applies a change of owners and tells the network.
pub(crate) async fn apply_owners(
    shared: &Arc<Shared>,
    draft: &Draft,
    records: &[SignedRecord],
) -> Result<Event, DraftsError> {
    learn(shared, draft, records)?;
    if let Some(net) = shared.running_net() {
        announce::tell_head(shared, net, draft.dataset_id()).await;
    }
    let owners = draft.owners();
    Ok(Event::Rotated {
        dataset: draft.dataset_id(),
        record: owners.id(),
        sequence: owners.sequence(),
        owners: owner_set(owners).keys,
        threshold: owners.threshold(),
    })
}

pub(crate) fn owner_set(owners: &Dataset) -> OwnerSet {
    OwnerSet {
        keys: owners.owners().iter().map(ToString::to_string).collect(),
        threshold: owners.threshold(),
    }
}

/// What a draft says, in the words of [`Event::Draft`].
pub(crate) fn info(
    shared: &Shared,
    draft: &Draft,
    path: PathBuf,
    signed_now: &[PublicKey],
) -> Result<DraftInfo, DraftsError> {
    let kind = match (draft.next_owners(), draft.manifest()) {
        (Some(_), _) => DraftKind::Owners,
        (None, Some(_)) => DraftKind::Version,
        (None, None) => DraftKind::Head,
    };
    // A head alone is about a version that was signed before.
    let named = draft.head().map(|head| head.manifest());
    let manifest = match (draft.manifest(), named) {
        (Some(manifest), _) => Some(manifest.clone()),
        (None, Some(id)) => {
            let record = shared.store.manifest_of(&id)?;
            record.and_then(|record| record.as_manifest().cloned())
        }
        (None, None) => None,
    };
    let version = manifest.map(|manifest| DraftVersion {
        manifest: manifest.id(),
        sequence: manifest.sequence(),
        parent: manifest.parent(),
        label: manifest.label().map(str::to_owned),
        title: manifest.title().map(str::to_owned),
        license: manifest.license().map(str::to_owned),
        created_at: manifest.created_at(),
        files: manifest.files(),
        bytes: manifest.bytes(),
    });
    let mut signed_by: Vec<String> = draft
        .records()
        .flat_map(|record| record.signers().map(|key| key.to_string()))
        .collect();
    signed_by.sort_unstable();
    signed_by.dedup();
    let missing = draft.missing().into_iter().map(|missing| MissingInfo {
        record: missing.kind.to_owned(),
        count: missing.count,
        of: missing.of.iter().map(ToString::to_string).collect(),
    });
    Ok(DraftInfo {
        path,
        kind,
        dataset: draft.dataset_id(),
        name: draft.owners().name().to_owned(),
        version,
        head_expires_at: draft.head().map(|head| head.expires_at()),
        owners_before: owner_set(draft.chain().current()),
        owners_after: owner_set(draft.owners()),
        signed_now: signed_now.iter().map(ToString::to_string).collect(),
        signed_by,
        missing: missing.collect(),
    })
}
