//! Which records a [`DatasetState`] rests on.

use std::collections::BTreeSet;

use super::DatasetState;
use crate::{RecordId, record::SignedRecord};

impl DatasetState {
    /// The records that the state names: owners, newest head, known versions, proofs of equivocation. What
    /// is not among them adds nothing to what is known of the dataset.
    #[must_use]
    pub fn needed(&self) -> BTreeSet<RecordId> {
        let owners = self.owners.records().map(SignedRecord::id);
        let newest = self.newest.iter().map(SignedRecord::id);
        let manifests = self.manifests().map(|(_, id)| RecordId::from(id));
        owners
            .chain(newest)
            .chain(manifests)
            .chain(self.proofs())
            .collect()
    }

    /// Both records of each proof of equivocation.
    pub fn proofs(&self) -> impl Iterator<Item = RecordId> + '_ {
        let proofs = self.equivocations.iter();
        proofs.flat_map(|proof| [proof.first, proof.second])
    }
}
