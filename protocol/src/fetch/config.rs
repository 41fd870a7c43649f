//! How to fetch: sizes and patience.

use std::time::Duration;

use super::pace::{WINDOW_FIRST, WINDOW_MIN};
use crate::limits::CHUNK_GROUP_BYTES;

/// How to fetch. The default suits all known cases; tests and small machines change it.
#[derive(Clone, Debug)]
pub struct FetchConfig {
    /// Bytes asked for and not yet verified, over all peers: what a crash may cost.
    pub in_flight_bytes_max: u64,
    /// What a peer may have in flight that has shown nothing yet.
    pub first_window_bytes: u64,
    /// The unit of large shards; rounded to a power of two of chunk groups.
    pub piece_bytes: u64,
    /// A shard up to this size is asked of one peer as a whole, and is only done as a whole.
    /// At most an eighth of `in_flight_bytes_max`.
    pub small_shard_bytes: u64,
    /// Aim for the size of one request.
    pub request_bytes_max: u64,
    /// Items in one request.
    pub request_items_max: usize,
    /// Requests in flight with one peer: matters when shards are tiny.
    pub peer_requests_max: usize,
    /// Requests in flight in all.
    pub requests_max: usize,
    /// A peer that has requests and sends nothing that verifies for so long has timed out.
    /// Twice as long after each time-out in a row.
    pub stall: Duration,
    /// Ask for nothing but what readers wait for, [`super::Input::Prioritise`]; shards may be added
    /// later, [`super::Input::Add`]. Such a fetch never completes.
    pub on_demand: bool,
    /// Where to start among equals; differs from node to node, so that they get different parts.
    pub seed: u64,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            in_flight_bytes_max: 8 << 20,
            first_window_bytes: WINDOW_FIRST,
            piece_bytes: 128 << 10,
            small_shard_bytes: 1 << 20,
            request_bytes_max: 1 << 20,
            request_items_max: 512,
            peer_requests_max: 12,
            requests_max: 128,
            stall: Duration::from_secs(10),
            on_demand: false,
            seed: 0,
        }
    }
}

impl FetchConfig {
    /// The same with every value where the machine can work with it.
    pub(super) fn normalised(mut self) -> Self {
        self.in_flight_bytes_max = self.in_flight_bytes_max.max(64 * CHUNK_GROUP_BYTES);
        let eighth = self.in_flight_bytes_max / 8;
        let half = self.in_flight_bytes_max / 2;
        self.first_window_bytes = self.first_window_bytes.clamp(WINDOW_MIN, half);
        self.small_shard_bytes = self.small_shard_bytes.min(eighth);
        self.piece_bytes = self
            .piece_bytes
            .clamp(CHUNK_GROUP_BYTES, eighth)
            .div_ceil(CHUNK_GROUP_BYTES)
            .next_power_of_two()
            * CHUNK_GROUP_BYTES;
        self.request_bytes_max = self
            .request_bytes_max
            .clamp(self.piece_bytes, eighth.max(self.piece_bytes));
        self.request_items_max = self.request_items_max.max(16);
        self.peer_requests_max = self.peer_requests_max.max(2);
        self.requests_max = self.requests_max.max(4);
        self.stall = self.stall.max(Duration::from_millis(1));
        self
    }
}
