//! Is something denied here, by whose list, and why? The one decision that all places ask which fetch, serve,
//! pass on or list.
//!
//! Pure; source: `specs/records.md`, section *`denylist`*.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    BlobId, DatasetId, ManifestId, Timestamp,
    key::PublicKey,
    record::{Denied, Denylist, DenylistEntry},
};

/// Whose list says so. The user's own comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListOwner {
    /// The user of this node.
    User,
    /// Somebody to whose list the user subscribed.
    Author(PublicKey),
}

impl fmt::Display for ListOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("your own denylist"),
            Self::Author(key) => write!(f, "the denylist of {key}, to which you subscribed"),
        }
    }
}

/// That something is denied here, by whom, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// Whose list says so.
    pub list: ListOwner,
    /// What the entry names.
    pub what: Denied,
    /// Why.
    pub reason: Option<String>,
    /// Until when.
    expires_at: Option<Timestamp>,
}

impl Denial {
    fn holds(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|until| until > now)
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is on {}", self.what, self.list)?;
        match &self.reason {
            Some(reason) => write!(f, ", because: {reason}"),
            None => Ok(()),
        }
    }
}

/// All that is denied here.
///
/// Invariant: no list of denials is empty, and each is sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denials(BTreeMap<Denied, Vec<Denial>>);

impl Denials {
    /// What the user's own list and those that they subscribed to deny together.
    #[must_use]
    pub fn new(own: &[DenylistEntry], subscribed: &[Denylist]) -> Self {
        let mut all = Self::default();
        for entry in own {
            all.add(ListOwner::User, entry, None);
        }
        for list in subscribed {
            for entry in list.entries() {
                all.add(ListOwner::Author(list.author()), entry, list.expires_at());
            }
        }
        for denials in all.0.values_mut() {
            denials.sort_unstable();
        }
        all
    }

    fn add(&mut self, list: ListOwner, entry: &DenylistEntry, list_expires: Option<Timestamp>) {
        let ends = entry.expires_at.into_iter().chain(list_expires);
        self.0.entry(entry.what).or_default().push(Denial {
            list,
            what: entry.what,
            reason: entry.reason.clone(),
            expires_at: ends.min(),
        });
    }

    /// Is nothing denied? Then nobody need look closer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is denied now.
    #[must_use]
    pub fn held(&self, now: Timestamp) -> BTreeSet<Denied> {
        let held = self.0.keys().filter(|what| self.of(**what, now).is_some());
        held.copied().collect()
    }

    /// Why a version must not be used here: for itself, its dataset, or one of its owners.
    #[must_use]
    pub fn of_version(
        &self,
        manifest: ManifestId,
        dataset: DatasetId,
        owners: &[PublicKey],
        now: Timestamp,
    ) -> Option<&Denial> {
        let version = self.of(Denied::Manifest(manifest), now);
        version.or_else(|| self.of_dataset(dataset, owners, now))
    }

    /// Why a dataset must not be used here, whatever its version.
    #[must_use]
    pub fn of_dataset(
        &self,
        dataset: DatasetId,
        owners: &[PublicKey],
        now: Timestamp,
    ) -> Option<&Denial> {
        let owners = owners.iter().map(|owner| Denied::Publisher(*owner));
        std::iter::once(Denied::Dataset(dataset))
            .chain(owners)
            .find_map(|what| self.of(what, now))
    }

    /// Why a blob must not be used here.
    #[must_use]
    pub fn of_blob(&self, blob: BlobId, now: Timestamp) -> Option<&Denial> {
        self.of(Denied::Blob(blob), now)
    }

    /// Why nothing of what a key says is shown here.
    #[must_use]
    pub fn of_author(&self, author: PublicKey, now: Timestamp) -> Option<&Denial> {
        self.of(Denied::Publisher(author), now)
    }

    fn of(&self, what: Denied, now: Timestamp) -> Option<&Denial> {
        let denials = self.0.get(&what)?;
        denials.iter().find(|denial| denial.holds(now))
    }
}

#[cfg(test)]
mod tests;
