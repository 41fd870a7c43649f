//! The form in which a [`DatasetState`] is stored: signed records and ids, judged again when read.

use serde::{Deserialize, Serialize};

use super::{DatasetState, Equivocation, Known, Refused};
use crate::{
    ManifestId,
    limits::{EQUIVOCATIONS_MAX, MANIFESTS_KNOWN_MAX, MANIFESTS_PER_SEQUENCE_MAX},
    record::SignedRecord,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    owners: Vec<SignedRecord>,
    newest: Option<SignedRecord>,
    manifests: Vec<StoredManifest>,
    equivocations: Vec<Equivocation>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredManifest {
    sequence: u64,
    id: ManifestId,
    parent: Option<ManifestId>,
}

/// Why a stored state is not one that was stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoredError {
    #[error("the state of a dataset has no owner record")]
    NoOwners,
    #[error("the state of a dataset holds a record that does not belong there")]
    Refused(#[source] Refused),
    #[error("the state of a dataset holds something else than a head as its newest")]
    NotAHead,
    #[error("the state of a dataset holds more than its limits allow")]
    TooMuch,
}

impl From<DatasetState> for Stored {
    fn from(state: DatasetState) -> Self {
        let manifests = state.manifests.iter().flat_map(|(sequence, known)| {
            let sequence = *sequence;
            let stored = move |known: &Known| StoredManifest {
                sequence,
                id: known.id,
                parent: known.parent,
            };
            known.iter().map(stored)
        });
        Self {
            manifests: manifests.collect(),
            owners: state.owners.records().cloned().collect(),
            newest: state.newest,
            equivocations: state.equivocations,
        }
    }
}

impl TryFrom<Stored> for DatasetState {
    type Error = StoredError;

    /// Builds the state again. The clock has no say here: what was accepted once stays.
    fn try_from(stored: Stored) -> Result<Self, StoredError> {
        let (first, rest) = stored.owners.split_first().ok_or(StoredError::NoOwners)?;
        let mut state = Self::new(first).map_err(StoredError::Refused)?;
        let refused = |error| StoredError::Refused(Refused::Owners(error));
        for next in rest {
            state.owners.extend(next).map_err(refused)?;
        }
        if let Some(newest) = stored.newest {
            newest.as_head().ok_or(StoredError::NotAHead)?;
            state.owners.authorises(&newest).map_err(refused)?;
            state.newest = Some(newest);
        }
        for StoredManifest {
            sequence,
            id,
            parent,
        } in stored.manifests
        {
            let same = state.manifests.entry(sequence).or_default();
            same.push(Known { id, parent });
            if same.len() > MANIFESTS_PER_SEQUENCE_MAX {
                return Err(StoredError::TooMuch);
            }
        }
        if state.manifests.len() > MANIFESTS_KNOWN_MAX
            || stored.equivocations.len() > EQUIVOCATIONS_MAX
        {
            return Err(StoredError::TooMuch);
        }
        state.equivocations = stored.equivocations;
        Ok(state)
    }
}
