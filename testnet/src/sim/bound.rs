//! How fast a simulated network could be at best, whoever decides.

use opendag_protocol::fetch::FetchConfig;
use serde::Serialize;

use super::{SimOptions, data::Data, node::Node};

/// The shortest time in which all fetches could end, and what sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bound {
    /// The longest of the others, in milliseconds.
    pub ms: u64,
    /// One copy from all that are there at the start.
    pub seeds_ms: u64,
    /// One copy over a fetcher's own link.
    pub download_ms: u64,
    /// A copy for each fetcher over the links of all who send.
    pub upload_ms: u64,
    /// One copy when the budget of bytes in flight comes once in each round trip.
    pub budget_ms: u64,
}

impl Bound {
    pub(super) fn new(
        options: &SimOptions,
        config: &FetchConfig,
        data: &Data,
        nodes: &[Node],
    ) -> Self {
        let bytes = data.bytes();
        let (fetchers, peers) = nodes
            .split_at_checked(usize::from(options.fetchers))
            .unwrap_or_default();
        let honest = peers.iter().filter(|node| node.is_honest());
        let caps: u64 = honest.map(|node| node.up).sum();
        let links: u64 = fetchers.iter().map(|node| node.up).sum();
        let copies = u64::from(options.fetchers);
        let shared = if copies > 1 { links } else { 0 };
        let delay_of = |nodes: &[Node]| nodes.iter().map(|node| node.delay_us).min();
        let delay_us = delay_of(fetchers).unwrap_or(0)
            + delay_of(peers)
                .into_iter()
                .chain(delay_of(fetchers))
                .min()
                .unwrap_or(0);
        let budget = u128::from(bytes) * 2 * u128::from(delay_us)
            / u128::from(config.in_flight_bytes_max.max(1))
            / 1000;
        let bound = Self {
            ms: 0,
            seeds_ms: ms(bytes, caps),
            download_ms: ms(bytes, options.link),
            upload_ms: ms(bytes * copies, caps + shared),
            budget_ms: u64::try_from(budget).unwrap_or(u64::MAX),
        };
        let parts = [
            bound.seeds_ms,
            bound.download_ms,
            bound.upload_ms,
            bound.budget_ms,
        ];
        Self {
            ms: parts.into_iter().max().unwrap_or(0),
            ..bound
        }
    }
}

fn ms(bytes: u64, bytes_per_s: u64) -> u64 {
    bytes.saturating_mul(1000) / bytes_per_s.max(1)
}
