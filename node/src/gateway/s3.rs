//! Datasets as objects of a read-only S3, path style, on a listener of its own: `specs/gateway.md`.
//!
//! The bucket `opendag` has the keys `<dataset or version>/<path>`. Signatures are not looked at.

mod xml;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use opendag_protocol::{
    DatasetPath,
    http::{
        encode_path,
        hf::Repo,
        s3::{List, Target, has},
    },
};
use tokio::task::AbortHandle;

use self::xml::Xml;
use super::{
    answer::{self, Found, digest},
    guarded, repo,
};
use crate::{
    api::{ApiError, http},
    node::{Node, Shared},
    read::{Listed, ReadFault, ReadVersion},
};

/// The bucket of all datasets, by their ids or names.
const BUCKET: &str = "opendag";
/// Seconds after which a client may ask again for what has not come yet.
const RETRY_AFTER: &str = "1";

/// The running listener. Dropping it stops it and ends its connections.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl S3Server {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken or not of this machine.
    pub async fn start(node: &Node, address: SocketAddr) -> Result<Self, ApiError> {
        let (listener, address) = http::listen(address).await?;
        let app = guarded(node.shared.clone(), Router::new().fallback(route));
        let task = tokio::spawn(http::serve(listener, app)).abort_handle();
        let shared = node.shared.clone();
        let server = Self {
            address,
            shared,
            task,
        };
        server.shared.listeners.set_s3(Some(server.url()));
        Ok(server)
    }

    /// The URL under which it answers, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.listeners.set_s3(None);
    }
}

/// Why an answer is an error: status, code and words.
struct S3Error(StatusCode, &'static str, String);

impl S3Error {
    fn no_key(key: &str) -> Self {
        let message = format!("there is no object {key}");
        Self(StatusCode::NOT_FOUND, "NoSuchKey", message)
    }

    fn no_bucket(bucket: &str) -> Self {
        let message = format!("there is no bucket {bucket}");
        Self(StatusCode::NOT_FOUND, "NoSuchBucket", message)
    }

    fn of(fault: &ReadFault, key: &str) -> Self {
        match fault {
            ReadFault::Unknown | ReadFault::NoFile => Self::no_key(key),
            ReadFault::NotYet { .. } => Self(
                StatusCode::SERVICE_UNAVAILABLE,
                "SlowDown",
                fault.to_string(),
            ),
            ReadFault::Nobody { .. } => Self(
                StatusCode::GATEWAY_TIMEOUT,
                "RequestTimeout",
                fault.to_string(),
            ),
            ReadFault::Failed => Self(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                fault.to_string(),
            ),
        }
    }

    fn response(&self) -> Response {
        let Self(status, code, message) = self;
        let mut xml = Xml::error();
        xml.text("Code", code);
        xml.text("Message", message);
        let mut response = xml.response(*status);
        if *status == StatusCode::SERVICE_UNAVAILABLE {
            answer::set(&mut response, header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

async fn route(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        let message = "this storage is read-only".to_owned();
        return S3Error(StatusCode::FORBIDDEN, "AccessDenied", message).response();
    }
    let query = parts.uri.query().unwrap_or_default();
    let answered = match Target::parse(parts.uri.path()) {
        Some(Target::Buckets) => Ok(buckets()),
        Some(Target::Bucket(bucket) | Target::Object(bucket, _)) if bucket != BUCKET => {
            Err(S3Error::no_bucket(&bucket))
        }
        Some(Target::Bucket(_)) if parts.method == Method::HEAD => {
            Ok(StatusCode::OK.into_response())
        }
        Some(Target::Bucket(bucket)) => bucket_of(&shared, &bucket, query).await,
        Some(Target::Object(_, key)) => {
            object(&shared, &key, (&parts.method, &parts.headers)).await
        }
        None => Err(S3Error::no_key(parts.uri.path())),
    };
    answered.unwrap_or_else(|error| error.response())
}

fn buckets() -> Response {
    let mut xml = Xml::new("ListAllMyBucketsResult");
    xml.open("Buckets");
    xml.open("Bucket");
    xml.text("Name", BUCKET);
    xml.text("CreationDate", "2026-01-01T00:00:00.000Z");
    xml.close("Bucket");
    xml.close("Buckets");
    xml.response(StatusCode::OK)
}

/// The version that the first part of a key names, and the rest of the key.
async fn version<'a>(
    shared: &Arc<Shared>,
    key: &'a str,
) -> Result<(Arc<ReadVersion>, &'a str), S3Error> {
    let (name, rest) = key.split_once('/').ok_or_else(|| S3Error::no_key(key))?;
    let repo = Repo {
        namespace: BUCKET.to_owned(),
        name: name.to_owned(),
    };
    match repo::version(shared, &repo, repo::MAIN).await {
        Ok(version) => Ok((version, rest)),
        Err(repo::NoVersion::Repo(fault)) => Err(S3Error::of(&fault, key)),
        Err(repo::NoVersion::Revision) => Err(S3Error::no_key(key)),
    }
}

async fn object(
    shared: &Arc<Shared>,
    key: &str,
    (method, headers): (&Method, &HeaderMap),
) -> Result<Response, S3Error> {
    let (version, path) = version(shared, key).await?;
    let path = DatasetPath::parse(path).map_err(|_| S3Error::no_key(key))?;
    let (shard, entry) = version
        .file(&path)
        .await
        .map_err(|fault| S3Error::of(&fault, key))?;
    let found = Found {
        version,
        shard,
        entry,
    };
    let answered = answer::try_file(method, headers, &found).await;
    answered.map_err(|fault| S3Error::of(&fault, key))
}

async fn bucket_of(shared: &Arc<Shared>, bucket: &str, query: &str) -> Result<Response, S3Error> {
    if has(query, "location") {
        return Ok(Xml::new("LocationConstraint").response(StatusCode::OK));
    }
    if has(query, "versioning") {
        return Ok(Xml::new("VersioningConfiguration").response(StatusCode::OK));
    }
    let list = List::parse(query).ok_or_else(|| {
        let message = "a number of the query is none".to_owned();
        S3Error(StatusCode::BAD_REQUEST, "InvalidArgument", message)
    })?;
    let keys = match list.prefix.split_once('/') {
        Some(_) => keys_of(shared, &list).await?,
        None => names(shared, &list)?,
    };
    Ok(listed(bucket, &list, &keys))
}

/// A key, or a prefix that many have.
enum Key {
    Object {
        key: String,
        etag: String,
        size: u64,
        modified: String,
    },
    Prefix(String),
}

impl Key {
    fn text(&self) -> &str {
        match self {
            Self::Object { key, .. } | Self::Prefix(key) => key,
        }
    }
}

/// One more key than is asked for tells that there are more.
async fn keys_of(shared: &Arc<Shared>, list: &List) -> Result<Vec<Key>, S3Error> {
    let (version, prefix) = match version(shared, &list.prefix).await {
        Ok(found) => found,
        Err(S3Error(StatusCode::NOT_FOUND, ..)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let name = list.prefix.strip_suffix(prefix).unwrap_or_default();
    // What comes before the keys of this version is no bound, what comes behind leaves none.
    let after = list.after.as_deref().filter(|after| *after >= name);
    let after = after.map(|after| after.strip_prefix(name).unwrap_or("\u{10ffff}"));
    let delimiter = list.delimiter.as_deref();
    let found = version
        .list(prefix, delimiter, after, list.keys_max + 1)
        .await;
    let found = found.map_err(|fault| S3Error::of(&fault, &list.prefix))?;
    let modified = xml::date(version.version().manifest().fields().created_at);
    let key = |listed: Listed| match listed {
        Listed::File(_, entry) => Key::Object {
            key: format!("{name}{}", entry.path()),
            etag: format!("\"{}\"", digest(&entry)),
            size: entry.size(),
            modified: modified.clone(),
        },
        Listed::Prefix(prefix) => Key::Prefix(format!("{name}{prefix}")),
    };
    Ok(found.into_iter().map(key).collect())
}

/// The datasets that are known here, as prefixes: a bucket of millions of files is not listed at once.
fn names(shared: &Shared, list: &List) -> Result<Vec<Key>, S3Error> {
    let known = shared.store.datasets().map_err(|error| {
        tracing::warn!(%error, "datasets cannot be listed");
        S3Error::of(&ReadFault::Failed, &list.prefix)
    })?;
    let mut names: Vec<_> = known.iter().map(|(id, _)| format!("{id}/")).collect();
    names.sort_unstable();
    let is_wanted = |name: &String| {
        name.starts_with(&list.prefix) && list.after.as_ref().is_none_or(|after| name > after)
    };
    let wanted = names.into_iter().filter(is_wanted);
    Ok(wanted.take(list.keys_max + 1).map(Key::Prefix).collect())
}

fn listed(bucket: &str, list: &List, keys: &[Key]) -> Response {
    let is_truncated = keys.len() > list.keys_max;
    let keys = keys.get(..list.keys_max).unwrap_or(keys);
    let encode = |text: &str| match list.is_encoded {
        true => encode_path(text),
        false => text.to_owned(),
    };
    let mut xml = Xml::new("ListBucketResult");
    xml.text("Name", bucket);
    xml.text("Prefix", &encode(&list.prefix));
    xml.text("MaxKeys", &list.keys_max.to_string());
    xml.text("IsTruncated", if is_truncated { "true" } else { "false" });
    if let Some(delimiter) = &list.delimiter {
        xml.text("Delimiter", &encode(delimiter));
    }
    if list.is_encoded {
        xml.text("EncodingType", "url");
    }
    let last = keys.last().filter(|_| is_truncated).map(Key::text);
    match (list.is_v2, last) {
        (true, Some(last)) => xml.text("NextContinuationToken", last),
        (false, Some(last)) => xml.text("NextMarker", &encode(last)),
        (_, None) => {}
    }
    if list.is_v2 {
        xml.text("KeyCount", &keys.len().to_string());
    }
    for key in keys {
        match key {
            Key::Object {
                key,
                etag,
                size,
                modified,
            } => {
                xml.open("Contents");
                xml.text("Key", &encode(key));
                xml.text("LastModified", modified);
                xml.text("ETag", etag);
                xml.text("Size", &size.to_string());
                xml.text("StorageClass", "STANDARD");
                xml.close("Contents");
            }
            Key::Prefix(prefix) => {
                xml.open("CommonPrefixes");
                xml.text("Prefix", &encode(prefix));
                xml.close("CommonPrefixes");
            }
        }
    }
    xml.response(StatusCode::OK)
}
