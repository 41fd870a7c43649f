//! A file as an HTTP answer: ranges, conditions, headers, and a body that is verified as it goes out.

use std::{
    ops::Range,
    pin::pin,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use opendag_protocol::{
    ManifestId,
    http::range::{Wanted, wanted},
    table::{FileEntry, ShardIndex},
};

use super::repo::commit;
use crate::read::{ReadFault, ReadVersion};

/// The first bytes are waited for so long before anything is answered: clients give up after 10 s.
const FIRST_BYTES_MAX: Duration = Duration::from_secs(8);
/// Later ones may take longer; a client that does not wait asks for the rest.
const MORE_BYTES_MAX: Duration = Duration::from_secs(60);

/// The full id of the version that answered.
const MANIFEST_HEADER: &str = "x-opendag-manifest";
const REPR_DIGEST: header::HeaderName = header::HeaderName::from_static("repr-digest");

/// A file to answer with.
pub(super) struct Found {
    pub(super) version: Arc<ReadVersion>,
    pub(super) shard: ShardIndex,
    pub(super) entry: FileEntry,
}

impl Found {
    /// What names its content: SHA-256 as clients of the Hub expect, BLAKE3 if the publisher gave none.
    pub(super) fn digest(&self) -> String {
        digest(&self.entry)
    }
}

/// As [`Found::digest`].
pub(super) fn digest(entry: &FileEntry) -> String {
    let sha256 = entry
        .sha256()
        .map(|sha256| data_encoding::HEXLOWER.encode(&sha256));
    sha256.unwrap_or_else(|| data_encoding::HEXLOWER.encode(entry.hash().as_bytes()))
}

/// Answers a request for a file.
pub(super) async fn file(method: &Method, headers: &HeaderMap, found: &Found) -> Response {
    let answered = try_file((method, headers), found, Late::IsHeld).await;
    answered.unwrap_or_else(|fault| super::refusal(&fault))
}

/// What a client gets whose first bytes do not come in time and may come yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// The status, and the bytes when they come: the Hub's clients of all years wait for a body, give up
    /// after 10 s and ask again for what is missing; told to come again, those of 2024 fail at once and
    /// others after a few times.
    IsHeld,
    /// [`ReadFault::NotYet`]: clients of S3 come again.
    IsRefused,
}

/// As [`file()`]; what cannot be read is for the caller to tell.
pub(super) async fn try_file(
    (method, headers): (&Method, &HeaderMap),
    found: &Found,
    late: Late,
) -> Result<Response, ReadFault> {
    let etag = format!("\"{}\"", found.digest());
    let size = found.entry.size();
    let is_same = |value: &str| value == "*" || value.contains(&etag);
    if has(headers, &header::IF_NONE_MATCH, is_same) {
        return Ok(answer(
            StatusCode::NOT_MODIFIED,
            found,
            &etag,
            0,
            Body::empty(),
        ));
    }
    if headers.contains_key(header::IF_MATCH) && !has(headers, &header::IF_MATCH, is_same) {
        return Ok(answer(
            StatusCode::PRECONDITION_FAILED,
            found,
            &etag,
            0,
            Body::empty(),
        ));
    }
    let range = headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    let is_outdated = headers
        .get(header::IF_RANGE)
        .is_some_and(|value| value.as_bytes() != etag.as_bytes());
    let wanted = match range {
        Some(range) if !is_outdated => wanted(range, size),
        Some(_) | None => Wanted::Whole,
    };
    let (status, bytes) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(bytes) => (StatusCode::PARTIAL_CONTENT, bytes),
        Wanted::Unsatisfiable => {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            let mut response = answer(status, found, &etag, 0, Body::empty());
            set(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes */{size}"),
            );
            return Ok(response);
        }
    };
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => body(found, bytes.clone(), late).await?,
    };
    let mut response = answer(status, found, &etag, bytes.end - bytes.start, body);
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1);
        set(&mut response, header::CONTENT_RANGE, &range);
    }
    Ok(response)
}

/// The first bytes are read before the status is sent, so that a file that does not come is refused in
/// words; a later failure cuts the connection, which the client sees by the length.
async fn body(found: &Found, bytes: Range<u64>, late: Late) -> Result<Body, ReadFault> {
    if bytes.is_empty() {
        return Ok(Body::empty());
    }
    let read = |bytes: Range<u64>, patience| {
        let reader = found.version.reader(found.shard, &found.entry);
        reader.read(bytes, patience, MORE_BYTES_MAX)
    };
    let mut pieces = Box::pin(read(bytes.clone(), FIRST_BYTES_MAX));
    let first = match pin!(&mut pieces).next().await.ok_or(ReadFault::Failed)? {
        Err(ReadFault::NotYet { .. }) if late == Late::IsHeld => {
            return Ok(Body::from_stream(read(bytes, MORE_BYTES_MAX)));
        }
        first => first?,
    };
    let first = stream::once(async { Ok::<Bytes, ReadFault>(first) });
    Ok(Body::from_stream(first.chain(pieces)))
}

fn answer(status: StatusCode, found: &Found, etag: &str, length: u64, body: Body) -> Response {
    let entry = &found.entry;
    let media_type = entry.media_type().unwrap_or("application/octet-stream");
    let mut response = (status, body).into_response();
    set(&mut response, header::ETAG, etag);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::CONTENT_TYPE, media_type);
    set(&mut response, header::CACHE_CONTROL, "no-cache");
    let created_at = found.version.version().manifest().fields().created_at;
    let created_at = UNIX_EPOCH.checked_add(Duration::from_secs(created_at.as_secs()));
    let modified = httpdate::fmt_http_date(created_at.unwrap_or(UNIX_EPOCH));
    set(&mut response, header::LAST_MODIFIED, &modified);
    name_version(&mut response, found.version.version().id);
    if let Some(sha256) = entry.sha256() {
        let digest = format!("sha-256=:{}:", data_encoding::BASE64.encode(&sha256));
        set(&mut response, REPR_DIGEST, &digest);
    }
    if status != StatusCode::NOT_MODIFIED {
        set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    }
    response
}

/// Names the version that answered, in full and as clients of the Hub know it.
pub(super) fn name_version(response: &mut Response, manifest: ManifestId) {
    let (full, short) = (
        header::HeaderName::from_static(MANIFEST_HEADER),
        header::HeaderName::from_static("x-repo-commit"),
    );
    set(response, full, &manifest.to_string());
    set(response, short, &commit(manifest));
}

/// A publisher's text that is no header value is left out.
pub(super) fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn has(headers: &HeaderMap, name: &header::HeaderName, test: impl Fn(&str) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .any(|value| value.to_str().is_ok_and(&test))
}
