//! What holds the versions that lie here.

use std::collections::BTreeMap;

use opendag_protocol::{DatasetId, ManifestId, RecordId, retain::Hold};

use crate::{
    node::Shared,
    store::{Pins, Place, StoreError},
};

/// All that holds something.
pub(super) struct Holds {
    pins: Pins,
    datasets: BTreeMap<ManifestId, DatasetId>,
}

impl Holds {
    /// As it is now. Blocks.
    pub(super) fn look(shared: &Shared) -> Result<Self, StoreError> {
        let mut datasets = BTreeMap::new();
        for place in shared.store.places()? {
            let record = shared.store.manifest_of(&place.manifest)?;
            let dataset = record.and_then(|record| record.record().dataset_id());
            datasets.extend(dataset.map(|dataset| (place.manifest, dataset)));
        }
        Ok(Self {
            pins: shared.store.pins()?,
            datasets,
        })
    }

    /// What holds a place.
    pub(super) fn of(&self, place: &Place) -> Hold {
        match place.pinned || self.pin_of(place).is_some() {
            true => Hold::Kept,
            false => Hold::Nothing,
        }
    }

    /// What is pinned of a place: its version, or its dataset.
    pub(super) fn pin_of(&self, place: &Place) -> Option<RecordId> {
        let dataset = self.datasets.get(&place.manifest).copied();
        let ids = [Some(place.manifest.into()), dataset.map(RecordId::from)];
        ids.into_iter().flatten().find(|id| self.pins.has(*id))
    }
}
