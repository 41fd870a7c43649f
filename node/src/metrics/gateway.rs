//! Figures of the gateway: requests by route and status, bytes, how long answers take, and its readers.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use prometheus_client::metrics::{family::Family, histogram::Histogram};

use super::{
    count::{Count, Counted, Level},
    page::{Group, Label},
};
use crate::node::Shared;

/// Upper ends of the classes in which waiting times are counted, in seconds: a warm answer, a cold one from
/// a near peer (three round trips), one whose dataset was never seen (2 s), and what clients give up at.
const LATENCIES: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0];

/// One label, for a family of histograms.
type RouteLabel = [Label; 1];
type Latency = Family<RouteLabel, Histogram, fn() -> Histogram>;

/// What was counted of the gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    routes: ByRoute,
    latency: Latency,
    open: Level,
    waiting: Level,
    read: [Count; 3],
}

impl Default for Gateway {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(LATENCIES);
        let gateway = Self {
            routes: ByRoute::default(),
            latency: Family::new_with_constructor(histogram),
            open: Level::default(),
            waiting: Level::default(),
            read: Default::default(),
        };
        for (route, _) in gateway.routes.all() {
            drop(gateway.latency.get_or_create(&[route]));
        }
        gateway
    }
}

/// Which listener a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// The Hub's API and plain files.
    Hub,
    /// S3.
    S3,
}

/// What is counted apart.
#[derive(Debug, Default)]
struct ByRoute {
    hub_api: Arc<Route>,
    hub_file: Arc<Route>,
    plain: Arc<Route>,
    s3: Arc<Route>,
}

#[derive(Debug, Default)]
struct Route {
    sent_bytes: Count,
    success: Count,
    redirect: Count,
    client_error: Count,
    server_error: Count,
}

impl ByRoute {
    fn all(&self) -> [(Label, &Arc<Route>); 4] {
        [
            (("route", "hub_api"), &self.hub_api),
            (("route", "hub_file"), &self.hub_file),
            (("route", "plain"), &self.plain),
            (("route", "s3"), &self.s3),
        ]
    }

    fn of(&self, listener: Listener, path: &str) -> (Label, &Arc<Route>) {
        let [api, file, plain, s3] = self.all();
        match listener {
            Listener::S3 => s3,
            Listener::Hub if path.starts_with("/d/") => plain,
            Listener::Hub if path.contains("/resolve/") => file,
            Listener::Hub => api,
        }
    }
}

/// Where a reader's bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadFrom {
    /// What is kept here.
    Store,
    /// The cache, without waiting.
    Cache,
    /// Peers: it had to wait.
    Peers,
}

impl Gateway {
    /// A reader waits, as long as the answer lives, unless its bytes are at hand.
    pub(crate) fn wait_unless(&self, at_hand: bool) -> Option<Counted> {
        (!at_hand).then(|| self.waiting.enter())
    }

    /// A reader got its next bytes.
    pub(crate) fn read(&self, from: ReadFrom, bytes: &[u8]) {
        let [store, cache, peers] = &self.read;
        match from {
            ReadFrom::Store => store,
            ReadFrom::Cache => cache,
            ReadFrom::Peers => peers,
        }
        .add(u64::try_from(bytes.len()).unwrap_or(0));
    }
}

#[cfg(test)]
impl Gateway {
    /// Readers that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.get()
    }
}

/// Counts a request and its answer: a layer of the listeners.
pub(crate) async fn measure(
    State((shared, listener)): State<(Arc<Shared>, Listener)>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let gateway = &shared.metrics.gateway;
    let open = gateway.open.enter();
    let (label, route) = gateway.routes.of(listener, request.uri().path());
    let response = next.run(request).await;
    let latency = gateway.latency.get_or_create(&[label]);
    latency.observe(began.elapsed().as_secs_f64());
    match response.status().as_u16() / 100 {
        5 => &route.server_error,
        4 => &route.client_error,
        3 => &route.redirect,
        _ => &route.success,
    }
    .one();
    let route = route.clone();
    response.map(|body| {
        Body::new(Sent {
            body,
            route,
            _open: open,
        })
    })
}

/// A body that counts what is taken of it.
struct Sent {
    body: Body,
    route: Arc<Route>,
    _open: Counted,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
        {
            let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.route.sent_bytes.add(bytes);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pub(super) fn tell(group: &mut Group<'_>, shared: &Shared) {
    let gateway = &shared.metrics.gateway;
    let routes = gateway.routes.all();
    group.counters(
        (
            "answered",
            "requests",
            "Requests, by what they asked and the class of the status",
        ),
        routes.iter().flat_map(|(label, route)| {
            let labels = |status| [*label, ("status", status)];
            [
                (labels("2xx"), route.success.get()),
                (labels("3xx"), route.redirect.get()),
                (labels("4xx"), route.client_error.get()),
                (labels("5xx"), route.server_error.get()),
            ]
        }),
    );
    group.counters(
        ("sent", "bytes", "Bytes of bodies that were sent"),
        routes
            .iter()
            .map(|(label, route)| ([*label], route.sent_bytes.get())),
    );
    group.metric(
        (
            "answer_latency",
            "seconds",
            "From a request to the first bytes of its answer",
        ),
        gateway.latency.clone(),
    );
    group.gauge(
        (
            "open",
            "requests",
            "Requests whose answers are not at their ends",
        ),
        gateway.open.get(),
    );
    group.gauge(
        (
            "waiting",
            "readers",
            "Readers that wait for bytes from peers",
        ),
        gateway.waiting.get(),
    );
    let [store, cache, peers] = &gateway.read;
    group.counters(
        (
            "read",
            "bytes",
            "Bytes for readers (files over HTTP and S3, mounts), by where they were: kept here, in the cache already (read ahead, too), or with peers",
        ),
        [
            ([("from", "store")], store.get()),
            ([("from", "cache")], cache.get()),
            ([("from", "peers")], peers.get()),
        ],
    );
}
