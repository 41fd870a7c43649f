//! Pinning: what is never let go unasked.

use std::{path::Path, sync::Arc};

use opendag_protocol::ManifestId;

use crate::{
    keep::KeepError,
    node::Shared,
    ops::{Event, LinkRequest, PinInfo},
    resolve::{self, Asked},
    store::StoreError,
};

/// Pins a dataset or a version, here or not.
pub(crate) fn pin(shared: &Arc<Shared>, request: &LinkRequest) -> Result<Event, KeepError> {
    let link = request.link.as_deref().ok_or(KeepError::NoLink)?;
    let id = Asked::parse(shared, link, Path::new("/"), &[])?
        .here(shared)?
        .id;
    shared.store.pin(id)?;
    let mut here = 0;
    for place in shared.store.places()? {
        let version = resolve::version(shared, place.manifest)?;
        let dataset = version.map(|version| version.dataset().into());
        if id == place.manifest.into() || dataset == Some(id) {
            // It may have been let go before.
            shared
                .store
                .set_pinned(&place.manifest, &place.root, true)?;
            here += 1;
        }
    }
    let message = match here {
        0 => format!(
            "{link} is pinned, but nothing of it lies here, and a pin fetches nothing. To bring it here: \
             `opendag fetch {id}` into a folder of yours, `opendag mirror {id}` into the data directory"
        ),
        _ => format!("{link} is pinned in {here} place(s)"),
    };
    Ok(Event::Changed {
        message,
        freed_bytes: 0,
    })
}

/// Keeps a version that lies here, in all its places; false if it does not lie here.
pub(crate) fn keep_places(shared: &Shared, manifest: ManifestId) -> Result<bool, StoreError> {
    let here = shared.store.places_of(&manifest)?;
    for place in &here {
        shared
            .store
            .set_pinned(&place.manifest, &place.root, true)?;
    }
    Ok(!here.is_empty())
}

/// All that is pinned.
pub(crate) fn pins(shared: &Shared) -> Result<Event, KeepError> {
    let places = shared.store.places()?;
    let mut pins = Vec::new();
    for id in shared.store.pins()?.iter() {
        let state = shared.store.dataset(&id.into())?;
        let version = match state {
            Some(_) => None,
            None => resolve::version(shared, id.into()).unwrap_or(None),
        };
        let known = state
            .as_ref()
            .or(version.as_ref().map(|known| &known.state));
        let mut here: Vec<_> = places.iter().map(|place| place.manifest).collect();
        here.retain(|manifest| match &state {
            Some(state) => state.manifests().any(|(_, known)| known == *manifest),
            None => *manifest == id.into(),
        });
        here.sort_unstable();
        here.dedup();
        pins.push(PinInfo {
            id,
            name: known.map(|state| state.name().to_owned()),
            sequence: version.map(|version| version.manifest().sequence()),
            here,
        });
    }
    Ok(Event::Pins { pins })
}
