//! What holds the versions that lie here.

use std::collections::{BTreeMap, BTreeSet};

use opendag_protocol::{DatasetId, ManifestId, RecordId, retain::Hold};

use super::mirror;
use crate::{
    node::Shared,
    store::{Pins, Place, PlaceKind, StoreError},
};

/// All that holds something.
pub(super) struct Holds {
    pins: Pins,
    /// Datasets that are mirrored.
    mirrored: BTreeSet<DatasetId>,
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
            mirrored: mirror::held_of(shared, datasets.values().copied())?,
            datasets,
        })
    }

    /// What holds a place.
    pub(super) fn of(&self, place: &Place) -> Hold {
        if place.pinned || self.pin_of(place).is_some() {
            return Hold::Kept;
        }
        let mirrored = self
            .dataset_of(place)
            .is_some_and(|id| self.mirrored.contains(&id));
        match mirrored && place.kind == PlaceKind::Mirrored {
            true => Hold::Mirror,
            false => Hold::Nothing,
        }
    }

    /// The dataset of which a version lies in a place, if its record is here.
    pub(super) fn dataset_of(&self, place: &Place) -> Option<DatasetId> {
        self.datasets.get(&place.manifest).copied()
    }

    /// What is pinned of a place: its version, or its dataset.
    pub(super) fn pin_of(&self, place: &Place) -> Option<RecordId> {
        let dataset = self.dataset_of(place);
        let ids = [Some(place.manifest.into()), dataset.map(RecordId::from)];
        ids.into_iter().flatten().find(|id| self.pins.has(*id))
    }
}
