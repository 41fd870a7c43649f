//! The simulator's own account of one fetch, against which the scheduler's words are checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use anyhow::{Context, Result, ensure};
use opendag_protocol::{
    fetch::{Fetch, FetchConfig, Item, PeerKey, RequestId},
    table::ShardIndex,
    wire::GroupRanges,
};

use super::data::Data;

/// A request without an end.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) peer: u32,
    pub(super) items: Vec<Item>,
    /// What it has brought of each shard.
    came: BTreeMap<u32, GroupRanges>,
    left_bytes: u64,
}

/// What was asked for and what came.
#[derive(Debug)]
pub(super) struct Ledger {
    data: Rc<Data>,
    in_flight_max: u64,
    /// What is here of each shard; small ones only as a whole.
    here: BTreeMap<u32, GroupRanges>,
    here_bytes: u64,
    open: BTreeMap<RequestId, Open>,
    seen: Option<RequestId>,
    in_flight: u64,
    peers: BTreeSet<u32>,
    banned: BTreeSet<u32>,
    done: BTreeSet<u32>,
    pub(super) in_flight_peak: u64,
    pub(super) requests: u64,
    /// What came, twice or not.
    pub(super) came_bytes: u64,
}

impl Ledger {
    pub(super) fn new(data: Rc<Data>, config: &FetchConfig) -> Self {
        Self {
            data,
            in_flight_max: config.in_flight_bytes_max,
            here: BTreeMap::new(),
            here_bytes: 0,
            open: BTreeMap::new(),
            seen: None,
            in_flight: 0,
            peers: BTreeSet::new(),
            banned: BTreeSet::new(),
            done: BTreeSet::new(),
            in_flight_peak: 0,
            requests: 0,
            came_bytes: 0,
        }
    }

    pub(super) fn joined(&mut self, peer: u32) {
        self.peers.insert(peer);
    }

    /// A peer is gone, and its requests with it.
    pub(super) fn left(&mut self, peer: u32) {
        self.peers.remove(&peer);
        let gone = self.open.extract_if(.., |_, open| open.peer == peer);
        let bytes: u64 = gone.map(|(_, open)| open.left_bytes).sum();
        self.in_flight -= bytes;
    }

    /// A request is made.
    pub(super) fn asked(
        &mut self,
        request: RequestId,
        peer: PeerKey,
        items: Vec<Item>,
    ) -> Result<()> {
        ensure!(self.seen < Some(request), "{request:?} is used twice");
        ensure!(
            self.peers.contains(&peer.0),
            "asks {peer:?}, which is not there"
        );
        ensure!(
            !self.banned.contains(&peer.0),
            "asks {peer:?}, which is banned"
        );
        ensure!(!items.is_empty(), "{request:?} asks for nothing");
        let mut left_bytes = 0;
        for item in &items {
            let shard = item.shard.0;
            ensure!(
                shard < self.data.shards(),
                "{:?} does not exist",
                item.shard
            );
            let end = self.data.groups(shard);
            ensure!(
                item.groups.count > 0 && item.groups.end() <= end,
                "{item:?} lies beyond its shard"
            );
            let here = self.here.get(&shard);
            ensure!(
                here.is_none_or(|here| here.intersect(&item.groups.into()).is_empty()),
                "asks for {item:?}, of which some is here"
            );
            left_bytes += self.data.bytes_of(*item);
        }
        self.in_flight += left_bytes;
        self.in_flight_peak = self.in_flight_peak.max(self.in_flight);
        ensure!(
            self.in_flight <= self.in_flight_max,
            "{} bytes are in flight",
            self.in_flight
        );
        self.seen = Some(request);
        self.requests += 1;
        let open = Open {
            peer: peer.0,
            items,
            came: BTreeMap::new(),
            left_bytes,
        };
        self.open.insert(request, open);
        Ok(())
    }

    pub(super) fn open(&self, request: RequestId) -> Option<&Open> {
        self.open.get(&request)
    }

    /// A request has ended.
    pub(super) fn ended(&mut self, request: RequestId) -> Option<Open> {
        let open = self.open.remove(&request)?;
        self.in_flight -= open.left_bytes;
        Some(open)
    }

    /// A peer said that it lacks a shard. Returns whether the request is open.
    pub(super) fn missing(&mut self, request: RequestId, shard: ShardIndex) -> bool {
        let Some(open) = self.open.get_mut(&request) else {
            return false;
        };
        let gone = open.items.extract_if(.., |item| item.shard == shard);
        let asked: u64 = gone.map(|item| self.data.bytes_of(item)).sum();
        let size = self.data.size(shard.0);
        let came = open.came.remove(&shard.0);
        let lost = asked - came.map_or(0, |came| came.len_bytes(size));
        open.left_bytes -= lost;
        self.in_flight -= lost;
        true
    }

    /// A part of an open request came. Returns whether any of it is new here.
    pub(super) fn came(&mut self, request: RequestId, item: Item) -> bool {
        let Some(open) = self.open.get_mut(&request) else {
            return false;
        };
        let bytes = self.data.bytes_of(item);
        open.left_bytes -= bytes;
        self.in_flight -= bytes;
        self.came_bytes += bytes;
        let shard = item.shard.0;
        let came = open.came.entry(shard).or_default();
        came.insert(item.groups);
        if self.data.is_small(shard) && !came.is_complete(self.data.groups(shard)) {
            return false;
        }
        let new = if self.data.is_small(shard) {
            came.clone()
        } else {
            item.groups.into()
        };
        let here = self.here.entry(shard).or_default();
        let size = self.data.size(shard);
        let known = here.intersect(&new).len_bytes(size);
        here.insert_all(&new);
        let more = new.len_bytes(size) - known;
        self.here_bytes += more;
        more > 0
    }

    /// A shard is said to be whole.
    pub(super) fn done(&mut self, shard: ShardIndex) -> Result<()> {
        ensure!(self.done.insert(shard.0), "{shard:?} is done twice");
        let groups = self.data.groups(shard.0);
        let here = self.here(shard.0);
        ensure!(
            here.is_some_and(|here| here.is_complete(groups)),
            "{shard:?} is said to be here"
        );
        Ok(())
    }

    /// A peer is banned; it must have lied.
    pub(super) fn ban(&mut self, peer: PeerKey) -> Result<()> {
        ensure!(self.banned.insert(peer.0), "{peer:?} is banned twice");
        let open = self.open.values().any(|open| open.peer == peer.0);
        ensure!(!open, "{peer:?} is banned and still asked");
        Ok(())
    }

    /// A request is dropped.
    pub(super) fn cancelled(&mut self, request: RequestId) -> Result<Open> {
        self.ended(request)
            .with_context(|| format!("{request:?} ends twice"))
    }

    /// What is here of a shard.
    pub(super) fn here(&self, shard: u32) -> Option<&GroupRanges> {
        self.here.get(&shard)
    }

    /// Compares the sums.
    pub(super) fn check(&self, fetch: &Fetch) -> Result<()> {
        let progress = fetch.progress();
        ensure!(
            progress.in_flight_bytes == self.in_flight,
            "it counts {} bytes in flight, there are {}",
            progress.in_flight_bytes,
            self.in_flight
        );
        ensure!(
            progress.bytes_done == self.here_bytes,
            "it counts {} bytes here, there are {}",
            progress.bytes_done,
            self.here_bytes
        );
        ensure!(
            fetch.is_complete() == (self.here_bytes == self.data.bytes()),
            "it is complete or not with {} of {} bytes",
            self.here_bytes,
            self.data.bytes()
        );
        Ok(())
    }
}
