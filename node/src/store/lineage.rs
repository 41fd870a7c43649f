//! Which versions were made from which: rows of the index, so that lineage can be followed downwards.

use opendag_protocol::{Hash, ManifestId, RecordId, record::SignedRecord};

use super::{
    index::Table,
    open::{Store, StoreError},
};

/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// A row for each version that `signed` says it was made from: that one's hash, then its own. Nothing for
/// other records.
pub(super) fn rows(signed: &SignedRecord) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let Some(manifest) = signed.as_manifest() else {
        return Vec::new();
    };
    let row = |from: ManifestId| {
        let mut key = from.hash().as_bytes().to_vec();
        key.extend_from_slice(manifest.id().hash().as_bytes());
        (key, Some(Vec::new()))
    };
    let from = manifest.derived_from().iter();
    from.map(|from| row(from.manifest)).collect()
}

impl Store {
    /// Removes the rows of a version whose record is forgotten. Not durable yet.
    pub(super) fn forget_lineage(&self, id: &RecordId) -> Result<(), StoreError> {
        let record = self.record(id)?;
        for (key, _) in record.iter().flat_map(rows) {
            self.inner.index.remove(Table::Derived, &key)?;
        }
        Ok(())
    }

    /// At most `limit` versions that were made from this one, as far as they are or were known here: the
    /// record of one may be gone. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Index`].
    pub fn made_from(
        &self,
        from: &ManifestId,
        limit: usize,
    ) -> Result<Vec<ManifestId>, StoreError> {
        let from = from.hash();
        let rows = self.inner.index.rows(Table::Derived, from.as_bytes());
        let version = |row: Result<(Vec<u8>, Vec<u8>), _>| match row {
            Ok((key, _)) => {
                let hash = <[u8; HASH_BYTES]>::try_from(key.get(HASH_BYTES..)?).ok()?;
                Some(Ok(ManifestId::from_hash(Hash::from_bytes(hash))))
            }
            Err(error) => Some(Err(StoreError::from(error))),
        };
        rows.take(limit).filter_map(version).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::testing::{Heard, Home, blocking};

    fn made(home: &Home) -> BTreeSet<ManifestId> {
        let made = home.store.made_from(&Heard::source(), 1000);
        made.unwrap().into_iter().collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn p6_what_is_forgotten_leaves_no_row_and_the_others_are_found_again() {
        let home = Home::within(300 * 1024).await;
        let store = home.store.clone();
        blocking(move || {
            for number in 0..400 {
                Heard::new(number, number.into()).tell(&store);
                store.make_room().unwrap();
            }
        })
        .await;
        let (old, new) = (Heard::new(0, 0), Heard::new(399, 399));
        let id = |heard: &Heard| ManifestId::from(heard.manifest.id());
        let known = made(&home);
        assert!(known.contains(&id(&new)) && !known.contains(&id(&old)));
        for version in &known {
            assert!(home.store.manifest_of(version).unwrap().is_some());
        }
        assert_eq!(home.store.made_from(&Heard::source(), 3).unwrap().len(), 3);
        let store = home.store.clone();
        blocking(move || store.reindex().unwrap()).await;
        assert_eq!(made(&home), known);
    }
}
