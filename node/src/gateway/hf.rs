//! The read API of the Hugging Face Hub, as far as its clients need it: `specs/gateway.md`.

mod paths;
mod tree;

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use opendag_protocol::{
    DatasetPath, Timestamp,
    http::hf::{Repo, Route},
};
use serde_json::{Value, json};

use super::{
    answer::{self, Found},
    not_allowed, refusal,
    repo::{self, MAIN, NoVersion, commit},
};
use crate::{
    api::http,
    croissant::Urls,
    node::Shared,
    read::{ReadFault, ReadVersion},
    resolve::Version,
};

/// Why a thing is not there, for clients.
const ERROR_CODE: header::HeaderName = header::HeaderName::from_static("x-error-code");
const ERROR_MESSAGE: header::HeaderName = header::HeaderName::from_static("x-error-message");
/// Files are read so long for a description in Croissant.
const CROISSANT_MAX: Duration = Duration::from_secs(6);
/// Bytes of a body with paths: 10,000 of common length. All connections together hold 128 of them.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Answers any request for the Hub.
pub(super) async fn answer(shared: &Arc<Shared>, request: Request) -> Response {
    let Some(route) = Route::parse(request.uri().path()) else {
        return json_error(StatusCode::NOT_FOUND, "no such route");
    };
    let (parts, body) = request.into_parts();
    let is_post = parts.method == Method::POST;
    let wants_post = matches!(route, Route::PathsInfo(..));
    if is_post != wants_post || !(is_post || matches!(parts.method, Method::GET | Method::HEAD)) {
        return not_allowed(if wants_post { "POST" } else { "GET, HEAD" });
    }
    let query = parts.uri.query().unwrap_or_default();
    let repo = route.repo().clone();
    let revision = match &route {
        Route::Info(_, revision) => revision.as_deref().unwrap_or(MAIN),
        Route::Tree(_, revision, _)
        | Route::PathsInfo(_, revision)
        | Route::Commits(_, revision)
        | Route::Resolve(_, revision, _) => revision,
        Route::Refs(_) | Route::Croissant(_) => MAIN,
    };
    let version = match repo::version(shared, &repo, revision).await {
        Ok(version) => version,
        Err(error) => return no_version(&repo, revision, &error),
    };
    match &route {
        Route::Info(..) => tree::info(&repo, &version, query).await,
        Route::Tree(_, revision, folder) => {
            let base = base(&parts.headers);
            tree::tree(&repo, (&version, revision), folder, (query, &base)).await
        }
        Route::PathsInfo(..) => paths_info(&version, &parts.headers, body).await,
        Route::Refs(_) => Json(refs(shared, &version)).into_response(),
        Route::Commits(..) => Json(commits(shared, &version)).into_response(),
        Route::Croissant(_) => croissant(shared, &version, base(&parts.headers)).await,
        Route::Resolve(_, _, path) => resolve(&version, path, &parts.method, &parts.headers).await,
    }
}

async fn paths_info(version: &Arc<ReadVersion>, headers: &HeaderMap, body: Body) -> Response {
    let body = match http::body(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(status) => return json_error(status, "the paths are too many or come too slowly"),
    };
    match paths::of(headers, &body) {
        Some(paths) => tree::paths_info(version, paths).await,
        None => {
            let message = format!(
                "more than {} paths; ask for some at a time",
                paths::PATHS_MAX
            );
            json_error(StatusCode::PAYLOAD_TOO_LARGE, &message)
        }
    }
}

/// What is read for it comes from peers if need be: clients wait for 10 s.
async fn croissant(shared: &Shared, version: &Arc<ReadVersion>, base: String) -> Response {
    let documents = &shared.documents;
    match documents
        .of(version, Urls::Gateway(base), CROISSANT_MAX)
        .await
    {
        Ok(text) => {
            let mut response = text.into_response();
            answer::set(&mut response, header::CONTENT_TYPE, "application/ld+json");
            response
        }
        Err(fault) => refusal(&fault),
    }
}

async fn resolve(
    version: &Arc<ReadVersion>,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let found = match DatasetPath::parse(path) {
        Ok(path) => version.file(&path).await,
        Err(_) => Err(ReadFault::NoFile),
    };
    match found {
        Ok((shard, entry)) => {
            let version = version.clone();
            answer::file(
                method,
                headers,
                &Found {
                    version,
                    shard,
                    entry,
                },
            )
            .await
        }
        Err(ReadFault::NoFile) => no_entry(version, path),
        Err(fault) => refusal(&fault),
    }
}

/// The names of versions: their labels as tags.
fn refs(shared: &Shared, newest: &ReadVersion) -> Value {
    let history = repo::history(shared, newest.version().dataset());
    let tags = history.iter().filter_map(|version| {
        let name = version.manifest().fields().label.as_ref()?;
        let (reference, target) = (format!("refs/tags/{name}"), commit(version.id));
        Some(json!({ "name": name, "ref": reference, "targetCommit": target }))
    });
    let main = commit(newest.version().id);
    json!({
        "branches": [{ "name": MAIN, "ref": "refs/heads/main", "targetCommit": main }],
        "tags": tags.collect::<Vec<_>>(),
        "converts": [],
    })
}

/// The versions up to one, the newest first.
fn commits(shared: &Shared, last: &ReadVersion) -> Value {
    let history = repo::history(shared, last.version().dataset());
    let sequence = last.version().manifest().fields().sequence;
    let until = history
        .iter()
        .filter(|version| version.manifest().fields().sequence <= sequence);
    let commits = until.map(|version| {
        let fields = version.manifest().fields();
        let title = fields.title.clone().or_else(|| fields.label.clone());
        json!({
            "id": commit(version.id),
            "title": title.unwrap_or_else(|| format!("version {}", fields.sequence)),
            "message": fields.description.clone().unwrap_or_default(),
            "date": date(fields.created_at),
            "authors": [{ "user": version.name() }],
        })
    });
    Value::Array(commits.collect())
}

/// What a version is, without its files.
fn described(repo: &Repo, version: &Version) -> Value {
    let fields = version.manifest().fields();
    json!({
        "id": repo.to_string(),
        "author": repo.namespace,
        "sha": commit(version.id),
        "lastModified": date(fields.created_at),
        "createdAt": date(fields.created_at),
        "private": false,
        "gated": false,
        "disabled": false,
        "downloads": 0,
        "likes": 0,
        "tags": fields.tags,
        "description": fields.description,
        "cardData": { "license": fields.license, "language": fields.languages, "pretty_name": fields.title },
    })
}

/// As the Hub writes it: RFC 3339 with milliseconds.
fn date(at: Timestamp) -> String {
    let at = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(at.as_secs()));
    let at = at.unwrap_or(std::time::UNIX_EPOCH);
    humantime::format_rfc3339_millis(at).to_string()
}

/// The URL of this listener as the client wrote it: links lead back to where it came from.
fn base(headers: &HeaderMap) -> String {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or_default())
}

fn no_version(repo: &Repo, revision: &str, error: &NoVersion) -> Response {
    match error {
        // The one code whose words the clients show.
        NoVersion::Name(error) => coded("RepoNotFound", &error.to_string()),
        NoVersion::Repo(ReadFault::Unknown) => {
            let message = format!("dataset {repo} is not known to this node or its peers");
            coded("RepoNotFound", &message)
        }
        NoVersion::Repo(fault) => refusal(fault),
        NoVersion::Revision => {
            let message = format!("dataset {repo} has no version {revision} that is known here");
            coded("RevisionNotFound", &message)
        }
    }
}

fn no_entry(version: &ReadVersion, path: &str) -> Response {
    let message = format!("this version has no file {path}");
    let mut response = coded("EntryNotFound", &message);
    let name = header::HeaderName::from_static("x-repo-commit");
    answer::set(&mut response, name, &commit(version.version().id));
    response
}

/// A thing that is not there, in the Hub's words.
fn coded(code: &str, message: &str) -> Response {
    let mut response = json_error(StatusCode::NOT_FOUND, message);
    answer::set(&mut response, ERROR_CODE, code);
    answer::set(&mut response, ERROR_MESSAGE, message);
    response
}

fn json_error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

/// The values of a field of a form or query, decoded.
fn fields<'a>(text: &'a [u8], name: &'a str) -> impl Iterator<Item = String> + 'a {
    let pairs = form_urlencoded::parse(text);
    pairs
        .filter(move |(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Is a switch of a query on?
fn is_on(query: &str, name: &str) -> bool {
    fields(query.as_bytes(), name)
        .any(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "1"))
}
