//! One fetcher: the real scheduler, and the account against which it is checked.

use std::{collections::BTreeSet, rc::Rc};

use anyhow::{Result, ensure};
use opendag_protocol::{
    Time,
    fetch::{Fetch, FetchConfig, Holdings, Input, Item, Output, RequestId, ShardSpec},
    table::ShardIndex,
    wire::{GroupRange, GroupRanges},
};

use super::{data::Data, ledger::Ledger, node::told, watch::Watch};

/// What follows from a step of the scheduler.
#[derive(Debug)]
pub(super) enum Act {
    Ask { peer: u32, request: RequestId },
    Drop { peer: u32, request: RequestId },
    Ban { peer: u32 },
}

/// A node that fetches.
#[derive(Debug)]
pub(super) struct Fetcher {
    fetch: Fetch,
    pub(super) ledger: Ledger,
    data: Rc<Data>,
    /// When its timer event is due.
    pub(super) timer_us: Option<u64>,
    /// Are its news being gathered?
    pub(super) gathers: bool,
    news: BTreeSet<u32>,
    pub(super) completed_us: Option<u64>,
    /// Is its end counted?
    pub(super) ended: bool,
    steps: u64,
    audit_every: u64,
    /// What was decided, as one number: equal runs have equal traces.
    pub(super) trace: u64,
}

impl Fetcher {
    pub(super) fn new(config: FetchConfig, data: Rc<Data>, audit_every: u64) -> Self {
        let ledger = Ledger::new(data.clone(), &config);
        let specs = (0..data.shards()).map(|shard| ShardSpec {
            shard: ShardIndex(shard),
            size: data.size(shard),
            have: GroupRanges::new(),
        });
        Self {
            fetch: Fetch::new(config, specs),
            ledger,
            data,
            timer_us: None,
            gathers: false,
            news: BTreeSet::new(),
            completed_us: None,
            ended: false,
            steps: 0,
            audit_every,
            trace: 0,
        }
    }

    pub(super) fn input(
        &mut self,
        now_us: u64,
        input: Input,
        watch: &mut Watch,
    ) -> Result<Vec<Act>> {
        let now = Time::from_millis(now_us / 1000);
        watch.time(|| self.fetch.handle(now, input));
        self.drain(now_us)
    }

    pub(super) fn timeout(&mut self, now_us: u64, watch: &mut Watch) -> Result<Vec<Act>> {
        let now = Time::from_millis(now_us / 1000);
        watch.time(|| self.fetch.handle_timeout(now));
        self.drain(now_us)
    }

    /// When it wants to be called.
    pub(super) fn deadline_us(&self) -> Option<u64> {
        let deadline = self
            .fetch
            .deadline()
            .filter(|_| self.completed_us.is_none());
        deadline.map(|at| at.as_millis().saturating_mul(1000))
    }

    /// A part of an open request came and is right.
    pub(super) fn came(&mut self, request: RequestId, item: Item) -> Input {
        if self.ledger.came(request, item) {
            self.news.insert(item.shard.0);
        }
        Input::Verified {
            request,
            shard: item.shard,
            groups: item.groups,
            bytes: self.data.bytes_of(item),
        }
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// What it holds of the shards that changed since the last time.
    pub(super) fn take_news(&mut self) -> Rc<[Holdings]> {
        let news = std::mem::take(&mut self.news);
        let parts = news
            .iter()
            .filter_map(|shard| Some((shard, self.ledger.here(*shard)?)));
        told(&self.data, parts).into()
    }

    /// Can it serve these groups?
    pub(super) fn has(&self, shard: u32, groups: GroupRange) -> bool {
        self.ledger
            .here(shard)
            .is_some_and(|here| here.contains_all(groups))
    }

    /// Why it does not go on.
    pub(super) fn stalled(&self, now_us: u64) -> String {
        let now = Time::from_millis(now_us / 1000);
        format!("{:?}, {:?}", self.fetch.stalled(now), self.fetch.progress())
    }

    fn drain(&mut self, now_us: u64) -> Result<Vec<Act>> {
        let now = Time::from_millis(now_us / 1000);
        let mut acts = Vec::new();
        while let Some(output) = self.fetch.poll() {
            self.note(now_us, &output);
            match output {
                Output::Request {
                    request,
                    peer,
                    items,
                    deadline,
                } => {
                    ensure!(deadline > now, "the deadline of {request:?} is over");
                    self.ledger.asked(request, peer, items)?;
                    let peer = peer.0;
                    acts.push(Act::Ask { peer, request });
                }
                Output::Cancel { request, .. } => {
                    let peer = self.ledger.cancelled(request)?.peer;
                    acts.push(Act::Drop { peer, request });
                }
                Output::ShardDone { shard } => self.ledger.done(shard)?,
                Output::Ban { peer, .. } => {
                    self.ledger.ban(peer)?;
                    acts.push(Act::Ban { peer: peer.0 });
                }
                Output::Completed => self.completed_us = Some(now_us),
            }
        }
        self.ledger.check(&self.fetch)?;
        self.steps += 1;
        if self.steps.is_multiple_of(self.audit_every) {
            self.fetch.audit()?;
        }
        Ok(acts)
    }

    fn note(&mut self, now_us: u64, output: &Output) {
        let mut mix = |number: u64| {
            self.trace = (self.trace ^ number)
                .wrapping_mul(0xbf58_476d_1ce4_e5b9)
                .rotate_left(29);
        };
        mix(now_us);
        match output {
            Output::Request { peer, items, .. } => {
                mix(u64::from(peer.0));
                for item in items {
                    mix(u64::from(item.shard.0));
                    mix(item.groups.first);
                    mix(item.groups.count);
                }
            }
            Output::Cancel { request, .. } => mix(request.0),
            Output::ShardDone { shard } => mix(u64::from(shard.0)),
            Output::Ban { peer, .. } => mix(u64::from(peer.0)),
            Output::Completed => mix(1),
        }
    }
}
