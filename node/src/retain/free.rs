//! Letting go, and freeing what nothing holds.

use std::{path::Path, sync::Arc};

use opendag_protocol::retain::Hold;

use super::Holds;
use crate::{
    keep::{self, KeepError},
    node::Shared,
    ops::{Event, FreedInfo, FreedVersion, FreedWhy, GcRequest, LinkRequest},
    resolve::{self, Asked},
    store::Place,
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
    let holds = Holds::look(shared)?;
    let (mut count, mut held) = (0, 0);
    for mut place in places {
        shared
            .store
            .set_pinned(&place.manifest, &place.root, false)?;
        place.pinned = false;
        count += 1;
        held += usize::from(holds.of(&place) != Hold::Nothing);
    }
    let then = match held {
        0 => "`opendag gc` frees what this node keeps of it".to_owned(),
        _ => format!(
            "{held} of them are kept by other pins or mirrors, see `opendag pin` and `opendag mirror`"
        ),
    };
    let message = format!("{link} is no longer pinned in {count} place(s); {then}");
    Ok(Event::Changed {
        message,
        freed_bytes: 0,
    })
}

/// Lets go and frees at once. Files that lie outside of the data directory are the user's and stay.
pub(crate) async fn rm(shared: &Arc<Shared>, request: &LinkRequest) -> Result<Event, KeepError> {
    let link = request.link.as_deref().ok_or(KeepError::NoLink)?;
    let places = keep::places(shared, Some(link))?;
    let holds = Holds::look(shared)?;
    if let Some(pin) = places.iter().find_map(|place| holds.pin_of(place)) {
        return Err(KeepError::Pinned(link.to_owned(), pin));
    }
    if places.iter().any(|place| holds.of(place) == Hold::Mirror) {
        return Err(KeepError::Mirrored(link.to_owned()));
    }
    let count = places.len();
    let stay = match places.iter().all(|place| place.kind.is_ours()) {
        true => "",
        false => "; files outside of the data directory were left where they are",
    };
    let freed_bytes = remove(shared, places, link).await?;
    let message = format!("removed {link} from {count} place(s){stay}");
    Ok(Event::Changed {
        message,
        freed_bytes,
    })
}

/// Frees what nothing holds, or only tells what that is.
pub(crate) async fn gc(shared: &Arc<Shared>, request: &GcRequest) -> Result<Event, KeepError> {
    let holds = Holds::look(shared)?;
    let mut loose = shared.store.places()?;
    loose.retain(|place| holds.of(place) == Hold::Nothing);
    let mut freed = plan(shared, &loose, FreedWhy::LetGo).await?;
    freed.planned = request.plan;
    if !request.plan {
        remove(shared, loose, "what is not kept").await?;
    }
    Ok(Event::Freed(Box::new(freed)))
}

/// What goes with these places.
pub(super) async fn plan(
    shared: &Arc<Shared>,
    places: &[Place],
    why: FreedWhy,
) -> Result<FreedInfo, KeepError> {
    let removal = shared.store.plan_removal(places).await?;
    let mut versions = Vec::new();
    for (place, bytes) in places.iter().zip(&removal.files) {
        let version = resolve::version(shared, place.manifest)?;
        versions.push(FreedVersion {
            manifest: place.manifest,
            dataset: version.as_ref().map(resolve::Version::dataset),
            name: version.as_ref().map(resolve::Version::name),
            sequence: version.map(|version| version.manifest().sequence()),
            path: place.root.clone(),
            kind: place.kind.as_str().to_owned(),
            files_stay: !place.kind.is_ours(),
            bytes: *bytes,
            why,
        });
    }
    let files = removal
        .files
        .iter()
        .fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
    Ok(FreedInfo {
        planned: true,
        versions,
        outboard_bytes: removal.outboards,
        description_bytes: removal.descriptions,
        cache_bytes: 0,
        bytes: files
            .saturating_add(removal.outboards)
            .saturating_add(removal.descriptions),
    })
}

/// Lets go of versions that are not needed any more, and frees what only they needed. What is pinned, or being fetched,
/// stays. Answers the bytes freed.
pub(crate) async fn let_go(shared: &Arc<Shared>, mut places: Vec<Place>) -> Result<u64, KeepError> {
    let (holds, running) = (Holds::look(shared)?, shared.sessions.running());
    places.retain(|place| holds.pin_of(place).is_none() && !running.contains(&place.manifest));
    remove(shared, places, "older versions").await
}

/// Removes places, and frees what only they needed. Answers the bytes freed.
pub(super) async fn remove(
    shared: &Arc<Shared>,
    places: Vec<Place>,
    what: &str,
) -> Result<u64, KeepError> {
    let running = shared.sessions.running();
    if places.iter().any(|place| running.contains(&place.manifest)) {
        return Err(KeepError::Running(what.to_owned()));
    }
    let mut freed_bytes = 0;
    for place in places {
        freed_bytes += shared.store.remove_place(&place).await?;
        shared.places.forget(&place.manifest);
        let still = !shared.store.places_of(&place.manifest)?.is_empty();
        if let (Some(net), false) = (shared.running_net(), still) {
            net.stop_providing(place.manifest.hash()).await;
        }
    }
    Ok(freed_bytes + shared.store.collect().await?)
}
