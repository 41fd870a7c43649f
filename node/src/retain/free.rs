//! Letting go, and freeing what nothing needs.

use std::{path::Path, sync::Arc};

use crate::{
    keep::{self, KeepError},
    node::Shared,
    ops::{Event, LinkRequest},
    resolve::{self, Asked},
    store::{Pins, Place, StoreError},
};

/// Lets go: `gc` may free it.
pub(crate) async fn unpin(shared: &Arc<Shared>, request: &LinkRequest) -> Result<Event, KeepError> {
    let link = request.link.as_deref().ok_or(KeepError::NoLink)?;
    let id = Asked::parse(shared, link, Path::new("/"), &[])?
        .here(shared)?
        .id;
    let was_pinned = shared.store.unpin(id)?;
    let places = match keep::places(shared, Some(link)) {
        Err(KeepError::NotHere(_)) if was_pinned => Vec::new(),
        places => places?,
    };
    let pins = shared.store.pins()?;
    let (mut count, mut held) = (0, 0);
    for place in places {
        shared
            .store
            .set_pinned(&place.manifest, &place.root, false)?;
        count += 1;
        held += usize::from(is_pinned(shared, &pins, &place)?);
    }
    let then = match held {
        0 => "`opendag gc` frees what this node keeps of it".to_owned(),
        _ => format!("{held} of them are kept by other pins, see `opendag pin`"),
    };
    let message = format!("{link} is no longer pinned in {count} place(s); {then}");
    Ok(Event::Changed {
        message,
        freed_bytes: 0,
    })
}

/// Is the version of a place pinned, by itself or with its dataset?
fn is_pinned(shared: &Shared, pins: &Pins, place: &Place) -> Result<bool, StoreError> {
    let record = shared.store.manifest_of(&place.manifest)?;
    let dataset = record.and_then(|record| record.record().dataset_id());
    Ok(pins.hold(dataset, place.manifest))
}

/// Lets go and frees at once. Files that lie outside of the data directory are the user's and stay.
pub(crate) async fn rm(shared: &Arc<Shared>, request: &LinkRequest) -> Result<Event, KeepError> {
    let link = request.link.as_deref().ok_or(KeepError::NoLink)?;
    let places = keep::places(shared, Some(link))?;
    let pins = shared.store.pins()?;
    for place in &places {
        if is_pinned(shared, &pins, place)? {
            let dataset = resolve::version(shared, place.manifest)?;
            let dataset = dataset.map(|version| version.dataset().into());
            let by = dataset.filter(|dataset| pins.has(*dataset));
            let by = by.unwrap_or_else(|| place.manifest.into());
            return Err(KeepError::Pinned(link.to_owned(), by));
        }
    }
    free(shared, places, link).await
}

/// Frees what is not kept.
pub(crate) async fn gc(shared: &Arc<Shared>) -> Result<Event, KeepError> {
    let pins = shared.store.pins()?;
    let mut loose = Vec::new();
    for place in shared.store.places()? {
        if !place.pinned && !is_pinned(shared, &pins, &place)? {
            loose.push(place);
        }
    }
    free(shared, loose, "what is not kept").await
}

async fn free(shared: &Arc<Shared>, places: Vec<Place>, what: &str) -> Result<Event, KeepError> {
    let running = shared.sessions.running();
    if places.iter().any(|place| running.contains(&place.manifest)) {
        return Err(KeepError::Running(what.to_owned()));
    }
    let mut freed_bytes = 0;
    let count = places.len();
    let outside = places.iter().filter(|place| !place.kind.is_ours()).count();
    for place in places {
        freed_bytes += shared.store.remove_place(&place).await?;
        let still = shared
            .store
            .places()?
            .iter()
            .any(|other| other.manifest == place.manifest);
        if let (Some(net), false) = (shared.running_net(), still) {
            net.stop_providing(place.manifest.hash()).await;
        }
    }
    let stay = if outside > 0 {
        "; files outside of the data directory were left where they are"
    } else {
        ""
    };
    freed_bytes += shared.store.collect().await?;
    let message = format!("removed {what} from {count} place(s){stay}");
    Ok(Event::Changed {
        message,
        freed_bytes,
    })
}
