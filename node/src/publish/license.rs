//! The licence of a version: the one that the publisher names, or that of the version before.

use opendag_protocol::record::Manifest;

use super::{PublishError, version};
use crate::{node::Shared, ops::PublishRequest, resolve, store::KeyStoreError};

/// A request that says its licence.
pub(super) struct Licensed {
    pub(super) request: PublishRequest,
    /// Did the publisher leave it to the version before?
    pub(super) is_kept: bool,
}

/// Fills in the licence. Nobody may use what has none, so a dataset begins with one. Blocks.
///
/// # Errors
/// [`PublishError::NoLicense`] if neither the request nor the version before says one.
pub(super) fn fill(shared: &Shared, request: &PublishRequest) -> Result<Licensed, PublishError> {
    let mut request = request.clone();
    let is_kept = request.license.is_none();
    if is_kept {
        let before = newest(shared, &request)?;
        let license = before.as_ref().and_then(Manifest::license);
        request.license = Some(license.ok_or(PublishError::NoLicense)?.to_owned());
    }
    Ok(Licensed { request, is_kept })
}

/// The newest version of the dataset that the request is about, if it is known here.
fn newest(shared: &Shared, request: &PublishRequest) -> Result<Option<Manifest>, PublishError> {
    let name = request.key.as_deref().unwrap_or(version::DEFAULT_KEY);
    let key = match shared.keys().get(name) {
        Ok(key) => key.public(),
        // It is made when the version is signed, and owns nothing yet.
        Err(KeyStoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let state = version::own_dataset(shared, &request.name, &key)?;
    let Some(newest) = state.and_then(|state| state.newest_manifest()) else {
        return Ok(None);
    };
    let newest = resolve::version(shared, newest)?;
    Ok(newest.map(|newest| newest.manifest().clone()))
}
