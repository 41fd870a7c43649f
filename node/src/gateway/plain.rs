//! Files and folders under their ids and names: `/d/<dataset>[@revision]/<path>`.

use std::sync::Arc;

use axum::{
    extract::Request,
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use opendag_protocol::{
    DatasetPath,
    http::plain::{Source, Target},
};

use super::{
    answer::{self, Found},
    folder,
    names::NoName,
    refusal,
    repo::{self, MAIN, NoVersion},
};
use crate::{
    node::Shared,
    read::{ReadFault, ReadVersion},
    resolve::owned::OwnedError,
};

/// Answers `GET` and `HEAD`.
pub(super) async fn answer(shared: &Arc<Shared>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let Some(target) = Target::parse(parts.uri.path()) else {
        return refusal(&ReadFault::Unknown);
    };
    let revision = target.revision.as_deref().unwrap_or(MAIN);
    let version = match &target.source {
        Source::Id(id) => repo::of_id(shared, *id, revision).await,
        Source::Named(name) => repo::version(shared, name, revision).await,
    };
    let answered = match version {
        Ok(version) => below(&version, target, &parts).await,
        Err(NoVersion::Repo(fault)) => Err(fault),
        Err(NoVersion::Revision) => Err(ReadFault::Unknown),
        Err(NoVersion::Name(error)) => return no_name(&error),
    };
    answered.unwrap_or_else(|fault| refusal(&fault))
}

/// What a version has at a path: a folder if it ends with a slash, else a file.
async fn below(
    version: &Arc<ReadVersion>,
    target: Target,
    parts: &Parts,
) -> Result<Response, ReadFault> {
    let Some(path) = target.path.as_deref() else {
        return Ok(with_slash(target));
    };
    if path.is_empty() || path.ends_with('/') {
        return folder::answer(version, path, parts).await;
    }
    let path = DatasetPath::parse(path).map_err(|_| ReadFault::NoFile)?;
    match version.file(&path).await {
        Ok((shard, entry)) => {
            let version = version.clone();
            let found = Found {
                version,
                shard,
                entry,
            };
            Ok(answer::file(&parts.method, &parts.headers, &found).await)
        }
        Err(ReadFault::NoFile) if folder::exists(version, &path).await? => Ok(with_slash(target)),
        Err(fault) => Err(fault),
    }
}

/// Relative links on a folder's page need its slash. The next version may have a file there: clients must not
/// remember it for good.
fn with_slash(mut target: Target) -> Response {
    target.path.get_or_insert_default();
    let location = match target.to_string() {
        text if text.ends_with('/') => text,
        text => text + "/",
    };
    (
        StatusCode::TEMPORARY_REDIRECT,
        [(header::LOCATION, location)],
    )
        .into_response()
}

fn no_name(error: &NoName) -> Response {
    let status = match error {
        NoName::Owned(OwnedError::Ambiguous { .. }) => StatusCode::CONFLICT,
        NoName::Owned(_) => StatusCode::NOT_FOUND,
        NoName::Unread(fault) => super::status(fault),
    };
    (status, format!("{error}\n")).into_response()
}
