//! What is denied on this node: the user's own list, the lists that they subscribed to, and what follows from them.
//!
//! The decision itself is [`opendag_protocol::denial`]; here are its inputs and the questions that the parts of a node
//! ask. Whatever is denied stops here alone: nothing is asked of others.

mod change;
mod withheld;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use opendag_protocol::{
    BlobId, DatasetId, Hash, ManifestId, RecordId,
    catalogue::DatasetState,
    denial::{Denial, Denials},
    key::PublicKey,
    record::{Dataset, Denylist, DenylistEntry, Record, SignedRecord},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    time::{MissedTickBehavior, interval},
};

pub(crate) use self::change::{DenylistsError, allow, deny, list, publish, subscribe, unsubscribe};
use self::withheld::Withheld;
use crate::{
    fetch::table::Wanted,
    node::Shared,
    resolve::{self, Version, now},
    store::{CatalogueChange, DataDir, DataDirError, Saved, Store, StoreError},
};

/// What has expired, and what came here since, is noticed so often.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What the user decided, as it is saved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    /// The user's own list.
    #[serde(default)]
    own: Vec<DenylistEntry>,
    /// Whose lists the user heeds.
    #[serde(default)]
    subscribed: BTreeSet<PublicKey>,
}

/// All that is denied on a node.
#[derive(Debug)]
pub(crate) struct Denylists {
    lists: Saved<Lists>,
    denials: watch::Sender<Arc<Denials>>,
    withheld: Withheld,
    /// Held while what follows from the lists is looked for.
    looking: tokio::sync::Mutex<()>,
}

impl Denylists {
    /// What was decided before.
    pub(crate) fn open(data_dir: &DataDir, store: &Store) -> Result<Self, DataDirError> {
        let opened = Self {
            lists: Saved::open(data_dir.denylists_path())?,
            denials: watch::Sender::default(),
            withheld: Withheld::default(),
            looking: tokio::sync::Mutex::default(),
        };
        if let Err(error) = opened.reload(store) {
            tracing::warn!(%error, "the denylists of others cannot be read");
        }
        Ok(opened)
    }

    /// Whose lists are heeded.
    pub(crate) fn subscribed(&self) -> BTreeSet<PublicKey> {
        self.lists.get().subscribed.clone()
    }

    /// Reads the lists that are heeded.
    fn reload(&self, store: &Store) -> Result<(), StoreError> {
        let lists = self.lists.get().clone();
        let mut heeded = Vec::new();
        for author in &lists.subscribed {
            heeded.extend(newest(store, author)?);
        }
        let denials = Arc::new(Denials::new(&lists.own, &heeded));
        self.denials.send_replace(denials);
        Ok(())
    }

    fn denials(&self) -> Arc<Denials> {
        self.denials.borrow().clone()
    }

    /// Tells when lists were read again.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Denials>> {
        self.denials.subscribe()
    }

    /// Is a dataset denied? Of an unknown one only its id is asked. Blocks.
    pub(crate) fn denies_dataset(&self, store: &Store, id: DatasetId) -> bool {
        let denials = self.denials();
        if denials.is_empty() {
            return false;
        }
        let state = store.dataset(&id).ok().flatten();
        let owners = state
            .as_ref()
            .map(|state| state.owners().current().owners());
        let owners = owners.unwrap_or_default();
        denials.of_dataset(id, owners, now()).is_some()
    }

    /// Is a key of the DHT that of a dataset or version that is denied, as far as this is known without reading anything?
    pub(crate) fn denies_key(&self, key: Hash) -> bool {
        let denials = self.denials();
        if denials.is_empty() {
            return false;
        }
        let (manifest, dataset) = (ManifestId::from_hash(key), DatasetId::from_hash(key));
        denials.of_version(manifest, dataset, &[], now()).is_some()
            || self.withheld.has_dataset(&dataset)
            || self.withheld.has_version(&manifest)
    }

    /// Is a change of the catalogue one of a list that is heeded?
    fn heeds(&self, store: &Store, statement: &RecordId) -> bool {
        let record = store.record(statement).ok().flatten();
        let author = record
            .as_ref()
            .and_then(SignedRecord::as_statement)
            .filter(|said| said.kind() == Denylist::KIND)
            .map(|said| said.author());
        author.is_some_and(|author| self.lists.get().subscribed.contains(&author))
    }
}

/// The list of an author, if it is known here and holds the rules.
fn newest(store: &Store, author: &PublicKey) -> Result<Option<Denylist>, StoreError> {
    let said = store.statements_by(author)?;
    let said = said.iter().filter_map(SignedRecord::as_statement);
    let mut lists = said.filter_map(|said| Denylist::read(said).ok().flatten());
    Ok(lists.next())
}

/// Takes in lists as they come, until the node ends.
pub(crate) async fn watch(shared: Arc<Shared>) {
    let mut changes = shared.catalogue_changes();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let due = tokio::select! {
            change = changes.recv() => match change {
                Ok(CatalogueChange::Statement(id)) => shared.denylists.heeds(&shared.store, &id),
                Ok(CatalogueChange::Dataset(_) | CatalogueChange::Forgotten(_)) => false,
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return,
            },
            _ = ticks.tick() => true,
        };
        if due && let Err(error) = shared.heed().await {
            tracing::warn!(%error, "what is denied here cannot be read");
        }
    }
}

impl Shared {
    /// Lets the lists as they are now take effect.
    pub(crate) async fn heed(self: &Arc<Self>) -> Result<(), StoreError> {
        let _looking = self.denylists.looking.lock().await;
        self.denylists.reload(&self.store)?;
        if withheld::look(self).await? {
            self.catalogue.forget_comparisons().await;
            self.sessions.touch();
        }
        Ok(())
    }

    /// Why a version must not be used here.
    pub(crate) fn denial(&self, version: &Version) -> Option<Denial> {
        let denials = self.denylists.denials();
        let owners = version.state.owners().current().owners();
        denials
            .of_version(version.id, version.dataset(), owners, now())
            .cloned()
    }

    /// Must a version not be used here? Of an unknown one only its id is asked.
    pub(crate) fn is_denied_version(&self, manifest: ManifestId) -> bool {
        if self.denylists.denials().is_empty() {
            return false;
        }
        let denial = match resolve::version(self, manifest) {
            Ok(Some(version)) => self.denial(&version),
            Ok(None) | Err(_) => self.denial_of_id(manifest.into()),
        };
        denial.is_some()
    }

    /// Why a link must not be followed, as far as its id alone says.
    pub(crate) fn denial_of_id(&self, id: RecordId) -> Option<Denial> {
        let denials = self.denylists.denials();
        denials
            .of_version(id.into(), id.into(), &[], now())
            .cloned()
    }

    /// Why a dataset must not be used here, whatever its version.
    pub(crate) fn denial_of_dataset(&self, state: &DatasetState) -> Option<Denial> {
        let denials = self.denylists.denials();
        let owners = state.owners().current().owners();
        denials
            .of_dataset(state.dataset_id(), owners, now())
            .cloned()
    }

    /// The same by the dataset's id; of an unknown one only that is asked.
    pub(crate) fn is_denied_dataset(&self, id: DatasetId) -> bool {
        self.denylists.denies_dataset(&self.store, id)
    }

    /// The same of a dataset whose owner records have just come, if it was not known before.
    pub(crate) fn is_denied_with(&self, id: DatasetId, told: &[SignedRecord]) -> bool {
        let denials = self.denylists.denials();
        let of_it = |dataset: &&Dataset| dataset.dataset_id() == id;
        let told = told.iter().filter_map(SignedRecord::as_dataset);
        let last = told.filter(of_it).max_by_key(|owners| owners.sequence());
        last.is_some_and(|owners| denials.of_dataset(id, owners.owners(), now()).is_some())
            || self.is_denied_dataset(id)
    }

    /// Datasets that are not compared with others, and authors whose statements are not.
    pub(crate) fn is_compared(&self) -> (impl Fn(&DatasetId) -> bool, impl Fn(&PublicKey) -> bool) {
        let of_dataset = |id: &DatasetId| !self.denylists.withheld.has_dataset(id);
        let of_author = |author: &PublicKey| !self.is_silenced(*author);
        (of_dataset, of_author)
    }

    /// Is nothing that a key says heard here? The lists that the user heeds are heard all the same.
    fn is_silenced(&self, author: PublicKey) -> bool {
        self.denial_of_author(author).is_some()
            && !self.denylists.lists.get().subscribed.contains(&author)
    }

    /// Why a file must not be used here.
    pub(crate) fn denial_of_blob(&self, hash: Hash) -> Option<Denial> {
        let denials = self.denylists.denials();
        let blob = BlobId::from_hash(hash);
        denials.of_blob(blob, now()).cloned()
    }

    /// Why a version, or one of these files of it, must not be used here.
    pub(crate) fn denial_of_any(&self, version: &Version, files: &[Wanted]) -> Option<Denial> {
        self.denial(version).or_else(|| self.denial_of_files(files))
    }

    /// Why one of these files must not be used here.
    pub(crate) fn denial_of_files(&self, files: &[Wanted]) -> Option<Denial> {
        let mut files = files.iter();
        files.find_map(|wanted| self.denial_of_blob(wanted.entry.hash()))
    }

    /// Why nothing of what a key says is shown here.
    pub(crate) fn denial_of_author(&self, author: PublicKey) -> Option<Denial> {
        let denials = self.denylists.denials();
        denials.of_author(author, now()).cloned()
    }

    /// May a blob not leave this node: is it denied, or only in versions that are?
    pub(crate) fn is_withheld(&self, hash: Hash) -> bool {
        let denials = self.denylists.denials();
        !denials.is_empty()
            && (denials.of_blob(BlobId::from_hash(hash), now()).is_some()
                || self.denylists.withheld.has_blob(&hash))
    }

    /// May a record not leave this node?
    pub(crate) fn is_withheld_record(&self, record: &Record) -> bool {
        let denials = self.denylists.denials();
        if denials.is_empty() {
            return false;
        }
        let of_version =
            matches!(record, Record::Manifest(_)) && self.denial_of_id(record.id()).is_some();
        let said = match record {
            Record::Statement(said) => Some(said.author()),
            Record::Dataset(_) | Record::Manifest(_) | Record::Head(_) | Record::Other(_) => None,
        };
        let dataset = record.dataset_id();
        of_version
            || dataset.is_some_and(|dataset| self.is_denied_dataset(dataset))
            || said.is_some_and(|author| self.is_silenced(author))
    }
}
