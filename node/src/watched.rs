//! Whose versions are followed or mirrored: what the user's words mean, and which datasets that are.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use opendag_protocol::{DatasetId, RecordId, http::alias::Alias, key::PublicKey};

use crate::{
    fault::with_causes,
    node::Shared,
    ops::Watched,
    report::Reporter,
    resolve::{self, Asked, ResolveError, Wish},
    store::{DataDirError, StoreError},
};

/// Peers are asked for what gossip may have missed so often.
pub(crate) const ASK_EVERY: Duration = Duration::from_secs(10 * 60);
/// For so long each time.
const ASK_MAX: Duration = Duration::from_secs(30);
/// What failed is tried again after so long, twice as long each further time,
const RETRY_MIN: Duration = Duration::from_secs(5);
/// at most.
const RETRY_MAX: Duration = Duration::from_secs(10 * 60);

impl Watched {
    /// The publisher whose key or alias a text is; where it is a dataset's name too, it is the dataset.
    pub(crate) fn publisher(shared: &Shared, text: &str) -> Result<Option<Self>, DataDirError> {
        let is_key = text.parse::<PublicKey>().is_ok();
        if !is_key && Asked::parse(shared, text, Path::new("/"), &[]).is_ok() {
            return Ok(None);
        }
        Ok(key_of(shared, text)?.map(Self::Publisher))
    }

    /// What a text means, without asking the network.
    pub(crate) fn here<E>(shared: &Shared, text: &str) -> Result<Self, E>
    where
        E: From<DataDirError> + From<ResolveError>,
    {
        if let Some(publisher) = Self::publisher(shared, text)? {
            return Ok(publisher);
        }
        let asked = Asked::parse(shared, text, Path::new("/"), &[])?;
        let id = asked.here(shared)?.id;
        Ok(Self::Dataset(dataset_of(shared, id)?))
    }

    /// The datasets that it means, as far as they are known here; one that is named is always meant. Blocks.
    pub(crate) fn datasets(&self, shared: &Shared) -> Result<BTreeSet<DatasetId>, StoreError> {
        if let Self::Dataset(id) = self {
            return Ok(BTreeSet::from([*id]));
        }
        let mut theirs = BTreeSet::new();
        for id in shared.store.dataset_ids() {
            let id = id?;
            if self.means(shared, id)? {
                theirs.insert(id);
            }
        }
        Ok(theirs)
    }

    /// Does it mean this dataset? Blocks.
    pub(crate) fn means(&self, shared: &Shared, id: DatasetId) -> Result<bool, StoreError> {
        Ok(match self {
            Self::Dataset(dataset) => *dataset == id,
            Self::Publisher(key) => {
                let state = shared.store.dataset(&id)?;
                state.is_some_and(|state| state.owners().is_vouched_by(key))
            }
        })
    }
}

/// The key that a text is, or that the user's alias stands for.
pub(crate) fn key_of(shared: &Shared, text: &str) -> Result<Option<PublicKey>, DataDirError> {
    if let Ok(key) = text.parse() {
        return Ok(Some(key));
    }
    match text.parse::<Alias>() {
        Ok(alias) => shared.data_dir.aliases().get(&alias),
        Err(_) => Ok(None),
    }
}

/// How long what failed so often in a row waits for the next try.
pub(crate) fn retry_after(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    RETRY_MIN.saturating_mul(doubled).min(RETRY_MAX)
}

/// Asks peers for the newest version of a dataset, whose records are known here afterwards.
pub(crate) async fn ask(shared: &Arc<Shared>, id: DatasetId) -> Result<(), String> {
    let net = shared.net().await.map_err(|error| with_causes(&error))?;
    let wish = Wish {
        id: id.into(),
        hints: Vec::new(),
        publisher: None,
    };
    let report = Reporter::nobody();
    let found = Box::pin(resolve::resolve(shared, &net, &wish, ASK_MAX, &report)).await;
    found.map(drop).map_err(|error| with_causes(&error))
}

/// The dataset that an id means: what is not known here is taken for one.
fn dataset_of(shared: &Shared, id: RecordId) -> Result<DatasetId, ResolveError> {
    Ok(match resolve::local(shared, id)? {
        Some(version) => version.dataset(),
        None => id.into(),
    })
}
