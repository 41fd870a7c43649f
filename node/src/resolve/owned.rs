//! Datasets by the user's name for their publisher: `alice/corpus`.
//!
//! The command line, the gateway and mounts all ask here, so that such a name means one dataset everywhere.
//! Source: `specs/gateway.md`, section *Aliases*.

use opendag_protocol::{
    DatasetId, RecordId, catalogue::DatasetState, http::alias::Alias, key::PublicKey,
    record::Dataset, revision,
};

use crate::{
    fault::Fault,
    node::Shared,
    store::{DataDirError, StoreError},
};

/// Ids that a refusal names at most.
const IDS_TOLD_MAX: usize = 8;

/// Characters of a text that a refusal quotes at most.
const NAME_CHARS_MAX: usize = 64;

/// Why such a name means no dataset.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnedError {
    /// Nobody has that name, which is cut and escaped.
    #[error(
        "there is no alias {0} on this node; the user sets one with: opendag alias set {0} KEY"
    )]
    NoAlias(String),
    /// Several datasets have it.
    #[error("{count} datasets known here are called {name}; ask for one by its id: {ids}")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many.
        count: usize,
        /// Which ones.
        ids: String,
    },
    /// It is known, and belongs to others.
    #[error("the dataset {name} is not owned by the publisher that {alias} stands for")]
    NotTheirs {
        /// The alias.
        alias: Alias,
        /// The dataset's name.
        name: String,
    },
    /// The alias cannot be read.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OwnedError {
    /// Who is to blame.
    #[must_use]
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::NoAlias(_) | Self::Ambiguous { .. } => Fault::Input,
            Self::NotTheirs { .. } => Fault::Refused,
            Self::DataDir(_) | Self::Store(_) => Fault::Local,
        }
    }

    pub(crate) fn no_alias(text: &str) -> Self {
        let shown: String = text.chars().take(NAME_CHARS_MAX).collect();
        Self::NoAlias(shown.escape_debug().to_string())
    }

    pub(crate) fn ambiguous(name: &str, known: &[DatasetId]) -> Self {
        let ids = known.iter().take(IDS_TOLD_MAX).map(ToString::to_string);
        Self::Ambiguous {
            name: name.to_owned(),
            count: known.len(),
            ids: ids.collect::<Vec<_>>().join(", "),
        }
    }
}

/// Somebody to whom the user gave a name.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    alias: Alias,
    key: PublicKey,
}

impl Publisher {
    /// The publisher that an alias stands for. Blocks.
    pub(crate) fn find(shared: &Shared, text: &str) -> Result<Self, OwnedError> {
        let none = || OwnedError::no_alias(text);
        let alias: Alias = text.parse().map_err(|_| none())?;
        let key = shared.data_dir.aliases().get(&alias)?.ok_or_else(none)?;
        Ok(Self { alias, key })
    }

    /// Owns the publisher the dataset now, by a signature of its own?
    pub(crate) fn vouches(&self, state: &DatasetState) -> bool {
        state.owners().is_vouched_by(&self.key)
    }

    /// The same of a dataset that may be known here. Blocks.
    pub(crate) fn vouches_for(&self, shared: &Shared, id: DatasetId) -> Result<bool, StoreError> {
        let state = shared.store.dataset(&id)?;
        Ok(state.is_some_and(|state| self.vouches(&state)))
    }

    /// The publisher's one dataset of that name, if it is known here. Blocks.
    fn known(&self, shared: &Shared, name: &str) -> Result<Option<RecordId>, OwnedError> {
        let mut theirs = Vec::new();
        for id in shared.store.by_name(name)? {
            if self.vouches_for(shared, id)? {
                theirs.push(id);
            }
        }
        match theirs.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some((*one).into())),
            many => Err(OwnedError::ambiguous(name, many)),
        }
    }

    /// The publisher's dataset of that name: the one that is known here, or the id under which it would be found.
    /// `None`: it is no name. Blocks.
    pub(crate) fn dataset(
        &self,
        shared: &Shared,
        name: &str,
    ) -> Result<Option<RecordId>, OwnedError> {
        if let Some(id) = self.known(shared, name)? {
            return Ok(Some(id));
        }
        let Some(id) = self.first(name) else {
            return Ok(None);
        };
        if let Some(state) = shared.store.dataset(&id.into())? {
            self.check(&state)?;
        }
        Ok(Some(id))
    }

    /// A name, and what stands behind its `@`: the longest name that is known here, or the shortest. Blocks.
    pub(crate) fn split<'a>(
        &self,
        shared: &Shared,
        text: &'a str,
    ) -> Result<(&'a str, Option<&'a str>), OwnedError> {
        let mut read = (text, None);
        for (name, revision) in revision::split(text) {
            if self.known(shared, read.0)?.is_some() {
                break;
            }
            read = (name, Some(revision));
        }
        Ok(read)
    }

    /// The id under which the publisher begins a dataset of that name, which nobody here has seen yet: name and
    /// key alone say it. `None`: it is no name.
    fn first(&self, name: &str) -> Option<RecordId> {
        let first = Dataset::first(name, self.key);
        first.ok().map(|first| first.id())
    }

    /// Whoever asked for the publisher's dataset gets no one else's.
    pub(crate) fn check(&self, state: &DatasetState) -> Result<(), OwnedError> {
        match self.vouches(state) {
            true => Ok(()),
            false => Err(OwnedError::NotTheirs {
                alias: self.alias.clone(),
                name: state.name().to_owned(),
            }),
        }
    }
}
