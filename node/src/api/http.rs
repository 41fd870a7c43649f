//! A bounded HTTP/1 server on one listener, shared by the API and the gateway.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::StatusCode,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use super::ApiError;

/// Connections at a time. Further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 128;
/// A request's line and headers must come within this.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's line and headers.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// A request's body must come within this: those that are read are small.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that takes no byte of an answer for so long has gone or hangs, and others want its slot. Readers
/// pause for minutes while a model is saved or evaluated; those that are cut off ask for the rest.
const STALLED_MAX: Duration = Duration::from_secs(5 * 60);
/// Wait after a failed accept, for example while descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on `address`; returns the listener and its real address.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ApiError> {
    let error = |source| ApiError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let address = listener.local_addr().map_err(error)?;
    Ok((listener, address))
}

/// Serves `app` until it is dropped; all connections end with it. After `stop` it takes nothing new, and ends when all
/// answers are sent.
pub(crate) async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let stream = match stop.run_until_cancelled(listener.accept()).await {
            None => break,
            Some(Ok((stream, _))) => stream,
            Some(Err(error)) => {
                tracing::warn!(%error, "cannot accept a local HTTP connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (app, stop) = (app.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, app, &stop).await;
            drop(slot);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// A request's body, if it is no longer than `bytes_max` and comes in time; else the status that says so.
pub(crate) async fn body(body: Body, bytes_max: usize) -> Result<Bytes, StatusCode> {
    match timeout(BODY_TIMEOUT, axum::body::to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

async fn connection<S>(stream: S, app: Router, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALLED_MAX));
    let stream = Box::pin(stream);
    let service = TowerToHyperService::new(app);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let ended = match stop.run_until_cancelled(served.as_mut()).await {
        Some(ended) => ended,
        None => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a local HTTP connection ended early");
    }
}

#[cfg(test)]
mod tests;
