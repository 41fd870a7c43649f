//! What the user decides: entries of their own list, publishing it, subscriptions to those of others.

use std::{path::Path, sync::Arc};

use opendag_protocol::{
    BlobId, RecordId,
    key::PublicKey,
    limits::DENYLIST_ENTRIES_MAX,
    record::{Denied, Denylist, DenylistEntry, Record, RecordError, SignedRecord},
};

use super::{Lists, newest};
use crate::{
    disk::DiskError,
    fault::{self, Fault},
    node::Shared,
    ops::{
        AllowRequest, DeniedKind, DenyRequest, DenylistInfo, DenylistPublishRequest, Event,
        SubscribeRequest,
    },
    publish::DEFAULT_KEY,
    resolve::{Asked, ResolveError, now},
    store::{DataDirError, KeyStoreError, StoreError},
    watched::key_of,
};

/// Subscriptions of a node: each list is looked at whenever one changes.
const SUBSCRIBED_MAX: usize = 256;

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DenylistsError {
    /// The link leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyStoreError),
    /// An id that could be either.
    #[error("{0} is not known here; say what it is with --dataset or --manifest")]
    UnknownKind(RecordId),
    /// It breaks the rules of lists.
    #[error("the entry is refused: {0}")]
    Record(#[from] RecordError),
    /// More than a list has room for.
    #[error(
        "your denylist has {DENYLIST_ENTRIES_MAX} entries already; take one off with: opendag denylist remove"
    )]
    Full,
    /// It is not on the list.
    #[error("\"{0}\" is not on your own denylist; see: opendag denylist list")]
    NotListed(String),
    /// Neither a key nor an alias nor a list.
    #[error(
        "\"{0}\" is neither a public key, nor an alias, nor the id of a denylist that is known here"
    )]
    Nobody(String),
    /// There is no such subscription.
    #[error("you did not subscribe to a denylist of {0}; see: opendag denylist list")]
    NotSubscribed(PublicKey),
    /// More than are looked at.
    #[error("you subscribed to {SUBSCRIBED_MAX} denylists already; unsubscribe from one first")]
    TooMany,
    /// What was decided cannot be read.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What is decided cannot be kept.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DenylistsError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Resolve(error) => error.fault(),
            Self::Key(error) => fault::of_keys(error),
            Self::UnknownKind(_)
            | Self::Record(_)
            | Self::Full
            | Self::NotListed(_)
            | Self::Nobody(_)
            | Self::NotSubscribed(_)
            | Self::TooMany => Fault::Input,
            Self::DataDir(_) | Self::Disk(_) | Self::Store(_) => Fault::Local,
        }
    }
}

/// Puts something on the user's own list, or gives it another reason or end.
pub(crate) async fn deny(
    shared: &Arc<Shared>,
    request: &DenyRequest,
) -> Result<Event, DenylistsError> {
    let what = meant(shared, &request.what, request.kind)?;
    let entry = DenylistEntry {
        what,
        reason: request.reason.clone(),
        expires_at: request.expires_at,
    };
    Denylist::check(std::slice::from_ref(&entry))?;
    decide(shared, |lists| {
        lists.own.retain(|entry| entry.what != what);
        if lists.own.len() >= DENYLIST_ENTRIES_MAX {
            return Err(DenylistsError::Full);
        }
        lists.own.push(entry);
        Ok(())
    })
    .await?;
    changed(format!(
        "{what} is on your denylist: this node neither fetches, serves, passes on nor lists it"
    ))
}

/// Takes something off the user's own list.
pub(crate) async fn allow(
    shared: &Arc<Shared>,
    request: &AllowRequest,
) -> Result<Event, DenylistsError> {
    let text = &request.what;
    let meant = candidates(shared, text)?;
    decide(shared, |lists| {
        let before = lists.own.len();
        lists.own.retain(|entry| !meant.contains(&entry.what));
        match lists.own.len() < before {
            true => Ok(()),
            false => Err(DenylistsError::NotListed(text.chars().take(64).collect())),
        }
    })
    .await?;
    changed(format!("{text} is not on your denylist any more"))
}

/// Signs the user's own list and gives it to others.
pub(crate) fn publish(
    shared: &Shared,
    request: &DenylistPublishRequest,
) -> Result<Event, DenylistsError> {
    let name = request.key.as_deref().unwrap_or(DEFAULT_KEY);
    let key = shared.keys().get_or_create(name)?;
    let author = key.public();
    let before = newest(&shared.store, &author)?;
    // Of two of one second chance would decide which one counts.
    let after = before.map_or(now(), |list| list.issued_at().saturating_add(ONE_SECOND));
    let entries = shared.denylists.lists.get().own.clone();
    let count = entries.len();
    let at = after.max(now());
    let said = Denylist::statement(author, at, request.expires_at, entries)?;
    let signed = SignedRecord::sign(&said.into(), &[&key])?;
    shared.learn(&signed)?;
    changed(format!(
        "your denylist of {count} entries is published as {}; others heed it with: opendag denylist subscribe {author}",
        signed.id()
    ))
}

const ONE_SECOND: std::time::Duration = std::time::Duration::from_secs(1);

/// All lists that this node heeds.
pub(crate) fn list(shared: &Shared) -> Result<Event, DenylistsError> {
    let lists = shared.denylists.lists.get().clone();
    let mut told = vec![DenylistInfo {
        author: None,
        id: None,
        issued_at: None,
        expires_at: None,
        entries: lists.own,
    }];
    for author in lists.subscribed {
        let list = newest(&shared.store, &author)?;
        told.push(DenylistInfo {
            author: Some(author.to_string()),
            id: list.as_ref().map(Denylist::id),
            issued_at: list.as_ref().map(Denylist::issued_at),
            expires_at: list.as_ref().and_then(Denylist::expires_at),
            entries: list.map_or_else(Vec::new, |list| list.entries().to_vec()),
        });
    }
    Ok(Event::Denylists { lists: told })
}

/// Heeds somebody's list from now on.
pub(crate) async fn subscribe(
    shared: &Arc<Shared>,
    request: &SubscribeRequest,
) -> Result<Event, DenylistsError> {
    let author = author(shared, &request.whose)?;
    decide(shared, |lists| {
        if lists.subscribed.len() >= SUBSCRIBED_MAX && !lists.subscribed.contains(&author) {
            return Err(DenylistsError::TooMany);
        }
        lists.subscribed.insert(author);
        Ok(())
    })
    .await?;
    changed(match newest(&shared.store, &author)? {
        Some(list) => format!(
            "this node heeds the denylist of {author}: {} entries",
            list.entries().len()
        ),
        None => format!("this node heeds the denylist of {author} as soon as it comes"),
    })
}

/// Heeds it no longer.
pub(crate) async fn unsubscribe(
    shared: &Arc<Shared>,
    request: &SubscribeRequest,
) -> Result<Event, DenylistsError> {
    let author = author(shared, &request.whose)?;
    decide(shared, |lists| match lists.subscribed.remove(&author) {
        true => Ok(()),
        false => Err(DenylistsError::NotSubscribed(author)),
    })
    .await?;
    changed(format!(
        "this node heeds the denylist of {author} no longer"
    ))
}

fn changed(message: String) -> Result<Event, DenylistsError> {
    Ok(Event::Changed {
        message,
        freed_bytes: 0,
    })
}

/// Changes what is decided; durable and in effect when it returns.
async fn decide(
    shared: &Arc<Shared>,
    change: impl FnOnce(&mut Lists) -> Result<(), DenylistsError>,
) -> Result<(), DenylistsError> {
    shared.denylists.lists.change(change)?;
    shared.protect_own();
    Ok(shared.heed().await?)
}

/// What a user means to deny.
fn meant(shared: &Shared, text: &str, kind: Option<DeniedKind>) -> Result<Denied, DenylistsError> {
    if let Some(what) = plain(text) {
        return Ok(what);
    }
    let id = Asked::parse(shared, text, Path::new("/"), &[])?
        .here(shared)?
        .id;
    let record = shared.store.record(&id)?;
    match (record.as_ref().map(SignedRecord::record), kind) {
        (Some(Record::Manifest(_)), _) => Ok(Denied::Manifest(id.into())),
        (Some(Record::Dataset(dataset)), _) => Ok(Denied::Dataset(dataset.dataset_id())),
        (Some(_), _) => Err(ResolveError::OtherRecord(id).into()),
        (None, Some(DeniedKind::Dataset)) => Ok(Denied::Dataset(id.into())),
        (None, Some(DeniedKind::Manifest)) => Ok(Denied::Manifest(id.into())),
        (None, None) => Err(DenylistsError::UnknownKind(id)),
    }
}

/// All that a text can mean on a list.
fn candidates(shared: &Shared, text: &str) -> Result<Vec<Denied>, DenylistsError> {
    if let Some(what) = plain(text) {
        return Ok(vec![what]);
    }
    let id = Asked::parse(shared, text, Path::new("/"), &[])?
        .here(shared)?
        .id;
    Ok(vec![
        Denied::Dataset(id.into()),
        Denied::Manifest(id.into()),
    ])
}

/// A key or a blob: their texts are like no other.
fn plain(text: &str) -> Option<Denied> {
    let key = text.parse().map(Denied::Publisher);
    key.ok()
        .or_else(|| text.parse::<BlobId>().ok().map(Denied::Blob))
}

fn author(shared: &Shared, text: &str) -> Result<PublicKey, DenylistsError> {
    if let Some(key) = key_of(shared, text)? {
        return Ok(key);
    }
    let record = match text.parse::<RecordId>() {
        Ok(id) => shared.store.record(&id)?,
        Err(_) => None,
    };
    let list = record.as_ref().and_then(SignedRecord::as_statement);
    let list = list.and_then(|said| Denylist::read(said).ok().flatten());
    let nobody = || DenylistsError::Nobody(text.chars().take(64).collect());
    list.map(|list| list.author()).ok_or_else(nobody)
}
