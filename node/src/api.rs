//! The local API: a running node over HTTP on loopback.
//!
//! The API carries [`crate::ops`] for the command line: `POST /v1/<operation>` with the request as
//! JSON, answered by one event a line. It needs the token that only the data directory's owner can
//! read from `api.json`, and refuses web pages by their `Host` and `Origin`. A connection that is
//! dropped cancels its operation. Besides, `/metrics` tells the figures of [`crate::metrics`], and
//! `/v1/openapi.json` describes all of it. The other listener is [`crate::gateway`].

mod client;
mod file;
pub(crate) mod guard;
pub(crate) mod http;
mod openapi;
mod server;

use std::{io, net::SocketAddr, path::PathBuf};

pub use client::ApiClient;
pub use server::ApiServer;

/// Why the local API cannot be served or used.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address is taken, not ours, or not allowed.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The API is not for other machines.
    #[error(
        "the API cannot listen on {address}: take an address of loopback, such as 127.0.0.1:8482"
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// `api.json` or `metrics_token` cannot be written: no command, or no scraper, could use the daemon.
    #[error("cannot write {path}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// `api.json` or `metrics_token` is there and cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The system has no randomness for a token.
    #[error("cannot make a token: the system gives no random bytes ({0})")]
    Random(getrandom::Error),
}

#[cfg(test)]
mod tests;
