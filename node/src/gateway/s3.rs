//! Datasets as objects of a read-only S3, path style, on a listener of its own: `specs/gateway.md`.
//!
//! A bucket is a namespace (`names`): `opendag` has the keys `<dataset or version>/<path>`, an alias
//! `<name>/<path>`. Signatures are not looked at.

mod list;
mod xml;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use opendag_protocol::{
    DatasetPath,
    http::{hf::Repo, s3::Target},
};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use self::xml::Xml;
use super::{
    answer::{self, Found, Late},
    guarded,
    names::{self, NoName},
    repo::{self, NoVersion},
};
use crate::{
    api::{ApiError, http},
    metrics::Listener,
    node::{Node, Shared},
    read::{ReadFault, ReadVersion},
    resolve::owned::OwnedError,
};

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
        let app = guarded(
            node.shared.clone(),
            Listener::S3,
            Router::new().fallback(route),
        );
        let task =
            tokio::spawn(http::serve(listener, app, CancellationToken::new())).abort_handle();
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

    /// A bucket or the first part of a key means no dataset.
    fn of_name(error: &NoName, key: &str) -> Self {
        let message = error.to_string();
        match error {
            NoName::Owned(OwnedError::NoAlias(_)) => {
                Self(StatusCode::NOT_FOUND, "NoSuchBucket", message)
            }
            NoName::Owned(OwnedError::Ambiguous { .. }) => {
                Self(StatusCode::CONFLICT, "AmbiguousName", message)
            }
            NoName::Owned(_) => Self(StatusCode::NOT_FOUND, "NoSuchKey", message),
            NoName::Unread(fault) => Self::of(fault, key),
        }
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
            ReadFault::Denied(_) => Self(
                StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
                "AccessDenied",
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
    let answered = match Target::parse(parts.uri.path()) {
        Some(target) => answer(&shared, target, &parts).await,
        None => Err(S3Error::no_key(parts.uri.path())),
    };
    answered.unwrap_or_else(|error| error.response())
}

async fn answer(shared: &Arc<Shared>, target: Target, parts: &Parts) -> Result<Response, S3Error> {
    let exists = |bucket: &str| {
        let exists = names::check_namespace(shared, bucket);
        exists.map_err(|error| S3Error::of_name(&error, bucket))
    };
    match target {
        Target::Buckets => buckets(shared),
        Target::Bucket(bucket) => {
            exists(&bucket)?;
            match parts.method {
                Method::HEAD => Ok(StatusCode::OK.into_response()),
                _ => {
                    let query = parts.uri.query().unwrap_or_default();
                    list::bucket_of(shared, &bucket, query).await
                }
            }
        }
        Target::Object(bucket, key) => {
            exists(&bucket)?;
            object(shared, (&bucket, &key), (&parts.method, &parts.headers)).await
        }
    }
}

fn buckets(shared: &Shared) -> Result<Response, S3Error> {
    let names = names::namespaces(shared).map_err(|fault| S3Error::of(&fault, ""))?;
    let mut xml = Xml::new("ListAllMyBucketsResult");
    xml.open("Buckets");
    for name in names {
        xml.open("Bucket");
        xml.text("Name", &name);
        xml.text("CreationDate", "2026-01-01T00:00:00.000Z");
        xml.close("Bucket");
    }
    xml.close("Buckets");
    Ok(xml.response(StatusCode::OK))
}

/// The version that the first part of a key names, and the rest of the key.
async fn version<'a>(
    shared: &Arc<Shared>,
    bucket: &str,
    key: &'a str,
) -> Result<(Arc<ReadVersion>, &'a str), S3Error> {
    let (name, rest) = key.split_once('/').ok_or_else(|| S3Error::no_key(key))?;
    let repo = Repo {
        namespace: bucket.to_owned(),
        name: name.to_owned(),
    };
    match repo::version(shared, &repo, repo::MAIN).await {
        Ok(version) => Ok((version, rest)),
        Err(NoVersion::Name(error)) => Err(S3Error::of_name(&error, key)),
        Err(NoVersion::Repo(fault)) => Err(S3Error::of(&fault, key)),
        Err(NoVersion::Revision) => Err(S3Error::no_key(key)),
    }
}

async fn object(
    shared: &Arc<Shared>,
    (bucket, key): (&str, &str),
    (method, headers): (&Method, &HeaderMap),
) -> Result<Response, S3Error> {
    let (version, path) = version(shared, bucket, key).await?;
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
    let answered = answer::try_file((method, headers), &found, Late::IsRefused).await;
    answered.map_err(|fault| S3Error::of(&fault, key))
}
