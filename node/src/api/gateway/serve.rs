//! The gateway's answers.

use std::ops::Range;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, response},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::stream;
use opendag_protocol::RecordId;

use super::{
    super::guard,
    GATEWAY_READ_BYTES_MAX, GatewayError, GatewayFile, GatewaySource,
    range::{Wanted, wanted},
};

/// Prefix of all paths.
const PREFIX: &str = "/d/";
/// The full id of the version that answered, as a header.
const MANIFEST_HEADER: &str = "x-opendag-manifest";

pub(super) fn router<S: GatewaySource>(source: S) -> Router {
    Router::new()
        .route("/d/{*path}", get(file::<S>))
        .layer(middleware::from_fn(check))
        .with_state(source)
}

/// Pages of other names may not read what is here, although it needs no token.
async fn check(request: Request, next: Next) -> Response {
    match guard::check_host(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(status) => status.into_response(),
    }
}

async fn file<S: GatewaySource>(State(source): State<S>, request: Request) -> Response {
    let Some((id, path)) = target(request.uri().path()) else {
        return refusal(&GatewayError::NotFound);
    };
    let found = match source.find(id, &path).await {
        Ok(found) => found,
        Err(error) => return refusal(&error),
    };
    let etag = format!("\"{}\"", found.hash);
    let headers = request.headers();
    if has(headers, &header::IF_NONE_MATCH, |value| {
        value == "*" || value.contains(&etag)
    }) {
        return answer(StatusCode::NOT_MODIFIED, &found, &etag, 0, Body::empty());
    }
    let range = headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    let outdated = headers
        .get(header::IF_RANGE)
        .is_some_and(|value| value.as_bytes() != etag.as_bytes());
    let wanted = match range {
        Some(range) if !outdated => wanted(range, found.size),
        Some(_) | None => Wanted::Whole,
    };
    let (status, bytes) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..found.size),
        Wanted::Part(bytes) => (StatusCode::PARTIAL_CONTENT, bytes),
        Wanted::Unsatisfiable => {
            let mut response = answer(
                StatusCode::RANGE_NOT_SATISFIABLE,
                &found,
                &etag,
                0,
                Body::empty(),
            );
            set(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes */{}", found.size),
            );
            return response;
        }
    };
    let body = if request.method() == Method::HEAD {
        Body::empty()
    } else {
        match body(source, &found, bytes.clone()).await {
            Ok(body) => body,
            Err(error) => return refusal(&error),
        }
    };
    let mut response = answer(status, &found, &etag, bytes.end - bytes.start, body);
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, found.size);
        set(&mut response, header::CONTENT_RANGE, &range);
    }
    response
}

/// The id and the decoded path of a request's path.
fn target(path: &str) -> Option<(RecordId, String)> {
    let (id, path) = path.strip_prefix(PREFIX)?.split_once('/')?;
    Some((id.parse().ok()?, percent_decode(path)?))
}

/// `None`: a `%` without two hexadecimal digits, or bytes that are not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(bytes.next())? * 16 + digit(bytes.next())?;
            decoded.push(u8::try_from(value).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

fn has(headers: &HeaderMap, name: &header::HeaderName, test: impl Fn(&str) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .any(|value| value.to_str().is_ok_and(&test))
}

/// The first piece is read before the status is sent, so that a file that is not whole is refused
/// in words; a later failure cuts the connection, which the client sees by the length.
async fn body<S: GatewaySource>(
    source: S,
    file: &GatewayFile,
    bytes: Range<u64>,
) -> Result<Body, GatewayError> {
    if bytes.is_empty() {
        return Ok(Body::empty());
    }
    let hash = file.hash;
    let (piece, rest) = split(bytes);
    let first = source.read(hash, piece).await?;
    let pieces = stream::unfold(
        (source, Some(first), rest),
        move |(source, first, rest)| async move {
            if let Some(first) = first {
                return Some((Ok(first), (source, None, rest)));
            }
            if rest.is_empty() {
                return None;
            }
            let (piece, rest) = split(rest);
            let read: Result<Bytes, GatewayError> = source.read(hash, piece).await;
            Some((read, (source, None, rest)))
        },
    );
    Ok(Body::from_stream(pieces))
}

/// The next piece to read, up to a multiple of its size, and what remains.
fn split(bytes: Range<u64>) -> (Range<u64>, Range<u64>) {
    let boundary = (bytes.start / GATEWAY_READ_BYTES_MAX).saturating_add(1);
    let middle = boundary
        .saturating_mul(GATEWAY_READ_BYTES_MAX)
        .min(bytes.end);
    (bytes.start..middle, middle..bytes.end)
}

fn answer(status: StatusCode, file: &GatewayFile, etag: &str, length: u64, body: Body) -> Response {
    let media_type = file
        .media_type
        .as_deref()
        .unwrap_or("application/octet-stream");
    let mut response = (status, body).into_response();
    set(&mut response, header::ETAG, etag);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::CONTENT_TYPE, media_type);
    set(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(
        &mut response,
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; sandbox",
    );
    set(&mut response, header::CACHE_CONTROL, "no-cache");
    set(
        &mut response,
        header::HeaderName::from_static(MANIFEST_HEADER),
        &file.manifest.to_string(),
    );
    if status != StatusCode::NOT_MODIFIED {
        set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    }
    response
}

/// A publisher's text that is no header value is left out.
fn set(response: &mut response::Response<Body>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn refusal(error: &GatewayError) -> Response {
    let status = match error {
        GatewayError::NotFound => StatusCode::NOT_FOUND,
        GatewayError::NotHere => StatusCode::CONFLICT,
        GatewayError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        GatewayError::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = (status, format!("{error}\n")).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        set(&mut response, header::RETRY_AFTER, "1");
    }
    response
}
