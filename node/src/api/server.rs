//! The API's server side.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path as UrlPath, RawQuery, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::stream;
use serde_json::{Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::{AbortHandle, JoinHandle},
};
use tokio_util::sync::CancellationToken;

use super::{
    ApiError,
    file::{self, Announced, Token},
    guard, http, openapi,
};
use crate::{
    metrics::Measure,
    ops::{Event, Operate, Operation},
};

/// Operations at a time: each may hold a transfer.
const OPERATIONS_MAX: usize = 32;
/// Events that wait for a slow client; then the operation waits.
const EVENTS_QUEUED_MAX: usize = 64;
/// Bytes of a request's body.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Pages of figures that are made at a time: each looks at the whole store.
const SCRAPES_MAX: usize = 1;
/// The media type of figures, which names the version of their format.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Bytes of a challenge, as text.
const CHALLENGE_BYTES_MAX: usize = 128;

/// The running API of a daemon. Dropping it stops the listener, cancels the operations that came
/// through it and removes `api.json`.
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    running: Running,
}

struct Running {
    task: JoinHandle<()>,
    stop: CancellationToken,
    data_dir: PathBuf,
    announced: Announced,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        file::remove(&self.data_dir, &self.announced);
    }
}

impl ApiServer {
    /// Listens on `address`, by default a free port of 127.0.0.1, makes a token, and tells both in
    /// `api.json` of the data directory, which must be locked by the caller.
    ///
    /// # Errors
    /// The address is taken or not of loopback; no randomness; `api.json` cannot be written.
    pub async fn start<N: Operate + Measure>(
        node: N,
        data_dir: &Path,
        address: Option<SocketAddr>,
    ) -> Result<Self, ApiError> {
        let address = address.unwrap_or((Ipv4Addr::LOCALHOST, 0).into());
        if !address.ip().is_loopback() {
            return Err(ApiError::NotLoopback { address });
        }
        let (listener, address) = http::listen(address).await?;
        let token = Token::random()?;
        let metrics_token = file::metrics_token(data_dir)?;
        let app = router(node, (token.clone(), metrics_token));
        let stop = CancellationToken::new();
        let task = tokio::spawn(http::serve(listener, app, stop.clone()));
        let announced = Announced { address, token };
        let running = Running {
            task,
            stop,
            data_dir: data_dir.to_owned(),
            announced,
        };
        file::write(data_dir, &running.announced)?;
        Ok(Self { address, running })
    }

    /// Takes nothing new, and gives what is being answered so long to end.
    pub async fn close(mut self, within: Duration) {
        self.running.stop.cancel();
        drop(tokio::time::timeout(within, &mut self.running.task).await);
    }

    /// The URL under which it answers, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

struct Shared<N> {
    node: N,
    token: Token,
    metrics_token: Token,
    slots: Arc<Semaphore>,
    scrapes: Semaphore,
}

fn router<N: Operate + Measure>(node: N, (token, metrics_token): (Token, Token)) -> Router {
    let shared = Arc::new(Shared {
        node,
        token,
        metrics_token,
        slots: Arc::new(Semaphore::new(OPERATIONS_MAX)),
        scrapes: Semaphore::new(SCRAPES_MAX),
    });
    Router::new()
        .route("/v1/{operation}", post(operate::<N>))
        .route("/v1/hello", get(hello::<N>))
        .route("/v1/openapi.json", get(describe))
        .route("/metrics", get(metrics::<N>))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(middleware::from_fn(check))
        .with_state(shared)
}

async fn check(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if let Err(status) = guard::check_host(headers).and_then(|()| guard::check_origin(headers)) {
        return status.into_response();
    }
    next.run(request).await
}

/// Proves to a client that this is the daemon of its data directory, before it sends the token:
/// another local user may listen on the port of a daemon that is gone.
async fn hello<N: Operate>(
    State(shared): State<Arc<Shared<N>>>,
    RawQuery(challenge): RawQuery,
) -> Response {
    let challenge = challenge.unwrap_or_default();
    if challenge.len() > CHALLENGE_BYTES_MAX {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let proof = data_encoding::HEXLOWER.encode(&shared.token.proof(challenge.as_bytes()));
    axum::Json(json!({ "api": 1, "proof": proof })).into_response()
}

/// The API's own description: it is in the program, and so no secret.
async fn describe() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, openapi::TEXT.as_str()).into_response()
}

/// Figures for Prometheus, for whoever has either token: the other one opens nothing else, so that it may
/// be given away.
async fn metrics<N: Measure>(State(shared): State<Arc<Shared<N>>>, headers: HeaderMap) -> Response {
    let opens = |token| guard::check_token(&headers, token);
    if let Err(status) = opens(&shared.metrics_token).or_else(|_| opens(&shared.token)) {
        return status.into_response();
    }
    // The semaphore is never closed.
    let _scrape = shared.scrapes.acquire().await;
    let text = shared.node.metrics().await;
    ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
}

async fn operate<N: Operate>(
    State(shared): State<Arc<Shared<N>>>,
    UrlPath(name): UrlPath<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(status) = guard::check_token(&headers, &shared.token) {
        return status.into_response();
    }
    let operation = match parse(name, &body) {
        Ok(operation) => operation,
        Err(error) => {
            let message = format!("The request is not understood: {error}.");
            return one_event(
                StatusCode::BAD_REQUEST,
                &Event::Failed {
                    message,
                    exit_code: 2,
                },
            );
        }
    };
    let Ok(slot) = Arc::clone(&shared.slots).try_acquire_owned() else {
        let message = "The daemon is busy with other operations: try again later.".to_owned();
        let failed = Event::Failed {
            message,
            exit_code: 1,
        };
        return one_event(StatusCode::SERVICE_UNAVAILABLE, &failed);
    };
    let (sender, events) = mpsc::channel(EVENTS_QUEUED_MAX);
    let node = shared.node.clone();
    let task = tokio::spawn(async move { node.run(operation, sender).await });
    let running = RunningOperation {
        events,
        task: task.abort_handle(),
        _slot: slot,
    };
    let lines = stream::unfold(running, |mut running| async move {
        let event = running.events.recv().await?;
        Some((Ok::<_, Infallible>(line(&event)), running))
    });
    (
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines),
    )
        .into_response()
}

/// Lives as long as the response's body, which the server drops with the connection.
struct RunningOperation {
    events: mpsc::Receiver<Event>,
    task: AbortHandle,
    _slot: OwnedSemaphorePermit,
}

impl Drop for RunningOperation {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn parse(name: String, body: &[u8]) -> Result<Operation, serde_json::Error> {
    let mut operation = serde_json::Map::from_iter([("op".to_owned(), Value::String(name))]);
    if !body.is_empty() {
        operation.insert("request".to_owned(), serde_json::from_slice(body)?);
    }
    serde_json::from_value(Value::Object(operation))
}

fn line(event: &Event) -> Bytes {
    let line = serde_json::to_string(event).unwrap_or_else(|error| {
        let message = format!("The answer cannot be written as JSON: {error}.");
        json!({ "event": "failed", "message": message, "exit_code": 1 }).to_string()
    });
    Bytes::from(line + "\n")
}

fn one_event(status: StatusCode, event: &Event) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        line(event),
    )
        .into_response()
}
