//! The node's limits on strangers and on itself, each with its reason. Formats and protocols have
//! theirs in `opendag_protocol::limits`.

use std::time::Duration;

/// How long a peer may take for one frame, or to take or give 64 KiB of a blob.
pub(crate) const ANSWER_DEADLINE: Duration = Duration::from_secs(15);

/// Bulk answers at once: each holds two batches of about 1 MiB in memory.
pub(crate) const BLOB_STREAMS_MAX: usize = 48;
/// Bulk answers to one peer at once: more than `FetchConfig::peer_requests_max`, for those that end.
pub(crate) const BLOB_STREAMS_PER_PEER_MAX: usize = 16;
/// Bulk streams that wait for their turn, over all peers: each holds a connection's stream and no memory.
pub(crate) const BLOB_STREAMS_WAITING_MAX: usize = 512;
/// Questions at once; holdings streams live as long as a fetch does.
pub(crate) const QUERY_STREAMS_MAX: usize = 1024;
/// Questions of one peer at once.
pub(crate) const QUERY_STREAMS_PER_PEER_MAX: usize = 16;

/// Chunk groups in one item of a request (2 MiB), but for blobs that describe a version.
pub(crate) const ITEM_GROUPS_MAX: u64 = 128;

/// Peers that one fetch talks to at once: beyond this more peers bring no more speed.
pub(crate) const FETCH_PEERS_MAX: usize = 40;
