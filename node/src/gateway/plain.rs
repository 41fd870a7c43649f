//! Files under their ids: `/d/<dataset or version>[@revision]/<path>`.

use std::sync::Arc;

use axum::{extract::Request, response::Response};
use opendag_protocol::{DatasetPath, RecordId, http::decode};

use super::{
    answer::{self, Found},
    refusal,
    repo::{self, MAIN, NoVersion},
};
use crate::{node::Shared, read::ReadFault};

/// Answers `GET` and `HEAD`.
pub(super) async fn answer(shared: &Arc<Shared>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    match find(shared, parts.uri.path()).await {
        Ok(found) => answer::file(&parts.method, &parts.headers, &found).await,
        Err(fault) => refusal(&fault),
    }
}

async fn find(shared: &Arc<Shared>, path: &str) -> Result<Found, ReadFault> {
    let (id, revision, path) = target(path).ok_or(ReadFault::Unknown)?;
    let version = repo::of_id(shared, id, &revision)
        .await
        .map_err(|error| match error {
            NoVersion::Repo(fault) => fault,
            NoVersion::Revision => ReadFault::Unknown,
        })?;
    let path = DatasetPath::parse(&path).map_err(|_| ReadFault::NoFile)?;
    let (shard, entry) = version.file(&path).await?;
    Ok(Found {
        version,
        shard,
        entry,
    })
}

/// The id, the revision and the decoded path of a request's path.
fn target(path: &str) -> Option<(RecordId, String, String)> {
    let (id, path) = path.strip_prefix("/d/")?.split_once('/')?;
    let (id, revision) = match id.split_once('@') {
        Some((id, revision)) => (id, decode(revision)?),
        None => (id, MAIN.to_owned()),
    };
    Some((id.parse().ok()?, revision, decode(path)?))
}
