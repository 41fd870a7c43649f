//! The read-only gateway: `GET` and `HEAD` of `/d/<dataset or manifest id>/<path>`, without a token.
//!
//! Bytes are verified as they are read; a range, `ETag` (the BLAKE3 hash) and conditions work as in
//! RFC 9110. What strangers published is never run as a page of this origin: answers are sandboxed.

mod range;
mod serve;

use std::{future::Future, net::SocketAddr, ops::Range};

pub use axum::body::Bytes;
use opendag_protocol::{Hash, ManifestId, RecordId};
use tokio::task::AbortHandle;

use super::{ApiError, http};

/// A file of a version that the gateway may serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayFile {
    /// The version: the newest one known here if a dataset was asked for.
    pub manifest: ManifestId,
    /// The file's content.
    pub hash: Hash,
    /// Its bytes.
    pub size: u64,
    /// Its media type, as the publisher says.
    pub media_type: Option<String>,
}

/// Why the gateway has no bytes.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No such dataset, version or path is known here.
    #[error("nothing of that name is known to this node")]
    NotFound,
    /// Known, but the bytes are not here, or not unchanged.
    #[error("the file is not on this node: fetch it first")]
    NotHere,
    /// Too many readers.
    #[error("this node is busy: try again later")]
    Busy,
    /// It went wrong here; the log says more.
    #[error("this node could not read the file: its log says why")]
    Failed,
}

/// Where the gateway finds files and their verified bytes.
pub trait GatewaySource: Clone + Send + Sync + 'static {
    /// The file at `path` (percent-decoded, as the client wrote it, so not yet a valid path) of the
    /// version `id`, or of the newest version known here of the dataset `id`.
    fn find(
        &self,
        id: RecordId,
        path: &str,
    ) -> impl Future<Output = Result<GatewayFile, GatewayError>> + Send;

    /// Exactly the bytes `range` of the content `hash`, verified. The range is never empty, lies
    /// inside the file and is at most [`GATEWAY_READ_BYTES_MAX`] long.
    fn read(
        &self,
        hash: Hash,
        range: Range<u64>,
    ) -> impl Future<Output = Result<Bytes, GatewayError>> + Send;
}

/// Bytes that the gateway asks for at a time, a multiple of the chunk group: small enough that many
/// readers fit into memory, large enough that a read costs little beside its verification.
pub const GATEWAY_READ_BYTES_MAX: u64 = 256 * 1024;

/// The running gateway. Dropping it stops the listener and ends its connections.
#[derive(Debug)]
pub struct GatewayServer {
    address: SocketAddr,
    task: AbortHandle,
}

impl GatewayServer {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken or not of this machine.
    pub async fn start<S: GatewaySource>(source: S, address: SocketAddr) -> Result<Self, ApiError> {
        let (listener, address) = http::listen(address).await?;
        let task = tokio::spawn(http::serve(listener, serve::router(source))).abort_handle();
        Ok(Self { address, task })
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
    }
}

#[cfg(test)]
mod tests;
