//! A bounded HTTP/1 server on one listener, shared by the API and the gateway.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use super::ApiError;

/// Connections at a time. Further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 128;
/// A request's line and headers must come within this.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's line and headers.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Wait after a failed accept, for example while descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on `address`; returns the listener and its real address.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ApiError> {
    let error = |source| ApiError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let address = listener.local_addr().map_err(error)?;
    Ok((listener, address))
}

/// Serves `app` until it is dropped; all connections end with it.
pub(crate) async fn serve(listener: TcpListener, app: Router) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a local HTTP connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let app = app.clone();
        connections.spawn(async move {
            connection(stream, app).await;
            drop(slot);
        });
    }
}

async fn connection(stream: TcpStream, app: Router) {
    let service = TowerToHyperService::new(app);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a local HTTP connection ended early");
    }
}
