//! The read-only gateway: datasets for programs that know nothing of OpenDAG, over HTTP on loopback.
//!
//! `hf` is the read API of the Hugging Face Hub, `plain` files under their ids, `s3` a listener of
//! its own. They find versions through `repo` and answer with files through `answer`: verified bytes, from here or from peers
//! (`crate::read`). No token; what strangers published is never run as a page of this origin.

mod answer;
mod folder;
mod hf;
mod listeners;
mod names;
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
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};

pub(crate) use self::listeners::{Listeners, NoListener};
pub use self::s3::S3Server;
use crate::{
    api::{ApiError, guard, http},
    metrics::{Listener, measure},
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
        let app = guarded(
            node.shared.clone(),
            Listener::Hub,
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

/// A listener behind the checks that all have, with its requests counted.
fn guarded(shared: Arc<Shared>, listener: Listener, app: Router<Arc<Shared>>) -> Router {
    let app = match shared.config.gateway_cors_origins.as_slice() {
        [] => app,
        origins => app.layer(cors(origins)),
    };
    let counted = (shared.clone(), listener);
    app.layer(middleware::from_fn_with_state(shared.clone(), check))
        .layer(middleware::from_fn_with_state(counted, measure))
        .with_state(shared)
}

/// Lets pages of these origins read what clients of the Hub and of S3 read.
fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter_map(|origin| origin.parse().ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::any())
        .allow_private_network(true)
}

/// Pages of other sites may not read what is here, although it needs no token; and nothing that is sent runs
/// as a page of this origin, unless the answer has a policy of its own.
async fn check(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let checked = guard::check_host(headers)
        .and_then(|()| guard::check_target(request.uri()))
        .and_then(|()| guard::check_page(headers, &shared.config.gateway_cors_origins));
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(status) => status.into_response(),
    };
    harmless(&mut response);
    response
}

/// What strangers wrote is not guessed at, shown by pages of others, or run.
fn harmless(response: &mut Response) {
    let own_policy = response
        .headers()
        .contains_key(header::CONTENT_SECURITY_POLICY);
    answer::set(response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    answer::set(response, RESOURCE_POLICY, "same-origin");
    if !own_policy {
        answer::set(response, header::CONTENT_SECURITY_POLICY, POLICY);
    }
}

const RESOURCE_POLICY: header::HeaderName =
    header::HeaderName::from_static("cross-origin-resource-policy");
/// Of all answers but the pages of ours.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

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
        ReadFault::Denied(_) => StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
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
