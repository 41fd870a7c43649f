//! The read-only gateway: datasets for programs that know nothing of OpenDAG, over HTTP on loopback.
//!
//! `hf` is the read API of the Hugging Face Hub, `plain` files under their ids, `s3` a listener of
//! its own. They find versions through `repo` and answer with files through `answer`: verified bytes, from here or from peers
//! (`crate::read`). No token; what strangers published is never run as a page of this origin.

mod answer;
mod hf;
mod listeners;
mod plain;
pub(crate) mod repo;
mod s3;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tokio::task::AbortHandle;

pub(crate) use self::listeners::{Listeners, NoListener};
pub use self::s3::S3Server;
use crate::{
    api::{ApiError, guard, http},
    node::{Node, Shared},
    read::ReadFault,
};

/// The running gateway. Dropping it stops the listener and ends its connections.
#[derive(Debug)]
pub struct GatewayServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl GatewayServer {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken or not of this machine.
    pub async fn start(node: &Node, address: SocketAddr) -> Result<Self, ApiError> {
        let (listener, address) = http::listen(address).await?;
        let app = router(node.shared.clone());
        let task = tokio::spawn(http::serve(listener, app)).abort_handle();
        let shared = node.shared.clone();
        let server = Self {
            address,
            shared,
            task,
        };
        server.shared.listeners.set_gateway(Some(server.url()));
        Ok(server)
    }

    /// The URL under which it answers, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for GatewayServer {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.listeners.set_gateway(None);
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .fallback(route)
        .layer(middleware::from_fn(check))
        .with_state(shared)
}

/// Pages of other names may not read what is here, although it needs no token.
async fn check(request: Request, next: Next) -> Response {
    match guard::check_host(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(status) => status.into_response(),
    }
}

async fn route(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if path.starts_with("/d/") {
        return match is_read {
            true => plain::answer(&shared, request).await,
            false => not_allowed("GET, HEAD"),
        };
    }
    hf::answer(&shared, request).await
}

fn not_allowed(allow: &'static str) -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, allow)]).into_response()
}

/// What a reader's failure means in HTTP.
fn status(fault: &ReadFault) -> StatusCode {
    match fault {
        ReadFault::Unknown | ReadFault::NoFile => StatusCode::NOT_FOUND,
        ReadFault::NotYet { .. } => StatusCode::TOO_MANY_REQUESTS,
        ReadFault::Nobody { .. } => StatusCode::GATEWAY_TIMEOUT,
        ReadFault::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Seconds after which a client may ask again for what has not come yet.
const RETRY_AFTER: &str = "1";

/// A failure as plain text.
fn refusal(fault: &ReadFault) -> Response {
    let status = status(fault);
    let mut response = (status, format!("{fault}\n")).into_response();
    if status == StatusCode::TOO_MANY_REQUESTS {
        answer::set(&mut response, header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}
