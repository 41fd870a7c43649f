//! Is a draft still about what is true?

use super::Draft;
use crate::{ManifestId, catalogue::DatasetState};

/// Why a draft came too late.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// Other owners took over.
    #[error("the owners of the dataset have changed since the draft was made")]
    Owners,
    /// Another version is newest.
    #[error(
        "version {sequence} of the dataset, {manifest}, was published since the draft was made"
    )]
    Version {
        /// Its sequence.
        sequence: u64,
        /// Its manifest.
        manifest: ManifestId,
    },
}

impl Draft {
    /// Would the draft still do what it says, as far as is known of the dataset? One that was finished
    /// before does; so does one that is ahead of what is known.
    ///
    /// # Errors
    /// [`Stale`].
    pub fn check_fresh(&self, state: &DatasetState) -> Result<(), Stale> {
        let current = state.owners().current_id();
        let is_behind = self.chain.at(&current).is_some();
        let is_done = self.next_owners().is_some_and(|next| next.id() == current);
        if !is_behind && !is_done {
            return Err(Stale::Owners);
        }
        let (Some(head), Some(newest)) = (self.head(), state.newest()) else {
            return Ok(());
        };
        let stale = Err(Stale::Version {
            sequence: newest.sequence(),
            manifest: newest.manifest(),
        });
        if newest.manifest() == head.manifest() {
            return Ok(());
        }
        if newest.sequence() >= head.sequence() {
            return stale;
        }
        let follows = newest.sequence().checked_add(1) == Some(head.sequence());
        match self.manifest() {
            Some(manifest) if follows && manifest.parent() != Some(newest.manifest()) => stale,
            Some(_) | None => Ok(()),
        }
    }
}
