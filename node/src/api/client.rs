//! The API's client side: a command that talks to the running daemon of its data directory.

use std::{path::Path, time::Duration};

use axum::body::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq;
use tokio::{net::TcpStream, sync::mpsc, task::AbortHandle};

use super::{
    ApiError,
    file::{self, Announced, Token},
};
use crate::ops::{Event, Operate, Operation};

/// A daemon on this machine answers a greeting within this, even under load.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of the answer to a greeting.
const HELLO_BYTES_MAX: usize = 4096;
/// Bytes of one event as a line: a page of a version's files is a few MiB.
const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Talks to the running daemon of a data directory.
#[derive(Clone)]
pub struct ApiClient {
    daemon: Announced,
}

impl std::fmt::Debug for ApiClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiClient")
            .field("address", &self.daemon.address)
            .finish_non_exhaustive()
    }
}

/// Why a request brought no answer.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("the request cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the answer is not understood: {0}")]
    Answer(#[source] serde_json::Error),
    #[error("the daemon refused the request with the status {0}")]
    Refused(StatusCode),
    #[error("the answer has a line that is too long")]
    TooLong,
    #[error("the connection ended before the operation did")]
    Ended,
}

impl ApiClient {
    /// The client of the daemon that runs on `data_dir`. `None`: no daemon runs there, or what
    /// answers at its address does not know the token.
    ///
    /// # Errors
    /// `api.json` is there and cannot be read, or there is no randomness.
    pub async fn from_data_dir(data_dir: &Path) -> Result<Option<Self>, ApiError> {
        let Some(daemon) = file::read(data_dir)? else {
            return Ok(None);
        };
        let client = Self { daemon };
        let challenge = Token::random()?.text();
        let proof = tokio::time::timeout(HELLO_TIMEOUT, client.hello(&challenge)).await;
        let expected = client.daemon.token.proof(challenge.as_bytes());
        match proof {
            Ok(Some(proof)) if bool::from(proof.ct_eq(&expected)) => Ok(Some(client)),
            Ok(Some(_) | None) | Err(_) => Ok(None),
        }
    }

    async fn hello(&self, challenge: &str) -> Option<Vec<u8>> {
        #[derive(Deserialize)]
        struct Hello {
            proof: String,
        }
        let request = self.request(Method::GET, &format!("hello?{challenge}"));
        let (response, _connection) = self.send(request.body(Full::default()).ok()?).await.ok()?;
        let body = Limited::new(response.into_body(), HELLO_BYTES_MAX)
            .collect()
            .await
            .ok()?;
        let hello: Hello = serde_json::from_slice(&body.to_bytes()).ok()?;
        data_encoding::HEXLOWER.decode(hello.proof.as_bytes()).ok()
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        let host = self.daemon.address.to_string();
        Request::builder()
            .method(method)
            .uri(format!("/v1/{path}"))
            .header(HOST, host)
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Connection), CallError> {
        let stream = TcpStream::connect(self.daemon.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the daemon ended early");
            }
        });
        let connection = Connection(task.abort_handle());
        Ok((sender.send_request(request).await?, connection))
    }

    async fn call(
        &self,
        operation: &Operation,
        events: &mpsc::Sender<Event>,
    ) -> Result<(), CallError> {
        let (name, body) = split(serde_json::to_value(operation)?);
        let request = self
            .request(Method::POST, &name)
            .header(
                AUTHORIZATION,
                format!("Bearer {}", self.daemon.token.text()),
            )
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))?;
        let (response, _connection) = self.send(request).await?;
        let status = response.status();
        let mut body = response.into_body();
        let mut buffer = Vec::new();
        let mut closed = false;
        while let Some(frame) = body.frame().await {
            let Some(data) = frame?.data_ref().cloned() else {
                continue;
            };
            // A full line is never longer than the limit and one frame.
            buffer.extend_from_slice(&data);
            for line in take_lines(&mut buffer) {
                let event: Event = serde_json::from_slice(&line).map_err(CallError::Answer)?;
                closed = closes(&event);
                // A receiver that is gone does not stop the operation: its caller drops it.
                drop(events.send(event).await);
            }
            if buffer.len() > LINE_BYTES_MAX {
                return Err(CallError::TooLong);
            }
        }
        match (closed, status) {
            (true, _) => Ok(()),
            (false, StatusCode::OK) => Err(CallError::Ended),
            (false, status) => Err(CallError::Refused(status)),
        }
    }
}

impl Operate for ApiClient {
    async fn run(&self, operation: Operation, events: mpsc::Sender<Event>) {
        if let Err(error) = self.call(&operation, &events).await {
            let message = format!(
                "The daemon at {} did not carry the command out: {error}. See its log; the command \
                 can be run again.",
                self.daemon.address
            );
            drop(
                events
                    .send(Event::Failed {
                        message,
                        exit_code: 1,
                    })
                    .await,
            );
        }
    }
}

/// Ends the connection, and with it the operation, when it is dropped.
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The name of an operation and its request as JSON.
fn split(operation: Value) -> (String, String) {
    let Value::Object(mut operation) = operation else {
        return Default::default();
    };
    let name = operation
        .get("op")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let request = operation
        .remove("request")
        .map(|request| request.to_string());
    (name, request.unwrap_or_default())
}

/// Takes all whole lines out of `buffer`.
fn take_lines(buffer: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let Some(end) = buffer.iter().rposition(|byte| *byte == b'\n') else {
        return Vec::new();
    };
    let rest = buffer.split_off(end + 1);
    let whole = std::mem::replace(buffer, rest);
    let lines = whole
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines.map(<[u8]>::to_vec).collect()
}

/// May `event` be the last one? [`Event::Files`], and [`Event::Fetched`] of a lockfile, come more than once and
/// close too.
fn closes(event: &Event) -> bool {
    !matches!(
        event,
        Event::Ready { .. }
            | Event::Progress(_)
            | Event::Found(_)
            | Event::Warning { .. }
            | Event::BadPeer { .. }
            | Event::Card { .. }
            | Event::Mounted { .. }
    )
}
