//! What a [`DatasetState`] tells.

use super::{DatasetState, Equivocation};
use crate::{
    DatasetId, ManifestId, RecordId, Timestamp,
    record::{Dataset, Head, OwnerChain, SignedRecord},
};

impl DatasetState {
    /// The dataset.
    #[must_use]
    pub fn dataset_id(&self) -> DatasetId {
        self.owners.dataset_id()
    }

    /// What it is called, by its current owner record.
    #[must_use]
    pub fn name(&self) -> &str {
        self.owners.current().name()
    }

    /// Who owns it, and who did.
    #[must_use]
    pub fn owners(&self) -> &OwnerChain {
        &self.owners
    }

    /// The newest head, even if it has expired.
    #[must_use]
    pub fn newest(&self) -> Option<&Head> {
        self.newest.as_ref().and_then(SignedRecord::as_head)
    }

    /// The newest head as it was signed.
    #[must_use]
    pub fn newest_record(&self) -> Option<&SignedRecord> {
        self.newest.as_ref()
    }

    /// The newest version; its record may not be known yet.
    #[must_use]
    pub fn newest_manifest(&self) -> Option<ManifestId> {
        self.newest().map(Head::manifest)
    }

    /// Is the newest head one of former owners, with none of the current ones yet?
    #[must_use]
    pub fn newest_is_retired(&self) -> bool {
        self.newest()
            .is_some_and(|head| head.owner_record() != self.owners.current_id())
    }

    /// Since when the newest head has expired, if it has.
    #[must_use]
    pub fn head_expired_since(&self, now: Timestamp) -> Option<Timestamp> {
        self.newest()
            .map(Head::expires_at)
            .filter(|expires_at| *expires_at <= now)
    }

    /// Proofs that the owners signed two records where there may be one, in the order of arrival.
    #[must_use]
    pub fn equivocations(&self) -> &[Equivocation] {
        &self.equivocations
    }

    /// Is it still undecided which of two versions is meant? Newer versions decide it, because each names
    /// one parent, and so does a head of later owners than those who signed the two, under
    /// `owner_records`. What owners signed under former ones never ends a fork of current ones.
    pub fn is_open(
        &self,
        proof: &Equivocation,
        owner_records: impl IntoIterator<Item = RecordId>,
    ) -> bool {
        let Some(newest) = self.newest() else {
            return true;
        };
        let place = |id: &RecordId| self.owners.at(id).map(Dataset::sequence);
        let signed = owner_records.into_iter().filter_map(|id| place(&id)).max();
        let is_later = signed.is_some_and(|signed| place(&newest.owner_record()) > Some(signed));
        newest.sequence() <= proof.sequence && !is_later
    }

    /// Known versions and their sequences, oldest first; several of one sequence are equivocation.
    pub fn manifests(&self) -> impl DoubleEndedIterator<Item = (u64, ManifestId)> + '_ {
        self.manifests
            .iter()
            .flat_map(|(sequence, known)| known.iter().map(|known| (*sequence, known.id)))
    }

    /// Known versions with this sequence.
    pub fn manifests_at(&self, sequence: u64) -> impl Iterator<Item = ManifestId> + '_ {
        self.manifests
            .get(&sequence)
            .into_iter()
            .flatten()
            .map(|known| known.id)
    }

    /// The sequence of a known version.
    #[must_use]
    pub fn sequence_of(&self, manifest: &ManifestId) -> Option<u64> {
        self.manifests()
            .find(|(_, id)| id == manifest)
            .map(|(sequence, _)| sequence)
    }
}
